"""What a project has given up, `projects/NAME/forgotten.json`: it stays as it is, also when nothing says so any more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hatchlock.address import Address
from hatchlock.state.documents import BadState, read_document, write_document

__all__ = ["read_forgotten", "write_forgotten"]

_NAME = "forgotten.json"


def read_forgotten(root: Path) -> tuple[Address, ...]:
    """Return what a project has given up, sorted.

    Args:
        root: The project's state.

    Raises:
        BadState: Nobody can say. That is no reason to take anything of it away.
    """
    path = root / _NAME
    document = read_document(path)
    try:
        return tuple(sorted(map(Address.parse, document["addresses"]))) if document else ()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadState(path=str(path), why=f"{type(error).__name__} {error}") from error


def write_forgotten(root: Path, addresses: Iterable[Address]) -> None:
    """Remember what a project has given up, unless that is what stands there."""
    given_up = tuple(sorted(set(addresses)))
    if given_up != read_forgotten(root):
        write_document(root / _NAME, {"addresses": [str(address) for address in given_up]})
