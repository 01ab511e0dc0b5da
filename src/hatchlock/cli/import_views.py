"""What `import` prints."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.cli.layout import table
from hatchlock.cli.ui import Ui, error_to_dict, printable

if TYPE_CHECKING:
    from hatchlock.migrate.deciding import Outcome
    from hatchlock.migrate.model import Left
    from hatchlock.usecases.import_reading import Sources
    from hatchlock.usecases.import_secrets import KeptSecret
    from hatchlock.usecases.import_servers import ImportPlan

__all__ = ["show_import"]

_SIGNS = {"added": "+", "there": "=", "conflict": "!", "refused": "!"}


def show_import(
    sources: Sources, plan: ImportPlan, ui: Ui, *, kept: bool | None, written: Sequence[Path], again: str
) -> None:
    """Print what was read and what became of it.

    Args:
        sources: What was read.
        plan: What was, or would be, done.
        ui: Where to.
        kept: Whether values of secrets were kept; None if nothing was written.
        written: The files that were written.
        again: The command that reads the same once more; "" if none does.
    """
    if ui.json:
        ui.document(_document(sources, plan, kept=kept, written=written))
        return
    ui.result("\n\n".join(_blocks(sources, plan, kept=kept)))
    for number, error in enumerate(sources.errors):
        if number or sources.files:
            ui.say("")
        ui.error(error)
    _say_what_next(plan, ui, kept=kept, is_written=bool(written), again=again)


def _blocks(sources: Sources, plan: ImportPlan, *, kept: bool | None) -> Iterator[str]:
    if kept is None and (diff := _diff(plan)):
        yield diff
    if rows := [_row(item) for item in plan.decision.outcomes if item.state != "refused"]:
        yield table(rows)
    for heading, lines in _sections(sources, plan, kept=bool(kept)):
        yield "\n".join([f"{heading}:", *(f"  {printable(line)}" for line in lines)])
    if sources.files or not sources.errors:
        yield _counts(sources, plan, is_dry=kept is None)


def _row(item: Outcome) -> tuple[str, ...]:
    fields = item.server.fields
    what = fields.get("source") or fields.get("url") or fields.get("command") or fields.get("build") or ""
    shown = what if isinstance(what, str) else " ".join(map(str, what))
    return f"{_SIGNS[item.state]} server:{item.name}", printable(shown), _told(item)


def _told(item: Outcome) -> str:
    names = dict.fromkeys(origin.entry for origin in item.server.origins if origin.entry not in {"", item.name})
    also = f" (read as {', '.join(map(printable, names))})" if names else ""
    where = ", ".join(item.server.clients or dict.fromkeys(origin.file for origin in item.server.origins))
    match item.state:
        case "added":
            return f"{where}{also}"
        case "there":
            unlisted = f"; not among its clients: {', '.join(item.unlisted)}" if item.unlisted else ""
            return f"already there{also}{unlisted}"
    return f"not added: {item.why}"


def _sections(sources: Sources, plan: ImportPlan, *, kept: bool) -> Iterator[tuple[str, list[str]]]:
    if plan.secrets:
        yield "secrets", table([_secret(item, kept=kept) for item in plan.secrets]).split("\n")
    if plan.notes:
        yield "to know", list(_grouped(plan.notes))
    if plan.left:
        yield "not carried over", [f"{_place(file, left)}: {left.what}" for file, left in plan.left]
    if plan.staying:
        yield "stays beside ours", [f"{file}: {entry}: {why}" for file, entry, why in plan.staying]
    ours = [f"{item.file}: {', '.join(item.ours)}" for item in sources.files if item.ours]
    if ours:
        yield "started by hatchlock already", ours


def _grouped(notes: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield each note once, with the servers that it is about."""
    servers: dict[str, list[str]] = {}
    for name, note in notes:
        servers.setdefault(note, []).append(name)
    for note, names in servers.items():
        yield f"{', '.join(names)}: {note}"


def _secret(item: KeptSecret, *, kept: bool) -> tuple[str, ...]:
    state = "kept" if item.is_there or (kept and item.value) else "not kept" if item.value else "has no value yet"
    return f"keyring:{item.name}", ", ".join(item.used_by), state


def _place(file: str, left: Left) -> str:
    return f"{file}:{left.line}" if left.line else file


def _counts(sources: Sources, plan: ImportPlan, *, is_dry: bool) -> str:
    if not sources.files:
        return "nothing to import: no file with MCP servers was found"
    states = [item.state for item in plan.decision.outcomes]
    files = f"{_counted(len(sources.found), 'entry', 'entries')} of {_counted(len(sources.files), 'file', 'files')}"
    added = f"{_counted(states.count('added'), 'server', 'servers')} {'would be added' if is_dry else 'added'}"
    others = (
        (states.count("there"), "already there"),
        (states.count("conflict"), "not added"),
        (len(plan.left), "not carried over"),
    )
    told = ", ".join([added, *(f"{number} {word}" for number, word in others if number)])
    return f"{plan.project.manifest.name}: {told}, from {files}"


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _diff(plan: ImportPlan) -> str:
    name = plan.project.manifest.name
    before, after = plan.before.splitlines(), plan.decision.text.splitlines()
    if before == after or not any(item.state == "added" for item in plan.decision.outcomes):
        return ""
    lines = difflib.unified_diff(before, after, "/dev/null" if plan.is_new else name, name, lineterm="")
    return "\n".join(lines)


def _say_what_next(plan: ImportPlan, ui: Ui, *, kept: bool | None, is_written: bool, again: str) -> None:
    missing = [item.name for item in plan.secrets if not item.is_there and not (kept and item.value)]
    if kept is None:
        return
    if missing:
        ui.say("\nset what is not kept:")
        for name in missing:
            ui.say(f"  hatchlock secret set {name} --project {plan.name}")
        if plan.keepable and again and not kept:
            ui.say(f"or keep what was read: {again} --keep-secrets")
    if is_written:
        ui.say("next: hatchlock up")


def _document(sources: Sources, plan: ImportPlan, *, kept: bool | None, written: Sequence[Path]) -> dict[str, Any]:
    return {
        "manifest": str(plan.project.manifest),
        "project": plan.name,
        "written": [str(path) for path in written],
        "diff": _diff(plan) if kept is None else "",
        "files": [
            {
                "file": item.file,
                "title": item.title,
                "client": item.client,
                "scope": item.scope,
                "servers": item.servers,
                "ours": list(item.ours),
            }
            for item in sources.files
        ],
        "servers": [_server(item) for item in plan.decision.outcomes],
        "secrets": [
            {
                "name": item.name,
                "used_by": list(item.used_by),
                "has_value": bool(item.value),
                "kept": item.is_there or bool(kept and item.value),
            }
            for item in plan.secrets
        ],
        "left": [{"file": file, "line": left.line, "what": left.what} for file, left in plan.left],
        "notes": [{"server": name, "what": note} for name, note in plan.notes],
        "staying": [{"file": file, "entry": entry, "why": why} for file, entry, why in plan.staying],
        "errors": [error_to_dict(error) for error in sources.errors],
    }


def _server(item: Outcome) -> dict[str, Any]:
    return {
        "name": item.name,
        "state": item.state,
        "clients": list(item.clients),
        "unlisted": list(item.unlisted) if item.state == "there" else [],
        "found": [
            {"file": origin.file, "line": origin.line, "entry": origin.entry, "client": origin.client}
            for origin in item.server.origins
        ],
        "why": item.why,
    }
