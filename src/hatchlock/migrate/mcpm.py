"""mcpm's servers: `servers.json`, whose servers name their profiles, and `profiles.json` of its first version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from hatchlock.clients.shape import Address, Start
from hatchlock.migrate import json_lines
from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import enriched, gathered, groups, is_over_sse, recognised, said, texts, unread, words
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.translate import translated

__all__ = ["MCPM"]

_TITLE = "mcpm servers"
_NAMES = ("servers.json", "profiles.json")
_STARTED = frozenset({"name", "profile_tags", "command", "args", "env"})
_ADDRESSED = frozenset({"name", "profile_tags", "url", "headers"})


def _matches(path: Path, data: bytes) -> bool:
    if path.parent.name == "mcpm" and path.name in _NAMES:
        return True
    return recognised(data, ('"name"', '"profile_tags"'), _is_servers, load=json_lines.load)


def _is_servers(root: Part) -> bool:
    return bool(root.table()) and all("profile_tags" in member for member in root.members())


def _read(path: Path, data: bytes) -> Reading:
    document = json_lines.load(data, file=str(path))
    found = (item for member in document.root.members() for item in _member(member))
    return gathered(document, _TITLE, _together(found))


def _member(member: Part) -> Iterator[Proposed | Left]:
    """Read a server of its name, or the servers of a profile of the first version."""
    if isinstance(member.value, list):
        for item in member.each():
            yield _server(item, said(item, "name"), (member.key,))
    else:
        yield _server(member, said(member, "name", member.key), words(member, "profile_tags"))


def _server(part: Part, name: str, profiles: tuple[str, ...]) -> Proposed | Left:
    if "url" in part:
        url = said(part, "url")
        meant: Start | Address = Address(
            url=url, transport="sse" if is_over_sse(url) else "http", headers=texts(part, "headers")
        )
        known = _ADDRESSED
    elif "command" in part:
        meant = Start(command=said(part, "command"), args=words(part, "args"), env=texts(part, "env"))
        known = _STARTED
    else:
        return Left(line=part.line, what=f"`{name}`: mcpm itself neither starts it nor knows an address of it")
    found = translated(meant, name=name, line=part.line)
    return enriched(found, groups(profiles), left=unread(part, known, {}))


def _together(found: Iterable[Proposed | Left]) -> Iterator[Proposed | Left]:
    """Yield servers that several profiles have the same way once, with the groups of all."""
    servers: dict[str, Proposed] = {}
    for item in found:
        if isinstance(item, Left):
            yield item
            continue
        key = _identity(item)
        before = servers.get(key, item)
        both = groups([*before.fields.get("groups", ()), *item.fields.get("groups", ())])
        servers[key] = replace(before, fields={**before.fields, **both})
    yield from servers.values()


def _identity(server: Proposed) -> str:
    fields = {key: value for key, value in server.fields.items() if key != "groups"}
    return repr((server.name, fields, [(secret, secret.value) for secret in server.secrets]))


MCPM = Format(name="mcpm", title=_TITLE, matches=_matches, read=_read)
"""mcpm's servers and profiles."""
