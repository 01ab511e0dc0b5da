"""The versions that a project's own lock file holds: what `lock` tries first, so that the tested closure is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from hatchlock.sources.npm.ranges import BadNpmVersion, NpmVersion
from hatchlock.sources.projects.loose import Document, rows, string, table
from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.requirements import Requirement
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.projects.yaml_subset import YamlProblem, parse_yaml

__all__ = ["Pins", "node_pins", "python_pins", "requirement_pins"]

_Pair = tuple[str, str]
_JS_LOCKS_NOT_READ = ("bun.lock", "bun.lockb", "deno.lock", "shrinkwrap.yaml")
_PNPM_OLD = re.compile(r"/(?P<name>(?:@[^/]+/)?[^/@]+)/(?P<version>\d[^/_()]*)(?:[_(].*)?")
_PNPM_NEW = re.compile(r"/?(?P<name>(?:@[^/@]+/)?[^/@]+)@(?P<version>\d[^()_/]*)(?:[_(].*)?")
_BERRY = re.compile(r"(?P<name>(?:@[^/@]+/)?[^/@]+)@npm:(?P<version>\d[^\s]*)")
_YARN_ENTRY = re.compile(r"^(?P<head>\S.*):$")
_YARN_VERSION = re.compile(r'^  version "?(?P<version>[^"\s]+)"?$')


@dataclass(kw_only=True, slots=True)
class Pins:
    """What was found.

    Attributes:
        file: The lock file, relative to the project; "" if there is none that was understood.
        versions: `pypi:NAME` or `npm:NAME` -> versions, newest first.
        notes: Lock files that were not used, and why.
    """

    file: str = ""
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class _NotUnderstood(Exception):
    """A lock file is of a form that is not known; the message says what."""


def python_pins(tree: ProjectTree, *, workspace_root: Path | None = None) -> Pins:
    """Read uv.lock, poetry.lock, pdm.lock, pylock.toml or Pipfile.lock: the first that is there.

    Args:
        tree: The project.
        workspace_root: Where its workspace's lock file is, if it is a member of one.
    """
    return _first(tree, _PYTHON_READERS, workspace_root, _python_versions)


def requirement_pins(requirements: Iterable[Requirement]) -> dict[str, tuple[str, ...]]:
    """Return the pins among requirements: those with one `==` version."""
    exact = (
        (one.name, one.specifier.removeprefix("==").removeprefix("="))
        for one in requirements
        if one.specifier.startswith("==") and not {"*", ","} & set(one.specifier)
    )
    return _python_versions(exact)


def node_pins(tree: ProjectTree, *, workspace_root: Path | None = None) -> Pins:
    """Read npm-shrinkwrap.json, package-lock.json, pnpm-lock.yaml or yarn.lock: the first that is there.

    Args:
        tree: The project.
        workspace_root: Where its workspace's lock file is, if it is a member of one.
    """
    pins = _first(tree, _NODE_READERS, workspace_root, _node_versions)
    unread = [name for name in _JS_LOCKS_NOT_READ if name in tree.files]
    pins.notes = (*pins.notes, *(f"{name} is not read: its versions are not used" for name in unread))
    return pins


_Reader = Callable[[ProjectTree, Path], Iterable[_Pair]]
_Order = Callable[[Iterable[_Pair]], dict[str, tuple[str, ...]]]


def _first(tree: ProjectTree, readers: Mapping[str, _Reader], workspace_root: Path | None, order: _Order) -> Pins:
    places = [tree.root] + ([workspace_root] if workspace_root and workspace_root != tree.root else [])
    pins = Pins()
    notes: list[str] = []
    for place in places:
        for name, read in readers.items():
            path = place / name
            if not path.is_file() or (place == tree.root and name not in tree.files):
                continue
            shown = name if place == tree.root else f"{tree.relative(place)}/{name}"
            if pins.file:
                notes.append(f"{shown} is not read: {pins.file} comes first")
                continue
            try:
                found = order(read(tree, path))
            except (_NotUnderstood, YamlProblem, BadProjectFile) as error:
                why = error.why if isinstance(error, BadProjectFile) else str(error)
                notes.append(f"{shown} was not understood, and its versions are not used: {why}")
                continue
            pins = Pins(file=shown, versions=found)
        if pins.file:
            break
    pins.notes = tuple(notes)
    return pins


def _python_versions(pairs: Iterable[_Pair]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[Version]] = {}
    for name, text in pairs:
        try:
            found.setdefault(f"pypi:{canonicalize_name(name)}", set()).add(Version(text))
        except InvalidVersion:
            continue
    return {
        name: tuple(map(str, sorted(versions, reverse=True))) for name, versions in sorted(found.items()) if versions
    }


def _node_versions(pairs: Iterable[_Pair]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[NpmVersion]] = {}
    for name, text in pairs:
        try:
            found.setdefault(f"npm:{name}", set()).add(NpmVersion.parse(text))
        except BadNpmVersion:
            continue
    return {
        name: tuple(map(str, sorted(versions, reverse=True))) for name, versions in sorted(found.items()) if versions
    }


def _uv(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    document = tree.outer_toml(path)
    _check(str(document.get("version")), {"1"}, "version")
    for row in rows(document.get("package")):
        if "registry" in table(row, "source"):
            yield string(row.get("name")), string(row.get("version"))


def _poetry(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    document = tree.outer_toml(path)
    _check(string(table(document, "metadata").get("lock-version")).partition(".")[0], {"1", "2"}, "lock-version")
    for row in rows(document.get("package")):
        if string(table(row, "source").get("type")) in {"", "legacy"}:
            yield string(row.get("name")), string(row.get("version"))


def _pdm(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    document = tree.outer_toml(path)
    _check(string(table(document, "metadata").get("lock_version")).partition(".")[0], {"3", "4"}, "lock_version")
    for row in rows(document.get("package")):
        if not {"git", "path", "url", "hg", "svn"} & set(row):
            yield string(row.get("name")), string(row.get("version"))


def _pylock(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    document = tree.outer_toml(path)
    _check(string(document.get("lock-version")).partition(".")[0], {"1"}, "lock-version")
    for row in rows(document.get("packages")):
        if not {"vcs", "directory", "archive"} & set(row):
            yield string(row.get("name")), string(row.get("version"))


def _pipfile(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    document = tree.outer_json(path)
    _check(str(table(document, "_meta").get("pipfile-spec")), {"6"}, "pipfile-spec")
    for name, row in table(document, "default").items():
        yield name, string(table(row).get("version")).removeprefix("==")


def _npm(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    document = tree.outer_json(path)
    _check(str(document.get("lockfileVersion", 1)), {"1", "2", "3"}, "lockfileVersion")
    if not table(document, "packages"):
        yield from _npm_old(document)
        return
    for place, row in table(document, "packages").items():
        name = string(table(row).get("name")) or place.rpartition("node_modules/")[2]
        if "node_modules/" in place and table(row).get("link") is not True and _of_registry(table(row)):
            yield name, string(table(row).get("version"))


def _of_registry(row: Document) -> bool:
    resolved = string(row.get("resolved"))
    return not resolved or resolved.startswith(("https://", "http://"))


def _npm_old(document: Document) -> Iterator[_Pair]:
    pending = [table(document, "dependencies")]
    while pending:
        for name, row in pending.pop().items():
            version = string(table(row).get("version"))
            alias = re.fullmatch(r"npm:(?P<name>(?:@[^/@]+/)?[^/@]+)@(?P<version>.+)", version)
            yield (alias["name"], alias["version"]) if alias else (name, version)
            pending.append(table(row, "dependencies"))


def _pnpm(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    document = parse_yaml(tree.outer_text(path) or "")
    version = string(document.get("lockfileVersion"))
    _check(version.partition(".")[0], {"5", "6", "7", "8", "9"}, "lockfileVersion", shown=version)
    pattern = _PNPM_OLD if version.startswith("5") else _PNPM_NEW
    for key in table(document, "packages"):
        if match := pattern.fullmatch(key):
            yield match["name"], match["version"]


def _yarn(tree: ProjectTree, path: Path) -> Iterator[_Pair]:
    text = tree.outer_text(path) or ""
    if "\n__metadata:" in text:
        for row in parse_yaml(text).values():
            if match := _BERRY.fullmatch(string(table(row).get("resolution"))):
                yield match["name"], match["version"]
        return
    if "# yarn lockfile v1" not in text:
        raise _NotUnderstood("it is neither of yarn 1 nor of a later yarn")
    yield from _yarn_1(text)


def _yarn_1(text: str) -> Iterator[_Pair]:
    name = ""
    for line in text.splitlines():
        if entry := _YARN_ENTRY.match(line):
            first = entry["head"].split(",")[0].strip().strip('"')
            name = _yarn_name(first)
        elif name and (version := _YARN_VERSION.match(line)):
            yield name, version["version"]
            name = ""


def _yarn_name(descriptor: str) -> str:
    """The package behind `name@range`; of an alias (`name@npm:real@range`) the real one; "" if no registry has it."""
    at = descriptor.find("@", 1)
    name, spec = descriptor[:at], descriptor[at + 1 :]
    if spec.startswith("npm:") and "@" in spec[5:]:
        return spec[4 : spec.index("@", 5)]
    return "" if ":" in spec.removeprefix("npm:") or "/" in spec else name


def _check(version: str, known: set[str], what: str, *, shown: str = "") -> None:
    if version not in known:
        raise _NotUnderstood(f"its {what} is {shown or version or 'missing'}")


_PYTHON_READERS: Mapping[str, _Reader] = {
    "uv.lock": _uv,
    "poetry.lock": _poetry,
    "pdm.lock": _pdm,
    "pylock.toml": _pylock,
    "Pipfile.lock": _pipfile,
}
_NODE_READERS: Mapping[str, _Reader] = {
    "npm-shrinkwrap.json": _npm,
    "package-lock.json": _npm,
    "pnpm-lock.yaml": _pnpm,
    "yarn.lock": _yarn,
}
