"""Asking whoever started a command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from hatchlock.cli.ui import Ui

if TYPE_CHECKING:
    from hatchlock.usecases.consent import Consent

__all__ = ["asker", "consent_of"]


def consent_of(arguments: argparse.Namespace) -> Consent:
    """Return what a command line agrees to; a saved plan is agreed to as it is."""
    from hatchlock.usecases.consent import Consent

    return Consent(
        yes=arguments.yes or bool(getattr(arguments, "plan", None)),
        destructive=arguments.allow_destructive,
        privileged=arguments.allow_privileged,
        mass_removal=arguments.allow_mass_removal,
    )


def asker(ui: Ui, question: str) -> Callable[[str], bool] | None:
    """Return what shows a text and asks a question about it; None when there is nobody to ask."""
    if ui.json or not sys.stdin.isatty() or os.environ.get("CI") == "true":
        return None

    def ask(text: str) -> bool:
        ui.say(text)
        ui.say(f"\n{question} [y/N]")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return ask
