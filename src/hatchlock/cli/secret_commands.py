"""`secret`."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from hatchlock.cli.context import home_of, project_of, project_or_none
from hatchlock.cli.layout import table
from hatchlock.cli.ui import Ui, error_to_dict, printable
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.secrets import Checked

__all__ = ["secret"]


def secret(arguments: argparse.Namespace, ui: Ui) -> int:
    """Set, list, check or delete secrets; none of this ever prints one."""
    actions = {"set": _set, "rm": _remove, "list": _list, "check": _check}
    if arguments.action in {"set", "rm"} and not arguments.name:
        raise UsageError(what=f"secret {arguments.action} needs a name", advice="see `hatchlock secret list`")
    if arguments.action == "list" and arguments.name:
        raise UsageError(what="secret list takes no name", advice="see `hatchlock secret check SERVER`")
    return actions[arguments.action](arguments, ui)


def _set(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.secrets import set_secret

    project = arguments.project or ""
    value = _typed(arguments.name)
    where = set_secret(home_of(arguments), arguments.name, value, os.environ, project=project)
    if ui.json:
        ui.document({"name": arguments.name, "project": project, "where": where})
        return 0
    if where == "store":
        ui.say("note: no keyring can be used here, so it is in secrets.json in the store, which only you can read")
    whose = f" for the project {project}" if project else ""
    ui.result(f"keyring:{arguments.name} is set{whose}: {_PLACES[where]}")
    return 0


_LARGEST = 1 << 20
_PLACES = {"keyring": "in the keyring of this system", "store": "in the store"}


def _typed(name: str) -> str:
    if sys.stdin.isatty():
        import getpass

        try:
            # it prompts on the terminal itself, and shows nothing
            return getpass.getpass(f"value of {printable(name)} (not shown): ")
        except EOFError:
            return ""
    data = sys.stdin.buffer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UsageError(what="the value is larger than 1 MiB", advice="no secret is larger; mount a file instead")
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise UsageError(what="the value is not UTF-8 text", advice="encode it, with base64 for example") from None


def _remove(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.secret_needs import entries_without
    from hatchlock.usecases.secrets import remove_secret

    project = arguments.project or ""
    remove_secret(home_of(arguments), arguments.name, os.environ, project=project)
    needing = entries_without(home_of(arguments), arguments.name, project=project)
    if ui.json:
        ui.document({"name": arguments.name, "project": project, "needed_by": [asdict(item) for item in needing]})
        return 0
    ui.result(f"- keyring:{arguments.name}" + (f" of the project {project}" if project else ""))
    for item in needing:
        again = f"`hatchlock secret set {arguments.name} --project {item.project}`"
        what = f"the entry {printable(item.entry)!r} that stood in {printable(item.path)}"
        ui.say(f"note: {what} cannot be put back without it; {again} keeps it again")
    return 0


def _list(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.secrets import list_secrets

    project = project_or_none(arguments)
    views = list_secrets(project, known=bool(project.manifest_bytes))
    if ui.json:
        ui.document({"secrets": [asdict(view) for view in views]})
        return 0
    if not views:
        ui.say("there are no secrets: the manifest refers to none, and none is kept")
        return 0
    rows: list[tuple[str, ...]] = [("SECRET", "WHERE", "PRESENT", "PROJECT", "USED BY")]
    said = {True: "yes", False: "no", None: "not asked"}
    for view in views:
        used = ", ".join(view.used_by) or "nobody"
        rows.append((printable(view.reference), view.where, said[view.present], view.project or "-", used))
    ui.result(table(rows))
    return 0


def _check(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.secrets import check_secrets

    checked = check_secrets(project_of(arguments), arguments.name)
    if ui.json:
        documents = [
            {
                "server": item.server,
                "variable": item.variable,
                "reference": item.reference,
                "present": item.present,
                "required": item.required,
                "error": error_to_dict(item.error) if item.error else None,
            }
            for item in checked
        ]
        ui.document({"secrets": documents})
    elif checked:
        rows = [("SERVER", "VARIABLE", "SECRET", "")]
        ui.result(table([*rows, *(_row(item) for item in checked)]))
        for item in checked:
            if item.error:
                ui.say("")
                ui.error(item.error)
    else:
        ui.result("no server needs a secret")
    return 1 if any(item.error for item in checked) else 0


def _row(item: Checked) -> tuple[str, str, str, str]:
    without = "missing" if item.required else "without a value, and does without"
    state = "ok" if item.present else "refused" if item.error and item.error.code != "missing-secret" else without
    return (item.server, item.variable, printable(item.reference), state)
