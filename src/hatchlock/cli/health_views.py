"""How `status` shows what servers do and did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchlock.usecases.denials import Stopped
    from hatchlock.usecases.status import ServerStatus

__all__ = ["health_blocks", "health_to_dict", "noise_words", "stopped_to_dict"]


def health_to_dict(item: ServerStatus) -> dict[str, Any]:
    """Return what of a server's health `status --json` has besides."""
    return {
        "milliseconds": item.milliseconds,
        "endpoint": asdict(item.endpoint) if item.endpoint else None,
        "quarantine": asdict(item.quarantine) if item.quarantine else None,
        "sessions": [asdict(session) for session in item.doings.sessions],
        "counts": asdict(item.doings.counts),
        "denied": asdict(item.doings.denied),
    }


def health_blocks(servers: Iterable[ServerStatus], *, verbose: bool) -> Iterator[str]:
    """Yield who uses the servers, and what has gone wrong with them; all that is counted only where much is to be said.

    Sessions that go on with what was applied before are told of elsewhere (`after_blocks`).
    """
    items = tuple(servers)
    if used := [f"{item.name}  {session}" for item in items for session in item.doings.sessions if session.is_current]:
        yield "\n".join(["IN USE BY", *used])
    lines = [f"{item.name}  {', '.join(words)}" for item in items if (words := list(_words(item, verbose=verbose)))]
    if lines:
        yield "\n".join(["SINCE IT WAS APPLIED", *lines])


def stopped_to_dict(what: Stopped) -> dict[str, str]:
    """Return one thing that a sandbox has stopped as JSON values."""
    denial = what.denial
    return {
        "kind": denial.kind,
        "what": denial.what,
        "at": denial.at,
        "when": what.when,
        "sentence": what.sentence,
        "permit": what.permit,
    }


def noise_words(lines: int) -> str:
    """Return how much of a server's stdout was no protocol, in words."""
    return f"{_number(lines, 'line')} on stdout that {'is no message' if lines == 1 else 'are no messages'}"


def _words(item: ServerStatus, *, verbose: bool) -> Iterator[str]:
    counts = item.doings.counts
    if counts.sessions and (verbose or counts.abnormal or counts.killed or counts.refused):
        yield f"{_number(counts.sessions, 'session')} ended"
    if counts.abnormal:
        yield f"{counts.abnormal} of them failed"
    if counts.killed:
        yield f"{counts.killed} of them killed"
    if counts.refused:
        yield f"{counts.refused} of them refused for what was offered, the last at {counts.refused_at}{_differing(item)}"
    if item.endpoint and item.endpoint.restarts:
        yield f"restarted {_number(item.endpoint.restarts, 'time')}"
    if counts.noise:
        yield noise_words(counts.noise)
    yield from item.doings.denied.words
    if verbose and counts.ended:
        yield f"the last session ended with status {counts.status} at {counts.ended}"


def _differing(item: ServerStatus) -> str:
    sorts = item.surface.differs if item.surface else {}
    told = "; ".join(f"{sort}: {', '.join(names)}" for sort, names in sorts.items())
    return f" ({told})" if told else ""


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
