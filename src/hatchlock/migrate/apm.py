"""Microsoft's Agent Package Manager: the MCP servers among the dependencies of an `apm.yml`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hatchlock.clients.shape import Address, Start, Transport
from hatchlock.errors import HatchlockError
from hatchlock.manifest.takeover import server_from_source
from hatchlock.migrate import yaml_lines
from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import (
    directory_for,
    each,
    enriched,
    gathered,
    groups,
    recognised,
    said,
    texts,
    unread,
    words,
)
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.names import server_name
from hatchlock.migrate.translate import translated
from hatchlock.migrate.values import parted, unparted

__all__ = ["APM"]

_TITLE = "APM package"
_NAMES = ("apm.yml", "apm.yaml")
_KNOWN = frozenset({"name", "registry", "transport", "type", "version", "env", "tools"})
_STARTED = _KNOWN | {"command", "args"}
_ADDRESSED = _KNOWN | {"url", "headers"}
_TRANSPORTS: dict[str, Transport] = {"sse": "sse"}
_CI = re.compile(r"\$\{\{\s*(?:secrets|env|vars)\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_LEGACY = re.compile(r"<([A-Z_][A-Z0-9_]*)>")
_HARNESSES = {
    **{name: name for name in ("vscode", "cursor", "opencode", "codex", "gemini", "antigravity", "windsurf", "kiro")},
    "copilot": "copilot-cli",
    "claude": "claude-code",
}
"""What it calls an application whose file it writes -> what we do."""
_WHY_OF_ENTRY = {
    "args": "values for what its entry in the registry asks for: write them into env or args",
    "package": "which package of its entry is used is hatchlock's choice",
    "headers": "its entry in the registry says how it is reached: write url instead of source to set headers",
}


def _matches(path: Path, data: bytes) -> bool:
    return path.name in _NAMES or recognised(data, ("ependencies", "mcp", "version"), _is_package)


def _is_package(root: Part) -> bool:
    return "name" in root and "version" in root and any(True for _ in _entries(root))


def _read(path: Path, data: bytes) -> Reading:
    document = yaml_lines.load(data, file=str(path))
    clients = [_HARNESSES[word] for word in _targets(document.root) if word in _HARNESSES]
    found = [
        enriched(_server(item, more, path.absolute().parent), {}, clients=clients)
        for item, more in _entries(document.root)
    ]
    return gathered(document, _TITLE, found, left=_elsewhere(document.root))


def _targets(root: Part) -> tuple[str, ...]:
    key = "targets" if "targets" in root else "target"
    return tuple(name.strip() for text in words(root, key) for name in text.split(","))


def _entries(root: Part) -> Iterator[tuple[Part, tuple[str, ...]]]:
    """Yield each dependency that is a server, with the groups that it is in."""
    for key, of_it in (("dependencies", ()), ("devDependencies", ("dev",))):
        dependencies = root.get(key)
        if dependencies is not None:
            yield from ((item, of_it) for item in each(dependencies, "mcp"))


def _elsewhere(root: Part) -> Iterator[Left]:
    for key in ("dependencies", "devDependencies"):
        dependencies = root.get(key)
        if dependencies is not None:
            yield from unread(
                dependencies,
                ("mcp",),
                {"apm": "packages of prompts and skills are no servers", "lsp": "a language server is no MCP server"},
            )
    if others := [name for name in _targets(root) if name not in _HARNESSES]:
        found = root.need("targets" if "targets" in root else "target")
        yield found.left(f"{', '.join(others)}: say which applications list a server, clients = […]")


def _server(part: Part, of_it: tuple[str, ...], directory: Path) -> Proposed | Left:
    if isinstance(part.value, str):
        return enriched(_of_registry(part, part.value, ""), groups(of_it))
    name = part.need("name").text()
    registry = part.get("registry")
    if registry is None or registry.value is True:
        found = _overlaid(part, _of_registry(part, name, said(part, "version")))
    elif registry.value is False:
        found = _defined(part, name, directory)
    else:
        registry.text()
        return Left(
            line=part.line,
            what=f'`{name}`: it comes from a registry of its own; name that in [indexes.mcp], and write source = "mcp:{name}"',
        )
    tools = [word for word in words(part, "tools") if word != "*"]
    return enriched(found, {**groups(of_it), "tools": {"allow": tools} if tools else {}})


def _of_registry(part: Part, name: str, version: str) -> Proposed | Left:
    """Return the server that an entry of the MCP registry stands for."""
    try:
        own, fields = server_from_source(f"mcp:{name}@{version}" if version else f"mcp:{name}")
    except HatchlockError as error:
        return Left(line=part.line, what=f"`{name}`: {error}")
    return Proposed(name=own, found_as=name, line=part.line, fields=fields)


def _overlaid(part: Part, found: Proposed | Left) -> Proposed | Left:
    env = _texts(part, "env")
    literals, secrets = parted("env", env)
    how = said(part, "transport") or said(part, "type")
    others = (
        [
            part.need("transport" if "transport" in part else "type").left(
                "how it is reached is said by its entry in the registry"
            )
        ]
        if how not in {"", "stdio"}
        else []
    )
    return enriched(
        found,
        {"env": literals},
        secrets=secrets,
        left=(*unparted("env", env, line=part.line), *others, *unread(part, _KNOWN, _WHY_OF_ENTRY)),
    )


def _defined(part: Part, name: str, directory: Path) -> Proposed | Left:
    how = said(part, "transport") or said(part, "type")
    meant: Start | Address
    if how == "stdio":
        command, args = part.need("command").text(), words(part, "args")
        meant, known = Start(command=command, args=args, env=_texts(part, "env")), _STARTED
        where = directory_for((command, *args), directory)
    elif how in {"http", "sse", "streamable-http"}:
        url, transport = part.need("url").text(), _TRANSPORTS.get(how, "http")
        meant, known = Address(url=url, transport=transport, headers=_texts(part, "headers")), _ADDRESSED
        where = ""
    else:
        part.fail("`transport` must be stdio, http, sse or streamable-http where `registry` is false")
    why = {
        "version": "a server of its own has the version that its command names",
        "oauth": f"log in with `hatchlock login {server_name(name)}`",
    }
    return enriched(translated(meant, name=name, line=part.line, directory=where), {}, left=unread(part, known, why))


def _texts(part: Part, key: str) -> dict[str, str]:
    """Return a table of variables or headers, each place in the one spelling that means a variable."""
    return {name: _LEGACY.sub(r"${\1}", _CI.sub(r"${\1}", text)) for name, text in texts(part, key).items()}


APM = Format(name="apm", title=_TITLE, matches=_matches, read=_read)
"""Packages of Microsoft's Agent Package Manager."""
