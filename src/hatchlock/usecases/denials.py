"""What a server's sandbox stopped, for people: of its active launch record, in words, with what would permit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.launch import LaunchRecord
    from hatchlock.security.denials import Denial, DenialKind

__all__ = ["Stopped", "explained", "remedied", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """One thing that was stopped.

    Attributes:
        denial: What it was.
        when: The last time, in UTC.
        sentence: The same in words.
        permit: The lines of the manifest that would permit it; "" for none.
        explanation: Sentence, lines and advice, for people.
    """

    denial: Denial
    when: str
    sentence: str
    permit: str
    explanation: str


def stopped(state: Path, record: LaunchRecord, *, since: str = "") -> tuple[Stopped, ...]:
    """Return what was stopped of a launch record, the newest last.

    Args:
        state: The project's state.
        record: The launch record, as it was applied.
        since: Only what was stopped then or later, in UTC.
    """
    from hatchlock.security.denials import Denial
    from hatchlock.state.denials import denials_path, read_denials

    found = []
    for item in read_denials(denials_path(state, record.server), record.digest):
        denial = Denial(kind=cast("DenialKind", item.kind), what=item.what, at=item.at)
        if item.when >= since:
            found.append(_worded(denial, item.when, record))
    return tuple(found)


def explained(items: Sequence[Stopped], record: LaunchRecord) -> str:
    """Return all of these for people, with what would permit all of it, below a line that says so; "" for none."""
    from hatchlock.serve.denials import explanation

    if not items:
        return ""
    said = explanation([item.denial for item in items], record)
    return "its sandbox has stopped:\n" + "\n".join(f"  {line}" for line in said.splitlines())


def remedied(items: Sequence[Stopped], record: LaunchRecord) -> str:
    """Return what would permit all of these, and what helps besides; "" where nothing does."""
    from hatchlock.serve.denials import remedy

    return remedy([item.denial for item in items], record)


def _worded(denial: Denial, when: str, record: LaunchRecord) -> Stopped:
    from hatchlock.security.denials import permit, sentence
    from hatchlock.serve.denials import explanation

    return Stopped(
        denial=denial,
        when=when,
        sentence=sentence(denial, record.server),
        permit=permit(denial, record),
        explanation=explanation((denial,), record),
    )
