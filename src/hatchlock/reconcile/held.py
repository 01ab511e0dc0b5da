"""What keeps its old name because an application cannot get the new one: nothing that works goes before what follows it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.address import Address, ResourceKind
from hatchlock.errors import HatchlockError
from hatchlock.resources.base import Observed, Problem

__all__ = ["StaysUntil", "entries_that_stay", "servers_that_wait"]


@dataclass(kw_only=True, eq=False)
class StaysUntil(HatchlockError):
    """Something is not what it should be by now, for what is to follow it cannot be written."""

    code: ClassVar[str] = "stays-until"

    until: Address
    former: Address | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, ("it stays", str(self.former or ""), f"until {self.until} can be written")))


def servers_that_wait(present: Mapping[Address, Observed], blocked: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the servers that keep the names that they had: an application starts one by that, and cannot get the new one.

    Args:
        present: What there is, by the address that it has by now.
        blocked: What cannot be planned.
    """
    before = [seen.former or address for address, seen in present.items()]
    entries = {(address.client, address.server) for address in before}
    hindered = [problem.address for problem in blocked if problem.address.client]
    for address, seen in present.items():
        if address.kind is not ResourceKind.SERVER or seen.former is None:
            continue
        own = (entry for entry in hindered if entry.server == address.name)
        if until := next((entry for entry in own if (entry.client, seen.former.name) in entries), None):
            yield Problem.of(address, StaysUntil(until=until, former=seen.former))


def entries_that_stay(
    present: Mapping[Address, Observed], gone: Iterable[Address], left_alone: Container[Address]
) -> Iterator[Problem]:
    """Yield the entries that stay because those that are to follow them are left as they are.

    Args:
        present: What there is.
        gone: Which of it nothing declares.
        left_alone: What is not touched.
    """
    for address in gone:
        successor = present[address].successor
        if successor in left_alone and successor is not None:
            yield Problem.of(address, StaysUntil(until=successor))
