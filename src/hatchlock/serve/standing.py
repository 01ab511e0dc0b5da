"""One run of a server that stays and speaks HTTP itself: started in its sandbox, reached at its port, ended without a trace.

    clients ──▶ 127.0.0.1:PORT ──▶ its own port, inside
                its stdout and stderr ──▶ log

Its stdin stays open and empty: many servers take its end for theirs.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.engines.loopback import PortTaken, is_free
from hatchlock.errors import HatchlockError, about
from hatchlock.launch import LaunchRecord
from hatchlock.security.sandbox import SandboxUnsupported, unsupported
from hatchlock.serve.denials import Denials
from hatchlock.serve.ends import End, Reason, Reasons, report_end, reported_signals, stop, told, watch
from hatchlock.serve.health import Answer, watch_health
from hatchlock.serve.observer import NOBODY
from hatchlock.serve.secrets import remembered
from hatchlock.serve.server import Server
from hatchlock.serve.starting import prepared, started
from hatchlock.serve.talk import Talk
from hatchlock.serve.tally import Tally
from hatchlock.serve.traffic import in_thread
from hatchlock.serve.unfinished import finished_paths

__all__ = ["NotStanding", "stand"]


@dataclass(kw_only=True, eq=False)
class NotStanding(HatchlockError):
    """A launch record is of no server that stays."""

    code: ClassVar[str] = "not-standing"

    server: str

    def __str__(self) -> str:
        return f"{self.server} does not speak HTTP by itself"

    def _hint(self) -> str:
        return "`hatchlock run` serves it over stdio"


def stand(
    record: LaunchRecord,
    *,
    environ: Mapping[str, str],
    stderr: int,
    log: Path | None,
    store: Path,
    applied: LaunchRecord | None = None,
    answered: Callable[[Answer], None] = lambda _: None,
    parent: int | None = None,
) -> int:
    """Start a server that speaks HTTP, let it be reached until something ends it, and leave nothing of it behind.

    To be called in the main thread of a process without other threads: it forks, and handles SIGTERM, SIGINT and SIGHUP. The
    death of our parent ends it, too.

    Args:
        record: What to start; it has an endpoint.
        environ: Our own environment: for secrets and to find programs. The server inherits nothing of it.
        stderr: Where what the server says goes.
        log: A file that keeps that, within the sandbox's log-size; None for none.
        store: The store's root.
        applied: The record as it was applied, where `record` was changed since.
        answered: Told, in a thread, how it answers (`health.watch_health`).
        parent: Our parent, if who that was is known for sure; None for whoever it is now.

    Returns:
        128+N after signal N; else the server's own status.

    Raises:
        PortTaken: Somebody else listens at its port.
        NotStanding: It has no port.
        HatchlockError: It could not be started; nothing is left.
    """
    with about(f"server:{record.server}"):
        return _stand(
            record,
            applied or record,
            environ,
            stderr=stderr,
            log=log,
            store=store,
            answered=answered,
            parent=parent or os.getppid(),
        )


def _stand(
    record: LaunchRecord,
    applied: LaunchRecord,
    environ: Mapping[str, str],
    *,
    stderr: int,
    log: Path | None,
    store: Path,
    answered: Callable[[Answer], None],
    parent: int,
) -> int:
    if record.endpoint is None or not record.speaks_http:
        raise NotStanding(server=record.server)
    if problems := unsupported(record, root=os.geteuid() == 0):
        raise SandboxUnsupported(runtime=record.runtime, problems=problems)
    _check_port(record.endpoint.host_port)
    reasons: Reasons = queue.SimpleQueue()
    start, talk = prepared(
        record,
        applied,
        environ=environ,
        stderr=stderr,
        log=log,
        store=store,
        observer=NOBODY,
        lost=lambda: reasons.put(End.NETWORK),
    )
    with (
        reported_signals(reasons),
        remembered(applied, start.secrets, store),
        finished_paths(record, store),
        started(start, talk) as (server, watchdog),
    ):
        watched = watchdog.ended if watchdog else None
        in_thread(lambda: watch(parent, watched, reasons))
        over = threading.Event()
        url, patience = record.endpoint.url, record.startup_timeout
        in_thread(lambda: watch_health(url, answered, over, patience=patience))
        status, is_wanted = _until_end(record, server, reasons, talk, start.denials)
        over.set()
    tally = Tally(state=store / "projects" / record.project, server=record.server, launch=applied.digest)
    tally.ended(status, abnormal=not is_wanted, noise=0)
    return status


def _until_end(
    record: LaunchRecord,
    server: Server,
    reasons: Reasons,
    talk: Talk,
    denials: Denials,
) -> tuple[int, bool]:
    """Wait for a server's end, or end it; return its status, and whether somebody wanted that."""
    # what a server of HTTP prints is no protocol, on either stream
    readers = [in_thread(read) for read in server.readers(talk.printed, talk.heard)]
    ended: list[int] = []
    in_thread(lambda: report_end(server, ended, reasons))
    reason = reasons.get()
    if reason is not End.SERVER:
        stop(server, reason, reasons, record.sandbox.stop_grace)
    for reader in readers:
        reader.join(max(record.sandbox.stop_grace, 1.0))
    talk.finish()
    for denial in server.limits_met():
        denials.report(denial)
    if reason is not End.SERVER:
        return told(reason, record.server, talk), _is_wanted(reason)
    status = ended[0] if ended else 1
    why = server.explain(status)
    talk.say(f"{record.server} ended with status {status}" + (f": {why}" if why else ""))
    return status, False


def _is_wanted(reason: Reason) -> bool:
    return not isinstance(reason, End) or reason is End.PARENT


def _check_port(port: int) -> None:
    if not is_free(port):
        raise PortTaken(port=port)
