"""What Node projects can do without: chosen if there is a version that suits, and left out if there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hatchlock.address import Kind
from hatchlock.resolve.direct import Direct
from hatchlock.resolve.node import NodeCandidate, NodeNames
from hatchlock.resolve.npm_requirements import declared_npm
from hatchlock.resolve.provider import Ask
from hatchlock.sources.base import UnknownPackage

__all__ = ["Optional", "choose_optional"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Optional:
    """What was chosen.

    Attributes:
        pins: Name -> version, of names that nobody needs.
        edges: Id of a project -> name -> requirement, of names that suit it where they are there.
        notes: What was left out, for people.
    """

    pins: Mapping[str, NodeCandidate] = field(default_factory=dict)
    edges: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def edges_in(self, tree: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the id of each project with those of its requirements that a tree fulfils."""
        for project, texts in self.edges.items():
            yield project, tuple(text for name, text in texts.items() if f"node_modules/{name}" in tree)


def choose_optional(directs: Iterable[Direct], names: NodeNames, taken: Mapping[str, NodeCandidate]) -> Optional:
    """Choose versions of what projects can do without.

    Args:
        directs: The projects.
        names: Node's.
        taken: Name -> what was chosen of what is needed; it stays.

    Raises:
        ForeignDependency: One is not from a registry.
        HatchlockError: A registry does not answer.
    """
    asked: dict[str, list[tuple[Ask, Direct, str]]] = {}
    for direct in directs:
        for text in direct.optional:
            name, bounds = declared_npm(text.removeprefix(f"{Kind.NPM}:"))
            for ask in names.asks(name, bounds, direct.text):
                asked.setdefault(name, []).append((ask, direct, text))
    pins: dict[str, NodeCandidate] = {}
    edges: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    for name, group in sorted(asked.items()):
        found = taken.get(name) or _best(names, name, [ask for ask, _, _ in group])
        if found is not None and name not in taken:
            pins[name] = found
        for ask, direct, text in group:
            if found is not None and names.allows(ask, found):
                edges.setdefault(direct.package.id, {})[name] = text
            elif not names.is_direct(name):
                notes.append(f"{direct.text} goes without {ask.text}, which it can do without")
    return Optional(pins=pins, edges=edges, notes=tuple(notes))


def _best(names: NodeNames, name: str, asks: list[Ask]) -> NodeCandidate | None:
    try:
        found = next(names.candidates(name, asks), None)
    except UnknownPackage:
        return None
    return found if isinstance(found, NodeCandidate) else None
