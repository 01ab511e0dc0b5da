"""`plan`, `show`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.cli.context import project_of
from hatchlock.cli.ui import Ui, error_to_dict, printable
from hatchlock.errors import HatchlockError, UsageError

if TYPE_CHECKING:
    from hatchlock.reconcile.plan import Plan
    from hatchlock.reconcile.planfile import SavedPlan
    from hatchlock.reconcile.select import Selection
    from hatchlock.usecases.plan import Planned
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.standing import Note
    from hatchlock.usecases.version_moves import VersionMoves

__all__ = ["moved_by", "moved_since", "plan", "selection_of", "show", "tell_hints", "tell_problems"]

CHANGES = 2


def selection_of(arguments: argparse.Namespace) -> Selection | None:
    """Return what of a plan is wanted, as the command line says; None for all of it."""
    if not arguments.only and not arguments.replace:
        return None
    from hatchlock.reconcile.select import Selection

    return Selection(only=tuple(dict.fromkeys(arguments.only)), again=tuple(dict.fromkeys(arguments.replace)))


def plan(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what differs; with `--out` save it."""
    from hatchlock.usecases.audit_trail import note_plan
    from hatchlock.usecases.plan import make_plan
    from hatchlock.usecases.standing import server_notes

    if arguments.assume:
        return _plan_assumed(arguments, ui)
    if arguments.platform:
        raise UsageError(what="--platform is about a machine that is assumed", advice="give --assume LOCK as well")
    began = time.perf_counter()
    if arguments.out:
        _check_out(Path(arguments.out))
    project = project_of(arguments)
    planned = make_plan(project, selection=selection_of(arguments))
    note_plan(project.home.root, planned)
    notes = (*planned.notes, *server_notes(project, planned.target.listed, offline=arguments.offline))
    if arguments.out:
        from hatchlock.reconcile.planfile import SavedPlan, write_plan
        from hatchlock.usecases.saved import plan_bindings

        write_plan(Path(arguments.out), SavedPlan(plan=planned.plan, bindings=plan_bindings(project, planned)))
    if not ui.json:
        _tell_interrupted(planned, ui)
    took = f" ({time.perf_counter() - began:.2f} s)"
    _show(planned.plan, notes, arguments, ui, took=took, moves=moved_by(planned, project))
    if arguments.out and not ui.json:
        ui.say(" ".join([f"saved: hatchlock apply {arguments.out}", *planned.plan.consents]))
    elif planned.plan.consents and not ui.json:
        ui.say(f"note: this takes `hatchlock apply {' '.join(planned.plan.consents)}`")
    return _status(planned.plan, arguments)


def moved_by(planned: Planned, project: Project) -> VersionMoves:
    """Return which versions a whole plan changes."""
    from hatchlock.usecases.version_moves import NO_MOVES

    if not planned.plan.steps or planned.plan.only:
        return NO_MOVES
    return moved_since(planned.state.current(), planned, project)


def moved_since(number: int, planned: Planned, project: Project) -> VersionMoves:
    """Return which versions a project's lock has changed since a generation."""
    from hatchlock.usecases.version_moves import version_moves

    return version_moves(planned.state, number, project.lock_bytes or b"")


def _check_out(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise UsageError(what=f"--out {path}: there is no such directory")
    if path.is_dir():
        raise UsageError(what=f"--out {path}: it is a directory", advice="name a file in it")


def _plan_assumed(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.cli.markdown import code
    from hatchlock.usecases.assume import assumed_home, plan_from

    if arguments.out or arguments.only or arguments.replace:
        raise UsageError(
            what="what is assumed is planned as a whole, and applied nowhere",
            advice="leave out --out, --only and --replace",
        )
    project = project_of(arguments, home=assumed_home())
    assumed = plan_from(project, arguments.assume, platform=arguments.platform)
    if not ui.json:
        for note in (f"from a machine that is as {arguments.assume} says, for {assumed.platform}", *assumed.notes):
            ui.say(f"note: {printable(note)}")
    about = f"From a machine that is as {code(arguments.assume)} says, for {assumed.platform}"
    _show(assumed.plan, (), arguments, ui, about=about, moves=assumed.moves)
    return _status(assumed.plan, arguments)


def _show(
    plan: Plan,
    notes: Sequence[Note],
    arguments: argparse.Namespace,
    ui: Ui,
    *,
    took: str = "",
    about: str = "",
    moves: VersionMoves,
) -> None:
    if ui.json:
        from hatchlock.reconcile.planfile import plan_to_dict

        told = {"notes": [asdict(note) for note in notes], "versions": asdict(moves)}
        ui.document(plan_to_dict(plan) | told)
        return
    if arguments.markdown:
        from hatchlock.cli.plan_markdown import plan_markdown

        ui.result(plan_markdown(plan, notes=notes, about=about, moves=moves, verbose=arguments.verbose))
        return
    from hatchlock.cli.lock_views import moved_text

    moved = moved_text(moves, verbose=arguments.verbose)
    below = [f"\n{moved}"] if moved else []
    below += [f"! {note.address}  {note.what}" for note in notes]
    ui.result("\n".join([f"{plan}{'' if plan.steps else took}", *below]))
    tell_hints((problem.hint for problem in plan.problems), ui)


def _status(plan: Plan, arguments: argparse.Namespace) -> int:
    if plan.problems:
        return 1
    return CHANGES if arguments.check and plan.steps else 0


def _tell_interrupted(planned: Planned, ui: Ui) -> None:
    if planned.interrupted:
        ui.say(f"note: {planned.interrupted.told}")


def tell_problems(plan: Plan, ui: Ui) -> None:
    """Say what could not be planned, and how it can be mended, each hint once."""
    for problem in plan.problems:
        ui.say(f"{problem.address}: {problem.what}")
    tell_hints((problem.hint for problem in plan.problems), ui)


def tell_hints(hints: Iterable[str], ui: Ui) -> None:
    """Say how something can be mended, each hint once."""
    for hint in dict.fromkeys(filter(None, hints)):
        ui.say(f"\nhint: {hint}")


def show(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print a saved plan; where it stands in its project, also what has changed since."""
    from hatchlock.reconcile.planfile import plan_to_dict, read_plan

    saved = read_plan(Path(arguments.plan))
    stale = _staleness(saved, arguments)
    if ui.json:
        told = error_to_dict(stale) if stale else None
        ui.document(plan_to_dict(saved.plan) | {"bindings": dict(saved.bindings), "stale": told})
        return 0
    ui.result(str(saved.plan))
    if stale:
        ui.say(f"\nnote: it cannot be applied any more: {stale}")
    return 0


def _staleness(saved: SavedPlan, arguments: argparse.Namespace) -> HatchlockError | None:
    """Return why a plan would be refused here; None if it would not, or is of another project."""
    from hatchlock.usecases.plan import make_plan
    from hatchlock.usecases.project import NoManifest
    from hatchlock.usecases.saved import saved_selection, staleness

    try:
        project = project_of(arguments)
        if str(project.directory) != saved.bindings.get("directory"):
            return None
        return staleness(saved, project, make_plan(project, selection=saved_selection(saved)))
    except NoManifest:
        return None
    except HatchlockError as error:
        return error  # there is nothing to compare it with: no lock, no engine
