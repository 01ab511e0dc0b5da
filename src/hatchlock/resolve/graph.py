"""The lock as a graph: what stands below an environment, and why a package is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

import networkx as nx

from hatchlock.address import Kind
from hatchlock.launch import Runtime
from hatchlock.lock.model import Environment, Lock
from hatchlock.resolve.requirements import Wanted, declared, holds, parse
from hatchlock.sources.python.targets import PythonTarget, process_target

__all__ = ["Path", "Reasons", "Tree", "render_tree", "render_why", "tree", "why"]

_ROOT = ""
_MOST_PATHS = 20


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


def why(lock: Lock, package_name: str) -> tuple[Reasons, ...]:
    """Return, for each environment that has the package, the ways from the manifest to it; () if none has it.

    Args:
        lock: The lock.
        package_name: A name without kind and version, in the normal form of its kind.
    """
    return tuple(reasons for environment in lock.environments for reasons in _reasons(lock, environment, package_name))


def render_tree(root: Tree) -> str:
    """Return a tree as lines of text; "(*)" marks what is shown further up."""
    return "\n".join([root.id, *_lines(root.children, "")])


def render_why(reasons: Iterable[Reasons]) -> str:
    """Return reasons as lines of text, one path a line."""
    return "\n".join(line for item in reasons for line in _why_lines(item))


def _graph(lock: Lock, environment: Environment, platform: str) -> nx.DiGraph:
    """Nodes are package names, and the manifest as the root; edges carry the requirement."""
    packages = {package.name: package for package in lock.packages_of(environment, platform)}
    target = process_target(platform, environment.python) if environment.python else None
    graph = nx.DiGraph()
    graph.add_node(_ROOT)
    for package in packages.values():
        graph.add_node(package.name, id=package.id)
    extras: dict[str, set[str]] = {}
    pending = [(_ROOT, text) for text in environment.requirements]
    while pending:
        requirer, text = pending.pop()
        wanted = _wanted(text, requirer, extras, target)
        if wanted is None or wanted.name not in packages:
            continue
        graph.add_edge(requirer, wanted.name, requirement=str(wanted))
        known = extras.get(wanted.name)
        if known is None or not known.issuperset(wanted.extras):
            extras[wanted.name] = {*(known or ()), *wanted.extras}
            pending += [(wanted.name, item) for item in packages[wanted.name].dependencies]
    return graph


def _wanted(text: str, requirer: str, extras: Mapping[str, set[str]], target: PythonTarget | None) -> Wanted | None:
    kind, _, spec = text.partition(":")
    if kind != Kind.PYPI or target is None:
        return None
    wanted = declared(text) if requirer == _ROOT else parse(spec)
    in_use = ("", *extras.get(requirer, ()))
    return wanted if any(holds(wanted.marker, target, extra) for extra in in_use) else None


def _tree(graph: nx.DiGraph, node: str, label: str, requirement: str, shown: set[str]) -> Tree:
    if node in shown:
        return Tree(id=label, requirement=requirement, repeated=bool(graph.out_degree(node)))
    shown.add(node)
    children = tuple(
        _tree(graph, child, graph.nodes[child]["id"], graph.edges[node, child]["requirement"], shown)
        for child in sorted(graph.successors(node))
    )
    return Tree(id=label, requirement=requirement, children=children)


def _reasons(lock: Lock, environment: Environment, name: str) -> Iterator[Reasons]:
    by_paths: dict[tuple[Path, ...], list[str]] = {}
    for platform in lock.platforms:
        paths = tuple(_paths(_graph(lock, environment, platform), name))
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


def _paths(graph: nx.DiGraph, name: str) -> Iterator[Path]:
    if name not in graph or not nx.has_path(graph, _ROOT, name):
        return
    # their number can be exponential; sorted by name where the length is the same
    found = sorted(
        islice(nx.shortest_simple_paths(graph, _ROOT, name), _MOST_PATHS + 1), key=lambda way: (len(way), way)
    )
    for way in found:
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
