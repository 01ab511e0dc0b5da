"""One file with a lock and everything that it names, for machines without a network.

    hatchlock-bundle.json       what is in it: project, platforms, digests and sizes, results of builds by what went in
    hatchlock.toml, hatch.lock  as they were
    blobs/ALGORITHM/DIGEST      sorted

An uncompressed tar; the same lock, platforms and results give the same bytes. What the lock names is checked against the
lock. That something was built from what its key says nobody can check without building it: there whoever made the bundle
is believed.
"""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, ClassVar

from hatchlock.digest import algorithm_of, canonical_json, sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.files import clear_unfinished, replacing, reporting_permission
from hatchlock.paths import LOCK_NAME, MANIFEST_NAME
from hatchlock.store.blobs import Blobs, WrongHash

if TYPE_CHECKING:
    from hatchlock.usecases.build_results import Record
    from hatchlock.usecases.project import Project

__all__ = ["BadBundle", "Imported", "OtherLock", "import_bundle", "write_bundle"]

_FORMATS = (1, 2)
"""The second one has results of builds; a bundle without any is of the first."""
_INDEX = "hatchlock-bundle.json"
_SMALL_AT_MOST = 256 << 20
_CHUNK = 1 << 20
_BLOCKS = 2 * 512
_SHOWN = 5


@dataclass(kw_only=True, eq=False)
class BadBundle(HatchlockError):
    """A file is no bundle, or not a whole one, or one that cannot be read."""

    code: ClassVar[str] = "bad-bundle"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} is no bundle that can be used: {self.why}"

    def _hint(self) -> str:
        return "make it again with `hatchlock fetch --to FILE`, and copy all of it"


@dataclass(kw_only=True, eq=False)
class OtherLock(HatchlockError):
    """A bundle was made from another lock than the project has. Nothing was taken from it.

    Attributes:
        path: The bundle.
        project: Its project.
        changes: How the project's lock differs from the bundle's, in words.
    """

    code: ClassVar[str] = "other-lock"

    path: str
    project: str
    changes: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.changes[:_SHOWN])
        more = f" and {len(self.changes) - _SHOWN} more" if len(self.changes) > _SHOWN else ""
        which = f": here, {shown}{more}" if shown else ""
        return (
            f"{self.path} is for another {LOCK_NAME}, of the project {self.project!r}{which}; nothing was taken from it"
        )

    def _hint(self) -> str:
        return (
            f"make a bundle from this lock with `hatchlock fetch --to FILE`, or take over the one that is inside "
            f"(`tar -xf FILE {MANIFEST_NAME} {LOCK_NAME}`)"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What was taken from a bundle.

    Attributes:
        files: How many blobs came into the store; those that it had are not counted.
        size: Their bytes.
        platforms: Those that the bundle was made for.
        builds: How many results of builds in it are of use here.
    """

    files: int
    size: int
    platforms: tuple[str, ...]
    builds: int = 0


def write_bundle(
    path: Path,
    *,
    name: str,
    manifest: bytes,
    lock: bytes,
    platforms: Iterable[str],
    digests: Iterable[str],
    blobs: Blobs,
    builds: Mapping[str, Mapping[str, Any]] | None = None,
) -> int:
    """Write a bundle, readable by its owner only, whole or not at all; return its size.

    Args:
        path: The file; what was there is replaced.
        name: The project's name.
        manifest: The manifest's bytes. The overlay, which is this machine's, does not belong into a bundle.
        lock: The lock's bytes.
        platforms: For which it holds everything.
        digests: The blobs, which the store has.
        blobs: The store's; each is checked again while it is copied.
        builds: Records of results by input key, as JSON values; their blobs are among the digests.

    Raises:
        WrongHash: A blob of the store is damaged.
        PermissionProblem: The file cannot be written, or it is a device or the like.
        OSError: The disk is full, or the like; `path` is as it was.
    """
    sizes = {digest: blobs.path(digest).stat().st_size for digest in sorted(set(digests))}
    index = {
        "format_version": _FORMATS[bool(builds)],
        "project": name,
        "platforms": sorted(platforms),
        "files": {MANIFEST_NAME: sha256_bytes(manifest), LOCK_NAME: sha256_bytes(lock)},
        "blobs": [{"digest": digest, "size": size} for digest, size in sizes.items()],
        **({"builds": builds} if builds else {}),
    }
    clear_unfinished(path.parent, path.name)
    with replacing(path) as stream:
        for member, data in ((_INDEX, canonical_json(index)), (MANIFEST_NAME, manifest), (LOCK_NAME, lock)):
            _add(stream, member, [data], len(data))
        for digest, size in sizes.items():
            _add(stream, _member(digest), _checked(blobs, digest), size)
        stream.write(bytes(_BLOCKS))
        return stream.tell()


def import_bundle(path: Path, project: Project, blobs: Blobs) -> Imported:
    """Take the blobs of a bundle into the store, each checked while it is read, and the results of the lock's builds.

    Nothing else is written, and nothing is taken that the project's lock neither names nor builds.

    Args:
        path: The bundle.
        project: Its lock has to be the one that the bundle was made from.
        blobs: The store's.

    Raises:
        BadBundle: It is no bundle, is not whole, or holds something that the lock does not name.
        OtherLock: It is for another lock.
        WrongHash: A blob in it is not what its name says; it was not kept.
        MissingLock, BadLock, NewerLock: The project has no lock that can be read.
        OSError: The disk is full, or the like.
    """
    from hatchlock.resources.needed import locked_files
    from hatchlock.usecases.build_results import take_results, usable_results
    from hatchlock.usecases.locked import read_project_lock

    lock = read_project_lock(project)
    known = locked_files(lock)
    with _reading(path) as archive:
        members = _members(archive, path)
        index = _read_index(_next(members, _INDEX, path), path)
        _next(members, MANIFEST_NAME, path)
        _check_lock(_next(members, LOCK_NAME, path), index, project, path)
        missing = {item["digest"]: item["size"] for item in index["blobs"]}
        offered = _records(index, path)
        results = usable_results(project, lock, offered) if offered else {}
        passed_over = {digest for record in offered.values() for digest in record.blobs} - known.keys()
        for record in results.values():
            known |= {digest: number for digest, number in record.blobs.items() if digest not in known}
        files = size = 0
        for info, stream in members:
            digest = info.name.rpartition("/")[2]
            is_named = digest in known or digest in passed_over
            if digest not in missing or not is_named or info.name != _member(digest):
                raise BadBundle(path=str(path), why=f"it holds {info.name[:200]!r}, which the lock does not name")
            del missing[digest]
            if blobs.has(digest) or digest not in known:
                continue
            with blobs.add(digest, known[digest] or info.size, what=info.name, where=str(path)) as writer:
                while data := stream.read(_CHUNK):
                    writer.write(data)
            files, size = files + 1, size + info.size
    if missing:
        raise BadBundle(path=str(path), why=f"it ends too early: {len(missing)} of its files are missing")
    take_results(project, results, blobs)
    return Imported(files=files, size=size, platforms=tuple(index["platforms"]), builds=len(results))


def _records(index: Mapping[str, Any], path: Path) -> dict[str, Record]:
    from hatchlock.usecases.build_results import read_record

    listed = {item["digest"] for item in index["blobs"]}
    found = {}
    for key, values in index.get("builds", {}).items():
        record = read_record(values)
        if record is None or not listed.issuperset(record.blobs):
            raise BadBundle(path=str(path), why=f"what it says of the build {key[:64]!r} cannot be used")
        found[key] = record
    return found


def _member(digest: str) -> str:
    return f"blobs/{algorithm_of(digest)}/{digest}"


def _add(stream: BinaryIO, member: str, content: Iterable[bytes], size: int) -> None:
    from hatchlock.images.layer import tar_chunks, tar_header

    stream.write(tar_header(member, size=size))
    stream.writelines(tar_chunks(content, size))


def _checked(blobs: Blobs, digest: str) -> Iterator[bytes]:
    import hashlib

    seen = hashlib.new(algorithm_of(digest))
    with blobs.path(digest).open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            seen.update(chunk)
            yield chunk
    if seen.hexdigest() != digest:
        raise WrongHash(
            what="a blob of the store", expected=digest, actual=seen.hexdigest(), where=str(blobs.path(digest))
        )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with reporting_permission(path), tarfile.open(path, mode="r|") as archive:
            yield archive
    except FileNotFoundError as error:
        if error.filename != str(path):
            raise
        raise BadBundle(path=str(path), why="there is no such file") from error
    except IsADirectoryError as error:
        raise BadBundle(path=str(path), why="it is a directory") from error
    except (tarfile.TarError, EOFError) as error:
        raise BadBundle(path=str(path), why="it is no tar archive, or not a whole one") from error


def _members(archive: tarfile.TarFile, path: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for info in archive:
        stream = archive.extractfile(info) if info.isreg() and not info.issparse() else None
        if stream is None:
            raise BadBundle(path=str(path), why=f"it holds {info.name[:200]!r}, which is no plain file")
        yield info, stream


def _next(members: Iterator[tuple[tarfile.TarInfo, IO[bytes]]], name: str, path: Path) -> bytes:
    found = next(members, None)
    if found is None or found[0].name != name or found[0].size > _SMALL_AT_MOST:
        raise BadBundle(path=str(path), why=f"{name} is not where it should be")
    data = found[1].read()
    if len(data) != found[0].size:
        raise BadBundle(path=str(path), why=f"it ends in the middle of {name}")
    return data


def _read_index(data: bytes, path: Path) -> Mapping[str, Any]:
    try:
        index = json.loads(data)
        version = index["format_version"]
        if version in _FORMATS and _is_index(index):
            return dict(index)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadBundle(path=str(path), why=f"its {_INDEX} cannot be read") from error
    if version not in _FORMATS:
        raise BadBundle(path=str(path), why=f"its format {version!r} is not known to this version of hatchlock")
    raise BadBundle(path=str(path), why=f"its {_INDEX} cannot be read")


def _is_index(index: Mapping[str, Any]) -> bool:
    blobs = [(item["digest"], item["size"]) for item in index["blobs"]]
    names = [index["project"], *index["platforms"], *(digest for digest, _ in blobs)]
    return (
        isinstance(index["files"], dict)
        and isinstance(index.get("builds", {}), dict)
        and all(isinstance(name, str) for name in names)
        and all(isinstance(size, int) for _, size in blobs)
    )


def _check_lock(data: bytes, index: Mapping[str, Any], project: Project, path: Path) -> None:
    if sha256_bytes(data) != index["files"].get(LOCK_NAME):
        raise BadBundle(path=str(path), why=f"the {LOCK_NAME} in it is not the one that it was made from")
    if data == project.lock_bytes:
        return
    from hatchlock.lock.diff import diff_locks
    from hatchlock.lock.store import BadLock, NewerLock, loads

    try:
        changes = diff_locks(loads(data), loads(project.lock_bytes or b""))
    except (BadLock, NewerLock):
        changes = ()
    raise OtherLock(path=str(path), project=str(index["project"]), changes=tuple(map(str, changes)))
