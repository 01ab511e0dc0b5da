"""Plugins of Claude Code: the servers in their `.mcp.json` and in `mcpServers` of their `.claude-plugin/plugin.json`.

`${CLAUDE_PLUGIN_ROOT}` is the plugin's directory, `${CLAUDE_PLUGIN_DATA}` one that outlives it, and `${user_config.KEY}` what its
user was asked (https://code.claude.com/docs/en/plugins-reference). What was answered is in Claude Code's own settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.shape import Address, Start
from hatchlock.errors import HatchlockError
from hatchlock.migrate import json_lines
from hatchlock.migrate.document import Document, Part
from hatchlock.migrate.finish import finished
from hatchlock.migrate.model import Format, Left, Proposed, Reading, Table
from hatchlock.migrate.translate import translated
from hatchlock.migrate.user_config import Choices

__all__ = ["CLAUDE_PLUGIN"]

_PLUGIN = Path(".claude-plugin/plugin.json")
_SERVERS = ".mcp.json"
_KEY = "mcpServers"
_DATA = "/data"
_USED = frozenset({"type", "command", "args", "env", "cwd", "url", "headers"})
_REASON = "the plugin keeps its data there"


def _is_plugin(path: Path, _data: bytes) -> bool:
    if path.name == _SERVERS:
        return (path.parent / _PLUGIN).is_file()
    return path.parts[-2:] == _PLUGIN.parts


def _read(path: Path, data: bytes) -> Reading:
    root = path.absolute().parent if path.name == _SERVERS else path.absolute().parent.parent
    document = json_lines.load(data, file=str(path))
    plugin = document if path.name != _SERVERS else _beside(root / _PLUGIN)
    entries = list(_listed(document) if path.name == _SERVERS else _declared(document, root))
    found = [_server(part, root, plugin) for part in entries]
    return Reading(
        file=str(path),
        title=CLAUDE_PLUGIN.title,
        servers=tuple(item for item in found if not isinstance(item, Left)),
        left=tuple(item for item in found if isinstance(item, Left)),
    )


def _beside(path: Path) -> Document | None:
    try:
        return json_lines.load(path.read_bytes(), file=str(path))
    except (HatchlockError, OSError):  # it is asked for its options only
        return None


def _listed(document: Document) -> Iterator[Part]:
    """Yield the servers of a file of servers, which may have them at its root."""
    servers = document.root.get(_KEY)
    yield from (servers or document.root).members()


def _declared(document: Document, root: Path) -> Iterator[Part]:
    """Yield the servers of a plugin: those that it names, in place or by their file, and those of its own file."""
    declared = document.root.get(_KEY)
    files = [_SERVERS]
    if declared and isinstance(declared.value, Mapping):
        yield from declared.members()
    elif declared:
        files = list(dict.fromkeys([*files, *declared.texts()]))
    for name in files:
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()) or not path.is_file():
            if name != _SERVERS and declared:
                declared.fail(f"the plugin has no file {name}")
            continue
        yield from _listed(json_lines.load(path.read_bytes(), file=str(path)))


def _server(part: Part, root: Path, plugin: Document | None) -> Proposed | Left:
    options = plugin.root.get("userConfig") if plugin else None
    places = {"CLAUDE_PLUGIN_ROOT": str(root), "CLAUDE_PLUGIN_DATA": _DATA}
    choices = Choices(options, {}, places)
    meant = CLIENTS["claude-code"].shape.read(part.value)
    if meant is None:
        return part.left("it neither starts a server nor has the address of one")
    if choices.is_secret([*meant.args, meant.command] if isinstance(meant, Start) else [meant.url]):
        return part.left("it gets a secret as an argument, which everybody on this machine can read")
    table: Table = "env" if isinstance(meant, Start) else "headers"
    values = meant.env if isinstance(meant, Start) else meant.headers
    filled = _filled(meant, choices, choices.texts(values))
    found = translated(filled, name=part.key, line=part.line, directory=str(root))
    if isinstance(found, Left):
        return found
    lost = [item.left("the plugin is the application's") for item in part.members() if item.key not in _USED]
    sandbox = _sandbox(found.fields.get("sandbox", {}), choices, part)
    return finished(
        replace(
            found,
            fields={**found.fields, **({"sandbox": sandbox} if sandbox else {})},
            secrets=(*found.secrets, *choices.secrets(values, table)),
            left=(*found.left, *choices.left, *lost),
        )
    )


def _filled(meant: Start | Address, choices: Choices, values: Mapping[str, str]) -> Start | Address:
    if isinstance(meant, Address):
        return replace(meant, url=choices.arguments([meant.url])[0], headers=values)
    command, *args = choices.arguments([meant.command, *meant.args])
    cwd = choices.arguments([meant.cwd])[0] if meant.cwd else ""
    return replace(meant, command=command, args=tuple(args), env=values, cwd=cwd)


def _sandbox(sandbox: Mapping[str, Any], choices: Choices, part: Part) -> dict[str, Any]:
    found = dict(sandbox)
    seen = {mount["target"] for mount in found.get("mounts", ())}
    more = [mount for mount in choices.mounts if mount["target"] not in seen]
    if more:
        found["mounts"] = [*found.get("mounts", ()), *more]
    if "${CLAUDE_PLUGIN_DATA}" in str(part.value):
        found["writable"] = [*found.get("writable", ()), _DATA]
        found.setdefault("reason", _REASON)
    return found


CLAUDE_PLUGIN = Format(
    name="claude-plugin", title="Claude Code plugin", matches=_is_plugin, read=_read, below=(str(_PLUGIN),)
)
