"""Which file the entry of a plan is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.resources.client import ClientFile
    from hatchlock.usecases.plan import Planned

__all__ = ["file_of"]


def file_of(planned: Planned, address: Address) -> ClientFile:
    """Return the file of an entry that is declared, or that was there.

    Args:
        planned: A plan that has it.
        address: The entry's.
    """
    from hatchlock.resources.client import ClientFile

    declared = next((entry.file for entry in planned.target.entries if entry.address == address), None)
    if declared:
        return declared
    path = next((item.facts["file"] for item in planned.observed if item.address == address), "")
    known = (
        *planned.target.usual_files,
        *planned.target.other_files,
        *filter(None, map(ClientFile.parse, planned.state.entry_files())),
    )
    found = next((file for file in known if (file.client, file.path) == (address.client, path)), None)
    return found or ClientFile(client=address.client, scope="user", path=path)
