"""Serving one server over our own stdin and stdout: bytes through, and an end that leaves nothing behind.

    application ── stdin ──▶ run ──▶ server          each arrow is a thread that blocks, so whoever does not read
    application ◀─ stdout ── run ◀── server          slows the writer down and nothing piles up here
                                 ◀── its stderr ──▶ our stderr, log

The main thread waits for what ends a session: the end of stdin or stdout, a signal, the death of the application, of the
watchdog, or of the server.
"""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hatchlock.errors import about
from hatchlock.launch import LaunchRecord
from hatchlock.security.sandbox import SandboxUnsupported, unsupported
from hatchlock.serve.ends import End, Reasons, reported_signals, watch
from hatchlock.serve.observer import NOBODY, Observer
from hatchlock.serve.secrets import remembered
from hatchlock.serve.server import Server
from hatchlock.serve.starting import Start, prepared, started
from hatchlock.serve.talk import Talk
from hatchlock.serve.unfinished import finished_paths

__all__ = ["serve"]


def serve(
    record: LaunchRecord,
    *,
    environ: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    log: Path | None,
    store: Path,
    applied: LaunchRecord | None = None,
    observer: Observer = NOBODY,
    began: Callable[[], None] = lambda: None,
) -> int:
    """Start a server, connect it to the given descriptors until the session ends, and leave nothing of it behind.

    To be called in the main thread of a process without other threads: it forks, and handles SIGTERM, SIGINT and SIGHUP.

    Args:
        record: What to start.
        environ: Our own environment: for secrets and to find programs. The server inherits nothing of it.
        stdin: Where the application's messages come from.
        stdout: Where the server's messages go; nothing else is ever written there.
        stderr: Where everything else goes.
        log: A file that keeps what goes to stderr, within the sandbox's log-size; None for none.
        store: The store's root, where secrets may be.
        applied: The record as it was applied, where `record` was changed since: with the workspace's real path, say.
        observer: Who watches the session.
        began: Called once the server runs and messages pass.

    Returns:
        0 when it ended because stdin ended; 128+N after signal N; else the server's own status, but not 0 when it never
        spoke JSON-RPC.

    Raises:
        HatchlockError: It could not be started; nothing is left.
    """
    with about(f"server:{record.server}"):
        return _serve(
            record,
            applied or record,
            environ,
            log=log,
            store=store,
            observer=observer,
            began=began,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


def _serve(
    record: LaunchRecord,
    applied: LaunchRecord,
    environ: Mapping[str, str],
    *,
    log: Path | None,
    store: Path,
    observer: Observer,
    began: Callable[[], None],
    stdin: int,
    stdout: int,
    stderr: int,
) -> int:
    if problems := unsupported(record, root=os.geteuid() == 0):
        raise SandboxUnsupported(runtime=record.runtime, problems=problems)
    if record.surface:
        from hatchlock.serve.passages import check_pins  # noqa: PLC0415  most servers have no rules

        check_pins(record)
    reasons: Reasons = queue.SimpleQueue()
    start, talk = prepared(
        record,
        applied,
        environ=environ,
        stderr=stderr,
        log=log,
        store=store,
        observer=observer,
        lost=lambda: reasons.put(End.NETWORK),
    )
    with reported_signals(reasons), remembered(applied, start.secrets, store), _server(start, talk, reasons) as server:
        gc.enable()  # it may have been disabled for the start
        from hatchlock.serve.session import converse  # noqa: PLC0415  loaded while the server starts

        return converse(start, server, reasons, talk, stdin=stdin, stdout=stdout, began=began)


@contextlib.contextmanager
def _server(start: Start, talk: Talk, reasons: Reasons) -> Iterator[Server]:
    record = start.record
    with finished_paths(record, start.store), started(start, talk) as (server, watchdog):
        threading.Thread(
            target=watch, args=(os.getppid(), watchdog.ended if watchdog else None, reasons), daemon=True
        ).start()
        try:
            yield server
        finally:
            start.observer.finish()
