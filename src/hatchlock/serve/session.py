"""A session from the moment that its server runs: messages pass until something ends it, then the server ends.

Loaded while the server starts, which has a processor of its own for that.
"""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord
from hatchlock.serve.ends import End, Reason, Reasons, report_end, stop, told
from hatchlock.serve.server import Server
from hatchlock.serve.starting import Start
from hatchlock.serve.talk import Talk
from hatchlock.serve.tally import NOT_COUNTED, PROBE, Tally
from hatchlock.serve.traffic import Traffic, forward, in_thread, readers, written_to

if TYPE_CHECKING:
    from hatchlock.serve.calls import CallAudit
    from hatchlock.serve.gate import Gate
    from hatchlock.serve.passage import Passage
    from hatchlock.serve.passages import Passing
    from hatchlock.surface import SurfaceRules

__all__ = ["ServerFailed", "converse"]


@dataclass(kw_only=True, eq=False)
class ServerFailed(HatchlockError):
    """A server ended, or had to be ended, without having said anything that a client understands."""

    code: ClassVar[str] = "server-failed"

    server: str
    status: int
    noise: int
    why: str
    last_words: tuple[str, ...]
    tried: bool = False

    def __str__(self) -> str:
        from hatchlock.surface import shown  # noqa: PLC0415  a session that goes well does without

        parts = [f"it ended with status {self.status} without one JSON-RPC message"]
        if self.why:
            parts.append(self.why)
        if self.noise:
            parts.append(f"on stdout it printed {self.noise} line{'s' if self.noise > 1 else ''} of something else")
        said = "".join(f"\n  {shown(line)}" for line in self.last_words)
        return "; ".join(parts) + (f"; its last words:{said}" if said else "; it said nothing on stderr")

    def _hint(self) -> str:
        if self.noise:
            return "an MCP server must log to stderr only; look for an option or a variable that turns its output off"
        if self.tried:
            return "what it lacks may be a variable (--env), a path (--mount) or the network (--network)"
        return f"see `hatchlock logs {self.server}`; a read-only file system, no network and limits are its sandbox, `hatchlock plan` shows it"


def converse(
    start: Start,
    server: Server,
    reasons: Reasons,
    talk: Talk,
    *,
    stdin: int,
    stdout: int,
    began: Callable[[], None] = lambda: None,
) -> int:
    """Connect a server to the given descriptors until its session ends, and end it.

    Args:
        start: What it was started with.
        server: It.
        reasons: Why it ends.
        talk: Where everything goes that is no message.
        stdin: Where the application's messages come from.
        stdout: Where the server's messages go.
        began: Called when messages pass, in this thread, which has nothing else to do by then.

    Returns:
        As `stdio.serve`.
    """
    record, tally = start.record, _tally(start)
    traffic = Traffic(first_noise=tally.first_noise)
    put = written_to(stdout, lambda: reasons.put(End.STDOUT))
    calls = _calls(start, talk)
    passing = _passing(start, server, reasons, talk, put, calls=calls)
    received, begun, take = (passing.received, passing.begun, passing.sent) if passing else (put, None, None)
    out = readers(server, traffic, talk, received, begun)
    in_thread(lambda: forward(stdin, server, traffic, lambda: reasons.put(End.STDIN), take))
    ended: list[int] = []
    in_thread(lambda: report_end(server, ended, reasons))
    began()
    reason = _first_reason(reasons, record, traffic, talk)
    forced = reason is not End.SERVER and stop(server, reason, reasons, record.sandbox.stop_grace)
    for reader in out:
        # What it said last still goes out, unless nobody takes it.
        reader.join(max(record.sandbox.stop_grace, 1.0))
    talk.finish()
    if calls:
        calls.finish()
    for denial in server.limits_met():
        start.denials.report(denial)
    if passing and passing.refused:
        status = passing.refused.exit_status  # whatever ended it first
    elif reason in {End.SERVER, End.STDIN, End.STDOUT}:
        own = ended[0] if ended else 1
        by_itself = reason is End.SERVER or bool(
            record.remote and own
        )  # what was asked may have ended before it failed
        status = _verdict(server, own, traffic, talk, record=record, by_itself=by_itself, forced=forced)
    else:
        status = told(reason, record.server, talk)
    wanted = isinstance(reason, signal.Signals) or reason is End.PARENT
    refused = passing is not None and passing.refused is not None
    failed = status != 0 and not wanted and not refused
    tally.ended(status, abnormal=failed, noise=traffic.noise, refused=refused)
    return status


def _passing(
    start: Start,
    server: Server,
    reasons: Reasons,
    talk: Talk,
    put: Callable[[bytes], None],
    *,
    calls: CallAudit | None,
) -> Passing | None:
    """Return what looks at each message; None for a server of which nothing is to be looked at."""
    passages: list[Passage] = [calls] if calls else []  # outside: what a gate answers is an outcome as well
    if start.record.surface is not None:
        passages.append(_gate(start.record.surface, start, talk))
    if not passages:
        return None
    from hatchlock.serve.passage import Chain  # noqa: PLC0415  most servers have no rules
    from hatchlock.serve.passages import Passing  # noqa: PLC0415

    def end(reason: HatchlockError) -> None:
        talk.fail(reason)
        reasons.put(End.REFUSED)

    passage = passages[0] if len(passages) == 1 else Chain(passages)
    return Passing(passage, send=server.send, put=put, end=end)


def _calls(start: Start, talk: Talk) -> CallAudit | None:
    """Return what writes its calls down; None where the project does not want that."""
    if start.record.audit != "calls":
        return None
    from hatchlock.serve.calls import CallAudit  # noqa: PLC0415  few projects want it

    return CallAudit(start.store, start.record, say=talk.say)


def _gate(rules: SurfaceRules, start: Start, talk: Talk) -> Gate:
    from hatchlock.serve.passages import Surroundings, gate_of  # noqa: PLC0415  most servers have no rules

    state = None if start.observer.watches else start.store / "projects" / start.record.project
    around = Surroundings(launch=start.applied, say=talk.say, state=state)
    return gate_of(rules, start.record.server, around)


def _tally(start: Start) -> Tally:
    if start.observer.watches:
        return NOT_COUNTED
    state = start.store / "projects" / start.record.project
    is_probe = PROBE in start.environ
    return Tally(state=state, server=start.record.server, launch=start.applied, is_probe=is_probe)


def _first_reason(reasons: Reasons, record: LaunchRecord, traffic: Traffic, talk: Talk) -> Reason:
    try:
        return reasons.get(timeout=record.startup_timeout)
    except queue.Empty:
        if traffic.received and not traffic.messages:
            talk.say(f"{record.server} has not answered within {record.startup_timeout:g} s")
        return reasons.get()


def _verdict(
    server: Server, status: int, traffic: Traffic, talk: Talk, *, record: LaunchRecord, by_itself: bool, forced: bool
) -> int:
    """Return the status of a session that the server or the end of a stream ended, and say what went wrong."""
    unheard = by_itself or traffic.noise > 0 or (status != 0 and not forced)
    if unheard and not traffic.messages:
        why = server.explain(status)
        failure = ServerFailed(
            address=f"server:{record.server}",
            server=record.server,
            status=status,
            noise=traffic.noise,
            why=why,
            last_words=talk.last_words(),
            tried=record.is_tried,
        )
        talk.fail(failure)
        return status or 1
    if by_itself and status != 0:
        why = server.explain(status)
        talk.say(f"{record.server} ended with status {status}" + (f": {why}" if why else ""))
    return status if by_itself else 0
