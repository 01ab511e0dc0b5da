"""`info`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hatchlock.cli.context import directory_of, project_or_none
from hatchlock.cli.layout import size
from hatchlock.cli.ui import Ui, printable

if TYPE_CHECKING:
    from hatchlock.usecases.info import Fact

__all__ = ["info"]

_ALWAYS = ("licence", "authors", "publisher", "repository")
"""What people look for: that nobody says it is worth a line."""
_ONE_LINE = 60


def info(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what a source is."""
    from hatchlock.usecases.info import describe_source

    found = describe_source(
        arguments.source,
        project=project_or_none(arguments),
        directory=directory_of(arguments).resolve(),
        now=datetime.now(UTC),
        offline=arguments.offline,
        emit=ui.event,
    )
    if ui.json:
        ui.document({"source": found.source, **found.facts, "notes": list(found.notes)})
        return 0
    facts = dict(found.facts)
    days = facts.pop("age_days", None)
    if days is not None:
        facts["uploaded"] = f"{facts['uploaded']}, {days} days ago"
    lines = [found.source]
    for name, fact in facts.items():
        if fact or isinstance(fact, bool) or name in _ALWAYS:
            lines += _lines(name, fact)
    ui.result("\n".join(lines))
    for note in found.notes:
        ui.say(f"note: {printable(note)}")
    return 0


def _lines(name: str, fact: Fact) -> list[str]:
    items = [printable(item) for item in _texts(name, fact)]
    one = ", ".join(items)
    shown = [one] if len(one) <= _ONE_LINE or len(items) == 1 else items
    return [
        f"  {label:<18}{text}" for label, text in zip([name.replace("_", " "), *[""] * len(shown)], shown, strict=False)
    ]


def _texts(name: str, fact: Fact) -> list[str]:
    match fact:
        case None | "" | ():
            return ["not said"]
        case bool():
            return ["yes" if fact else "no"]
        case int():
            return [size(fact) if name == "size" else str(fact)]
        case str():
            return [fact]
        case Mapping():
            return [key if key == value else f"{key} = {value}" for key, value in fact.items()]
        case _:
            return list(fact)
