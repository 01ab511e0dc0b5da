"""`verify`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.cli.context import project_of
from hatchlock.cli.ui import Ui, printable

if TYPE_CHECKING:
    from hatchlock.usecases.verify import Finding, Verification

__all__ = ["verify"]

DIFFERENCES = 2
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_SIGNS = {"same": "=", "different": "!", "incomplete": "?", "alone": "=", "absent": "·"}


def verify(arguments: argparse.Namespace, ui: Ui) -> int:
    """Compare what is here with what follows from the lock."""
    from hatchlock.usecases.verify import verify_project

    found = verify_project(
        project_of(arguments),
        arguments.names,
        platforms=arguments.platforms or (),
        against=Path(arguments.against) if arguments.against else None,
        rebuild=arguments.rebuild,
        deep=arguments.deep,
        emit=ui.event,
    )
    if ui.json:
        ui.document(_document(found))
    else:
        for note in found.notes:
            ui.say(f"note: {note}")
        ui.result("\n".join(line for item in found.findings for line in _lines(item)) or "nothing to verify")
        for item in found.findings:
            if item.kind == "env" and item.files and item.state in {"different", "incomplete"}:
                ui.say(f"\nhint: `hatchlock apply --replace env:{printable(item.name)}` makes it anew")
        if any(item.state == "incomplete" and item.kind != "env" for item in found.findings):
            ui.say("\nhint: `hatchlock fetch` brings what the store lacks, for other machines `--platform`")
    if found.differs:
        return DIFFERENCES
    return 0 if found.is_complete else 1


def _lines(item: Finding) -> Iterator[str]:
    head = " ".join(filter(None, (_SIGNS[item.state], f"{item.kind}:{printable(item.name)}", item.platform)))
    if item.state == "different":
        left = f"; left as it is, drift is {item.policy!r}" if item.drift and item.policy != "correct" else ""
        yield from (f"{head}: {_cut(clause)}{left}" for clause in item.differences)
        yield from (f"    {name}: {_cut(value)}" for name, value in item.details.items())
        if item.reason:
            yield f"    {_cut(item.reason)}"
        return
    yield f"{head}: {_cut(_told(item))}"


def _told(item: Finding) -> str:
    if item.state in {"incomplete", "absent"}:
        return item.reason
    if item.kind == "build":
        return "built once more, it is the same"
    if item.compared == ("declaration",):
        return "as declared"
    if item.kind == "env":
        return f"as it was installed, {item.files} {'file' if item.files == 1 else 'files'} compared"
    config = item.image.config if item.image else ""
    if item.state == "alone":
        return f"{config}, and nothing to compare it with: `hatchlock lock --images` records what it is"
    *others, last = (f"the {where}" for where in item.compared)
    return f"{config}, as in {' and '.join(filter(None, (', '.join(others), last)))}"


def _cut(text: str) -> str:
    return _DIGEST.sub(r"\1…", printable(text))


def _document(found: Verification) -> dict[str, object]:
    findings = [{key: value for key, value in asdict(item).items() if key != "image"} for item in found.findings]
    return {**asdict(found.report), "findings": findings, "notes": list(found.notes)}
