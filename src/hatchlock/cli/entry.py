"""The command lines that `apply` writes into applications' files, served without what every other command needs.

Applications wait for it, and loading what parses and prints commands takes a fifth of the time that it adds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Entry", "entry_of", "serve_entry"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the command line says.

    Attributes:
        home: The store; None for the usual one.
        project: The project's name; None for that of the manifest found from here upwards.
        server: The server's.
    """

    home: str | None
    project: str | None
    server: str


def entry_of(words: Sequence[str]) -> Entry | None:
    """Return what `run [[--home HOME] --project PROJECT] NAME` says, or None for every other command line."""
    match words:
        case ["run", "--home", str(home), "--project", project, server]:
            entry = Entry(home=home, project=project, server=server)
        case ["run", "--project", project, server]:
            entry = Entry(home=None, project=project, server=server)
        case ["run", server]:
            entry = Entry(home=None, project=None, server=server)
        case _:
            return None
    options = any(word.startswith("-") for word in (entry.home or "", entry.project or "", server))
    return None if options else entry


def serve_entry(entry: Entry) -> int:
    """Do what `hatchlock run` does with these words.

    Raises:
        HatchlockError: As `usecases.run.run`.
    """
    from hatchlock.cli.context import opened_home, working_directory
    from hatchlock.usecases.run import run

    workspace = Path(os.path.realpath(working_directory()))
    # started by an application, there may be no manifest above us, and it is another one if there is
    start = workspace if entry.project is None else Path("/")
    return run(opened_home(entry.home), entry.project, entry.server, start, os.environ, workspace=workspace)
