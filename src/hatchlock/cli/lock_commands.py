"""`diff`, `outdated`."""

from __future__ import annotations

import argparse
import os
from functools import cache
from typing import TYPE_CHECKING

from hatchlock.cli.context import directory_of, project_of
from hatchlock.cli.lock_views import diff_document, diff_markdown, diff_text
from hatchlock.cli.ui import Ui

if TYPE_CHECKING:
    from hatchlock.usecases.project import Project

__all__ = ["diff"]

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
