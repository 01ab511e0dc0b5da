"""Volumes of a container engine: with the right owner from the start, and without anybody's code having run.

An engine makes a volume for root, and a server is not root. So the volume is mounted into a container that never runs,
and the entry of a directory is unpacked over its mount point: the engine sets owner and mode of what is there.

Podman has its own mind about owners: the first container that starts with a volume gives it the owner of the directory
that it covers, and copies what is in there. The container that never runs is that first one: it covers nothing, and is
told to start a program that no image has.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from hatchlock.engines.api import Engine, EngineError
from hatchlock.engines.host import host_facts
from hatchlock.errors import HatchlockError
from hatchlock.launch import Sandbox
from hatchlock.process import owner, owner_is_gone
from hatchlock.security.container import LABEL, ulimits

__all__ = [
    "ForeignVolume",
    "Volume",
    "VolumeNotGiven",
    "find_volume",
    "holding_volumes",
    "list_volumes",
    "make_volume",
    "remove_volume",
    "volume_sizes",
]

_NOT_FOUND = 404
_PLACE = "hatchlock-volume"
_NO_PROGRAM = "/hatchlock-volume/none"
"""What a container is told to start that never runs."""
_MODE = 0o700
_END_OF_ARCHIVE = 1024
_IS_LOOKING = "disk usage operation is already running"
_PATIENCE = 120.0
_PAUSE = 0.1


@dataclass(kw_only=True, eq=False)
class ForeignVolume(HatchlockError):
    """A volume has the name that one of ours would get, and is not ours."""

    code: ClassVar[str] = "foreign-volume"

    name: str

    def __str__(self) -> str:
        return f"the engine has a volume {self.name} without our labels, and it is left alone"

    def _hint(self) -> str:
        return "remove it if nobody needs it, or rename the server"


@dataclass(kw_only=True, eq=False)
class VolumeNotGiven(HatchlockError):
    """An engine did not make a volume its user's alone, in the way that works on all that were tried."""

    code: ClassVar[str] = "volume-not-given"

    name: str
    user: str

    def __str__(self) -> str:
        return f"the engine made the volume {self.name}, and did not give it to {self.user} alone"

    def _hint(self) -> str:
        return "this is a defect of hatchlock: please report it with what `hatchlock doctor` says of the engine"


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """A volume as the engine lists it."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


def find_volume(engine: Engine, name: str) -> Volume | None:
    """Return a volume, or None.

    Raises:
        EngineError, EngineUnreachable: The engine does not say.
    """
    found = engine.look_up(f"/volumes/{quote(name)}")
    return _volume(found) if found is not None else None


def list_volumes(engine: Engine, labels: Mapping[str, str]) -> list[Volume]:
    """Return the volumes that have all these labels, by name.

    Raises:
        EngineError, EngineUnreachable: The engine does not say.
    """
    filters = json.dumps({"label": [f"{name}={value}" for name, value in sorted(labels.items())]})
    found = engine.ask("GET", f"/volumes?{urlencode({'filters': filters})}")
    volumes = map(_volume, found.get("Volumes") or ())
    # Podman gives those that have one of several labels
    return sorted((item for item in volumes if item.labels.items() >= labels.items()), key=lambda volume: volume.name)


def volume_sizes(engine: Engine) -> dict[str, int]:
    """Return the bytes in each volume of the engine, which looks for a while; without those that it cannot say.

    An engine looks for one at a time only, whoever else asks; then this waits.

    Raises:
        EngineError, EngineUnreachable: The engine does not say.
    """
    found = _disk_usage(engine).get("Volumes") or ()
    sizes = {item["Name"]: int((item.get("UsageData") or {}).get("Size", -1)) for item in found}
    return {name: size for name, size in sizes.items() if size >= 0}


def _disk_usage(engine: Engine) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return engine.ask("GET", "/system/df")
        except EngineError as error:
            if _IS_LOOKING not in error.message or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def make_volume(engine: Engine, name: str, *, labels: Mapping[str, str], image: str, user: str) -> None:
    """Make an empty volume that one user alone can use. One that is there already gets that owner and stays as it is.

    Args:
        engine: Where.
        name: Its name.
        labels: Its labels, in full; of them the container that is made for a moment gets the same.
        image: Any image that the engine has: nothing of it runs.
        user: `UID:GID` as the server's containers have it.

    Raises:
        ForeignVolume: There is one of that name with other labels.
        VolumeNotGiven: The engine says that it did, and did not.
        EngineError, EngineUnreachable: The engine refuses.
    """
    _remove_leftovers(engine, name)
    made = _volume(engine.ask("POST", "/volumes/create", {"Name": name, "Labels": dict(labels)}))
    if made.labels != labels:  # there was one already, and nobody says so
        raise ForeignVolume(name=name)
    with holding_volumes(engine, name, {name: f"/{_PLACE}"}, labels=labels, image=image, user=user) as container:
        path, entry = (f"/{_PLACE}", "./") if engine.is_podman else ("/", f"{_PLACE}/")
        engine.ask("PUT", f"/containers/{container}/archive?{urlencode({'path': path})}", _directory(entry, user))
        if not _is_private(engine.read(f"/containers/{container}/archive?{urlencode({'path': f'/{_PLACE}'})}")):
            raise VolumeNotGiven(name=name, user=user)


def remove_volume(engine: Engine, name: str) -> None:
    """Remove a volume and what is in it, if there is one. Containers that killed commands have left do not hold it.

    Raises:
        EngineError, EngineUnreachable: The engine refuses: a container has it.
    """
    _remove_leftovers(engine, name)
    try:
        engine.ask("DELETE", f"/volumes/{quote(name)}")
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise


def _remove_leftovers(engine: Engine, name: str) -> None:
    """Remove the containers with a volume that are ours, and whose process is gone: nothing runs in them for anybody."""
    filters = json.dumps({"volume": [name], "label": [f"{LABEL}.owner"]})
    for item in engine.ask("GET", f"/containers/json?{urlencode({'all': '1', 'filters': filters})}"):
        if owner_is_gone((item.get("Labels") or {}).get(f"{LABEL}.owner", "")):
            engine.remove(item["Id"])


def _volume(item: Mapping[str, Any]) -> Volume:
    return Volume(name=item["Name"], labels=item.get("Labels") or {})


@contextlib.contextmanager
def holding_volumes(
    engine: Engine, name: str, mounts: Mapping[str, str], *, labels: Mapping[str, str], image: str, user: str
) -> Iterator[str]:
    """Have a container with some volumes inside the block, and yield its id. No program runs in it.

    Args:
        engine: Where.
        name: What its name begins with.
        mounts: Volume -> where in the container it is.
        labels: Its labels; one more says whose it is.
        image: Any image that the engine has.
        user: `UID:GID` as the server's containers have it.

    Raises:
        EngineError, EngineUnreachable: The engine refuses.
    """
    config = {
        "Image": image,
        "Entrypoint": [_NO_PROGRAM],
        "Cmd": [],
        "User": user,
        # whoever is killed here leaves something that the next session, and gc, know as nobody's
        "Labels": {**labels, f"{LABEL}.owner": owner(os.getpid())},
        "HostConfig": {
            "Binds": [f"{volume}:{place}:nocopy" for volume, place in mounts.items()],
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Ulimits": ulimits(Sandbox(), host_facts()),
            "LogConfig": {"Type": "none", "Config": {}},
        },
    }
    container = engine.create(f"{name}-{os.urandom(4).hex()}", config)
    try:
        if engine.is_podman:
            with contextlib.suppress(EngineError):  # there is no such program, and that is what it says
                engine.start(container)
        yield container
    finally:
        engine.remove(container)


def _is_private(archive: bytes) -> bool:
    """Whether a directory that an engine reads out is one user's alone; whose, Podman does not say there."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        first = found.next()
    return first is not None and first.isdir() and first.mode & 0o777 == _MODE


def _directory(name: str, user: str) -> bytes:
    uid, _, gid = user.partition(":")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, _MODE
        entry.uid, entry.gid = int(uid), int(gid or uid)
        archive.addfile(entry)
        size = archive.offset + _END_OF_ARCHIVE
    # no byte more than that: Podman stops to read there, and complains of who goes on to write
    return data.getvalue()[:size]
