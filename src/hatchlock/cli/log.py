"""The event log: what changing commands did, as lines of JSON in the store. The one place that knows structlog."""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import TYPE_CHECKING

from hatchlock.errors import PermissionProblem
from hatchlock.events import Event, Sink, is_progress
from hatchlock.files import private_directory

if TYPE_CHECKING:
    from structlog.typing import BindableLogger

    from hatchlock.paths import Home
    from hatchlock.serve.talk import LogFile

__all__ = ["EVENT_LOG", "logged"]

EVENT_LOG = "logs/events.ndjson"
_LIMIT = 8 << 20
"""Bytes of it; what was before is in `.1`, and what was before that is gone."""


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


class _Lines:
    """A log as a file of text; it is closed when nobody has it any more."""

    def __init__(self, log: LogFile) -> None:
        self._log = log
        weakref.finalize(self, log.close)

    def write(self, text: str) -> None:
        self._log.write(text.encode())

    def flush(self) -> None:
        pass


def _open(home: Home, command: str) -> BindableLogger:
    import structlog

    from hatchlock.serve.talk import LogFile

    path = home.root / EVENT_LOG
    private_directory(home.root)
    try:
        log = LogFile(path, _LIMIT)
    except PermissionProblem as error:
        raise OSError(str(error)) from error
    logger: BindableLogger = structlog.wrap_logger(
        structlog.WriteLogger(_Lines(log)),  # type: ignore[arg-type]
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()],
        command=command,
        pid=os.getpid(),
    )
    return logger
