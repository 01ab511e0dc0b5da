"""What a project has given up, `projects/NAME/forgotten.json`: it stays as it is, also when nothing says so any more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hatchlock.address import Address
from hatchlock.state.documents import read_document, write_document

__all__ = ["read_forgotten", "write_forgotten"]

_NAME = "forgotten.json"


def read_forgotten(root: Path) -> tuple[Address, ...]:
    """Return what a project has given up, sorted.

    Args:
        root: The project's state.

    Raises:
        BadState: Nobody can say.
    """
    document = read_document(root / _NAME)
    return tuple(sorted(map(Address.parse, document["addresses"]))) if document else ()


def write_forgotten(root: Path, addresses: Iterable[Address]) -> None:
    """Remember what a project has given up, unless that is what stands there."""
    given_up = tuple(sorted(set(addresses)))
    if given_up != read_forgotten(root):
        write_document(root / _NAME, {"addresses": [str(address) for address in given_up]})
