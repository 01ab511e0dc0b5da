"""What passes from one name or owner to another: `[[moved]]`, `[[forget]]`, `[[adopt]]`, as values."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hatchlock.address import Address, ResourceKind

__all__ = ["NO_HANDOVER", "Handover", "covers"]

_AS_PROCESS = "@process"


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """What the manifest says of things that exist already.

    Attributes:
        moved: Server -> the name that it has by now, as written: that may have moved on. Never in a circle.
        forgotten: What is given up and stays as it is; a server with its entries and volumes.
        adopted: What is taken over -> for a volume, the engine's volume or the directory whose data it begins with; "" for
            a client entry.
    """

    moved: Mapping[str, str] = field(default_factory=dict)
    forgotten: tuple[Address, ...] = ()
    adopted: Mapping[Address, str] = field(default_factory=dict)

    def name_now(self, server: str) -> str:
        """Return the name that a server has by now, its own if it has not moved."""
        while server in self.moved:
            server = self.moved[server]
        return server

    def names_before(self, server: str) -> tuple[str, ...]:
        """Return the names that a server had, the last one first."""
        before: list[str] = []
        name: str | None = server
        while name := next((old for old, new in self.moved.items() if new == name), None):
            before.append(name)
        return tuple(before)

    def moves_to(self, server: str, present: Container[str]) -> str:
        """Return the name to which something of a server's moves; "" if it stays.

        Args:
            server: Whose it is, by the name that it has.
            present: The names of servers that have such a thing. Nothing moves to where there is one already, and of several
                names before the last one moves.
        """
        now = self.name_now(server)
        if now == server or now in present:
            return ""
        return now if server == next((name for name in self.names_before(now) if name in present), "") else ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "moved": dict(sorted(self.moved.items())),
            "forgotten": [str(address) for address in self.forgotten],
            "adopted": {str(address): name for address, name in sorted(self.adopted.items())},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        return cls(
            moved=dict(data["moved"]),
            forgotten=tuple(map(Address.parse, data["forgotten"])),
            adopted={Address.parse(address): name for address, name in data["adopted"].items()},
        )

    def adopted_from(self, address: Address) -> str | None:
        """Return what something begins with that is taken over, "" for a client entry; None if it is not taken over."""
        return self.adopted.get(_plain(address))


NO_HANDOVER = Handover()
"""Of a manifest that has none of the three lists."""


def covers(whole: Address, part: Address) -> bool:
    """Whether an address is another one, or that of an entry or a volume of that server; of a volume, in either runtime."""
    if _plain(whole) == _plain(part):
        return True
    return whole.kind is ResourceKind.SERVER and part.server == whole.name


def _plain(address: Address) -> Address:
    """A volume of a process is another one than that of a container, and a manifest need not know which it is."""
    if address.kind is not ResourceKind.VOLUME:
        return address
    return Address(kind=address.kind, name=address.name.removesuffix(_AS_PROCESS))
