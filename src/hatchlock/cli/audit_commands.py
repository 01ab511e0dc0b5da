"""`audit`."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from hatchlock import __version__
from hatchlock.cli.context import project_of
from hatchlock.cli.layout import table
from hatchlock.cli.ui import Ui, printable
from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.security.audit.model import Finding, State, Verdict
    from hatchlock.usecases.audit import Audit

__all__ = ["audit"]

REFUSED = 3
_SHOWN: dict[State, str] = {"unknown": "?", "not-applicable": "-"}


def audit(arguments: argparse.Namespace, ui: Ui) -> int:
    """Evaluate the checks; the exit status follows from what was found and `--fail-on`."""
    from hatchlock.usecases.audit import audit_project

    # also a store that other commands refuse: that it is one is what an audit has to say
    home = Home.locate(explicit=arguments.home, environ=os.environ)
    online = arguments.online and not arguments.offline
    found = audit_project(project_of(arguments, home=home), online=online, emit=ui.event)
    counting = found.at_least(arguments.fail_on) if arguments.fail_on != "never" else ()
    form = "json" if arguments.json else arguments.form
    if form == "sarif":
        from hatchlock.security.audit.sarif import sarif

        log = sarif(found.verdicts, found.places, manifest=found.manifest, version=__version__)
        ui.raw(json.dumps(log, indent=2))
    elif form == "json":
        ui.document(_document(found, arguments.fail_on, failed=bool(counting)))
    else:
        ui.result(_text(found, ui))
        if counting:
            ui.say(f"{_counted(len(counting), 'finding')} of level {arguments.fail_on} or worse")
    return REFUSED if counting else 0


def _text(found: Audit, ui: Ui) -> str:
    from hatchlock.security.audit.catalogue import state_of_point
    from hatchlock.security.audit.model import STATES
    from hatchlock.security.audit.points import CHECKLIST

    states = Counter(item.outcome.state for item in found.verdicts)
    points = [("POINT", "STATE", "")]
    points += [(point, state_of_point(point, found.verdicts), title) for point, title in CHECKLIST.items()]
    blocks = [f"project {found.project}, {_counted(len(found.servers), 'server')}", table(points)]
    if found.servers:
        blocks.append(_per_server(found))
    ordered = [item for state in STATES for item in found.verdicts if item.outcome.state == state]
    if not ui.verbose:
        ordered = [item for item in ordered if item.outcome.state != "not-applicable"]
    rows = table([("STATE", "CHECK", "POINTS", ""), *map(_row, ordered)]).splitlines()
    lines = [rows[0]]
    hidden = 0
    for row, verdict in zip(rows[1:], ordered, strict=True):
        lines.append(row)
        if verdict.outcome.unknown:
            lines.append(f"    cannot be evaluated: {printable(verdict.outcome.unknown)}")
        shown = [item for item in verdict.outcome.findings if item.level != "note" or ui.verbose]
        hidden += len(verdict.outcome.findings) - len(shown)
        lines += [line for item in shown for line in _finding(item, found)]
    blocks.append("\n".join(lines))
    counts = ", ".join(f"{states[state]} {_word(state)}" for state in STATES if states[state])
    notes = f"; {_counted(hidden, 'note')}, which -v shows" if hidden else ""
    blocks.append(f"{len(found.verdicts)} checks: {counts}{notes}")
    return "\n\n".join(blocks)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _word(state: State) -> str:
    words: dict[State, str] = {
        "fail": "fail",
        "warn": "warn",
        "unknown": "cannot be evaluated",
        "pass": "pass",
        "not-applicable": "have nothing to look at",
    }
    return words[state]


def _per_server(found: Audit) -> str:
    """A row for each server, with a column for each point of the checklist that says something of servers."""
    from hatchlock.security.audit.catalogue import state_of_point
    from hatchlock.security.audit.points import CHECKLIST

    states = {
        name: {point: state_of_point(point, found.verdicts, f"server:{name}") for point in CHECKLIST}
        for name in found.servers
    }
    columns = [point for point in CHECKLIST if any(states[name][point] != "not-applicable" for name in states)]
    rows = [("SERVER", *columns)]
    rows += [(name, *(_SHOWN.get(states[name][point], states[name][point]) for point in columns)) for name in states]
    return table(rows)


def _row(verdict: Verdict) -> tuple[str, ...]:
    state = verdict.outcome.state
    return (_SHOWN.get(state, state), verdict.check.id, " ".join(verdict.check.points), verdict.check.title)


def _finding(finding: Finding, found: Audit) -> list[str]:
    place = found.place(finding)
    where = f"  ({place})" if place else ""
    sign = "!" if finding.level != "note" else "·"
    lines = [f"    {sign} {finding.address}  {printable(finding.what)}{where}"]
    return [*lines, f"      {printable(finding.hint)}"] if finding.hint else lines


def _document(found: Audit, fail_on: str, *, failed: bool) -> dict[str, Any]:
    from hatchlock.security.audit.catalogue import state_of_point
    from hatchlock.security.audit.points import CHECKLIST, POINTS

    answered = {point for item in found.verdicts for point in item.check.points}
    return {
        "project": found.project,
        "fail_on": fail_on,
        "failed": failed,
        "points": {point: state_of_point(point, found.verdicts) for point in POINTS if point in answered},
        "servers": {
            name: {point: state_of_point(point, found.verdicts, f"server:{name}") for point in CHECKLIST}
            for name in found.servers
        },
        "checks": [_check(item, found) for item in found.verdicts],
    }


def _check(verdict: Verdict, found: Audit) -> dict[str, Any]:
    return {
        "id": verdict.check.id,
        "title": verdict.check.title,
        "points": list(verdict.check.points),
        "state": verdict.outcome.state,
        "unknown": verdict.outcome.unknown,
        "looked_at": list(verdict.outcome.looked_at),
        "findings": [
            {
                "address": item.address,
                "level": item.level,
                "what": item.what,
                "hint": item.hint,
                "place": str(found.place(item) or ""),
            }
            for item in verdict.outcome.findings
        ],
    }
