"""npm's own lock file, version 3, as far as it tells a tree."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hatchlock.sources.base import BadAnswer
from hatchlock.sources.npm.names import BadNpmName, check_name, parse_wanted
from hatchlock.sources.npm.ranges import BadNpmVersion, NpmRange, NpmVersion

__all__ = ["Node", "edges_of", "nodes_of"]

_FOLDER = "node_modules/"
_VERSION = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A package at a place.

    Attributes:
        name: Its real name; the place has an alias's.
        version: As the registry writes it.
        integrity: Subresource integrity of its file, or "".
        optional: Whether the tree works without it.
        bundled: Whether it comes inside the file of the package around it.
    """

    name: str
    version: str
    integrity: str
    optional: bool
    bundled: bool


def nodes_of(text: str) -> dict[str, Node]:
    """Return the packages of a package-lock.json: place (`node_modules/a/node_modules/b`) -> package, sorted.

    Raises:
        BadAnswer: It is no such file, or has a place that is none.
    """
    try:
        document = json.loads(text)
        if document["lockfileVersion"] != _VERSION:
            raise BadAnswer(what="npm's lock", why=f"it is of version {document['lockfileVersion']}, not {_VERSION}")
        entries = {path: entry for path, entry in sorted(document["packages"].items()) if path}
        return {
            path: Node(
                name=check_name(entry.get("name") or _last_name(path)),
                version=entry["version"],
                integrity=entry.get("integrity") or "",
                optional=bool(entry.get("optional") or entry.get("devOptional")),
                bundled=bool(entry.get("inBundle")),
            )
            for path, entry in entries.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, BadNpmName) as error:
        raise BadAnswer(what="npm's lock", why=f"it is not of the known form ({error})") from error


def edges_of(
    places: Collection[str],
    needs: Mapping[str, str],
    nodes: Mapping[str, Node],
    overridden: Collection[str],
) -> tuple[str, ...]:
    """Return the dependencies of a package that hold, sorted, as the lock writes them: `npm:zod@^4`.

    Those that nothing installed, those that come inside a package's file, and peers that npm let differ are left out. A
    package may lie in several places, and find an optional one from some of them only.

    Args:
        places: Where the package is.
        needs: Name -> what it wants of it.
        nodes: The tree.
        overridden: Names that are exempt from what is wanted of them.
    """
    edges = []
    for name, spec in sorted(needs.items()):
        found = [node for place in places if (node := _found_from(place, name, nodes)) is not None]
        if found and all(_holds(node, name, spec, exempt=name in overridden) for node in found):
            edges.append(f"npm:{name}@{' '.join(spec.split()) or '*'}")
    return tuple(edges)


def _last_name(path: str) -> str:
    for part in _parts(path):
        check_name(part)
    return path.rpartition(_FOLDER)[2]


def _parts(path: str) -> Iterator[str]:
    first, *rest = path.split(_FOLDER)
    if first:
        raise BadNpmName(name=path)
    yield from (part.removesuffix("/") for part in rest)


def _found_from(place: str, name: str, nodes: Mapping[str, Node]) -> Node | None:
    """What Node finds from a place: its own `node_modules`, then those of the directories above."""
    while True:
        found = nodes.get(f"{place}/{_FOLDER}{name}" if place else f"{_FOLDER}{name}")
        if found is not None or not place:
            return found
        place = place.rpartition(_FOLDER)[0].removesuffix("/")


def _holds(found: Node, name: str, spec: str, *, exempt: bool) -> bool:
    asked = parse_wanted(name, spec)
    if found.bundled or exempt:
        return not found.bundled
    if asked is None or found.name != asked.name:
        return False
    # npm lets a pre-release do for *
    if asked.form == "tag" or asked.spec == "*":
        return True
    try:
        return NpmRange.parse(asked.spec).contains(NpmVersion.parse(found.version))
    except BadNpmVersion:
        return False
