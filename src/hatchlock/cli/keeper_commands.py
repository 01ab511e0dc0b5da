"""`start`, `stop`, `restart`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from hatchlock.cli.context import home_of, project_name_of
from hatchlock.cli.ui import Ui

if TYPE_CHECKING:
    from hatchlock.usecases.keepers import Changed

__all__ = ["KEEPER_ARGUMENTS", "restart", "start", "stop"]

_NOTHING = {"start": "runs already", "stop": "did not run"}


def _names(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="servers that stay; all of them if not said")


KEEPER_ARGUMENTS = dict.fromkeys(("start", "stop", "restart"), _names)


def start(arguments: argparse.Namespace, ui: Ui) -> int:
    """Start servers that stay, also those that were stopped by hand."""
    from hatchlock.usecases.keepers import start as start_servers

    return _tell(
        start_servers(home_of(arguments), project_name_of(arguments), arguments.names, os.environ), "start", ui
    )


def stop(arguments: argparse.Namespace, ui: Ui) -> int:
    """Stop servers that stay, until they are started by hand."""
    from hatchlock.usecases.keepers import stop as stop_servers

    return _tell(stop_servers(home_of(arguments), project_name_of(arguments), arguments.names), "stop", ui)


def restart(arguments: argparse.Namespace, ui: Ui) -> int:
    """Stop servers that stay, and start them again."""
    from hatchlock.usecases.keepers import restart as restart_servers

    done = restart_servers(home_of(arguments), project_name_of(arguments), arguments.names, os.environ)
    return _tell(done, "restart", ui)


def _tell(done: Sequence[Changed], command: str, ui: Ui) -> int:
    if ui.json:
        ui.document({"servers": [asdict(item) for item in done]})
        return 0
    for item in done:
        where = f", at {item.url}" if item.pid else ""
        ui.result(f"{item.server} {_NOTHING[command] if item.did == 'nothing' else item.did}{where}")
    return 0
