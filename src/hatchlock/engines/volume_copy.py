"""What is in one volume of an engine into another one, without anybody's code having run.

An engine cannot give a volume another name. So both are mounted into a container that never runs, what is in the one is read
out as an archive, and unpacked over the other. Then that is read out too, and compared: only who knows that nothing is missing
may remove the first one.
"""

from __future__ import annotations

import contextlib
import json
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, ClassVar, cast
from urllib.parse import urlencode

from hatchlock.engines.api import Download, Engine
from hatchlock.engines.volumes import holding_volumes
from hatchlock.errors import HatchlockError
from hatchlock.process import owner_is_gone
from hatchlock.security.container import LABEL

__all__ = ["VolumeNotCopied", "copy_volume", "users_of_volume"]

_SOURCE = "hatchlock-source"
_TARGET = "hatchlock-volume"
_CHUNK = 1 << 20
_END_OF_ARCHIVE = 1024
_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)


@dataclass(kw_only=True, eq=False)
class VolumeNotCopied(HatchlockError):
    """What is in a volume did not arrive in another one; the first one is as it was."""

    code: ClassVar[str] = "volume-not-copied"

    source: str
    target: str
    why: str

    def __str__(self) -> str:
        return f"what is in {self.source} was not copied to {self.target}: {self.why}; it is as it was"

    def _hint(self) -> str:
        return "run the same command again"


def users_of_volume(engine: Engine, name: str) -> list[str]:
    """Return the names of the containers that have a volume; those that killed commands have left are removed first.

    Raises:
        EngineError, EngineUnreachable: The engine does not say.
    """
    query = urlencode({"all": "1", "filters": json.dumps({"volume": [name]})})
    used = []
    for item in engine.ask("GET", f"/containers/json?{query}"):
        if owner_is_gone((item.get("Labels") or {}).get(f"{LABEL}.owner", "")):
            engine.remove(item["Id"])
        else:
            used.append(str(item["Names"][0]).lstrip("/"))
    return sorted(used)


def copy_volume(
    engine: Engine, source: str, target: str, *, labels: Mapping[str, str], image: str, user: str, scratch: Path
) -> None:
    """Copy everything in a volume into another, empty one, and give it to a user. Both are there, and nobody uses them.

    Args:
        engine: Where.
        source: The one that is copied; it stays as it is.
        target: The other one.
        labels: Those of the container that is made for a moment.
        image: Any image that the engine has: nothing of it runs.
        user: `UID:GID` that everything is given to.
        scratch: A directory with room for all of it.

    Raises:
        VolumeNotCopied: The engine says that it did, and did not.
        EngineError, EngineUnreachable: The engine refuses.
        OSError: There is no room.
    """
    mounts = {source: f"/{_SOURCE}", target: f"/{_TARGET}"}
    with (
        holding_volumes(engine, target, mounts, labels=labels, image=image, user=user) as container,
        tempfile.TemporaryFile(dir=scratch) as spool,
    ):
        prefix, place = (".", f"/{_TARGET}") if engine.is_podman else (_TARGET, "/")
        try:
            with _reading(engine, container, _SOURCE) as archive:
                sent = _rewrite(archive, cast("BinaryIO", spool), prefix=prefix, user=user)
            path = f"/containers/{container}/archive?{urlencode({'path': place})}"
            for _ in engine.post(path, cast("BinaryIO", spool), content_type="application/x-tar", method="PUT"):
                pass
            with _reading(engine, container, _TARGET) as archive:
                arrived = {_fingerprint(archive, item) for item in archive if _inner(item.name)}
        except tarfile.TarError as error:
            raise VolumeNotCopied(source=source, target=target, why=f"the engine sent no archive: {error}") from error
    if arrived != sent:
        missing = len(sent - arrived)
        raise VolumeNotCopied(source=source, target=target, why=f"{missing} of {len(sent)} files differ afterwards")


@contextlib.contextmanager
def _reading(engine: Engine, container: str, place: str) -> Iterator[tarfile.TarFile]:
    path = f"/containers/{container}/archive?{urlencode({'path': f'/{place}'})}"
    with (
        engine.download(path) as answer,
        tarfile.open(fileobj=cast("BinaryIO", _Stream(answer)), mode="r|", errorlevel=2) as archive,
    ):
        yield archive


class _Stream:
    """What `tarfile` reads from."""

    def __init__(self, answer: Download) -> None:
        self.read = answer.read


def _rewrite(archive: tarfile.TarFile, spool: BinaryIO, *, prefix: str, user: str) -> set[bytes]:
    """Write an archive that unpacks elsewhere, and return what is in it."""
    uid, _, gid = user.partition(":")
    sent: set[bytes] = set()
    with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as out:
        for item in archive:
            name = _inner(item.name)
            if not name or item.type not in _KINDS:
                continue  # the volume itself, or a device, which no server could have made
            content = _Hashing(archive.extractfile(item) if item.isreg() else None)
            item.name = f"{prefix}/{name}"
            if item.islnk():
                item.linkname = f"{prefix}/{_inner(item.linkname)}"
            item.uid, item.gid, item.uname, item.gname = int(uid), int(gid or uid), "", ""
            item.pax_headers = {
                key: value for key, value in item.pax_headers.items() if key.startswith("SCHILY.xattr.")
            }
            out.addfile(item, cast("BinaryIO", content) if item.isreg() else None)
            sent.add(_digest(item, content.digest))
        size = out.offset + _END_OF_ARCHIVE
    spool.truncate(size)  # no byte more than that: Podman stops to read there, and complains of who goes on to write
    return sent


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, stream: object) -> None:
        self._stream = cast("BinaryIO", stream)
        self._hash = sha256()

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


def _fingerprint(archive: tarfile.TarFile, item: tarfile.TarInfo) -> bytes:
    content = _Hashing(archive.extractfile(item) if item.isreg() else None)
    while item.isreg() and content.read(_CHUNK):
        pass
    return _digest(item, content.digest)


def _digest(item: tarfile.TarInfo, content: bytes) -> bytes:
    link = _inner(item.linkname) if item.islnk() else item.linkname if item.issym() else ""
    kind = "file" if item.isreg() else item.type.decode()
    mode = 0 if item.issym() else stat.S_IMODE(item.mode)
    facts = [_inner(item.name), kind, mode, item.size if item.isreg() else 0, link, content.hex()]
    return sha256(json.dumps(facts).encode()).digest()


def _inner(name: str) -> str:
    """Return a path below the volume: archives begin with the directory that was asked for, or with a dot."""
    return name.removeprefix("./").partition("/")[2].rstrip("/") if not name.startswith("./") else name[2:].rstrip("/")
