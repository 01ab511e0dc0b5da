"""package-lock.json (version 3) and the package.json that `npm ci` holds it against."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, File, Lock, Package
from hatchlock.resolve.exports.selection import hashes
from hatchlock.sources.npm.names import parse_wanted
from hatchlock.sources.npm.placement import runs_on

__all__ = ["is_ours", "render_package_lock"]

_MADE_BY = "Written by `hatchlock export`."
_VERSION = 3
_MODULES = "node_modules/"
_PREFIX = f"{Kind.NPM}:"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tree:
    places: Mapping[str, Package]
    """Path -> package of the registry."""
    projects: tuple[Package, ...]
    """Node projects from git or a directory, which npm would lay out differently."""
    platforms: tuple[str, ...]

    def find(self, start: str, name: str) -> str:
        """Return the path of what `name` means inside the package at `start` ("" for the root); "" if nothing does."""
        while True:
            path = f"{start}/{_MODULES}{name}" if start else f"{_MODULES}{name}"
            if path in self.places or not start:
                return path if path in self.places else ""
            start = start.rpartition(f"/{_MODULES}")[0]

    def is_for_some(self, path: str) -> bool:
        """Whether a package does not run on every platform, so that it can only be optional."""
        package = self.places[path]
        return bool(package.libc) or not all(runs_on(package, platform) for platform in self.platforms)


def render_package_lock(lock: Lock, environment: Environment, *, platforms: Iterable[str]) -> Mapping[str, str]:
    """Return the texts of package-lock.json and package.json by file name; `npm ci` wants both.

    What comes from the registry is in them, without its address, which npm asks its own registry for. A project from git
    or a directory is not, since npm would lay it out differently, but what it needs is.

    Args:
        lock: The lock.
        environment: One of its environments, with a `tree`.
        platforms: Which the export is for; packages for others are left out.
    """
    chosen = tuple(sorted(platforms))
    by_id = {package.id: package for package in lock.packages}
    ids = {package_id for platform in chosen for package_id in environment.on(platform)}
    packages = {path: by_id[package_id] for path, package_id in environment.tree.items() if package_id in ids}
    tree = _Tree(
        places={path: packages[path] for path in sorted(packages) if packages[path].kind is Kind.NPM},
        projects=tuple(by_id[name] for name in sorted(ids) if _is_project(by_id[name])),
        platforms=chosen,
    )
    overrides = dict(_name_and_range(text) for text in _npm(environment.overrides))
    root = _root(tree, environment, overrides)
    required = _required(tree, root)
    entries = {path: _entry(tree, path, optional=path not in required) for path in tree.places}
    head = {"name": lock.project, "version": "0.0.0"}
    document = {
        **head,
        "lockfileVersion": _VERSION,
        "requires": True,
        "packages": {"": {**head, **root}, **entries},
    }
    # npm allows no override of what the root itself asks for; there the root asks for that
    below = {name: text for name, text in overrides.items() if name not in _all_of(root)}
    manifest = {**head, "description": _MADE_BY, "private": True, **root, **({"overrides": below} if below else {})}
    return {"package-lock.json": _text(document), "package.json": _text(manifest)}


def is_ours(manifest: bytes | None) -> bool:
    """Return whether a package.json is one that `export` wrote."""
    return manifest is not None and f'"description": {json.dumps(_MADE_BY)}'.encode() in manifest


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _is_project(package: Package) -> bool:
    return package.kind is not Kind.NPM and package.namespace is Kind.NPM


def _npm(texts: Iterable[str]) -> Iterator[str]:
    return (text.removeprefix(_PREFIX) for text in texts if text.startswith(_PREFIX))


def _name_and_range(spec: str) -> tuple[str, str]:
    scope = "@" if spec.startswith("@") else ""
    name, _, wanted = spec.removeprefix("@").partition("@")
    return f"{scope}{name}", wanted or "*"


def _root(tree: _Tree, environment: Environment, overrides: Mapping[str, str]) -> dict[str, Any]:
    asked: dict[str, list[str]] = {}
    for texts in (environment.requirements, *(project.dependencies for project in tree.projects)):
        for name, wanted in map(_name_and_range, _npm(texts)):
            asked.setdefault(name, []).append(overrides.get(name, wanted))
    found = {name: (path, wanted) for name, wanted in sorted(asked.items()) if (path := tree.find("", name))}
    return _edges(
        tree, {name: (path, _lasting(tree.places[path], name, wanted)) for name, (path, wanted) in found.items()}
    )


def _lasting(package: Package, name: str, wanted: Sequence[str]) -> str:
    """Return what is asked for if it is one range; else the version: npm finds no locked dist-tag fulfilled."""
    parsed = parse_wanted(name, wanted[0])
    if len(set(wanted)) == 1 and parsed is not None and parsed.form == "range":
        return wanted[0]
    return package.version if package.name == name else f"{_PREFIX}{package.name}@{package.version}"


def _edges(tree: _Tree, found: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return edges as npm groups them; one to what only some platforms have must be optional, or npm refuses the rest."""
    always = {name: text for name, (path, text) in found.items() if not tree.is_for_some(path)}
    sometimes = {name: text for name, (path, text) in found.items() if tree.is_for_some(path)}
    return _filled({"dependencies": always, "optionalDependencies": sometimes})


def _all_of(edges: Mapping[str, Any]) -> dict[str, str]:
    return {**edges.get("dependencies", {}), **edges.get("optionalDependencies", {})}


def _required(tree: _Tree, root: Mapping[str, Any]) -> set[str]:
    """Return the paths that every platform needs; the rest is only there for packages that are for some."""
    waiting = [tree.find("", name) for name in root.get("dependencies", {})]
    found: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [below for below, _ in _needs(tree, path).values() if not tree.is_for_some(below)]
    return found


def _needs(tree: _Tree, path: str) -> dict[str, tuple[str, str]]:
    """Return a package's edges: name -> path and range. What a tarball brings along itself has no path."""
    wanted = sorted(map(_name_and_range, _npm(tree.places[path].dependencies)))
    found = {name: (below, text) for name, text in wanted if (below := tree.find(path, name))}
    return {name: (below, _lasting(tree.places[below], name, [text])) for name, (below, text) in found.items()}


def _entry(tree: _Tree, path: str, *, optional: bool) -> dict[str, Any]:
    package = tree.places[path]
    alias = path.rpartition(_MODULES)[2] != package.name
    return {
        **({"name": package.name} if alias else {}),
        "version": package.version,
        **_filled(
            {
                "integrity": " ".join(_integrity(file) for file in package.files),
                "hasInstallScript": package.install_script,
                "license": package.licence,
                "optional": optional,
            }
        ),
        **_edges(tree, _needs(tree, path)),
        **_filled(
            {
                "os": list(package.systems),
                "cpu": list(package.processors),
                "libc": list(package.libc),
                "bin": dict(package.scripts),
                "engines": {"node": package.requires_node} if package.requires_node else {},
            }
        ),
    }


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def _integrity(file: File) -> str:
    return " ".join(
        f"{algorithm}-{base64.b64encode(bytes.fromhex(digest)).decode()}" for algorithm, digest in hashes(file).items()
    )
