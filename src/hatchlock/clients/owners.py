"""Our mark in an application's entry: what starts a server through us, and whose an entry is that has it, or has not.

What is said of an entry is in words, for its content may hold secrets.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from hatchlock.clients.catalogue import Scope
from hatchlock.clients.shape import Address, Start
from hatchlock.errors import HatchlockError
from hatchlock.paths import Home

__all__ = ["EntryTaken", "Mark", "is_of", "mark_of", "may_hold_entry", "owner_of", "start_for", "whose"]

_PROGRAM = "hatchlock"
_NOT_OURS = "was not written by hatchlock"
_USUAL_STORE = "~/.local/share/hatchlock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What an entry says of whose it is.

    Attributes:
        launcher: The program that it starts.
        home: The store that it names; "" for the usual one.
        project: The project that it names; "" in a file of a project, which belongs to the project around it.
        server: The server that it starts.
    """

    launcher: str
    home: str
    project: str
    server: str


@dataclass(kw_only=True, eq=False)
class EntryTaken(HatchlockError):
    """An application's file has an entry of a server's name, and it is not this project's."""

    code: ClassVar[str] = "entry-taken"

    path: str
    name: str
    client: str
    owner: str
    is_of_this_project: bool = False

    def __str__(self) -> str:
        return f"the entry {self.name!r} in {self.path} {self.owner}, and it is left alone"

    def _hint(self) -> str:
        if self.owner == _NOT_OURS:  # the same words for all of them, which are told once
            return (
                "`hatchlock import`, and the next apply takes the places of what it has read; or rename the server, remove that"
                ' entry, or take it over alone: [[adopt]] address = "…", by the address above'
            )
        adopt = f'[[adopt]] address = "client:{self.client}/{self.name}"'
        others = "" if self.is_of_this_project else "; or destroy the other project"
        return f"rename the server, remove that entry, or take it over: {adopt}{others}"


def start_for(*, scope: Scope, launcher: str, home: Home, project: str, server: str) -> Start:
    """Return what starts a server through `hatchlock run`.

    Args:
        scope: "user": a file of this machine, so with absolute paths; "project": a file to commit, so without any.
        launcher: The absolute path of the stable launcher, `STORE/bin/hatchlock`.
        home: The store; named only where it is not the default.
        project: The project's name.
        server: The server's name.
    """
    if scope == "project":
        return Start(command=_PROGRAM, args=("run", server))
    return Start(command=launcher, args=("run", *_home_arguments(home), "--project", project, server))


def owner_of(entry: Start | Address | None, *, scope: Scope, home: Home) -> tuple[str, str] | None:
    """Return whose an entry is, by the mark that `start_for` leaves in its arguments, or None if it is not ours.

    In user scope, one that starts the store's own launcher is ours also where somebody has put other options of `run` before
    the mark: it starts the same server all the same.

    Args:
        entry: What the entry means.
        scope: Of the file.
        home: The store. In user scope an entry of another store is not ours.

    Returns:
        The project's name and the server's. In project scope the first is "": it is the project whose directory holds
        the file.
    """
    if not isinstance(entry, Start):
        return None
    match entry.args:
        case ("run", server) if scope == "project":
            return ("", server) if entry.command == _PROGRAM else None
        case ("run", *rest) if scope == "user" and Path(entry.command).name == _PROGRAM:
            named = _home_arguments(home)
            if tuple(rest[: len(named)]) == named and (found := _project_and_server(rest[len(named) :])):
                return found
            if entry.command == str(home.bin / _PROGRAM):
                return _behind_options(rest, home)
    return None


def mark_of(entry: Start | Address | None, *, scope: Scope) -> Mark | None:
    """Return the mark of an entry of any store and project; None for one that does not start a server through us.

    Args:
        entry: What the entry means.
        scope: Of the file.
    """
    if not isinstance(entry, Start) or Path(entry.command).name != _PROGRAM:
        return None
    match entry.args:
        case ("run", server) if scope == "project" and entry.command == _PROGRAM:
            return Mark(launcher=entry.command, home="", project="", server=server)
        case ("run", "--home", home, "--project", project, server) if scope == "user":
            return Mark(launcher=entry.command, home=home, project=project, server=server)
        case ("run", "--project", project, server) if scope == "user":
            return Mark(launcher=entry.command, home="", project=project, server=server)
        case ("run", *options, "--project", project, server) if scope == "user" and Path(entry.command).is_absolute():
            if (store := _home_among(options)) is not None:
                return Mark(launcher=entry.command, home=store, project=project, server=server)
    return None


def may_hold_entry(data: bytes, *, scope: Scope, project: str) -> bool:
    """Return whether a file that cannot be understood may hold an entry of a project: whether the words of one are in it.

    Args:
        data: The file.
        scope: Of the file.
        project: The project's name.
    """
    return _PROGRAM.encode() in data and (scope == "project" or project.encode() in data)


def whose(entry: Start | Address | None, *, home: Home | None = None, project: str = "") -> str:
    """Return what is to be said of an entry that stands where one of a project's should be, as a predicate.

    Args:
        entry: What the entry means.
        home: The store in which that is asked; None outside of one.
        project: The project that asks: where another store has one of the same name, that store is named.
    """
    mark = mark_of(entry, scope="user")
    if mark is None:
        return _NOT_OURS
    if home and is_of(entry, home=home, project=project):
        return f"starts the server {mark.server!r} of this project"
    store = mark.home or (_USUAL_STORE if mark.project == project else "")
    return f"belongs to the project {mark.project!r}" + (f" of the store {store}" if store else "")


def is_of(entry: Start | Address | None, *, home: Home, project: str) -> bool:
    """Return whether an entry of a user's file is a project's, by whatever name it stands there."""
    owner = owner_of(entry, scope="user", home=home)
    return owner is not None and owner[0] == project


def _home_arguments(home: Home) -> tuple[str, ...]:
    return () if home.is_default else ("--home", str(home.root))


def _project_and_server(arguments: list[str]) -> tuple[str, str] | None:
    match arguments:
        case ["--project", project, server]:
            return project, server
    return None


def _behind_options(arguments: list[str], home: Home) -> tuple[str, str] | None:
    found = _project_and_server(arguments[-3:])
    stores = {str(home.root), ""} if home.is_default else {str(home.root)}
    return found if _home_among(arguments[:-3]) in stores else None


def _home_among(options: list[str]) -> str | None:
    """Return the store that options name; "" for none, None where they do not end before the mark."""
    if "--" in options:
        return None
    pairs = pairwise(options)
    named = [value for option, value in pairs if option == "--home"]
    named += [option.removeprefix("--home=") for option in options if option.startswith("--home=")]
    return named[0] if len(named) == 1 else None if named else ""
