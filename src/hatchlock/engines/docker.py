"""A container engine through the Docker SDK: its images. `run` speaks to engines without the SDK."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import docker
import docker.auth
import docker.errors
import requests
import urllib3.exceptions

from hatchlock.engines.client import sdk_client
from hatchlock.engines.connect import EngineUnreachable
from hatchlock.engines.locate import EngineNotFound, find_engine
from hatchlock.engines.tagged import OURS, ImageFacts, by_tag
from hatchlock.errors import HatchlockError
from hatchlock.images.assemble import NotLoaded

__all__ = [
    "DEFAULT_REGISTRY_HOST",
    "Engine",
    "EngineFailed",
    "EngineFull",
    "EngineNotFound",
    "EngineStopped",
    "ImageFacts",
    "ImageInUse",
    "OtherPlatform",
    "find_engine",
]

DEFAULT_REGISTRY_HOST = f"index.{docker.auth.INDEX_NAME}"
"""The registry of images whose reference names none, as the engine's own client has it."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CONFLICT = 409
_PODMANS_HOST = "localhost/"
_SECONDS = 600  # a large image takes minutes to load
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_TROUBLES = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,  # what breaks off while an answer is read comes as it is
    EngineUnreachable,
)


@dataclass(kw_only=True, eq=False)
class EngineFailed(HatchlockError):
    """An engine that broke off, or refuses what it was asked."""

    code: ClassVar[str] = "engine-failed"

    engine: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"the container engine at {self.engine} failed to {self.what}: {self.why}"

    def _hint(self) -> str:
        return "run `hatchlock doctor`; the engine's log says more"


@dataclass(kw_only=True, eq=False)
class EngineStopped(EngineFailed):
    """An engine that went away while it was asked something, or is not there any more."""

    code: ClassVar[str] = "engine-stopped"

    def __str__(self) -> str:
        return f"the container engine at {self.engine} stopped, and did not {self.what}: {self.why}"

    def _hint(self) -> str:
        return "start it again, then run the same command: it goes on from what is there"


@dataclass(kw_only=True, eq=False)
class EngineFull(HatchlockError):
    """An engine whose disk has no room for an image. Nothing has the image's name.

    Attributes:
        engine: Its address.
        image: The image's tag.
        sent: Bytes that it was sent.
        root: Where it keeps its images, by its own account; "" when it does not say.
        free: Bytes that are free there now; None when that is not on this machine.
    """

    code: ClassVar[str] = "engine-full"

    engine: str
    image: str
    sent: int
    root: str = ""
    free: int | None = None

    def __str__(self) -> str:
        where = f" in {self.root}" if self.root else ""
        known = f" has {_megabytes(self.free)} free{where}, and" if self.free is not None else where
        return (
            f"the disk of the container engine at {self.engine}{known} is too small for image {self.image}: it was sent "
            f"{_megabytes(self.sent)}, and needs up to twice as much while it loads them"
        )

    def _hint(self) -> str:
        return (
            "make room on the engine's disk, for example with `hatchlock gc`, then run the same command: "
            "it goes on from what is there"
        )


@dataclass(kw_only=True, eq=False)
class ImageInUse(HatchlockError):
    """An image that an engine does not give up, because a container uses it."""

    code: ClassVar[str] = "image-in-use"

    image: str
    why: str

    def __str__(self) -> str:
        return f"the engine keeps image {self.image}: {self.why}"

    def _hint(self) -> str:
        return "remove the container that uses it"


@dataclass(kw_only=True, eq=False)
class OtherPlatform(HatchlockError):
    """An engine that does not run what an image is for: it would take the image, and fail to start it."""

    code: ClassVar[str] = "other-platform"

    engine: str
    runs: str
    wanted: str

    def __str__(self) -> str:
        return f"the container engine at {self.engine} runs {self.runs}, and the image is for {self.wanted}"

    def _hint(self) -> str:
        return f"let DOCKER_HOST name an engine that runs {self.wanted}"


class _Counted:
    """The pieces of an archive on their way: how many bytes went, and what was wrong with the file that they come from."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.size = 0
        self.problem: OSError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._pieces:
                self.size += len(piece)
                yield piece
        except OSError as error:
            self.problem = error
            raise


class Engine:
    """A connection to one engine; a context manager.

    Args:
        url: Its address, from `find_engine`.

    Raises:
        EngineFailed: It does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        with self._doing("answer"):
            self._api = sdk_client(url, seconds=_SECONDS)
        self._info: Mapping[str, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def info(self) -> Mapping[str, Any]:
        """Return what the engine says of itself; asked once.

        Raises:
            EngineFailed: It does not say it.
        """
        if self._info is None:
            with self._doing("say what it is"):
                self._info = self._api.info()
        return self._info

    def id(self) -> str:
        """Return what tells this engine from others."""
        info = self.info()
        if self._is_podman():  # it makes up an id for every answer
            return f"{info.get('Name', '')} {info.get('DockerRootDir', '')}"
        return str(info.get("ID") or info.get("Name") or "")

    def platform(self) -> str:
        """Return the platform of its containers, `linux/amd64`."""
        machine = str(self.info().get("Architecture", ""))
        return f"{self.info().get('OSType') or 'linux'}/{_ARCHITECTURES.get(machine, machine)}"

    def check_platform(self, platform: str) -> None:
        """Refuse an engine whose containers are of another platform than an image.

        Raises:
            OtherPlatform: They are.
            EngineFailed: It does not say what it is.
        """
        runs = self.platform()
        if runs != platform:
            raise OtherPlatform(engine=self.url, runs=runs, wanted=platform)

    def images(self) -> dict[str, ImageFacts]:
        """Return all images with a tag of ours, by tag, with one request.

        Raises:
            EngineFailed: It does not list them.
        """
        with self._doing("list images"):
            return by_tag(self._api.images(filters={"reference": [OURS]}))

    def takes_thin_archives(self) -> bool:
        """Whether an archive may leave out layers that the engine has: Docker's own image store does that.

        Raises:
            EngineFailed: It does not say what it is.
        """
        return not self._is_podman() and self.names_by_config()

    def names_by_config(self) -> bool:
        """Whether an image's id is the digest of its config; with containerd's image store it is that of its manifest.

        Raises:
            EngineFailed: It does not say what it is.
        """
        return "driver-type" not in dict(self.info().get("DriverStatus") or ())

    def load(self, archive: Iterable[bytes], *, tag: str) -> None:
        """Load a docker-archive.

        Args:
            archive: Its bytes, sent as they come.
            tag: The name inside it, for messages.

        Raises:
            NotLoaded: The engine refuses it.
            EngineFull: Its disk has no room for it.
            EngineStopped: The engine broke off.
            OSError: A layer cannot be read.
        """
        pieces = _Counted(archive)
        try:
            with self._doing(f"load image {tag}"):
                said = list(self._load(pieces, tag))
        except EngineFailed:
            if pieces.problem:
                raise pieces.problem from None
            raise
        problems = "; ".join(item["error"] for item in said if "error" in item)
        if problems:
            raise self._refusal(tag, problems, pieces.size)

    def _load(self, pieces: _Counted, tag: str) -> Iterator[Mapping[str, Any]]:
        try:
            yield from self._api.load_image(pieces)
        except docker.errors.APIError as error:
            raise self._refusal(tag, _why(error), pieces.size) from error

    def _refusal(self, tag: str, why: str, sent: int) -> HatchlockError:
        if not _FULL.search(why):
            return NotLoaded(image=tag, why=why)
        root = str(self.info().get("DockerRootDir") or "")
        is_here = self.info().get("Name") == os.uname().nodename and os.path.isdir(root)  # noqa: PTH112
        return EngineFull(engine=self.url, image=tag, sent=sent, root=root, free=_free(root) if is_here else None)

    def image_layers(self, tag: str) -> tuple[str, ...]:
        """Return an image's diff ids, lowest first; () when there is no such image.

        Raises:
            EngineFailed: It cannot say.
        """
        with self._doing(f"inspect image {tag}"):
            try:
                found = self._api.inspect_image(tag)
            except docker.errors.ImageNotFound:
                return ()
        return tuple(found["RootFS"].get("Layers") or ())

    def _is_podman(self) -> bool:
        return "BuildahVersion" in self.info()

    def stacks(self) -> tuple[tuple[str, ...], ...]:
        """Return the layers of every image of ours, by their diff ids, lowest first.

        Raises:
            EngineFailed: It cannot say.
        """
        return tuple(self.image_layers(image) for image in sorted({facts.id for facts in self.images().values()}))

    def tag(self, image: str, tag: str) -> None:
        """Give an image, by id or name, another tag.

        Raises:
            EngineFailed: There is no such image, or it refuses.
        """
        repository, _, name = tag.rpartition(":")
        # Podman takes a name without a host for one of Docker's own registry, but not in an archive that it loads
        host = _PODMANS_HOST if self._is_podman() else ""
        with self._doing(f"tag image {image}"):
            self._api.tag(image, f"{host}{repository}", tag=name)

    def untag(self, tag: str) -> None:
        """Take a tag away, and the image with it when that was its last one; nothing happens when there is none.

        Raises:
            ImageInUse: It is the image's last one, and a container uses it.
            EngineFailed: The engine refuses.
        """
        with self._doing(f"remove image {tag}"), contextlib.suppress(docker.errors.ImageNotFound):
            try:
                self._api.remove_image(tag)
            except docker.errors.APIError as error:
                if error.status_code != _CONFLICT:
                    raise
                raise ImageInUse(image=tag, why=_why(error)) from error

    @contextlib.contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except _TROUBLES as error:
            if broken := _broken_connection(error):
                raise EngineStopped(engine=self.url, what=what, why=broken) from error
            raise EngineFailed(engine=self.url, what=what, why=_why(error)) from error


def _broken_connection(error: BaseException | None) -> str:
    """Return how a connection ended before its time, looking at what led to an error too; "" if it did not."""
    while error is not None:
        if isinstance(error, ConnectionError):
            return error.strerror or str(error)
        if isinstance(error, urllib3.exceptions.ProtocolError) and "IncompleteRead" in str(error):
            return "the answer ended in the middle"
        error = error.__cause__ or error.__context__
    return ""


def _free(directory: str) -> int:
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _why(error: Exception) -> str:
    if isinstance(error, EngineUnreachable):
        return error.why
    explanation = getattr(error, "explanation", None)
    text = explanation if isinstance(explanation, str) else str(error)
    return re.sub(r"\s+", " ", text).strip()
