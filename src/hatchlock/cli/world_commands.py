"""`plan`, `show`, `apply`, `up`, `status`, `doctor`."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.cli.consent import asker
from hatchlock.cli.context import home_of, project_of
from hatchlock.cli.layout import table
from hatchlock.cli.log import logged
from hatchlock.cli.ui import Ui, error_to_dict
from hatchlock.errors import HatchlockError, SystemProblem, UsageError
from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.reconcile.planfile import SavedPlan
    from hatchlock.usecases.apply import Applied
    from hatchlock.usecases.denials import Stopped
    from hatchlock.usecases.plan import Planned
    from hatchlock.usecases.probe import Probed
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.status import EnvironmentStatus, ServerStatus

__all__ = ["apply", "doctor", "plan", "show", "status", "up"]

CHANGES = 2


def plan(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what differs; with `--out` save it."""
    from hatchlock.usecases.plan import make_plan, plan_bindings
    from hatchlock.usecases.standing import server_notes

    began = time.perf_counter()
    if arguments.out and not Path(arguments.out).absolute().parent.is_dir():
        raise UsageError(what=f"--out {arguments.out}: there is no such directory")
    project = project_of(arguments)
    planned = make_plan(project)
    notes = (*planned.notes, *server_notes(project, planned.target.listed, offline=arguments.offline))
    if arguments.out:
        from hatchlock.reconcile.planfile import SavedPlan, write_plan

        bindings = plan_bindings(project, planned.target)
        write_plan(Path(arguments.out), SavedPlan(plan=planned.plan, bindings=bindings))
    if ui.json:
        from hatchlock.reconcile.planfile import plan_to_dict

        ui.document(plan_to_dict(planned.plan) | {"notes": [asdict(note) for note in notes]})
    else:
        _tell_interrupted(planned, ui)
        took = f" ({time.perf_counter() - began:.2f} s)" if not planned.plan.steps else ""
        ui.result("\n".join([f"{planned.plan}{took}", *(f"! {note.address}  {note.what}" for note in notes)]))
        _tell_problems(planned, ui)
        if arguments.out:
            ui.say(f"saved: hatchlock apply {arguments.out}")
    if planned.plan.problems:
        return 1
    return CHANGES if arguments.check and planned.plan.steps else 0


def _tell_interrupted(planned: Planned, ui: Ui) -> None:
    left = planned.interrupted
    if left:
        unfinished = f", in the middle of {', '.join(left.running)}" if left.running else ""
        ui.say(f"note: an apply begun {left.began} did not finish{unfinished}; `hatchlock apply` goes on from here")


def _tell_problems(planned: Planned, ui: Ui) -> None:
    hints = dict.fromkeys(problem.hint for problem in planned.plan.problems if problem.hint)
    for hint in hints:
        ui.say(f"\nhint: {hint}")


def show(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print a saved plan."""
    from hatchlock.reconcile.planfile import plan_to_dict, read_plan

    saved = read_plan(Path(arguments.plan))
    if ui.json:
        ui.document(plan_to_dict(saved.plan) | {"bindings": dict(saved.bindings)})
    else:
        ui.result(str(saved.plan))
    return 0


def apply(arguments: argparse.Namespace, ui: Ui) -> int:
    """Do what the plan says."""
    from hatchlock.reconcile.planfile import read_plan

    saved = read_plan(Path(arguments.plan)) if arguments.plan else None
    return _apply(arguments, ui, project_of(arguments), saved)


def up(arguments: argparse.Namespace, ui: Ui) -> int:
    """Lock, plan, ask, apply."""
    from hatchlock.usecases.lock import lock_project

    result = lock_project(project_of(arguments), offline=arguments.offline, emit=ui.event)
    for change in result.changes:
        ui.say(f"hatch.lock: {change}")
    return _apply(arguments, ui, project_of(arguments), None)


def _apply(arguments: argparse.Namespace, ui: Ui, project: Project, saved: SavedPlan | None) -> int:
    from hatchlock.usecases.apply import Consent, apply_project

    began = time.perf_counter()
    ask = asker(ui, "Apply this?")
    emit = logged(ui.event, project.home, arguments.command)
    applied = apply_project(
        project,
        consent=Consent(
            yes=arguments.yes or saved is not None,
            destructive=arguments.allow_destructive,
            privileged=arguments.allow_privileged,
            mass_removal=arguments.allow_mass_removal,
        ),
        confirm=ask and (lambda planned: ask(str(planned.plan))),
        saved=saved,
        bundle=Path(arguments.source) if getattr(arguments, "source", None) else None,
        takeover=arguments.takeover,
        offline=arguments.offline,
        lock_timeout=arguments.lock_timeout,
        emit=emit,
    )
    probed = [] if arguments.no_probe else _probe_all(applied, arguments, ui)
    if ui.json:
        ui.line({"event": "summary", **_summary(applied), "probes": [_probe_to_dict(item) for item in probed]})
    else:
        _show_applied(applied, ui, time.perf_counter() - began)
    failed = applied.outcome is not None and (applied.outcome.failed or applied.outcome.not_started)
    unhealthy = any(item.error and not item.skipped for item in probed)
    return 1 if failed or unhealthy or applied.planned.plan.problems else 0


def _show_applied(applied: Applied, ui: Ui, seconds: float) -> None:
    plan = applied.planned.plan
    outcome = applied.outcome
    for problem in plan.problems:
        ui.say(f"{problem.address}: {problem.what}")
    _tell_problems(applied.planned, ui)
    if outcome is None:
        ui.result(f"{plan.summary} ({seconds:.2f} s)")
        return
    for step, error in outcome.failed:
        ui.say("")
        ui.error(_with_address(error, str(step.address)))
    if outcome.failed:
        counts = f"{len(outcome.done)} done, {len(outcome.failed)} failed, {len(outcome.not_started)} not started"
        ui.result(f"Applied in part: {counts}; run `hatchlock apply` again when the cause is mended")
        return
    ui.result(f"Applied: {len(outcome.done)} done, {plan.unchanged} unchanged{plan.blocked} ({seconds:.2f} s)")
    for note in sorted(_client_notes(applied)):
        ui.say(f"note: {note}")


def _with_address(error: HatchlockError | OSError, address: str) -> HatchlockError:
    if isinstance(error, OSError):
        return SystemProblem.of(error, address=address)
    error.address = error.address or address
    return error


def _client_notes(applied: Applied) -> set[str]:
    from hatchlock.address import ResourceKind
    from hatchlock.clients.catalogue import CLIENTS

    touched = {step.address.name for step in applied.planned.plan.steps if step.address.kind is ResourceKind.CLIENT}
    return {
        f"{CLIENTS[entry.file.client].title}: {CLIENTS[entry.file.client].notes[entry.file.scope]}"
        for entry in applied.planned.target.entries
        if entry.address.name in touched
    }


def _summary(applied: Applied) -> dict[str, Any]:
    outcome = applied.outcome
    if outcome is None:
        return {"done": [], "failed": [], "not_started": [], "generation": applied.generation}
    return {
        "done": [str(step.address) for step in outcome.done],
        "failed": [error_to_dict(_with_address(error, str(step.address))) for step, error in outcome.failed],
        "not_started": [str(step.address) for step in outcome.not_started],
        "generation": applied.generation,
    }


def _probe_all(applied: Applied, arguments: argparse.Namespace, ui: Ui) -> list[Probed]:
    from hatchlock.usecases.probe import probe_server

    home, project = home_of(arguments), applied.planned.target.project
    probed = []
    for name in applied.changed_servers:
        found = probe_server(home, project, name, environ=os.environ)
        probed.append(found)
        if not ui.json:
            ui.say(probe_line(found))
    return probed


def probe_line(probed: Probed) -> str:
    """Return what a probe gave, for people."""
    if probed.result:
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
        "healthy": probed.result is not None,
        "skipped": probed.skipped,
        "tools": [tool.name for tool in probed.result.tools] if probed.result else [],
        "error": error_to_dict(probed.error) if probed.error else None,
    }


def status(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print sync and health of each server, or the project's images."""
    if arguments.what == "images":
        from hatchlock.cli.gc_commands import status_images

        return status_images(arguments, ui)
    from hatchlock.usecases.status import project_status

    found = project_status(project_of(arguments), offline=arguments.offline, check_secrets=arguments.check_secrets)
    if ui.json:
        servers = [
            {
                "name": item.name,
                "runtime": item.runtime,
                "sync": item.sync,
                "health": item.health,
                "detail": item.detail,
                "trust": item.trust,
                "sandbox": item.sandbox,
                "relaxations": list(item.relaxations),
                "stopped": [_stopped_to_dict(what) for what in item.stopped],
                "restart": item.restart,
            }
            for item in found.servers
        ]
        environments = [asdict(item) for item in found.environments]
        ui.document(
            {
                "project": found.project,
                "generation": found.generation,
                "servers": servers,
                "environments": environments,
                "notes": [asdict(note) for note in found.notes],
            }
        )
        return 0
    if found.interrupted:
        ui.say(f"note: an apply did not finish: {found.interrupted}")
    rows = [("SERVER", "RUNTIME", "SYNC", "HEALTH", "")]
    rows += [(item.name, item.runtime, item.sync, item.health, _labelled(item)) for item in found.servers]
    blocks = [f"project {found.project}, generation {found.generation}", table(rows)]
    if profiles := [line for item in found.servers if item.sandbox for line in _sandbox_lines(item)]:
        blocks.append("\n".join(["SANDBOX", *profiles]))
    if stopped := [f"{what.when}  {what.explanation}" for item in found.servers for what in item.stopped]:
        blocks.append("\n".join(["STOPPED BY THE SANDBOX", *stopped]))
    if found.environments:
        others = [("ENVIRONMENT", "RUNTIME", "SYNC", "")]
        others += [(item.name, item.runtime, item.sync, _labelled(item)) for item in found.environments]
        blocks.append(table(others))
    if found.notes:
        blocks.append("\n".join(f"! {note.address}  {note.what}" for note in found.notes))
    ui.result("\n\n".join(blocks))
    return 0


def _stopped_to_dict(what: Stopped) -> dict[str, str]:
    denial = what.denial
    return {
        "kind": denial.kind,
        "what": denial.what,
        "at": denial.at,
        "when": what.when,
        "sentence": what.sentence,
        "permit": what.permit,
    }


def _sandbox_lines(item: ServerStatus) -> list[str]:
    return [f"{item.name}  {item.sandbox}", *(f"    ! {note}" for note in item.relaxations)]


def _labelled(item: ServerStatus | EnvironmentStatus) -> str:
    """The last cell of a row, which is one line, however many a reason has."""
    label = f"[{item.trust}]" if item.trust else ""
    restart = getattr(item, "restart", "")  # environments do not run
    text = " ".join(word for word in (label, *map(str.strip, item.detail.splitlines())) if word)
    return "; ".join(part for part in (text, restart) if part)


def doctor(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what is missing on this machine. Missing things that only some servers need are no error."""
    from hatchlock.usecases.doctor import diagnose

    home = Home.locate(explicit=arguments.home, environ=os.environ)  # even one that other commands refuse
    checks = diagnose(home, os.environ, pythons=_locked_pythons(arguments))
    if ui.json:
        documents = [
            {"name": item.name, "state": item.state, "found": item.found, "mend": item.mend} for item in checks
        ]
        ui.document({"checks": documents})
    else:
        for item in checks:
            ui.result(
                f"{item.state:<8}{item.name}: {item.found}" + (f"\n        mend: {item.mend}" if item.mend else "")
            )
    return 1 if any(item.state == "bad" for item in checks) else 0


def _locked_pythons(arguments: argparse.Namespace) -> tuple[str, ...]:
    from hatchlock.usecases.inspect import read_project_lock

    try:
        lock = read_project_lock(project_of(arguments))
    except HatchlockError:
        return ()  # outside a project there is nothing in particular to look for
    return tuple(sorted({item.python for item in lock.environments if item.python and item.runtime == "process"}))
