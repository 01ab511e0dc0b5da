"""What is noted down of each connection that a server made or tried: one line of JSON."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from hatchlock.serve.talk import LogFile
from hatchlock.state.stamps import moment

__all__ = ["Passage", "Trail", "trail_path"]


def trail_path(log: Path) -> Path:
    """Return the file beside a server's log that has its connections."""
    return log.with_name(f"{log.name.removesuffix('.log')}.network.jsonl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A connection that has ended, or was not made.

    Attributes:
        host: The name.
        port: The port; 0 for a name that was only asked for.
        outcome: "carried", or why not: "refused: not in the list".
        sent: Bytes that the server sent.
        received: Bytes that it got.
        seconds: From the first byte of the attempt to its end.
    """

    host: str
    port: int
    outcome: str
    sent: int = 0
    received: int = 0
    seconds: float = 0.0


class Trail:
    """The file that has them, 0600, within a limit as a server's log is. Safe for several threads.

    Args:
        log: The file; None for none.
        server: The server's name.
        session: What tells this run of it from others.
    """

    def __init__(self, log: LogFile | None, *, server: str, session: str) -> None:
        self._log = log
        self._server = server
        self._session = session
        self._lock = threading.Lock()

    def write(self, passage: Passage) -> None:
        """Append a line."""
        if self._log is None:
            return
        entry = {
            "time": moment(),
            "server": self._server,
            "session": self._session,
            "host": passage.host,
            "port": passage.port,
            "outcome": passage.outcome,
            "sent": passage.sent,
            "received": passage.received,
            "seconds": round(passage.seconds, 3),
        }
        with self._lock:
            self._log.write(json.dumps(entry).encode() + b"\n")
