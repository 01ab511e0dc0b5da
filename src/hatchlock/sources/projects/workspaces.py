"""Workspaces: several projects of one repository that use each other."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from hatchlock.files import reporting_permission
from hatchlock.sources.projects.loose import Document, string, strings, table
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.projects.yaml_subset import YamlProblem, parse_yaml

__all__ = ["Member", "Workspace", "node_workspace", "uv_workspace"]

_SKIPPED = frozenset({"node_modules", ".git", ".venv", "__pycache__"})
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A project of a workspace.

    Attributes:
        directory: Where it is.
        version: As it says itself, or "".
    """

    directory: Path
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """A workspace.

    Attributes:
        root: The directory that declares it.
        declared_in: The name of the file that does.
        members: Name (normalised by its ecosystem's rule) -> member.
        settings: The declaring file's other content: uv's sources, pnpm's catalogues.
        problem: Why its declaration could not be read to the end; "" if it could.
    """

    root: Path
    declared_in: str
    members: Mapping[str, Member]
    settings: Document = field(default_factory=dict)
    problem: str = ""


def uv_workspace(tree: ProjectTree) -> Workspace | None:
    """Return the uv workspace that a project is the root or a member of.

    Raises:
        BadProjectFile: A pyproject.toml on the way is no TOML.
    """
    for directory in (tree.root, *tree.above):
        document = tree.outer_toml(directory / "pyproject.toml")
        declared = table(document, "tool", "uv", "workspace")
        if not declared:
            continue
        places = _members(directory, strings(declared.get("members")), without=strings(declared.get("exclude")))
        if tree.root in {directory, *places}:
            return Workspace(
                root=directory,
                declared_in="pyproject.toml",
                members=dict(_python_members(tree, [directory, *places])),
                settings=document,
            )
    return None


def _python_members(tree: ProjectTree, places: Iterable[Path]) -> Iterator[tuple[str, Member]]:
    for place in places:
        project = table(tree.outer_toml(place / "pyproject.toml"), "project")
        if name := string(project.get("name")):
            yield canonicalize_name(name), Member(directory=place, version=string(project.get("version")))


def node_workspace(tree: ProjectTree) -> Workspace | None:
    """Return the npm, yarn, pnpm or lerna workspace that a project is the root or a member of.

    Raises:
        BadProjectFile: A package.json on the way is no JSON.
    """
    for directory in (tree.root, *tree.above):
        found = _declared_by_pnpm(tree, directory) or _declared_by_npm(tree, directory)
        if found is None:
            continue
        declared_in, patterns, settings, problem = found
        kept = [pattern for pattern in patterns if not pattern.startswith("!")]
        dropped = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        places = _members(directory, kept, without=dropped)
        if tree.root in {directory, *places}:
            return Workspace(
                root=directory,
                declared_in=declared_in,
                members=dict(_node_members(tree, places)),
                settings=settings,
                problem=problem,
            )
    return None


_Declaration = tuple[str, tuple[str, ...], Document, str]


def _declared_by_pnpm(tree: ProjectTree, directory: Path) -> _Declaration | None:
    text = tree.outer_text(directory / "pnpm-workspace.yaml")
    if text is None:
        return None
    try:
        document = parse_yaml(text)
    except YamlProblem as error:
        return "pnpm-workspace.yaml", (), {}, str(error)
    return "pnpm-workspace.yaml", strings(document.get("packages")), document, ""


def _declared_by_npm(tree: ProjectTree, directory: Path) -> _Declaration | None:
    declared = tree.outer_json(directory / "package.json").get("workspaces")
    patterns = strings(table(declared).get("packages")) or strings(declared)
    if patterns:
        return "package.json", patterns, {}, ""
    patterns = strings(tree.outer_json(directory / "lerna.json").get("packages"))
    return ("lerna.json", patterns, {}, "") if patterns else None


def _node_members(tree: ProjectTree, places: Iterable[Path]) -> Iterator[tuple[str, Member]]:
    for place in places:
        document = tree.outer_json(place / "package.json")
        if name := string(document.get("name")):
            yield name, Member(directory=place, version=string(document.get("version")))


def _members(root: Path, patterns: Iterable[str], *, without: Iterable[str]) -> list[Path]:
    dropped = {place for pattern in without for place in _expanded(root, pattern)}
    found = {place for pattern in patterns for place in _expanded(root, pattern)}
    return sorted(found - dropped - {root})


def _expanded(root: Path, pattern: str) -> set[Path]:
    """Return the directories below `root` that a pattern means; links are not followed, nor is `..`."""
    if match := _BRACES.search(pattern):
        return {
            place
            for choice in match[1].split(",")
            for place in _expanded(root, pattern[: match.start()] + choice + pattern[match.end() :])
        }
    places = {root}
    for part in pattern.split("/"):
        if part in {"", "."}:
            continue
        if part == "..":
            return set()
        places = {below for place in places for below in _step(place, part)}
    return places


def _step(place: Path, part: str) -> Iterator[Path]:
    if part == "**":
        yield place
        for child in _directories(place):
            yield from _step(child, part)
    else:
        yield from (child for child in _directories(place) if fnmatch.fnmatchcase(child.name, part))


def _directories(place: Path) -> Iterator[Path]:
    with reporting_permission(place):
        children = list(place.iterdir())
    for child in children:
        if child.name not in _SKIPPED and child.is_dir() and not child.is_symlink():
            yield child
