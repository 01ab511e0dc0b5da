"""Who watches a session, if anybody does: called at its turns, each time by the session's main thread unless said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatchlock.security.provided import Provided

if TYPE_CHECKING:
    from hatchlock.engines.api import Engine

__all__ = ["NOBODY", "Observer"]


class Observer:
    """Watches nothing. Those that do overwrite what they need."""

    watches = False
    """Whether a server has to wait for it."""

    def begin(self, provided: Provided) -> Provided:
        """Take what the session gives to its server, before there is anything and before there are threads."""
        return provided

    def held(self, pid: int) -> None:
        """Take the first process of a sandbox that has its namespaces; the server waits until this returns."""

    def created(self, engine: Engine, container: str) -> None:
        """Take a container that is not started yet."""

    def started(self, engine: Engine, container: str) -> None:
        """Take a container that was just started."""

    def heard(self, line: str) -> None:
        """Take a line of the server's stderr, secrets hidden; in a thread of its own."""

    def finish(self) -> None:
        """Write down what was seen: the server has ended or is about to, and is still there as far as it can be."""


NOBODY = Observer()
"""Nobody watches."""
