"""Docker's MCP toolkit: a profile as `docker mcp profile export` writes it, a catalogue, one server of it, and what is enabled.

The form of a profile is that of `pkg/workingset/workingset.go` of docker/mcp-gateway. Before there were profiles,
`~/.docker/mcp/registry.yaml` named what is enabled, beside `config.yaml`, `tools.yaml` and `catalogs/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hatchlock.clients.shape import Address
from hatchlock.files import read_optional
from hatchlock.migrate.docker_catalogue import is_entry, of_catalogue
from hatchlock.migrate.document import Document, Part
from hatchlock.migrate.gathering import (
    contained,
    each,
    enriched,
    gathered,
    groups,
    is_over_sse,
    members,
    recognised,
    said,
    structured,
    unread,
)
from hatchlock.migrate.image_use import ImageUse
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.names import server_name
from hatchlock.migrate.translate import translated

__all__ = ["DOCKER_MCP"]

_TITLE = "Docker MCP toolkit"
_ENTRY_OF_REGISTRY = re.compile(r".*/v\d[\w.]*/servers/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?")
_TYPES = ("image", "registry", "remote")
_OF_PROFILE = frozenset({"version", "id", "name", "servers", "secrets"})
_OF_SERVER = frozenset({"type", "config", "secrets", "tools", "source", "image", "endpoint", "snapshot", "policy"})


def _matches(path: Path, data: bytes) -> bool:
    del path
    return (
        recognised(data, ("servers", "type", "version", "id"), _is_profile)
        or recognised(data, ("registry",), _is_catalogue)
        or recognised(data, ("type", "name"), is_entry)
    )


def _is_profile(root: Part) -> bool:
    return "id" in root and "servers" in root and all(said(item, "type") in _TYPES for item in each(root, "servers"))


def _is_catalogue(root: Part) -> bool:
    registry = root.get("registry")
    if registry is None or not registry.table():
        return False
    return all(
        _is_enabled(item) or "image" in item or "remote" in item or "type" in item for item in registry.members()
    )


def _is_enabled(item: Part) -> bool:
    return isinstance(item.value, dict) and set(item.value) == {"ref"}


def _read(path: Path, data: bytes) -> Reading:
    document = structured(data, file=str(path))
    root = document.root
    if "registry" in root:
        return _catalogue(document, path)
    if is_entry(root):
        return gathered(document, _TITLE, [of_catalogue(root, name=root.need("name").text(), line=1, config=None)])
    found = [_of_profile(item, root) for item in root.need("servers").each()]
    return gathered(document, _TITLE, found, left=unread(root, _OF_PROFILE, {}))


def _catalogue(document: Document, path: Path) -> Reading:
    """Read what a catalogue describes, or what is enabled of the catalogues beside."""
    state = _state(path.parent)
    found = [
        _enabled(item, state)
        if _is_enabled(item)
        else of_catalogue(item, name=said(item, "name", item.key), line=item.line, config=None)
        for item in members(document.root, "registry")
    ]
    return gathered(document, _TITLE, found)


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    """The files beside a `registry.yaml`, which are one state of the toolkit together.

    Attributes:
        config: What servers are configured with.
        tools: Which of their tools are enabled.
        catalogues: What describes them, Docker's own first.
    """

    config: Document | None
    tools: Document | None
    catalogues: tuple[Document, ...]


def _state(directory: Path) -> _State:
    names = sorted((directory / "catalogs").glob("*.yaml"), key=lambda item: (item.stem != "docker-mcp", item.name))
    return _State(
        config=_optional(directory / "config.yaml"),
        tools=_optional(directory / "tools.yaml"),
        catalogues=tuple(found for found in map(_optional, names) if found is not None),
    )


def _enabled(item: Part, state: _State) -> Proposed | Left:
    """Return a server that is enabled."""
    entries = (_below(catalogue.root, "registry", item.key) for catalogue in state.catalogues)
    entry = next((found for found in entries if found is not None), None)
    if entry is None:
        return Left(line=item.line, what=f"`{item.key}`: no catalogue beside the file describes it")
    config = state.config.root.get(item.key) if state.config else None
    found = of_catalogue(entry, name=item.key, line=item.line, config=config.table() if config else {})
    return enriched(found, _tools(state.tools.root.get(item.key) if state.tools else None))


def _below(part: Part, *keys: str) -> Part | None:
    found: Part | None = part
    for key in keys:
        found = found.get(key) if found is not None else None
    return found


def _optional(path: Path) -> Document | None:
    data = read_optional(path)
    return None if data is None else structured(data, file=str(path))


def _of_profile(part: Part, root: Part) -> Proposed | Left:
    entry = _below(part, "snapshot", "server")
    found = _described(part, entry) if entry is not None else _bare(part)
    profile = said(root, "id") or said(root, "name")
    return enriched(found, {**groups([profile]), **_tools(part.get("tools"))}, left=unread(part, _OF_SERVER, {}))


def _described(part: Part, entry: Part) -> Proposed | Left:
    config = part.get("config")
    given = config.table() if config else {}
    found = of_catalogue(entry, name=entry.need("name").text(), line=part.line, config=given)
    image = said(part, "image")
    if image and isinstance(found, Proposed) and "source" in found.fields:
        return replace(found, fields={**found.fields, "source": f"oci:{image}"})
    return found


def _bare(part: Part) -> Proposed | Left:
    """Return a server of which the profile says only where it comes from."""
    kind, config = part.need("type").text(), part.get("config")
    left = (
        [config.left("what it is put into is said by the server's image; write it into env, args or mounts")]
        if config and config.value
        else []
    )
    if kind == "image":
        image = part.need("image").text()
        found = contained(ImageUse(image=image), name="", line=part.line, reason="")
        note = "its image says which variables and secrets it needs: the profile holds no snapshot of that"
        return enriched(found, {}, left=left, notes=[note])
    if kind == "remote":
        url = part.need("endpoint").text()
        return enriched(
            translated(Address(url=url, transport="sse" if is_over_sse(url) else "http"), name="", line=part.line),
            {},
            left=left,
        )
    source = part.need("source").text()
    match = _ENTRY_OF_REGISTRY.fullmatch(urlsplit(source).path)
    name = unquote(match["name"]) if match else ""
    if match is None or "/" not in name:
        return Left(
            line=part.line, what=f"`{source}`: the address does not tell the entry's name; `hatchlock search` finds it"
        )
    version = unquote(match["version"] or "")
    spec = f"mcp:{name}@{version}" if version and version != "latest" else f"mcp:{name}"
    own = server_name(name.rpartition("/")[2])
    return enriched(Proposed(name=own, found_as=name, line=part.line, fields={"source": spec}), {}, left=left)


def _tools(enabled: Part | None) -> Mapping[str, Any]:
    """Return which tools may be used: those of a list; none at all where it is empty."""
    if enabled is None:
        return {}
    names = list(enabled.texts())
    return {"tools": {"allow": names} if names else {"deny": ["*"]}}


DOCKER_MCP = Format(name="docker-mcp", title=_TITLE, matches=_matches, read=_read)
"""Profiles, catalogues and what is enabled of Docker's MCP toolkit."""
