"""ToolHive's registries: every server that one describes, with the permissions that it gives to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hatchlock.clients.shape import Address
from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import (
    contained,
    each,
    enriched,
    gathered,
    groups,
    is_set,
    members,
    number,
    recognised,
    said,
    sandboxed,
    structured,
    with_values,
    words,
)
from hatchlock.migrate.image_use import ImageUse
from hatchlock.migrate.model import Format, Left, Proposed, Reading, Secret, Table
from hatchlock.migrate.names import server_name
from hatchlock.migrate.toolhive_profile import permitted
from hatchlock.migrate.translate import translated

__all__ = ["TOOLHIVE_REGISTRY"]

_TITLE = "ToolHive registry"


def _matches(path: Path, data: bytes) -> bool:
    del path
    return recognised(data, ("last_updated", "servers", "tier", "transport"), _is_registry)


def _is_registry(root: Part) -> bool:
    return "version" in root and any("transport" in item for key in _KINDS for item in members(root, key))


def _read(path: Path, data: bytes) -> Reading:
    document = structured(data, file=str(path))
    found = list(_servers(document.root, ()))
    for group in each(document.root, "groups"):
        found += _servers(group, (group.need("name").text(),))
    return gathered(document, _TITLE, found)


def _servers(part: Part, of_it: tuple[str, ...]) -> Iterator[Proposed | Left]:
    for key, read in _KINDS.items():
        for item in members(part, key):
            found = read(item, said(item, "name", item.key))
            description = said(item, "description").strip().partition("\n")[0]
            yield enriched(found, {"description": description, **groups(of_it)})


def _image(part: Part, name: str) -> Proposed | Left:
    how = said(part, "transport", "stdio")
    if how == "sse":
        return Left(
            line=part.line,
            what=f"`{name}`: it speaks the older HTTP with server-sent events, which hatchlock speaks to remote servers only",
        )
    may = permitted(part.get("permissions"), ())
    plain, secrets, lost = _asked(part, "env_vars", "env")
    use = ImageUse(image=part.need("image").text(), args=words(part, "args"), mounts=may.mounts, hosts=may.hosts)
    found = contained(use, name=name, line=part.line, reason=may.reason)
    found = sandboxed(found, {"network": may.word}, reason=may.reason)
    found = with_values(found, "env", plain, line=part.line)
    endpoint = {"transport": "http", "port": number(part, "target_port") or None} if how == "streamable-http" else {}
    return enriched(found, endpoint, secrets=secrets, left=(*lost, *may.left), notes=may.notes)


def _remote(part: Part, name: str) -> Proposed | Left:
    plain, secrets, lost = _asked(part, "headers", "headers")
    how = "sse" if said(part, "transport") == "sse" else "http"
    address = Address(url=part.need("url").text(), transport="sse" if how == "sse" else "http")
    notes = [f"log in with `hatchlock login {server_name(name)}`"] if "oauth_config" in part else []
    found = with_values(translated(address, name=name, line=part.line), "headers", plain, line=part.line)
    return enriched(found, {}, secrets=secrets, left=lost, notes=notes)


def _asked(part: Part, key: str, table: Table) -> tuple[dict[str, str], list[Secret], list[Left]]:
    """Return what a server has of what a person is asked for: its defaults, its secrets, and what is not known."""
    plain: dict[str, str] = {}
    secrets: list[Secret] = []
    lost: list[Left] = []
    for item in each(part, key):
        name, default = item.need("name").text(), said(item, "default")
        if is_set(item, "secret") and is_set(item, "required"):
            secrets.append(Secret(table=table, key=name))
        elif default and not is_set(item, "secret"):
            plain[name] = default
        elif is_set(item, "required"):
            lost.append(Left(line=item.line, what=f"`{name}`: the server needs it, and the registry does not know it"))
    return plain, secrets, lost


_KINDS = {"servers": _image, "remote_servers": _remote}
TOOLHIVE_REGISTRY = Format(name="toolhive-registry", title=_TITLE, matches=_matches, read=_read)
"""What a registry of ToolHive describes."""
