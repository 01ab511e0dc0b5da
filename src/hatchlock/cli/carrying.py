"""What `apply`, `rollback` and their like say of the steps that they do, and where they say it."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.cli.log import logged
from hatchlock.cli.ui import JSON_FORMAT, Ui, error_to_dict
from hatchlock.errors import HatchlockError, SystemProblem, UsageError
from hatchlock.events import Event, Sink, event_to_dict

if TYPE_CHECKING:
    from hatchlock.paths import Home
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.state.runlog import LineWriter
    from hatchlock.usecases.carry_out import Pace
    from hatchlock.usecases.undo import Undone

__all__ = [
    "Telling",
    "counts",
    "outcome_to_dict",
    "pace_of",
    "same_again",
    "show_undone",
    "show_unfinished",
    "telling",
    "undone_to_dict",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """Where a command tells of what it does: the terminal or stdout, the store's event log, and the file of `--events`.

    Attributes:
        emit: Takes events.
    """

    emit: Sink
    _ui: Ui
    _file: LineWriter | None

    def summary(self, document: Mapping[str, Any]) -> None:
        """Tell programs how it ended: the last line."""
        line = {"event": "summary", **document}
        if self._ui.json:
            self._ui.line(line)
        if self._file:
            self._file.write({"format_version": JSON_FORMAT, **line})


@contextlib.contextmanager
def telling(arguments: argparse.Namespace, ui: Ui, home: Home) -> Iterator[Telling]:
    """Open what a command tells of its steps. An error that ends the block is told in the file too.

    Raises:
        UsageError: `--events` names a directory, or a file in none; nothing was done.
        OSError: The file of `--events` cannot be written to; nothing was done.
    """

    def show(event: Event) -> None:
        # whoever looked on has gone: that is no reason to leave the world half-way
        with contextlib.suppress(OSError):
            ui.event(event)

    if not arguments.events:
        yield Telling(emit=logged(show, home, arguments.command), _ui=ui, _file=None)
        return
    from hatchlock.state.runlog import LineWriter

    path = Path(arguments.events)
    if path.is_dir():
        raise UsageError(what=f"--events {path}: it is a directory", advice="name a file in it")
    if not path.parent.is_dir():
        raise UsageError(what=f"--events {path}: there is no directory {path.parent}", advice="make it first")
    with contextlib.closing(LineWriter(path)) as file:

        def write(event: Event) -> None:
            file.write({"format_version": JSON_FORMAT, **event_to_dict(event)})
            show(event)

        try:
            yield Telling(emit=logged(write, home, arguments.command), _ui=ui, _file=file)
        except (HatchlockError, OSError) as error:
            file.write({"format_version": JSON_FORMAT, "error": error_to_dict(SystemProblem.known(error))})
            raise
        if file.problem:
            ui.say(f"note: {arguments.events} lacks events, since it could not be written to: {file.problem}")


def pace_of(arguments: argparse.Namespace) -> Pace:
    """Return how the steps are to be done."""
    from hatchlock.usecases.carry_out import USUAL, Pace

    return Pace(jobs=arguments.jobs or USUAL.jobs, fail_fast=arguments.fail_fast)


def counts(outcome: Outcome) -> str:
    """Return how many steps ended how."""
    return f"{len(outcome.done)} done, {len(outcome.failed)} failed, {len(outcome.not_started)} not started"


def show_unfinished(outcome: Outcome, ui: Ui, *, debug: bool = False) -> None:
    """Tell people of each step that failed, and why, and of each that was not started.

    Args:
        outcome: What became of the steps.
        ui: Where.
        debug: Show where in our code a step failed.
    """
    from hatchlock.usecases.taken_back import at_once

    for error in at_once(outcome.failed):
        ui.say("")
        ui.error(error)
        if debug:
            ui.say("".join(traceback.format_exception(error)).rstrip())
    if outcome.failed and outcome.not_started:
        ui.say("")
    absent = {step.address for step, _ in outcome.failed} | {step.address for step in outcome.not_started}
    for step in outcome.not_started:
        waits = ", ".join(str(address) for address in step.depends_on if address in absent)
        ui.say(f"  {step.address}  not started{f': it needs {waits}' if waits else ''}")


def same_again(arguments: argparse.Namespace, *words: str) -> str:
    """Return the command that goes on with what this one did not finish.

    Args:
        arguments: Of this one.
        words: The command and its own words.
    """
    directory = arguments.directory if arguments.directory != "." else None
    where = [("-C", directory), ("--manifest", arguments.manifest), ("--home", arguments.home)]
    before = [word for option, value in where if value for word in (option, str(value))]
    chosen = [word for value in getattr(arguments, "only", ()) for word in ("--only", value)]
    consents = [f"--allow-{name}" for name in ("destructive", "privileged", "mass-removal") if _given(arguments, name)]
    everywhere = ["-g"] if arguments.use_global else []
    return shlex.join(["hatchlock", *before, *everywhere, *words, *chosen, *consents])


def _given(arguments: argparse.Namespace, name: str) -> bool:
    return bool(getattr(arguments, f"allow_{name.replace('-', '_')}", False))


def outcome_to_dict(outcome: Outcome | None) -> dict[str, Any]:
    """Return what became of the steps, as JSON values; of no steps if there were none."""
    if outcome is None:
        return {"done": [], "failed": [], "not_started": [], "interrupted": False}
    return {
        "done": [str(step.address) for step in outcome.done],
        "failed": [{"step": str(step.address), **error_to_dict(error)} for step, error in outcome.failed],
        "not_started": [str(step.address) for step in outcome.not_started],
        "interrupted": outcome.is_interrupted,
    }


def show_undone(undone: Undone, ui: Ui, *, debug: bool = False) -> None:
    """Tell people how an apply that failed was undone, or why it was not.

    Args:
        undone: How.
        ui: Where.
        debug: Show where in our code a step failed.
    """
    where = f"generation {undone.generation}" if undone.generation else "nothing at all"
    if undone.problem:
        ui.say("")
        ui.error(undone.problem)
        ui.result(f"Not rolled back to {where}, for the reason above")
        return
    for sentence in undone.beyond:
        ui.say(f"note: {sentence}")
    if undone.outcome is None:
        ui.result(f"Rolled back to {where}: there was nothing to undo")
        return
    show_unfinished(undone.outcome, ui, debug=debug)
    ui.result(f"Rolled back{'' if undone.is_back else ' in part'} to {where}: {counts(undone.outcome)}")


def undone_to_dict(undone: Undone | None) -> dict[str, Any] | None:
    """Return how an apply was undone, as JSON values; None if it was not."""
    if undone is None:
        return None
    return {
        **outcome_to_dict(undone.outcome),
        "generation": undone.generation,
        "beyond": list(undone.beyond),
        "error": error_to_dict(undone.problem) if undone.problem else None,
    }
