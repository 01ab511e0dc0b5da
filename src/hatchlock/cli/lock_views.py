"""Differences of locks and newer versions, as text, as markdown for a pull request, and as JSON values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hatchlock.address import Kind
from hatchlock.cli.markdown import block, code
from hatchlock.cli.side_by_side import side_by_side
from hatchlock.cli.ui import printable

if TYPE_CHECKING:
    from hatchlock.lock.diff import Change
    from hatchlock.lock.difference import Entry
    from hatchlock.resolve.outdated import Standing
    from hatchlock.usecases.diff import Compared
    from hatchlock.usecases.outdated import Outdated
    from hatchlock.usecases.version_moves import VersionMoves

__all__ = [
    "change_lines",
    "diff_document",
    "diff_markdown",
    "diff_text",
    "moved_text",
    "outdated_document",
    "outdated_text",
]

_FEW = 5
_KINDS = frozenset(Kind)
_TEXTS = ("tool ", "prompt ", "instructions")
_DIGEST = re.compile(r"\b([0-9a-f]{12})(?:[0-9a-f]{52}|[0-9a-f]{116}|[0-9a-f]{28})\b")


def change_lines(changes: Iterable[Change], *, verbose: bool) -> Iterator[str]:
    """Yield what changed in a lock on the way to something else: packages that come or go are counted, if they are many.

    Args:
        changes: As `diff_locks` returns them.
        verbose: Whether each has its line, however many there are.
    """
    shown = list(changes)
    for sign in () if verbose else ("+", "-"):
        packages = [item for item in shown if item.sign == sign and _kind(item) in _KINDS]
        if len(packages) > _FEW:
            shown = [item for item in shown if item not in packages]
            counts = Counter(map(_kind, packages))
            yield f"{sign} {', '.join(f'{number} of {kind}:' for kind, number in counts.items())} (-v names them)"
    yield from map(str, shown)


def moved_text(moves: VersionMoves, *, verbose: bool) -> str:
    """Return what changed in versions as lines below a plan; "" for nothing."""
    lines = [f"  {printable(line)}" for line in change_lines(moves.changes, verbose=verbose)]
    return "\n".join([f"Since {printable(moves.since)}:", *lines]) if lines else ""


def _kind(change: Change) -> str:
    return change.what.partition(":")[0]


def diff_text(compared: Compared) -> str:
    """Return a difference as lines for a terminal; digests are cut."""
    blocks = [
        "\n".join([f"{section[0].upper()}{section[1:]}:", *map(_line, entries)])
        for section, entries in _sections(compared)
    ]
    return "\n\n".join([*blocks, f"{printable(compared.before)} -> {printable(compared.after)}: {_summary(compared)}"])


def diff_markdown(compared: Compared) -> str:
    """Return a difference as GitHub-flavoured markdown. What others wrote stands in code spans, where it means nothing."""
    lines = [f"**{code(compared.after)} against {code(compared.before)}**: {_summary(compared)}", ""]
    for section, entries in _sections(compared):
        lines += [f"### {section[0].upper()}{section[1:]}", "", *map(_item, entries), ""]
    return "\n".join(lines).rstrip()


def diff_document(compared: Compared) -> Mapping[str, Any]:
    """Return a difference as JSON values."""
    return {
        "before": compared.before,
        "after": compared.after,
        "entries": [asdict(entry) for entry in compared.entries],
        "notes": list(compared.notes),
    }


def outdated_text(found: Outdated) -> str:
    """Return what is outdated as a table, the reasons in its last column."""
    if not found.standings:
        return f"nothing is outdated ({found.asked} looked at)"
    rows = [("PACKAGE", "CURRENT", "COMPATIBLE", "NEWEST", ""), *map(_row, found.standings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", f"{len(found.standings)} of {found.asked} looked at"])


def outdated_document(found: Outdated) -> Mapping[str, Any]:
    """Return what is outdated as JSON values."""
    return {
        "packages": [asdict(standing) for standing in found.standings],
        "asked": found.asked,
        "notes": list(found.notes),
    }


def _row(standing: Standing) -> tuple[str, ...]:
    versions = (standing.current, standing.compatible, standing.newest)
    shown = [_DIGEST.sub(r"\1…", version) for version in versions]
    state = f"{standing.state}: {standing.reason}" if standing.reason else standing.state
    held = f"held back: {'; '.join(standing.held_by)}" if standing.held_by else ""
    words = "; ".join(word for word in (state, held) if word)
    return tuple(map(printable, (standing.what, *shown, words)))


def _sections(compared: Compared) -> Iterator[tuple[str, list[Entry]]]:
    for section, entries in groupby(compared.entries, key=lambda entry: entry.section):
        yield str(section), list(entries)


def _summary(compared: Compared) -> str:
    if not compared.entries:
        return "no differences"
    counts = ((section, len({entry.what for entry in entries})) for section, entries in _sections(compared))
    return ", ".join(f"{section}: {count}" for section, count in counts)


def _is_text(entry: Entry) -> bool:
    """Whether it is about a text of several lines: a definition, or instructions."""
    return entry.section == "pinned tools" and entry.field.startswith(_TEXTS)


def _line(entry: Entry) -> str:
    if _is_text(entry):
        head = f"  {entry.sign} {printable(entry.what)} {printable(entry.field)}:"
        return f"{head}\n{side_by_side(entry.before, entry.after)}"
    words = [entry.sign, printable(entry.what)]
    words += [printable(f"{entry.field}:")] if entry.field else []
    words += [printable(_values(entry))] if entry.before or entry.after else []
    words += [printable(f"({entry.note})")] if entry.note else []
    return "  " + " ".join(words)


def _values(entry: Entry) -> str:
    before, after = (_DIGEST.sub(r"\1…", value) for value in (entry.before, entry.after))
    if before and after:
        return f"{before} -> {after}"
    if entry.sign in "+-":
        return before or after
    return after if entry.sign == "!" and after else f"{before or 'none'} -> {after or 'none'}"


def _item(entry: Entry) -> str:
    mark = {"+": "added", "-": "removed", "~": "changed", "!": "**attention**"}[entry.sign]
    words = [f"* {mark}", code(entry.what), *([code(entry.field)] if entry.field else [])]
    if _is_text(entry):
        return "\n\n".join([" ".join(words), block(side_by_side(entry.before, entry.after, indent="")), ""])
    values: Iterable[str] = [code(_DIGEST.sub(r"\1…", value)) for value in (entry.before, entry.after) if value]
    words += [" → ".join(values)] if entry.before or entry.after else []
    words += [code(entry.note)] if entry.note else []
    return " ".join(words)
