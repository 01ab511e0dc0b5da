"""A group over our own stdin and stdout.

client ── stdin ──▶ router ──▶ outlet ──▶ run ──▶ a server       what a client says waits for no server
client ◀─ outlet ◀─ router ◀──────────── run ◀── a server        a client that does not read slows everybody down
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hatchlock import __version__
from hatchlock.errors import HatchlockError
from hatchlock.serve.ends import End, Reason, Reasons, reported_signals, watch
from hatchlock.serve.group.asking import Out
from hatchlock.serve.group.both_eras import Group
from hatchlock.serve.group.members import Member, Outlet, Running, read_lines
from hatchlock.serve.talk import write_all
from hatchlock.surface import shown

__all__ = ["GroupFailed", "serve_group"]

_TICK = 1.0
_LAST_WORDS = 5.0


@dataclass(kw_only=True, eq=False)
class GroupFailed(HatchlockError):
    """No server of a group is left."""

    code: ClassVar[str] = "group-failed"

    group: str
    servers: tuple[str, ...]

    def __str__(self) -> str:
        return f"no server of the group {self.group} is left: {', '.join(self.servers)}"

    def _hint(self) -> str:
        return f"what each of them said is above; see also `hatchlock logs {self.servers[0]}`"


def serve_group(
    group: str,
    members: Sequence[Member],
    *,
    environ: Mapping[str, str],
    missing: Iterable[str],
    stdin: int,
    stdout: int,
    stderr: int,
) -> int:
    """Start a group's servers, offer them as one over the given descriptors until either side ends, and leave nothing.

    A server that does not answer, or ends, is left out, and stderr says so; the others go on.

    Args:
        group: Its name.
        members: Its servers; at least one.
        environ: The environment of their `run`s.
        missing: Names of servers that belong to it and were not applied.
        stdin: Where the client's messages come from.
        stdout: Where messages for it go; closed at the end.
        stderr: Where everything else goes.

    Returns:
        0 when stdin or stdout has ended; 128+N after signal N.

    Raises:
        GroupFailed: None of its servers is left.
    """
    reasons: Reasons = queue.SimpleQueue()
    with reported_signals(reasons):
        session = _Session(group, members, environ, reasons, stdout=stdout, stderr=stderr)
        for name in missing:
            session.say(f"{name} is left out of the group {group}: it was not applied")
        threading.Thread(target=watch, args=(os.getppid(), None, reasons), daemon=True).start()
        threading.Thread(target=session.listen, args=(stdin,), daemon=True).start()
        reason = session.until(reasons)
        session.end(reason)
    if reason is End.SERVER:
        raise GroupFailed(address=f"group:{group}", group=group, servers=tuple(item.server for item in members))
    if isinstance(reason, signal.Signals):
        return 128 + reason
    return 0 if reason in {End.STDIN, End.STDOUT} else 128 + signal.SIGHUP


class _Session:
    def __init__(
        self,
        group: str,
        members: Sequence[Member],
        environ: Mapping[str, str],
        reasons: Reasons,
        *,
        stdout: int,
        stderr: int,
    ) -> None:
        self._group = group
        self._reasons = reasons
        self._stderr = stderr
        patience = {member.server: member.patience for member in members}
        self._grace = max(member.grace for member in members)
        self._talk = Group(group, patience, version=__version__, patience=patience)
        self._changed = threading.Condition()
        self._is_ending = False
        self._client = Outlet(stdout, lambda: reasons.put(End.STDOUT))
        self._running = {member.server: Running(member, environ) for member in members}
        self._readers = [
            threading.Thread(target=work, args=(server,), daemon=True)
            for server in self._running
            for work in (self._hear, self._overhear)
        ]
        for reader in self._readers:
            reader.start()

    def say(self, text: str) -> None:
        """Say something on stderr."""
        with contextlib.suppress(OSError):
            os.write(self._stderr, f"hatchlock: {shown(text)}\n".encode())

    def listen(self, stdin: int) -> None:
        """Take what the client says until it ends; what we answer ourselves it has to read."""

        def take(line: bytes) -> None:
            if line.strip():
                self._do(lambda now: self._talk.sent(line, now))
                self._client.wait_for_room()

        read_lines(stdin, take)
        self._reasons.put(End.STDIN)

    def until(self, reasons: Reasons) -> Reason:
        """Wait for what ends the session; what takes too long meanwhile is gone on without."""
        while True:
            with contextlib.suppress(queue.Empty):
                return reasons.get(timeout=_TICK)
            self._do(self._talk.passed)

    def end(self, reason: Reason) -> None:
        """End all servers, and let out what they said last."""
        if reason is End.STDIN:
            self._settle()
        self._do(self._talk.ending)
        self._is_ending = True
        for running in self._running.values():
            if reason is End.STDIN:
                running.input.finish()
            else:
                running.stop()
        for running in self._running.values():
            running.end()
        for reader in self._readers:
            reader.join(_LAST_WORDS)
        self._client.finish()
        self._client.join(_LAST_WORDS)

    def _settle(self) -> None:
        """Let what was asked for be put together before servers hear that there is nothing more."""
        with self._changed:
            self._changed.wait_for(lambda: self._talk.is_settled, self._grace)

    def _hear(self, server: str) -> None:
        def take(line: bytes) -> None:
            self._do(lambda now: self._talk.said(server, line, now))
            self._client.wait_for_room()

        self._running[server].read(take)
        is_known = server in self._talk.present and not self._is_ending
        self._do(lambda now: self._talk.ended(server, now, quietly=self._is_ending))
        if is_known and self._talk.present:
            self.say(f"{server} has ended; the group {self._group} goes on without it")
        if not self._talk.present:
            self._reasons.put(End.SERVER)

    def _overhear(self, server: str) -> None:
        def take(line: bytes) -> None:
            with contextlib.suppress(OSError):  # nobody listens: its log has it all the same
                write_all(self._stderr, f"{server}  ".encode() + line.rstrip() + b"\n")

        self._running[server].overhear(take)

    def _do(self, what: Callable[[float], Out]) -> None:
        with self._changed:
            out = what(time.monotonic())
            for to, line in out.lines:
                self._put(to, line + b"\n")
            self._changed.notify_all()
        for server, why in out.left_out:
            self.say(f"{server} is left out of the group {self._group}: {why}")
            self._running[server].stop()
        for note in out.notes:
            self.say(note)

    def _put(self, to: str, line: bytes) -> None:
        if not to:
            self._client.put(line)
            return
        running = self._running[to]
        if running.input.is_stuck:
            running.stop()  # it does not read; whoever waits for it is told when it has ended
        else:
            running.input.put(line)
