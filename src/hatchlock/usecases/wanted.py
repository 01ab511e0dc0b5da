"""What is to be served as one: a server, or a group of servers; and the `run` that does it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.usecases.launcher import own_command

if TYPE_CHECKING:
    from hatchlock.paths import Home

__all__ = ["Wanted", "run_command"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be served.

    Attributes:
        project: The project's name.
        name: A server, or a group.
        is_group: Which of them.
    """

    project: str
    name: str
    is_group: bool = False

    @property
    def key(self) -> str:
        """What its token is kept under."""
        return f"group:{self.name}" if self.is_group else self.name

    @property
    def token_command(self) -> str:
        """The command that prints its token, wherever it is typed."""
        which = ("--group", self.name) if self.is_group else (self.name,)
        return shlex.join(("hatchlock", "serve", "--project", self.project, *which, "--show-token"))


def run_command(home: Home, wanted: Wanted) -> tuple[str, ...]:
    """Return the command of one session, in exec form: this hatchlock, whatever is on PATH."""
    which = ("--group", wanted.name) if wanted.is_group else (wanted.name,)
    store = ("--home", str(home.root), "--project", wanted.project)
    return (*own_command(), "run", *store, *which)
