"""What `stdio` needs of a running server, whatever it runs in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hatchlock.security.denials import Denial

__all__ = ["Server", "Take"]

Take = Callable[[bytes], None]
"""Takes a piece of output; blocks while the other side does not read."""


class Server(Protocol):
    """A started server. The methods may be called from several threads; each one returns when the server is gone."""

    def send(self, data: bytes) -> None:
        """Write to its stdin; block while it does not read; raise `OSError` when it never will."""

    def end_input(self) -> None:
        """End its stdin."""

    def readers(self, out: Take, err: Take) -> Sequence[Callable[[], None]]:
        """Return what to run, each in a thread of its own, until the output ends."""

    def stop(self) -> None:
        """Send its stop signal."""

    def kill(self) -> None:
        """End it at once."""

    def wait(self) -> int:
        """Wait for its end and return its status, 128+N after signal N."""

    def explain(self, status: int) -> str:
        """Say what is known about its end besides the status, as a clause; "" for nothing."""

    def limits_met(self) -> Sequence[Denial]:
        """Return the limits that it met and that nobody told it of, as far as they can still be seen."""

    def close(self) -> None:
        """Remove what is left of it."""
