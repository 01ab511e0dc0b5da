"""How often commands were killed, and how often the same command again did not lead to the same world: for the end of a run."""

from __future__ import annotations

from collections import Counter

import pytest

__all__ = ["DIVERGENCES", "KILLS", "show_kills"]

KILLS = "kills"
DIVERGENCES = "divergences"


def show_kills(terminalreporter: pytest.TerminalReporter) -> None:
    """Print both numbers, if something was killed."""
    counted: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties if report.when == "call" else ():
                if name in {KILLS, DIVERGENCES}:
                    counted[name] += value
    if counted:
        terminalreporter.section("commands that were killed, and then run again")
        terminalreporter.write_line(f"{counted[KILLS]:>4} kills, {counted[DIVERGENCES]} divergences")
