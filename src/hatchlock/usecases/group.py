"""`run --group`: the servers of a group as one, over this process's stdin and stdout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.usecases.wanted import Wanted, run_command

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home

__all__ = ["Group", "NoSuchGroup", "find_group", "run_group"]


@dataclass(kw_only=True, eq=False)
class NoSuchGroup(HatchlockError):
    """No applied server belongs to a group."""

    code: ClassVar[str] = "no-such-group"

    project: str
    group: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = f"it has {', '.join(self.known)}" if self.known else "it has none"
        return f"the project {self.project} has no group {self.group!r} with applied servers; {known}"

    def _hint(self) -> str:
        from hatchlock.manifest.problem import did_you_mean

        otherwise = 'give servers groups = ["…"] in the manifest, then run `hatchlock apply`'
        return did_you_mean(self.group, self.known, otherwise)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The servers of a group that were applied.

    Attributes:
        name: Its name.
        records: Their launch records, by name; at least one.
        missing: Names of servers that belong to it and were not applied.
    """

    name: str
    records: tuple[LaunchRecord, ...]
    missing: tuple[str, ...]


def find_group(home: Home, project: str, name: str) -> Group:
    """Return the servers of a group, as the last apply left them.

    Raises:
        NoSuchProject: Nothing was applied under that name.
        NoSuchGroup: The group has no applied server.
        BrokenState: A file of the store is damaged.
    """
    from hatchlock.state.groups import read_groups
    from hatchlock.usecases.run import applied_servers, find_record

    active = applied_servers(home, project)
    groups = read_groups(home.project(project))
    names = groups.get(name, ())
    there = [server for server in names if server in active]
    if not there:
        known = tuple(group for group, servers in groups.items() if any(server in active for server in servers))
        raise NoSuchGroup(project=project, group=name, known=known)
    return Group(
        name=name,
        records=tuple(find_record(home, project, server) for server in there),
        missing=tuple(server for server in names if server not in active),
    )


def run_group(home: Home, project: str, name: str, environ: Mapping[str, str]) -> int:
    """Serve the servers of a group as one over this process's stdin, stdout and stderr, until either side ends.

    Returns:
        The exit status (`serve.group.stdio.serve_group`).

    Raises:
        NoSuchProject, NoSuchGroup, BrokenState: It was not applied.
        GroupFailed: None of its servers could be started.
    """
    from hatchlock.serve.group.members import Member
    from hatchlock.serve.group.stdio import serve_group

    group = find_group(home, project, name)
    members = [
        Member(
            server=record.server,
            command=run_command(home, Wanted(project=project, name=record.server)),
            patience=record.startup_timeout,
            grace=record.sandbox.stop_grace,
        )
        for record in group.records
    ]
    # it is closed at the end, and Python itself writes to stdout once more before it ends
    stdout = os.dup(1)
    return serve_group(name, members, environ=environ, missing=group.missing, stdin=0, stdout=stdout, stderr=2)
