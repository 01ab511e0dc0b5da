"""Serving one server over our own stdin and stdout: bytes through, and an end that leaves nothing behind.

    application ── stdin ──▶ run ──▶ server          each arrow is a thread that blocks, so whoever does not read
    application ◀─ stdout ── run ◀── server          slows the writer down and nothing piles up here
                                 ◀── its stderr ──▶ our stderr, log

The main thread waits for what ends a session: the end of stdin or stdout, a signal, the death of the application, of the
watchdog, or of the server.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord, size_in_bytes
from hatchlock.security.provided import Provided
from hatchlock.security.sandbox import SandboxUnsupported, unsupported
from hatchlock.security.secrets.redact import forms
from hatchlock.security.secrets.resolve import Places, resolve
from hatchlock.serve.denials import Denials
from hatchlock.serve.ends import End, Reason, Reasons, report_end, reported_signals, stop, told, watch
from hatchlock.serve.observer import NOBODY, Observer
from hatchlock.serve.profile import with_profile
from hatchlock.serve.secrets import remembered
from hatchlock.serve.server import Server
from hatchlock.serve.starting import Start, started
from hatchlock.serve.talk import Talk, open_log
from hatchlock.serve.tally import NOT_COUNTED, Tally
from hatchlock.serve.traffic import Traffic, forward, in_thread, readers
from hatchlock.state.denials import denials_path
from hatchlock.store.receipts import using

__all__ = ["ServerFailed", "serve"]


@dataclass(kw_only=True, eq=False)
class ServerFailed(HatchlockError):
    """A server ended, or had to be ended, without having said anything that a client understands."""

    code: ClassVar[str] = "server-failed"

    server: str
    status: int
    noise: int
    why: str
    last_words: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"it ended with status {self.status} without one JSON-RPC message"]
        if self.why:
            parts.append(self.why)
        if self.noise:
            parts.append(f"on stdout it printed {self.noise} line{'s' if self.noise > 1 else ''} of something else")
        said = "".join(f"\n  {line}" for line in self.last_words)
        return "; ".join(parts) + (f"; its last words:{said}" if said else "; it said nothing on stderr")

    def _hint(self) -> str:
        if self.noise:
            return "an MCP server must log to stderr only; look for an option or a variable that turns its output off"
        return f"see `hatchlock logs {self.server}`; a read-only file system, no network and limits are its sandbox, `hatchlock plan` shows it"


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

    Returns:
        0 when it ended because stdin ended; 128+N after signal N; else the server's own status, but not 0 when it never
        spoke JSON-RPC.

    Raises:
        HatchlockError: It could not be started; nothing is left.
    """
    try:
        return _serve(
            record,
            applied or record,
            environ,
            log=log,
            store=store,
            observer=observer,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
    except HatchlockError as error:
        error.address = error.address or f"server:{record.server}"
        raise


def _serve(
    record: LaunchRecord,
    applied: LaunchRecord,
    environ: Mapping[str, str],
    *,
    log: Path | None,
    store: Path,
    observer: Observer,
    stdin: int,
    stdout: int,
    stderr: int,
) -> int:
    if problems := unsupported(record, root=os.geteuid() == 0):
        raise SandboxUnsupported(runtime=record.runtime, problems=problems)
    places = Places(environ=environ, directory=record.directory, project=record.project, store=store)
    secrets = resolve(record.references, places)
    log_file = open_log(log, size_in_bytes(record.sandbox.log_size))
    talk = Talk(server=record.server, stderr=stderr, log=log_file, hidden=forms(secrets.bare.values()))
    reasons: Reasons = queue.SimpleQueue()
    state = store / "projects" / record.project
    file = None if observer.watches else denials_path(state, record.server)
    tally = NOT_COUNTED if observer.watches else Tally(state=state, server=record.server, launch=applied.digest)
    denials = Denials(applied, say=talk.say, clean=talk.clean, file=file)
    start = Start(
        record=record,
        applied=applied.digest,
        denials=denials,
        secrets=secrets,
        provided=observer.begin(with_profile(Provided(files=secrets.placed()), record, store)),
        environ=environ,
        store=store,
        observer=observer,
        log=log,
        lost=lambda: reasons.put(End.NETWORK),
    )
    with reported_signals(reasons), remembered(applied, secrets, store), _server(start, talk, reasons) as server:
        return _session(record, server, reasons, talk, denials, tally=tally, stdin=stdin, stdout=stdout)


@contextlib.contextmanager
def _server(start: Start, talk: Talk, reasons: Reasons) -> Iterator[Server]:
    record = start.record
    with using(map(Path, record.read_only_paths)), started(start, talk) as (server, watchdog):
        threading.Thread(
            target=watch, args=(os.getppid(), watchdog.ended if watchdog else None, reasons), daemon=True
        ).start()
        try:
            yield server
        finally:
            start.observer.finish()


def _session(
    record: LaunchRecord,
    server: Server,
    reasons: Reasons,
    talk: Talk,
    denials: Denials,
    *,
    tally: Tally,
    stdin: int,
    stdout: int,
) -> int:
    traffic = Traffic(first_noise=tally.first_noise)
    out = readers(server, traffic, talk, stdout, lambda: reasons.put(End.STDOUT))
    in_thread(lambda: forward(stdin, server, traffic, lambda: reasons.put(End.STDIN)))
    ended: list[int] = []
    in_thread(lambda: report_end(server, ended, reasons))
    reason = _first_reason(reasons, record, traffic, talk)
    forced = reason is not End.SERVER and stop(server, reason, reasons, record.sandbox.stop_grace)
    for reader in out:
        # What it said last still goes out, unless nobody takes it.
        reader.join(max(record.sandbox.stop_grace, 1.0))
    talk.finish()
    for denial in server.limits_met():
        denials.report(denial)
    if reason in {End.SERVER, End.STDIN, End.STDOUT}:
        own, by_itself = ended[0] if ended else 1, reason is End.SERVER
        status = _verdict(server, own, traffic, talk, name=record.server, by_itself=by_itself, forced=forced)
    else:
        status = told(reason, record.server, talk)
    wanted = isinstance(reason, signal.Signals) or reason is End.PARENT
    tally.ended(status, abnormal=status != 0 and not wanted, noise=traffic.noise)
    return status


def _first_reason(reasons: Reasons, record: LaunchRecord, traffic: Traffic, talk: Talk) -> Reason:
    try:
        return reasons.get(timeout=record.startup_timeout)
    except queue.Empty:
        if traffic.received and not traffic.messages:
            talk.say(f"{record.server} has not answered within {record.startup_timeout:g} s")
        return reasons.get()


def _verdict(
    server: Server, status: int, traffic: Traffic, talk: Talk, *, name: str, by_itself: bool, forced: bool
) -> int:
    """Return the status of a session that the server or the end of a stream ended, and say what went wrong."""
    unheard = by_itself or traffic.noise > 0 or (status != 0 and not forced)
    if unheard and not traffic.messages:
        why = server.explain(status)
        failure = ServerFailed(
            address=f"server:{name}",
            server=name,
            status=status,
            noise=traffic.noise,
            why=why,
            last_words=talk.last_words(),
        )
        talk.fail(failure)
        return status or 1
    if by_itself and status != 0:
        why = server.explain(status)
        talk.say(f"{name} ended with status {status}" + (f": {why}" if why else ""))
    return status if by_itself else 0
