"""`quarantine`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from hatchlock.cli.context import home_of, project_name_of
from hatchlock.cli.layout import table
from hatchlock.cli.ui import Ui
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.quarantine import Cut

__all__ = ["quarantine"]


def quarantine(arguments: argparse.Namespace, ui: Ui) -> int:
    """Cut a server off and keep it from being started; or release it; or list those that are."""
    from hatchlock.usecases.quarantine import put_into_quarantine, release_server

    home, project, name = home_of(arguments), project_name_of(arguments), arguments.name
    if not name:
        if arguments.release or arguments.reason:
            raise UsageError(what="which server?", advice="name it: hatchlock quarantine NAME")
        return _list(arguments, ui)
    if arguments.release:
        found = release_server(home, project, name)
        if ui.json:
            ui.document({"released": asdict(found)})
        else:
            ui.result(f"{name} may be started again; it was {found}")
            if found.kept:
                ui.say(f"what was kept of it stays in {found.kept}")
            if found.stopped:
                ui.say(f"it is not started by that: `hatchlock start {name}`")
        return 0
    cut = put_into_quarantine(home, project, name, reason=arguments.reason)
    if ui.json:
        ui.document({**asdict(cut), "quarantine": asdict(cut.quarantine)})
    else:
        ui.result("\n".join(_lines(cut)))
        for what in cut.undone:
            ui.say(f"! not done: {what}")
    return 1 if cut.undone else 0


def _list(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.quarantine import quarantines

    project = project_name_of(arguments)
    found = quarantines(home_of(arguments), project)
    if ui.json:
        ui.document({"quarantine": [asdict(item) for item in found.values()]})
    elif found:
        rows = [("SERVER", "SINCE", "BY", "WHY", "")]
        rows += [(item.server, item.at, item.by, item.reason, item.kept) for item in found.values()]
        ui.result(table(rows))
    else:
        ui.say(f"no server of {project} is in quarantine")
    return 0


def _lines(cut: Cut) -> Iterator[str]:
    yield f"{cut.quarantine.server} is {cut.quarantine}"
    if cut.sessions:
        pids = ", ".join(map(str, cut.sessions))
        yield f"  killed   what served it (process {pids}), and {cut.processes} of its own"
    if cut.containers:
        yield f"  removed  {', '.join(cut.containers)}"
    if not cut.sessions and not cut.containers:
        yield "  nothing of it ran"
    yield f"  kept     {cut.quarantine.kept}"
