"""`devcontainer.json`: the servers that VS Code gets in a container, `customizations.vscode.mcp`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.json_object import JsonObject
from hatchlock.errors import HatchlockError
from hatchlock.migrate import json_lines
from hatchlock.migrate.applications import read_application
from hatchlock.migrate.document import Part
from hatchlock.migrate.model import Format, Reading

__all__ = ["DEVCONTAINER"]

_NAMES = frozenset({"devcontainer.json", ".devcontainer.json"})
_PLACE = ("customizations", "vscode", "mcp", "servers")
_VSCODE = replace(CLIENTS["vscode"], dialect=JsonObject(_PLACE))


def _is_devcontainer(path: Path, data: bytes) -> bool:
    if path.name not in _NAMES:
        return False
    try:
        return _servers(json_lines.load(data, file=path.name).root) is not None
    except HatchlockError:
        return True  # whoever reads it says what is wrong with it


def _servers(root: Part) -> Part | None:
    part: Part | None = root
    for key in _PLACE:
        part = part.get(key) if part else None
    return part


def _read(path: Path, data: bytes) -> Reading:
    servers = _servers(json_lines.load(data, file=str(path)).root)
    if servers is not None:
        servers.table()
    above = path.absolute().parent
    directory = above.parent if above.name == ".devcontainer" else above
    found = read_application(_VSCODE, data, file=str(path), directory=str(directory), is_its_own=False)
    return replace(found.reading, title=DEVCONTAINER.title)


DEVCONTAINER = Format(
    name="devcontainer",
    title="Dev container",
    matches=_is_devcontainer,
    read=_read,
    below=(".devcontainer/devcontainer.json",),
)
