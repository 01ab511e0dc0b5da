"""`diff`, `outdated`."""

from __future__ import annotations

import argparse
import os
from functools import cache
from typing import TYPE_CHECKING

from hatchlock.cli.context import directory_of, project_of
from hatchlock.cli.lock_views import diff_document, diff_markdown, diff_text, outdated_document, outdated_text
from hatchlock.cli.ui import Ui

if TYPE_CHECKING:
    from hatchlock.usecases.project import Project

__all__ = ["diff", "outdated"]

DIFFERENCES = 2


def diff(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print how two locks differ."""
    from hatchlock.usecases.diff import compare

    @cache
    def project() -> Project:
        return project_of(arguments)

    compared = compare(
        arguments.before, arguments.after, directory=directory_of(arguments), project=project, environ=os.environ
    )
    if ui.json:
        ui.document(diff_document(compared))
    else:
        for note in compared.notes:
            ui.say(f"note: {note}")
        ui.result(diff_markdown(compared) if arguments.markdown else diff_text(compared))
    return DIFFERENCES if arguments.check and compared.entries else 0


def outdated(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what is newer than the lock has it. What could not be asked about makes it fail."""
    from hatchlock.usecases.outdated import find_outdated

    found = find_outdated(
        project_of(arguments),
        names=arguments.names,
        everything=arguments.everything,
        offline=arguments.offline,
        refresh=arguments.refresh,
        emit=ui.event,
    )
    if ui.json:
        ui.document(outdated_document(found))
    else:
        for note in found.notes:
            ui.say(f"note: {note}")
        ui.result(outdated_text(found))
    if any(item.state == "unknown" for item in found.standings):
        return 1
    return DIFFERENCES if arguments.check and found.standings else 0
