"""`new`, and `validate` of a Hatch package."""

from __future__ import annotations

import argparse
from pathlib import Path

from hatchlock.cli.context import directory_of
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import UsageError

__all__ = ["new", "validate_package"]


def new(arguments: argparse.Namespace, ui: Ui) -> int:
    """Write a Hatch package."""
    from hatchlock.usecases import hatch_packages

    # `.` stays what the user wrote; only `-C` puts something before it
    directory = _below(arguments, arguments.path)
    written = hatch_packages.new_package(directory, name=arguments.name)
    if ui.json:
        ui.document({"written": [str(path) for path in written]})
    else:
        ui.result("\n".join(f"+ {path}" for path in written))
        ui.say(f"next: hatchlock validate {directory}")
    return 0


def validate_package(arguments: argparse.Namespace, ui: Ui) -> int:
    """Check a Hatch package."""
    from hatchlock.usecases import hatch_packages

    path = _below(arguments, arguments.path)
    found = hatch_packages.validate_package(path, shown=str(path))
    facts = found.package.facts
    if ui.json:
        ui.document(
            {
                "valid": True,
                "package": facts.name,
                "version": facts.version,
                "metadata": facts.schema_version,
                "tools": [name for name, _ in facts.tools],
                "undeclared_tools": list(found.undeclared),
                "dependencies": list(facts.dependencies),
                "local_packages": list(found.local),
                "notes": list(found.notes),
            }
        )
        return 0
    for note in found.notes:
        ui.say(f"note: {printable(note)}")
    tools, needs = len(facts.tools), len(facts.dependencies)
    counted = f"{tools} tool{'s' * (tools != 1)}, {needs} dependenc{'y' if needs == 1 else 'ies'}"
    ui.result(f"{facts.name} {facts.version} is valid: metadata {facts.schema_version}, {counted}")
    return 0


def _below(arguments: argparse.Namespace, path: str) -> Path:
    if not path:
        raise UsageError(what="'' names no directory", advice="`.` is the one that you are in")
    return directory_of(arguments) / path
