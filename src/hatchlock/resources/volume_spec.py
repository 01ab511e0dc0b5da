"""A volume as it should be, how it is addressed, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import sha256_bytes
from hatchlock.launch import LaunchRecord, Runtime
from hatchlock.resources.volume_directories import directory_place

if TYPE_CHECKING:
    from hatchlock.paths import Home

__all__ = ["VolumeSpec", "is_directory", "volume_address", "volume_key", "volume_place"]

_DIGITS = 12
_AS_PROCESS = "@process"


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSpec:
    """A volume as it should be.

    Attributes:
        server: Whose.
        path: Where the server has it.
        place: The engine's name for it, or its directory.
        user: `UID:GID` that it belongs to.
        runtime: Which of both it is.
        engine: The engine's address; "" for a directory.
        image: An image that the engine has by then; "" for a directory.
        needs: What has to be there first.
    """

    server: str
    path: str
    place: str
    user: str
    runtime: Runtime
    engine: str = ""
    image: str = ""
    needs: tuple[Address, ...] = ()

    @property
    def address(self) -> Address:
        """Which resource it is."""
        return volume_address(self.server, self.path, self.runtime)

    @property
    def key(self) -> str:
        """Where it is and whose: all that can change without another address."""
        return volume_key(self.place, self.user)


def volume_address(server: str, path: str, runtime: Runtime) -> Address:
    """Return `volume:SERVER/PATH`; a process's is another one, for nothing goes over when the runtime changes."""
    return Address(kind=ResourceKind.VOLUME, name=f"{server}{path}{_AS_PROCESS if runtime == 'process' else ''}")


def is_directory(address: Address) -> bool:
    """Return whether a resource is what a process keeps."""
    return address.kind is ResourceKind.VOLUME and address.name.endswith(_AS_PROCESS)


def volume_place(home: Home, record: LaunchRecord, path: str) -> str:
    """Return where a `writable` path of a server is kept: the engine's name for it, or an absolute directory.

    It is the same as long as store, project, server, path and runtime are.
    """
    if record.runtime == "process":
        return directory_place(home, record.project, record.server, path)
    digits = sha256_bytes(f"{home.root}\0{record.project}\0{record.server}\0{path}".encode())[:_DIGITS]
    return f"hatchlock-{record.project}-{record.server}-{digits}"


def volume_key(place: str, user: str) -> str:
    """Return the key of a volume: where it is, and whose."""
    return f"{place} {user.partition(':')[0]}"
