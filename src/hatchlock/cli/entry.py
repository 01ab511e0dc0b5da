"""The command line that `apply` writes into applications' files, served without what every other command needs.

Applications wait for it, and loading what parses and prints commands takes a fifth of the time that it adds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Entry", "entry_of", "serve_entry"]


class Entry(NamedTuple):
    """What the command line says.

    Attributes:
        home: The store; None for the usual one.
        project: The project's name.
        server: The server's.
    """

    home: str | None
    project: str
    server: str


def entry_of(words: Sequence[str]) -> Entry | None:
    """Return what `run [--home HOME] --project PROJECT NAME` says, or None for every other command line."""
    match words:
        case ["run", "--home", str(home), "--project", project, server]:
            entry = Entry(home=home, project=project, server=server)
        case ["run", "--project", project, server]:
            entry = Entry(home=None, project=project, server=server)
        case _:
            return None
    options = any(word.startswith("-") for word in (entry.home or "", project, server))
    return None if options else entry


def serve_entry(entry: Entry) -> int:
    """Do what `hatchlock run` does with these words.

    Raises:
        HatchlockError: As `usecases.run.run`.
    """
    from hatchlock.cli.context import opened_home, working_directory
    from hatchlock.usecases.run import run

    workspace = Path(os.path.realpath(working_directory()))
    return run(opened_home(entry.home), entry.project, entry.server, Path("/"), os.environ, workspace=workspace)
