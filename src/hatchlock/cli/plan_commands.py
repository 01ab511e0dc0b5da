"""`plan`, `show`."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.cli.context import project_of
from hatchlock.cli.ui import Ui
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.plan import Planned

__all__ = ["plan", "show", "tell_problems"]

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
        tell_problems(planned, ui)
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


def tell_problems(planned: Planned, ui: Ui) -> None:
    """Say how what could not be planned can be mended, each hint once."""
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
