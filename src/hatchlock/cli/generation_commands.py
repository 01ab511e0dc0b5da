"""`history`, `rollback`, `destroy`."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hatchlock.cli.after_views import after_to_dict, older_lines
from hatchlock.cli.carrying import counts, outcome_to_dict, pace_of, same_again, show_unfinished, telling
from hatchlock.cli.consent import asker, consent_of
from hatchlock.cli.context import home_of, project_of
from hatchlock.cli.layout import table
from hatchlock.cli.plan_commands import tell_problems
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import INTERRUPTED

if TYPE_CHECKING:
    from hatchlock.usecases.destroy import Destroyed, Ruin
    from hatchlock.usecases.garbage import Item
    from hatchlock.usecases.history import History, Past
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.rollback import Return, RolledBack

__all__ = ["destroy", "history", "rollback"]

_SHOWN_CHANGES = 3


def history(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print the generations of the project, or one of them."""
    from hatchlock.usecases.history import project_history

    found = project_history(project_of(arguments), arguments.number)
    if ui.json:
        generations = [_past_to_dict(item) for item in found.generations]
        unreadable = [
            {"number": item.number, "path": item.error.path, "why": item.error.why} for item in found.unreadable
        ]
        document = {"project": found.project, "current": found.current, "held": found.held, "generations": generations}
        ui.document({**document, "unreadable": unreadable})
    elif arguments.number is not None:
        ui.result(_one(found.generations[0]))
    else:
        ui.result(_overview(found))
        for item in found.unreadable:
            ui.say(f"note: generation {item.number} is left out: {printable(str(item.error))}\nhint: {item.error.hint}")
    return 0


def _overview(found: History) -> str:
    if not found.generations:
        from hatchlock.usecases.generations import none_yet

        return f"project {found.project}: {none_yet(is_begun=found.is_begun)}"
    held = f", held at generation {found.held} since a rollback" if found.held else ""
    rows: list[tuple[str, ...]] = [("", "GENERATION", "WHEN", "HATCHLOCK", "CHANGES", "")]
    rows += [_row(item) for item in found.generations]
    return f"project {found.project}{held}\n\n{table(rows)}"


def _when(item: Past) -> str:
    from hatchlock.state.stamps import in_utc

    return in_utc(item.generation.when) or "unknown"


def _row(item: Past) -> tuple[str, ...]:
    changes = [str(change) for change in item.changes]
    more = f", {len(changes) - _SHOWN_CHANGES} more" if len(changes) > _SHOWN_CHANGES else ""
    generation = item.generation
    return (
        "*" if item.is_current else "",
        str(generation.number),
        _when(item),
        generation.hatchlock or "unknown",
        (", ".join(changes[:_SHOWN_CHANGES]) + more) or "none of servers and packages",
        f"runs: {', '.join(item.sessions)}" if item.sessions else "",
    )


def _one(item: Past) -> str:
    generation = item.generation
    counts = ", ".join(f"{number} to {action}" for action, number in generation.counts.items() if number)
    facts = [
        ("applied", _when(item)),
        ("by hatchlock", generation.hatchlock or "unknown"),
        ("lock", f"sha256:{generation.lock}" if generation.lock else "unknown"),
        ("steps", counts or ("none" if generation.counts else "unknown")),
        ("servers", ", ".join(generation.servers) or "none"),
        ("running", ", ".join(item.sessions) or "none"),
    ]
    head = f"generation {generation.number}{', the current one' if item.is_current else ''}"
    lines = [head, *(f"  {line}" for line in table(facts).split("\n"))]
    return "\n".join([*lines, "", *(str(change) for change in item.changes)]) if item.changes else "\n".join(lines)


def _past_to_dict(item: Past) -> dict[str, Any]:
    generation = item.generation
    changes = [
        {"sign": change.sign, "what": change.what, "before": change.before, "after": change.after}
        for change in item.changes
    ]
    return {
        "number": generation.number,
        "when": generation.when,
        "hatchlock": generation.hatchlock,
        "lock": generation.lock,
        "servers": list(generation.servers),
        "counts": dict(generation.counts),
        "current": item.is_current,
        "sessions": list(item.sessions),
        "changes": changes,
    }


def rollback(arguments: argparse.Namespace, ui: Ui) -> int:
    """Go back to what an earlier apply left."""
    from hatchlock.usecases.rollback import roll_back
    from hatchlock.usecases.seen import after_change

    began = time.perf_counter()
    project = project_of(arguments)
    ask = asker(ui, "Roll back?")
    with telling(arguments, ui, project.home) as told:
        done = roll_back(
            project,
            arguments.number,
            consent=consent_of(arguments),
            confirm=ask and (lambda way: ask(_way(way))),
            show=None if ui.json else lambda way: ui.say(f"{_way(way)}\n"),
            offline=arguments.offline,
            lock_timeout=arguments.lock_timeout,
            emit=told.emit,
            pace=pace_of(arguments),
        )
        facts = {"generation": done.way.number, "beyond": list(done.way.beyond)}
        after = after_change(done.way.planned.state)
        told.summary({**outcome_to_dict(done.outcome), **facts, **after_to_dict(after)})
        if not ui.json:
            _show_rolled_back(done, ui, time.perf_counter() - began, arguments)
            for line in older_lines(after):
                ui.say(f"note: {line}")
    if done.outcome is not None and done.outcome.is_interrupted:
        return INTERRUPTED
    return 0 if done.is_there else 1


def _way(way: Return) -> str:
    lines = [f"Back to generation {way.number}:", "", str(way.planned.plan)]
    return "\n".join([*lines, *(f"! {sentence}" for sentence in way.beyond)])


def _show_rolled_back(done: RolledBack, ui: Ui, seconds: float, arguments: argparse.Namespace) -> None:
    way, plan, outcome = done.way, done.way.planned.plan, done.outcome
    tell_problems(plan, ui)
    if outcome is None:
        ui.result(f"Nothing to do: the project is at generation {way.number} ({seconds:.2f} s)")
        return
    for sentence in way.beyond:
        ui.say(f"note: {sentence}")
    show_unfinished(outcome, ui, debug=arguments.debug)
    again = same_again(arguments, "rollback", str(way.number))
    if outcome.is_interrupted:
        ui.result(f"Interrupted: {counts(outcome)}{plan.blocked}; `{again}` goes on from there ({seconds:.2f} s)")
        return
    if not done.is_there:
        then = f"run `{again}` again when the cause is mended"
        ui.result(f"Rolled back in part: {counts(outcome)}{plan.blocked}; {then}")
        return
    ui.result(f"Rolled back to generation {way.number}: {len(outcome.done)} done ({seconds:.2f} s)")
    if way.planned.state.generations.held():
        ui.say("note: `hatchlock apply` goes on from there to what the lock says")


def destroy(arguments: argparse.Namespace, ui: Ui) -> int:
    """Remove everything of the project."""
    from hatchlock.usecases.consent import Consent
    from hatchlock.usecases.destroy import destroy_project

    began = time.perf_counter()
    project = _doomed(arguments)
    ask = asker(ui, "Destroy this?")
    with telling(arguments, ui, project.home) as told:
        done = destroy_project(
            project,
            consent=Consent(yes=arguments.yes, destructive=arguments.allow_destructive),
            confirm=ask and (lambda ruin: ask(_ruin(ruin))),
            show=None if ui.json else lambda ruin: ui.say(f"{_ruin(ruin)}\n"),
            stop_sessions=arguments.stop_sessions,
            lock_timeout=arguments.lock_timeout,
            emit=told.emit,
            pace=pace_of(arguments),
        )
        removed = [{"kind": item.kind, "name": item.name, "bytes": item.size} for item in done.items]
        kept = [{"name": item.name, "why": item.why} for item in done.kept]
        told.summary({**outcome_to_dict(done.outcome), "project": done.ruin.project, "removed": removed, "kept": kept})
        if not ui.json:
            _show_destroyed(done, ui, time.perf_counter() - began, arguments)
    if done.outcome is not None and done.outcome.is_interrupted:
        return INTERRUPTED
    return 0 if done.is_gone else 1


def _doomed(arguments: argparse.Namespace) -> Project:
    """The directory of a project that is named may be gone, with its manifest; what it has on this machine is not."""
    from hatchlock.usecases.named_project import open_named

    if not arguments.project or arguments.manifest or arguments.use_global:
        return project_of(arguments)
    return open_named(arguments.project, home=home_of(arguments), environ=os.environ)


def _ruin(ruin: Ruin) -> str:
    lines = [str(ruin.planned.plan)] if ruin.planned.plan.steps else []
    if ruin.items:
        lines += [*([""] if lines else []), "And then:", *(f"- {line}" for line in _rest(ruin.items))]
    if ruin.sessions:
        lines += ["", f"Servers that run are ended: {', '.join(session.server for session in ruin.sessions)}"]
    return "\n".join(lines) or f"What is known of the project {ruin.project}"


def _rest(items: Iterable[Item]) -> list[str]:
    items = list(items)
    rows = [f"{item.kind} {item.name}" for item in items if item.kind != "generation"]
    numbers = [item.name for item in items if item.kind == "generation"]
    return [*rows, *([f"generation {', '.join(numbers)}"] if numbers else [])]


def _show_kept(done: Destroyed, ui: Ui) -> None:
    for item in done.kept:
        ui.say(f"left alone: {item.name}: {item.why}")


def _but(done: Destroyed) -> str:
    return " but what was left alone" if done.kept else ""


def _show_destroyed(done: Destroyed, ui: Ui, seconds: float, arguments: argparse.Namespace) -> None:
    ruin, outcome = done.ruin, done.outcome
    tell_problems(ruin.planned.plan, ui)
    if outcome is None:
        _show_kept(done, ui)
        ui.result(f"Nothing to do: there is nothing of the project {ruin.project}{_but(done)}")
        return
    show_unfinished(outcome, ui, debug=arguments.debug)
    _show_kept(done, ui)
    if not done.is_gone:
        how = "Interrupted" if outcome.is_interrupted else "Destroyed in part"
        again = f"`{same_again(arguments, 'destroy')}` goes on from there"
        ui.result(f"{how}: {counts(outcome)}{ruin.planned.plan.blocked}; {again}")
        return
    for line in _rest(done.items):
        ui.say(f"  {line}  deleted")
    ui.result(f"Destroyed: nothing of the project {ruin.project} is left{_but(done)} ({seconds:.2f} s)")
    ui.say("note: environments and fetched files stay in the store until `hatchlock gc` and `hatchlock cache gc`")
    if done.was_imported:
        ui.say(
            "note: what `hatchlock import` has read is forgotten: import it again before you apply this project again"
        )
