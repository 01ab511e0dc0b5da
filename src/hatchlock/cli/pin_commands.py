"""`pin`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.cli.consent import asker
from hatchlock.cli.context import changed_project, project_of
from hatchlock.cli.side_by_side import side_by_side
from hatchlock.cli.ui import Ui, error_to_dict, printable
from hatchlock.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from hatchlock.lock.other_differences import FieldChange
    from hatchlock.usecases.pin import Looked

__all__ = ["pin"]

DIFFERENCES = 2
_SIGNS = {"new": "+", "changed": "~", "renewed": "~", "unchanged": "=", "failed": "!"}
_SHOWN_DIGITS = 12
_TEXTS = ("tool ", "prompt ", "instructions")


def pin(arguments: argparse.Namespace, ui: Ui) -> int:
    """Look at what servers offer, and write it into the lock; or compare it; or take pins away."""
    if arguments.remove:
        return _remove(arguments, ui)
    looked = _looked(arguments, ui)
    if not ui.json:
        for item in looked:
            _show(item, ui)
    written = () if arguments.check else _written(arguments, ui, looked)
    if ui.json:
        ui.document({"servers": [_to_dict(item) for item in looked], "written": list(written)})
    else:
        ui.result(_summary(looked, written, check=arguments.check))
        if written:
            ui.say("note: `hatchlock apply` makes it count: from then on `run` holds servers to it")
    if any(item.state == "failed" for item in looked):
        return 1
    return DIFFERENCES if arguments.check and any(item.state != "unchanged" for item in looked) else 0


def _looked(arguments: argparse.Namespace, ui: Ui) -> tuple[Looked, ...]:
    if arguments.source:
        from hatchlock.usecases.pin_import import read_pins

        return read_pins(project_of(arguments), Path(arguments.source), arguments.names)
    from hatchlock.usecases.pin import look

    return look(project_of(arguments), arguments.names, timeout=arguments.timeout, emit=ui.event)


def _written(arguments: argparse.Namespace, ui: Ui, looked: Sequence[Looked]) -> tuple[str, ...]:
    from hatchlock.usecases.pin import settle_differences, write_pins

    _agree(arguments, ui, looked)
    if arguments.names and not arguments.source:
        settle_differences(project_of(arguments), looked)
    if all(item.state in {"unchanged", "failed"} for item in looked):
        return ()
    with changed_project(arguments, ui) as project:
        return write_pins(project, looked)


def _agree(arguments: argparse.Namespace, ui: Ui, looked: Sequence[Looked]) -> None:
    """What was approved once is not replaced before somebody has looked at it; a first pin is what was asked for.

    Raises:
        RefusedError: Nobody has agreed.
    """
    changed = [item.server for item in looked if item.state == "changed"]
    if arguments.yes or not changed:
        return
    names = ", ".join(changed)
    ask = asker(ui, f"Pin {names} anew?")
    if ask is None:
        needs = "look at what has changed, then say --yes; --check only compares"
        raise RefusedError(what=f"the tools of {names} are not as they were pinned; nothing was written", needs=needs)
    if not ask(""):
        raise RefusedError(what="nothing was written")


def _remove(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.pin import remove_pins

    if not arguments.names:
        raise UsageError(what="--remove: whose pins?", advice="name the servers")
    if arguments.check or arguments.source:
        raise UsageError(what="--remove goes with neither --check nor --import", advice="see `hatchlock pin --help`")
    with changed_project(arguments, ui) as project:
        remove_pins(project, arguments.names)
    if ui.json:
        ui.document({"removed": list(arguments.names)})
    else:
        ui.result("\n".join(f"- server:{name}  no longer pinned" for name in arguments.names))
        ui.say("note: `hatchlock apply` makes it count")
    return 0


def _show(item: Looked, ui: Ui) -> None:
    """Print what was seen of a server; of what is already pinned only what differs."""
    sign = _SIGNS[item.state]
    if item.error:
        ui.error(item.error)
        return
    if item.after is None:
        ui.result(f"! server:{item.server}  not pinned")
        for problem in item.problems:
            ui.result(f"    {problem}")
        return
    from hatchlock.lock.surface_changes import counted

    words = {"new": "", "changed": "changed: ", "renewed": "as pinned, of what it is made of now: ", "unchanged": ""}
    ui.result(f"{sign} server:{item.server}  {words[item.state]}{counted(item.after)}{_named(item)}")
    if item.state == "changed":
        for change in _changes(item):
            ui.result(_change_text(change))


def _named(item: Looked) -> str:
    """Return the short hash of its tools, and for a new pin their names."""
    if item.after is None:
        return ""
    names = ": " + ", ".join(tool.name for tool in item.after.tools) if item.state == "new" and item.after.tools else ""
    return f" ({item.after.tools_sha256[:_SHOWN_DIGITS]}){printable(names)}"


def _changes(item: Looked) -> list[FieldChange]:
    from hatchlock.lock.surface_changes import changes_of

    found = changes_of(item.server, item.before, item.after)
    return sorted(found, key=lambda change: (not change.field.startswith(_TEXTS), change.field))


def _change_text(change: FieldChange) -> str:
    if change.field.startswith(_TEXTS):
        return f"  {change.sign} {printable(change.field)}:\n{side_by_side(change.before, change.after)}"
    values = " -> ".join(printable(value) or "none" for value in (change.before, change.after))
    return f"  {change.sign} {change.field}: {values}"


def _summary(looked: Sequence[Looked], written: Sequence[str], *, check: bool) -> str:
    failed = sum(item.state == "failed" for item in looked)
    same = sum(item.state == "unchanged" for item in looked)
    others = len(looked) - failed - same
    counts = [(others, "would change" if check else "pinned"), (same, "unchanged"), (failed, "not pinned")]
    told = ", ".join(f"{number} {word}" for number, word in counts if number)
    return f"hatch.lock {'written' if written else 'unchanged'}: {told or 'no servers'}"


def _to_dict(item: Looked) -> dict[str, Any]:
    surface = item.after or item.before
    facts = (
        {
            "tools": [tool.name for tool in surface.tools],
            "tools_sha256": surface.tools_sha256,
            "prompts": [prompt.name for prompt in surface.prompts],
            "prompts_sha256": surface.prompts_sha256,
            "instructions_sha256": surface.instructions_sha256,
            "protocol": surface.protocol,
            "secrets": list(surface.secrets),
            "varying": list(surface.varying),
        }
        if surface
        else {}
    )
    return {
        "server": item.server,
        "state": item.state,
        **facts,
        "changes": [asdict(change) for change in _changes(item)] if item.after else [],
        "problems": list(item.problems),
        "error": error_to_dict(item.error) if item.error else None,
    }
