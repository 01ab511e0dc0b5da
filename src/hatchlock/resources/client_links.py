"""Files of applications that have several names (hard links): one of them gets a new file, the others keep the old one. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from hatchlock.address import Address, ResourceKind
from hatchlock.resources.client_file import ClientFile
from hatchlock.resources.client_found import Found

__all__ = ["Parted", "parted_by", "what_parts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parted:
    """A file that is written anew, and so parts from its other names.

    Attributes:
        file: The file.
        names: How many it has.
    """

    file: ClientFile
    names: int

    @property
    def address(self) -> Address:
        """The application."""
        return Address(kind=ResourceKind.CLIENT, name=self.file.client)

    @property
    def what(self) -> str:
        """What becomes of the others, as a sentence."""
        return what_parts(self.file.path, self.names)


def what_parts(path: str, names: int) -> str:
    """Return what becomes of the other names of a file that is written, as a sentence."""
    more = names - 1
    others = "another name (a hard link), which keeps" if more == 1 else f"{more} other names (hard links), which keep"
    return f"{path} has {others} what stands there now: what is written is a new file; a symlink would follow it"


def parted_by(
    steps: Container[Address],
    names: Mapping[ClientFile, int],
    *,
    entries: Mapping[Address, ClientFile],
    found: Mapping[Address, Found],
) -> Iterable[Parted]:
    """Return the files with several names that are written.

    Args:
        steps: The addresses of what is done.
        names: File -> how many names it has.
        entries: Address of what should be -> its file.
        found: Address of what is there -> what that is.
    """
    files = {file for address, file in entries.items() if address in steps}
    files |= {item.file for address, item in found.items() if address in steps}
    return [Parted(file=file, names=names[file]) for file in sorted(files) if names.get(file, 1) > 1]
