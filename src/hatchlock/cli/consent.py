"""Asking whoever started a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from hatchlock.cli.ui import Ui

__all__ = ["asker"]


def asker(ui: Ui, question: str) -> Callable[[str], bool] | None:
    """Return what shows a text and asks a question about it; None when there is nobody to ask."""
    if ui.json or not sys.stdin.isatty() or os.environ.get("CI") == "true":
        return None

    def ask(text: str) -> bool:
        ui.say(text)
        ui.say(f"\n{question} [y/N]")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return ask
