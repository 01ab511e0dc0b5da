"""The lock as a graph: what stands below an environment, and why a package is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise

import networkx as nx

from hatchlock.address import Kind
from hatchlock.launch import Runtime
from hatchlock.lock.model import Environment, Lock, Package
from hatchlock.resolve.direct import direct_source, is_direct
from hatchlock.resolve.named import name_of
from hatchlock.resolve.npm_requirements import declared_npm
from hatchlock.resolve.requirements import Wanted, declared, holds, parse
from hatchlock.resolve.wanted import container_platforms
from hatchlock.sources.python.targets import process_target

__all__ = ["Path", "Reasons", "Tree", "render_tree", "render_why", "tree", "why"]

_ROOT = ""
_MODULES = "node_modules/"
_MOST_PATHS = 20
_NAMED = (Kind.DEB, Kind.HATCH, Kind.CONDA, Kind.OCI)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A package in a tree of dependencies.

    Attributes:
        id: `pypi:anyio@4.16.0`; for the tree's root the environment's address.
        requirement: How the one above asks for it; "" for the root.
        children: What it needs, by name; empty where `repeated`.
        repeated: It stands in the tree before, with its children.
    """

    id: str
    requirement: str = ""
    children: tuple[Tree, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A way from the manifest to a package.

    Attributes:
        ids: From the package that the manifest asks for to the one in question.
        requirements: How each is asked for, by the manifest for the first, then by the one before.
    """

    ids: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasons:
    """Why an environment has a package.

    Attributes:
        environment: The environment's name.
        runtime: "process" or "container": a name can have an environment for each.
        platforms: Where these paths hold, sorted.
        paths: Shortest first, at most 20.
        more: Whether there are further ones.
    """

    environment: str
    runtime: Runtime
    platforms: tuple[str, ...]
    paths: tuple[Path, ...]
    more: bool


def tree(lock: Lock, environment: Environment, platform: str) -> Tree:
    """Return the packages of one of the lock's environments on a platform, below what requires them."""
    graph = _graph(lock, environment, platform)
    return _tree(graph, _ROOT, f"env:{environment.name}", "", set())


def why(lock: Lock, package_name: str, *, kind: Kind | None = None) -> tuple[Reasons, ...]:
    """Return, for each environment that has the package, the ways from the manifest to it; () if none has it.

    Args:
        lock: The lock.
        package_name: A name without kind and version, in the normal form of its kind.
        kind: The only kind that counts; None for all.
    """
    return tuple(
        reasons for environment in lock.environments for reasons in _reasons(lock, environment, package_name, kind)
    )


def render_tree(root: Tree) -> str:
    """Return a tree as lines of text; "(*)" marks what is shown further up."""
    return "\n".join([root.id, *_lines(root.children, "")])


def render_why(reasons: Iterable[Reasons]) -> str:
    """Return reasons as lines of text, one path a line."""
    return "\n".join(line for item in reasons for line in _why_lines(item))


def _graph(lock: Lock, environment: Environment, platform: str) -> nx.DiGraph:
    """Nodes are packages (of an npm tree its places), and the manifest as the root; edges carry the requirement."""
    places = _Places(lock, environment, platform)
    graph = nx.DiGraph()
    graph.add_node(_ROOT)
    for node, package in places.packages.items():
        graph.add_node(node, id=package.id, name=package.name)
    extras: dict[str, frozenset[str]] = {}
    entries = _entries(lock, environment)
    pending = [(_ROOT, text) for text in environment.requirements if text not in entries]
    for text, entry in entries.items():
        graph.add_node(entry.id, id=entry.id, name=entry.name)
        graph.add_edge(_ROOT, entry.id, requirement=entry.source)
        pending.append((entry.id, text))
    while pending:
        requirer, text = pending.pop()
        found = places.find(text, requirer, extras.get(requirer, frozenset()))
        if found is None:
            continue
        node, label, wanted = found
        graph.add_edge(requirer, node, requirement=label)
        known = extras.get(node)
        if known is None or not known >= wanted:
            extras[node] = (known or frozenset()) | wanted
            pending += [(node, item) for item in places.packages[node].dependencies]
    return graph


def _entries(lock: Lock, environment: Environment) -> dict[str, Package]:
    """Return the entries of the MCP registry that servers of an environment are, by what they stand for."""
    sources = {
        item.source
        for item in lock.servers
        if (item.environment, item.runtime) == (environment.name, environment.runtime)
    }
    entries = [package for package in lock.packages if package.kind is Kind.MCP and package.source in sources]
    return {entry.dependencies[0]: entry for entry in entries}


class _Places:
    """The packages of an environment on a platform, and which of them a requirement means."""

    def __init__(self, lock: Lock, environment: Environment, platform: str) -> None:
        packages = list(lock.packages_of(environment, platform))
        by_id = {package.id: package for package in packages}
        tree = {path: by_id[found] for path, found in environment.tree.items() if found in by_id}
        in_tree = {package.id for package in tree.values()}
        self.packages = {package.id: package for package in packages if package.id not in in_tree} | tree
        self._python = {package.name: package.id for package in packages if package.namespace is Kind.PYPI}
        self._sources = {package.source: package.id for package in packages if package.source}
        self._named = {f"{package.kind}:{package.name}": package.id for package in packages if not package.source}
        self._named |= {text: package.id for package in packages for text in package.provides}
        self._target = process_target(platform, environment.python) if environment.python else None

    def find(self, text: str, requirer: str, extras: frozenset[str]) -> tuple[str, str, frozenset[str]] | None:
        """Return the node that a requirement means, how it is shown, and the extras that it wants; None if it holds not."""
        if is_direct(text) and (node := self._sources.get(direct_source(text))):
            return node, text, frozenset()
        kind, _, spec = text.partition(":")
        if kind == Kind.NPM:
            return self._npm(spec, requirer)
        if kind == Kind.PYPI:
            return self._wheel(text, declared(text) if requirer == _ROOT else parse(spec), extras)
        node = self._named.get(name_of(text)) if kind in _NAMED else None
        return (node, text, frozenset()) if node else None

    def _wheel(self, text: str, wanted: Wanted, extras: frozenset[str]) -> tuple[str, str, frozenset[str]] | None:
        if wanted.name not in self._python:
            owner = self._named.get(f"{Kind.PYPI}:{wanted.name}")
            return (owner, text, frozenset()) if owner else None
        if self._target is None or not any(holds(wanted.marker, self._target, item) for item in ("", *extras)):
            return None
        return self._python[wanted.name], str(wanted), frozenset(wanted.extras)

    def _npm(self, spec: str, requirer: str) -> tuple[str, str, frozenset[str]] | None:
        """Look where Node looks: beside the requirer, then in every directory above it."""
        name, _ = declared_npm(spec)
        beside = f"{requirer}/" if requirer.startswith(_MODULES) else ""
        while True:
            path = f"{beside}{_MODULES}{name}"
            if path in self.packages:
                return path, spec, frozenset()
            if not beside:
                return None
            beside = beside.rpartition(_MODULES)[0]


def _tree(graph: nx.DiGraph, node: str, label: str, requirement: str, shown: set[str]) -> Tree:
    if node in shown:
        return Tree(id=label, requirement=requirement, repeated=bool(graph.out_degree(node)))
    shown.add(node)
    children = tuple(
        _tree(graph, child, graph.nodes[child]["id"], graph.edges[node, child]["requirement"], shown)
        for child in sorted(graph.successors(node))
    )
    return Tree(id=label, requirement=requirement, children=children)


def _reasons(lock: Lock, environment: Environment, name: str, kind: Kind | None) -> Iterator[Reasons]:
    by_paths: dict[tuple[Path, ...], list[str]] = {}
    for platform in container_platforms(lock.platforms) if environment.runtime == "container" else lock.platforms:
        paths = tuple(_paths(_graph(lock, environment, platform), name, kind))
        if paths:
            by_paths.setdefault(paths, []).append(platform)
    for paths, platforms in by_paths.items():
        yield Reasons(
            environment=environment.name,
            runtime=environment.runtime,
            platforms=tuple(sorted(platforms)),
            paths=paths[:_MOST_PATHS],
            more=len(paths) > _MOST_PATHS,
        )


def _paths(graph: nx.DiGraph, name: str, kind: Kind | None) -> Iterator[Path]:
    nodes = [
        node
        for node, data in graph.nodes(data=True)
        if data.get("name") == name and (kind is None or data["id"].startswith(f"{kind}:"))
    ]
    # their number can be exponential; sorted by name where the length is the same
    ways = (
        islice(nx.shortest_simple_paths(graph, _ROOT, node), _MOST_PATHS + 1)
        for node in nodes
        if nx.has_path(graph, _ROOT, node)
    )
    for way in sorted(chain.from_iterable(ways), key=lambda way: (len(way), way)):
        steps = list(pairwise(way))
        yield Path(
            ids=tuple(graph.nodes[node]["id"] for node in way[1:]),
            requirements=tuple(graph.edges[step]["requirement"] for step in steps),
        )


def _lines(children: tuple[Tree, ...], indent: str) -> Iterator[str]:
    for number, child in enumerate(children, start=1):
        last = number == len(children)
        mark = " (*)" if child.repeated else ""
        yield f"{indent}{'└─' if last else '├─'} {child.id}  ({child.requirement}){mark}"
        yield from _lines(child.children, indent + ("   " if last else "│  "))


def _why_lines(reasons: Reasons) -> Iterator[str]:
    yield f"env:{reasons.environment} ({reasons.runtime}; {', '.join(reasons.platforms)})"
    for path in reasons.paths:
        steps = (f"{item} ({text})" for item, text in zip(path.ids, path.requirements, strict=True))
        yield f"  {' → '.join(steps)}"
    if reasons.more:
        yield "  … and more"
