"""Which entries of an application's file `import` has read, and what becomes of them where one of ours shall stand. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from hatchlock.clients.dialect import Entry
from hatchlock.clients.writer import entry_digest
from hatchlock.errors import HatchlockError
from hatchlock.manifest.handover import Handover
from hatchlock.state.imported import Imported

__all__ = ["ChangedSinceImport", "NameStands", "Read", "entries_read"]

Part = Literal["replaced", "removed", "changed", "waiting"]


@dataclass(kw_only=True, eq=False)
class ChangedSinceImport(HatchlockError):
    """An entry that `import` has read is another one by now."""

    code: ClassVar[str] = "changed-since-import"

    path: str
    name: str
    server: str

    def __str__(self) -> str:
        return f"the entry {self.name!r} in {self.path} has changed since `import` read it, and it is left alone"

    def _hint(self) -> str:
        return f"`hatchlock remove {self.server}`, and `hatchlock import` again; or take that entry out yourself"


@dataclass(kw_only=True, eq=False)
class NameStands(HatchlockError):
    """An entry that `import` has read is to get the name of another one."""

    code: ClassVar[str] = "name-stands"

    path: str
    name: str
    server: str

    def __str__(self) -> str:
        return f"the entry {self.name!r} in {self.path} cannot become {self.server!r}: another one is called so"

    def _hint(self) -> str:
        return "the next apply does it, if that one is gone or has another name by then; else give this server another name"


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What becomes of an entry that was read.

    Attributes:
        record: What is known of it.
        server: The server that it became, by the name that it has now.
        part: "replaced": ours gets its place. "removed": another one, or ours already, stands for the same server.
            "changed": it is not what was read, and nothing becomes of it. "waiting": another entry has the name that ours
            would get.
    """

    record: Imported
    server: str
    part: Part

    @property
    def is_left(self) -> bool:
        """Whether nothing becomes of it now, although one of ours should stand there."""
        return self.part in {"changed", "waiting"}

    def hindrance(self, path: str) -> HatchlockError | None:
        """Return why nothing becomes of it; None if something does.

        Args:
            path: Of its file.
        """
        match self.part:
            case "changed":
                return ChangedSinceImport(path=path, name=self.record.entry, server=self.server)
            case "waiting":
                return NameStands(path=path, name=self.record.entry, server=self.server)
            case "replaced" | "removed":
                return None


def entries_read(
    records: Iterable[Imported],
    entries: Mapping[str, Entry],
    *,
    is_ours: Callable[[str], bool],
    is_wanted: Callable[[str], bool],
    handover: Handover,
) -> dict[str, Read]:
    """Return what becomes of the entries of a file that were read, by their names.

    Of several that became one server, the one of its name is replaced, else the first; the others are removed. One that has
    changed hinders that server, unless ours is there already: then it is somebody's new entry.

    Args:
        records: What was read of the file.
        entries: What is in it.
        is_ours: Whether the entry of a name is this project's.
        is_wanted: Whether an entry of a server should be in the file.
        handover: Which servers have another name by now.
    """
    known = {record.entry: record for record in records}
    found: dict[str, Read] = {}
    for name, entry in entries.items():
        record = known.get(name)
        if record is None or is_ours(name) or not is_wanted(server := handover.name_now(record.server)):
            continue
        is_there = server in entries and is_ours(server)
        if entry_digest(entry.value) == record.digest:
            found[name] = Read(record=record, server=server, part="removed")
        elif not is_there:
            found[name] = Read(record=record, server=server, part="changed")
    for server in {read.server for read in found.values()}:
        if not (server in entries and is_ours(server)):
            same = [name for name, read in found.items() if read.server == server and read.part == "removed"]
            for name in [name for name in same if name == server] or same[:1]:
                is_free = server == name or server not in entries
                part: Part = "replaced" if is_free else "waiting"
                found[name] = Read(record=found[name].record, server=server, part=part)
    return found
