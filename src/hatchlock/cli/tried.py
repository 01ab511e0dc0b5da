"""The second half of `try`: what it becomes once everything is ready. It serves, and when the session has ended it tidies up.

It is started as `python -I -m hatchlock.cli.tried STORE ID [--debug]`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.cli.trial_signals import SIGNALS, Signalled, heeding
from hatchlock.errors import HatchlockError, SystemProblem

if TYPE_CHECKING:
    from hatchlock.cli.ui import Ui
    from hatchlock.usecases.trial import Trial

__all__ = ["finish", "main"]

_SIGNALLED = 128


def main(words: list[str]) -> int:
    """Serve the trial of a store over stdin and stdout, and remove it; return the exit status, as `run` does."""
    from hatchlock.cli.context import opened_home
    from hatchlock.cli.ui import Ui
    from hatchlock.usecases.trial import end_trial, read_trial

    ui = Ui()
    try:
        trial = read_trial(opened_home(words[0]), words[1])
        status = 1
        try:
            heeding()  # until here they wait: whatever ends it from here on, it is removed
            status = _served(trial, ui, debug="--debug" in words)
        finally:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # it is going away, and nobody has to wait for it long
            try:
                status = finish(trial, status, ui)
            finally:  # also where nobody can be told anything: a terminal may be gone
                end_trial(trial, environ=os.environ)
    except Signalled as ended:
        return ended.status
    except (HatchlockError, OSError) as error:
        ui.error(SystemProblem.known(error))
        return 1
    return status


def _served(trial: Trial, ui: Ui, *, debug: bool) -> int:
    from hatchlock.cli.context import working_directory
    from hatchlock.security.secrets.resolve import MissingSecret
    from hatchlock.usecases.run import run

    workspace = Path(os.path.realpath(working_directory()))
    try:
        return run(trial.home, trial.project, trial.server, Path("/"), os.environ, workspace=workspace)
    except HatchlockError as error:
        if debug:
            raise
        if isinstance(error, MissingSecret):
            error.project = ""  # the trial's is gone in a moment
        ui.error(error)
        return error.exit_status


def finish(trial: Trial, status: int, ui: Ui) -> int:
    """Say what the sandbox has stopped, and add the server to the manifest if that was asked for and it went well.

    Returns:
        The exit status: what it was, or 1 if it could not be added.
    """
    with contextlib.suppress(BrokenPipeError):  # whoever started it may have gone
        if 0 < status < _SIGNALLED:
            ui.say(f"note: {trial.server} was only tried: it has no log, and no other command knows it")
        _tell_stopped(trial, ui)
        if trial.keep is None:
            return status
        if status != 0:
            ui.say(f"not kept: it ended with status {status}")
            return status
        return _kept(trial, ui)
    return status


def _tell_stopped(trial: Trial, ui: Ui) -> None:
    from hatchlock.security.denials import changes_of
    from hatchlock.usecases.denials import explained, stopped
    from hatchlock.usecases.run import find_record

    try:
        record = find_record(trial.home, trial.project, trial.server)
    except HatchlockError:
        return
    items = stopped(trial.home.project(trial.project), record)
    if not items:
        return
    ui.say(explained(items, record))
    network = changes_of((item.denial for item in items), record).get("network", ())
    if isinstance(network, (list, tuple)) and network:
        ui.say("to try it with that: " + " ".join(f"--network {host}" for host in network))


def _kept(trial: Trial, ui: Ui) -> int:
    from hatchlock.usecases.trial_keep import keep_trial

    try:
        written = keep_trial(trial, environ=os.environ, emit=ui.event)
    except (HatchlockError, OSError) as error:
        ui.error(SystemProblem.known(error))
        ui.say("not kept: the manifest and the lock are as they were")
        return 1
    ui.say(f"kept: + server:{trial.server} in {written}; `hatchlock apply` brings it to this machine")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
