"""`logs --audit --verify`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import UsageError
from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.state.audit_chain import Break, Chain, Place

__all__ = ["verify_audit"]

_HASH = re.compile(r"[0-9a-f]{64}")
_DIFFERS = 2
_SHOWN = 3
_WORDS = {
    "changed": "something else stands before it than when it was written: that was edited, or something was removed",
    "inserted": "something was put before it that did not stand there when it was written",
}


def verify_audit(arguments: argparse.Namespace, ui: Ui, home: Home) -> int:
    """Print whether each entry of the audit log follows the one before which it was written, and its last hash."""
    from hatchlock.state.audit_chain import check_chain
    from hatchlock.state.auditlog import audit_files, audit_path

    others = (arguments.name, arguments.project, arguments.since, arguments.lines is not None)
    if not (arguments.audit and arguments.verify) or any(others):
        raise UsageError(
            what="--verify is about the whole audit log, and --expect about --verify",
            advice="hatchlock logs --audit --verify",
        )
    expected = arguments.expect
    if expected is not None and _HASH.fullmatch(expected) is None:
        raise UsageError(
            what="--expect takes a hash of 64 hex digits",
            advice="`hatchlock logs --audit --verify` prints the last one",
        )
    chain = check_chain(audit_files(home.root))
    is_there = None if expected is None else expected in chain.links
    if ui.json:
        ui.document({"path": str(audit_path(home.root)), **_document(chain), "expected": is_there})
    else:
        ui.result("\n".join(_result(chain)))
        for note in _notes(chain):
            ui.say(f"note: {printable(note)}")
        if is_there is False:
            ui.say(f"{expected} is not there: the log, or all of it since then, was written anew, or that was dropped")
    return _DIFFERS if chain.breaks or is_there is False else 0


def _result(chain: Chain) -> Iterator[str]:
    for item in chain.breaks:
        yield printable(f"{item.place}: {_why(item)}")
    followed = chain.entries - chain.older - len(chain.unlinked)
    if not chain.breaks:
        yield f"{_entries(followed)}, each as it was written behind the one before it"
    if chain.last:
        yield f"last hash: {chain.last}"


def _why(item: Break) -> str:
    if item.kind != "missing":
        return _WORDS[item.kind]
    if item.missing:
        return f"{', '.join(item.missing)}, which stood before it, is not there"
    return "what stood before it is not there, and no entry says that it was dropped"


def _notes(chain: Chain) -> Iterator[str]:
    if chain.dropped:
        yield f"{_entries(chain.dropped)} went with full files, as entries of its own say"
    if chain.older:
        yield f"the first {_entries(chain.older)}: an earlier version wrote them without hashes, so an edit there is not seen"
    if chain.unlinked:
        wrote = "an earlier version that still ran wrote them, or somebody else"
        yield f"{_entries(len(chain.unlinked))} without a hash: {wrote}: {_listed(chain.unlinked)}"
    if chain.anew:
        why = "another process kept the log to itself, or somebody wrote that"
        yield f"the chain begins anew: {why}: {_listed(chain.anew)}"
    if chain.torn:
        why = "a disk was full, or the machine went off"
        were = (
            "1 line was cut off when it was"
            if len(chain.torn) == 1
            else f"{len(chain.torn)} lines were cut off when they were"
        )
        yield f"{were} written: {why}: {_listed(chain.torn)}"


def _listed(places: Sequence[Place]) -> str:
    more = [f"and {len(places) - _SHOWN} more"] if len(places) > _SHOWN else []
    return ", ".join((*map(str, places[:_SHOWN]), *more))


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def _document(chain: Chain) -> dict[str, Any]:
    return {
        "entries": chain.entries,
        "older": chain.older,
        "dropped": chain.dropped,
        "breaks": [{**_place(item.place), "kind": item.kind, "missing": list(item.missing)} for item in chain.breaks],
        "unlinked": [*map(_place, chain.unlinked)],
        "anew": [*map(_place, chain.anew)],
        "torn": [*map(_place, chain.torn)],
        "last": chain.last,
    }


def _place(place: Place) -> dict[str, Any]:
    return {"file": place.file, "line": place.line, "time": place.time}
