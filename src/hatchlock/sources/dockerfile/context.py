"""The files that go into the build of a user's Dockerfile: chosen, hashed, and as an engine gets them."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import reporting_permission
from hatchlock.images.layer import tar_chunks, tar_header
from hatchlock.lock.model import File
from hatchlock.sources.dockerfile.problems import BadDockerfile
from hatchlock.sources.projects.ignore import Found
from hatchlock.sources.projects.model import Snapshot
from hatchlock.sources.projects.snapshot import Pick, signature, snapshot

__all__ = ["Context", "NoDockerfile", "ReadContext", "dockerfile_in", "engine_context"]

_IGNORE = ".dockerignore"
_KEYS = frozenset({".pem", ".key"})
_CHUNK = 1 << 20
_END = bytes(1024)


@dataclass(kw_only=True, eq=False)
class NoDockerfile(HatchlockError):
    """A directory that is to be built has no Dockerfile."""

    code: ClassVar[str] = "no-dockerfile"

    context: str
    dockerfile: str

    def __str__(self) -> str:
        return f"there is no file {self.dockerfile} in {self.context}"

    def _hint(self) -> str:
        return 'name it, relative to the context: build = { context = "./docker", dockerfile = "web.Dockerfile" }'


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """A directory with a Dockerfile.

    In it is what belongs to a project (`sources.projects.ignore.walk`, which honours `.dockerignore`), but for files that
    hold keys (`*.pem`, `*.key`) and those that the manifest names as secrets. The Dockerfile and the `.dockerignore`
    themselves always belong to it, as for Docker, which lets nobody copy them who ignores them.

    Attributes:
        directory: Absolute.
        dockerfile: Relative to it.
        secrets: Files that hold secrets, absolute, wherever they are.
    """

    directory: str
    dockerfile: str
    secrets: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the Dockerfile's text.

        Raises:
            NoDockerfile: There is none.
            BadDockerfile: It is not UTF-8.
        """
        path = Path(self.directory).resolve() / self.dockerfile
        with reporting_permission(path):
            if not _is_inside(path):
                raise NoDockerfile(context=self.directory, dockerfile=self.dockerfile)
            return _decoded(path.read_bytes())

    def snapshot(self, sink: Callable[[bytes], object] | None = None, *, without: Path) -> Snapshot:
        """Hash the content; see `sources.projects.snapshot.snapshot`, which also says what is raised."""
        return snapshot(Path(self.directory), sink, without=without, pick=self._pick())

    def signature(self, *, without: Path) -> str:
        """Return a quick mark of the content; see `sources.projects.snapshot.signature`."""
        return signature(Path(self.directory), without=without, pick=self._pick())

    def _pick(self) -> Pick:
        hidden = {(status.st_dev, status.st_ino) for path in map(Path, self.secrets) if (status := _status(path))}
        always = {self.dockerfile, _IGNORE}

        def pick(root: Path, found: Iterable[Found]) -> Iterator[Found]:
            for item in found:
                is_key = PurePosixPath(item.path).suffix.lower() in _KEYS
                if not is_key and (item.status.st_dev, item.status.st_ino) not in hidden and item.path not in always:
                    yield item
            for name in sorted(always):
                if _is_inside(root / name):
                    yield Found(path=name, status=(root / name).lstat())

        return pick


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadContext:
    """A directory with a Dockerfile, as it was read.

    Attributes:
        file: Its snapshot.
        text: The Dockerfile.
        shown: The Dockerfile's name for messages.
    """

    file: File
    text: str
    shown: str


def dockerfile_in(archive: Path, name: str) -> str:
    """Return the text of the Dockerfile in the snapshot of a context.

    Raises:
        BadDockerfile: It is not there, or no UTF-8.
    """
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            if member.name == name and (stream := tar.extractfile(member)):
                return _decoded(stream.read())
    raise BadDockerfile(what=f"{name} is not in what was locked of its directory", advice="run `hatchlock lock`")


def engine_context(archive: Path, *, dockerfile: str, text: str) -> Iterator[bytes]:
    """Yield the snapshot of a context as the archive that an engine builds from.

    Directories are there by themselves, so that every engine gives them the same mode.

    Args:
        archive: The snapshot.
        dockerfile: The path of the Dockerfile in it.
        text: What the engine gets in its place.
    """
    known = {""}
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            for parent in reversed(PurePosixPath(member.name).parents):
                if (path := "" if str(parent) == "." else str(parent)) not in known:
                    known.add(path)
                    yield tar_header(f"{path}/", kind=b"5", mode=0o755)
            if member.name == dockerfile:
                data = text.encode()
                yield tar_header(member.name, mode=member.mode, size=len(data))
                yield from tar_chunks([data], len(data))
            elif member.issym():
                yield tar_header(member.name, kind=b"2", mode=member.mode, target=member.linkname)
            elif stream := tar.extractfile(member):
                yield tar_header(member.name, mode=member.mode, size=member.size)
                yield from tar_chunks(iter(lambda stream=stream: stream.read(_CHUNK), b""), member.size)  # type: ignore[misc]
    yield _END


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadDockerfile(what=f"the Dockerfile is no UTF-8 (byte {error.start})") from error


def _is_inside(path: Path) -> bool:
    """Whether a path below a real directory is a file itself, and reached through no symlink."""
    return path.is_file() and path.resolve() == path


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
