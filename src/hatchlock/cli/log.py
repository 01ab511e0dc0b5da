"""The event log: what changing commands did, as lines of JSON in the store. The one place that knows structlog."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from hatchlock.events import Event, Sink, is_progress
from hatchlock.files import private_directory

if TYPE_CHECKING:
    from structlog.typing import BindableLogger

    from hatchlock.paths import Home

__all__ = ["EVENT_LOG", "logged"]

EVENT_LOG = "logs/events.ndjson"


def logged(sink: Sink, home: Home, command: str) -> Sink:
    """Return a sink that writes each event to the store's event log before it goes on to `sink`.

    The log is only opened by the first event, so a command that is refused leaves no trace of itself.

    Args:
        sink: Where the events go as well.
        home: The store; the log is `EVENT_LOG` in it, readable by its owner only.
        command: Named in each line.
    """
    opened: list[BindableLogger] = []

    def write(event: Event) -> None:
        if not is_progress(event):
            with contextlib.suppress(OSError):  # the disk may be full; what is done must not fail for its log
                if not opened:
                    opened.append(_open(home, command))
                opened[0].bind(address=event.address, message=event.message, **event.data).info(event.name)  # type: ignore[attr-defined]
        sink(event)

    return write


def _open(home: Home, command: str) -> BindableLogger:
    import structlog

    path = home.root / EVENT_LOG
    private_directory(home.root)
    private_directory(path.parent)
    stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", buffering=1)
    logger: BindableLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()],
        command=command,
        pid=os.getpid(),
    )
    return logger
