"""`apply`, `up`."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.cli.after_views import after_to_dict, older_lines
from hatchlock.cli.carrying import (
    counts,
    outcome_to_dict,
    pace_of,
    same_again,
    show_undone,
    show_unfinished,
    telling,
    undone_to_dict,
)
from hatchlock.cli.consent import asker, consent_of
from hatchlock.cli.context import changed_project, project_of
from hatchlock.cli.lock_views import change_lines, moved_text
from hatchlock.cli.plan_commands import moved_by, moved_since, selection_of, tell_problems
from hatchlock.cli.probe_command import tell_unkept
from hatchlock.cli.ui import Ui, error_to_dict
from hatchlock.errors import INTERRUPTED, RefusedError, UsageError
from hatchlock.events import Event

if TYPE_CHECKING:
    from hatchlock.events import Sink
    from hatchlock.reconcile.plan import Plan
    from hatchlock.reconcile.planfile import SavedPlan
    from hatchlock.usecases.apply import Applied
    from hatchlock.usecases.plan import Planned
    from hatchlock.usecases.probe import Probed
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.undo import Undone

__all__ = ["apply", "probe_line", "up"]


def apply(arguments: argparse.Namespace, ui: Ui) -> int:
    """Do what the plan says."""
    from hatchlock.reconcile.planfile import read_plan

    if arguments.plan and (arguments.only or arguments.replace):
        raise UsageError(
            what="a saved plan is applied as it is", advice="give --only and --replace to `hatchlock plan`"
        )
    saved = read_plan(Path(arguments.plan)) if arguments.plan else None
    return _apply(arguments, ui, project_of(arguments), saved)


def up(arguments: argparse.Namespace, ui: Ui) -> int:
    """Lock, plan, ask, apply."""
    from hatchlock.usecases.lock import lock_project

    with changed_project(arguments, ui) as project:
        result = lock_project(project, offline=arguments.offline, emit=ui.event)
    for line in change_lines(result.changes, verbose=arguments.verbose):
        ui.say(f"hatch.lock: {line}")
    try:
        return _apply(arguments, ui, project_of(arguments), None, is_told=bool(result.changes))
    except RefusedError:
        if result.written:
            ui.say("note: hatch.lock was written before; that stays, and nothing else was done")
        raise


def _apply(
    arguments: argparse.Namespace, ui: Ui, project: Project, saved: SavedPlan | None, *, is_told: bool = False
) -> int:
    from hatchlock.usecases.apply import apply_project
    from hatchlock.usecases.seen import after_change

    began = time.perf_counter()
    ask = asker(ui, "Apply this?")
    with telling(arguments, ui, project.home) as told:
        applied = apply_project(
            project,
            consent=consent_of(arguments),
            confirm=ask and (lambda planned: ask(_asked(planned, project, arguments))),
            saved=saved,
            selection=selection_of(arguments),
            bundle=Path(arguments.source) if getattr(arguments, "source", None) else None,
            takeover=arguments.takeover,
            offline=arguments.offline,
            lock_timeout=arguments.lock_timeout,
            undo=arguments.undo,
            pace=pace_of(arguments),
            emit=told.emit,
        )
        outcome = applied.outcome
        is_interrupted = outcome is not None and outcome.is_interrupted
        probed, is_cut = ([], False) if arguments.no_probe or is_interrupted else _probe_all(project, applied, ui)
        unhealthy = any(item.error and not item.skipped for item in probed)
        undone = _undone(project, applied, arguments, told.emit) if unhealthy and not is_cut else applied.undone
        facts = {"generation": applied.generation, "probes": [_probe_to_dict(item) for item in probed]}
        after = after_change(applied.planned.state)
        told.summary(
            {**outcome_to_dict(outcome), **facts, "rolled_back": undone_to_dict(undone), **after_to_dict(after)}
        )
        if not ui.json:
            if not ask and not is_told and (moved := _moved(applied, project, arguments)):
                ui.say(moved)
            _show_applied(applied, probed, ui, time.perf_counter() - began, arguments)
            for line in older_lines(after):
                ui.say(f"note: {line}")
            if undone:
                show_undone(undone, ui, debug=arguments.debug)
            elif unhealthy and arguments.undo and not is_cut:
                ui.say("note: nothing was applied before, so there is nothing to go back to; it stays as it is")
    if is_interrupted or is_cut:
        return INTERRUPTED
    is_partial = outcome is not None and not outcome.is_complete
    return 1 if is_partial or unhealthy or applied.planned.plan.problems else 0


def _asked(planned: Planned, project: Project, arguments: argparse.Namespace) -> str:
    moved = moved_text(moved_by(planned, project), verbose=arguments.verbose)
    return f"{planned.plan}\n\n{moved}" if moved else str(planned.plan)


def _moved(applied: Applied, project: Project, arguments: argparse.Namespace) -> str:
    """Return which versions have changed, for whoever has not seen the plan."""
    if not applied.generation or not applied.before:
        return ""
    return moved_text(moved_since(applied.before, applied.planned, project), verbose=arguments.verbose)


def _undone(project: Project, applied: Applied, arguments: argparse.Namespace, emit: Sink) -> Undone | None:
    """Go back, if that was asked for and there is something to go back to, since a server does not answer."""
    if not arguments.undo or not applied.before or applied.generation in {0, applied.before}:
        return None
    from hatchlock.usecases.undo import undo_applied

    return undo_applied(
        project,
        before=applied.before,
        consent=consent_of(arguments),
        offline=arguments.offline,
        lock_timeout=arguments.lock_timeout,
        emit=emit,
        pace=pace_of(arguments),
    )


def _show_applied(
    applied: Applied, probed: Iterable[Probed], ui: Ui, seconds: float, arguments: argparse.Namespace
) -> None:
    plan = applied.planned.plan
    outcome = applied.outcome
    tell_problems(plan, ui)
    if outcome is None:
        ui.result(f"{plan.summary} ({seconds:.2f} s)")
        _tell_partial(plan, ui)
        return
    show_unfinished(outcome, ui, debug=arguments.debug)
    again = same_again(arguments, "apply")
    if outcome.is_interrupted:
        ui.result(f"Interrupted: {counts(outcome)}; `{again}` goes on from there ({seconds:.2f} s)")
        return
    if not outcome.is_complete:
        ui.result(f"Applied in part: {counts(outcome)}; run `{again}` again when the cause is mended")
        return
    from hatchlock.reconcile.plan import because_of_drift

    done = f"{len(outcome.done)} done{because_of_drift(outcome.done)}"
    ui.result(f"Applied: {done}, {plan.unchanged} unchanged{plan.blocked} ({seconds:.2f} s)")
    _tell_partial(plan, ui)
    for note in (*sorted(_client_notes(applied)), *_tool_notes(applied, probed)):
        ui.say(f"note: {note}")


def _tool_notes(applied: Applied, probed: Iterable[Probed]) -> Iterator[str]:
    """What was applied and is refused all the same, or offers other tools than was meant, must not be found out by an application.

    What is pinned tells of every server, a probe of those without pins.
    """
    from hatchlock.usecases.surfaces import stale_notes
    from hatchlock.usecases.withheld import idle_notes, idle_sentences

    target = applied.planned.target
    yield from (f"server:{name}: {what}" for name, what in (*stale_notes(target), *idle_notes(target)))
    for item in probed:
        if item.result and item.surface is None:
            tools = [tool.name for tool in item.result.tools]
            yield from (f"server:{item.server}: {what}" for what in idle_sentences(item.unmatched, tools))


def _tell_partial(plan: Plan, ui: Ui) -> None:
    if plan.only:
        words = ", ".join(plan.only)
        ui.say(f"note: only {words}, so no generation was recorded; `hatchlock apply` does the rest")
    elif plan.problems:
        ui.say(
            "note: something cannot be planned, so no generation was recorded; the next apply of the whole records one"
        )


def _client_notes(applied: Applied) -> set[str]:
    from hatchlock.address import ResourceKind
    from hatchlock.clients.catalogue import CLIENTS

    touched = {step.address.name for step in applied.planned.plan.steps if step.address.kind is ResourceKind.CLIENT}
    return {
        f"{CLIENTS[entry.file.client].title}: {CLIENTS[entry.file.client].notes[entry.file.scope]}"
        for entry in applied.planned.target.entries
        if entry.address.name in touched and CLIENTS[entry.file.client].notes[entry.file.scope]
    }


def _probe_all(project: Project, applied: Applied, ui: Ui) -> tuple[list[Probed], bool]:
    """Probe the servers that changed, and return whether Ctrl-C has cut that short: what is applied stays so."""
    from hatchlock.usecases.probe import probe_as_declared, wanted_probes

    wanted = wanted_probes(project, applied.changed_servers)
    probed: list[Probed] = []
    try:
        for name, spec in wanted:
            ui.progress.heard(Event(name="probe.start", address=f"server:{name}"))
            probed.append(
                probe_as_declared(project.home, applied.planned.target.project, name, spec, environ=os.environ)
            )
            if not ui.json:
                ui.say(probe_line(probed[-1]))
            tell_unkept(probed[-1], ui)
    except KeyboardInterrupt:
        rest = ", ".join(name for name, _ in wanted[len(probed) :])
        ui.say(f"interrupted: not probed: {rest}; all steps are done, and `hatchlock probe NAME` does that")
        return probed, True
    return probed, False


def probe_line(probed: Probed) -> str:
    """Return what a probe gave, for people."""
    if probed.result and not probed.error:
        result = probed.result
        tools = ", ".join(tool.name for tool in result.tools) or "no tools"
        return f"  server:{probed.server}  answered in {result.seconds:.2f} s: {tools}"
    if probed.skipped and probed.error:
        return f"  server:{probed.server}  not probed: {probed.error}\n\nhint: {probed.error.hint}"
    hint = f"\n\nhint: {probed.error.hint}" if probed.error and probed.error.hint else ""
    return f"! server:{probed.server}  {probed.error}{hint}"


def _probe_to_dict(probed: Probed) -> dict[str, Any]:
    return {
        "server": probed.server,
        "healthy": probed.error is None,
        "skipped": probed.skipped,
        "tools": [tool.name for tool in probed.result.tools] if probed.result else [],
        "error": error_to_dict(probed.error) if probed.error else None,
    }
