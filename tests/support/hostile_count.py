"""How many attempts of hostile servers have failed, at the end of a test run."""

from __future__ import annotations

from collections import Counter

import pytest

__all__ = ["show_attempts"]


def show_attempts(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the count, by runtime and language."""
    counted = Counter(
        str(value)
        for report in terminalreporter.stats.get("passed", ())
        for name, value in getattr(report, "user_properties", ())
        if name == "hostile attempt" and report.when == "call"
    )
    if counted:
        terminalreporter.section("attempts of hostile servers that have failed")
        for where, count in sorted(counted.items()):
            terminalreporter.write_line(f"{count:>4} {where}")
        terminalreporter.write_line(f"{counted.total():>4} in all")
