"""Whose an entry is that stands where one of ours should: in words, for its content may hold secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["EntryTaken", "whose"]

_PROGRAM = "hatchlock"


@dataclass(kw_only=True, eq=False)
class EntryTaken(HatchlockError):
    """An application's file has an entry of a server's name, and it is not this project's."""

    code: ClassVar[str] = "entry-taken"

    path: str
    name: str
    client: str
    owner: str

    def __str__(self) -> str:
        return f"the entry {self.name!r} in {self.path} {self.owner}, and it is left alone"

    def _hint(self) -> str:
        ways = f'rename the server, remove that entry, or take it over: [[adopt]] address = "client:{self.client}/{self.name}"'
        return f"{ways}; or destroy the other project" if "project" in self.owner else ways


def whose(value: Any) -> str:
    """Return what is to be said of an entry that is not this project's, as a predicate.

    Args:
        value: The entry, as read.
    """
    match value:
        case {"command": str(command), "args": ["run", *rest]} if Path(command).name == _PROGRAM:
            return _of_hatchlock(rest)
    return "was not written by hatchlock"


def _of_hatchlock(arguments: list[Any]) -> str:
    match arguments:
        case ["--home", str(home), "--project", str(project), str()]:
            return f"belongs to the project {project!r} of the store {home}"
        case ["--project", str(project), str()]:
            return f"belongs to the project {project!r}"
    return "was not written by hatchlock"
