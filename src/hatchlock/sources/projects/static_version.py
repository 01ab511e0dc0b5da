"""A Python project's version where it is not in its metadata, read without running anything."""

from __future__ import annotations

import re

from packaging.version import InvalidVersion, Version

from hatchlock.sources.projects.layout import module_constant
from hatchlock.sources.projects.loose import Document, string, strings, table
from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["normalised", "static_version", "version_from"]

_ASSIGNED = re.compile(r"""^(?:__version__|VERSION|version)\s*(?::\s*str\s*)?=\s*['"]v?([^'"\n]+)['"]""", re.MULTILINE)
_ROOTS = ("", "src/", "lib/", "python/")


def normalised(version: str) -> str:
    """Return a version as PEP 440 writes it; "" if it is none."""
    try:
        return str(Version(version))
    except InvalidVersion:
        return ""


def static_version(tree: ProjectTree, pyproject: Document, *, modules: tuple[str, ...]) -> str:
    """Look where the settings of setuptools, hatch, pdm and flit say that the version is; "" if it is made by a build.

    Args:
        tree: The project.
        pyproject: Its pyproject.toml.
        modules: Its import packages, for flit, which keeps the version there.
    """
    tool = table(pyproject, "tool")
    dynamic = table(tool, "setuptools", "dynamic", "version")
    if attribute := string(dynamic.get("attr")):
        return version_from(tree, f"attr: {attribute}")
    if files := strings(dynamic.get("file")) or (string(dynamic.get("file")),):
        for file in filter(None, files):
            return version_from(tree, f"file: {file}")
    for settings in (table(tool, "hatch", "version"), table(tool, "pdm", "version")):
        if path := string(settings.get("path")):
            return _assigned(tree, path)
    if string(table(pyproject, "build-system").get("build-backend")).startswith("flit"):
        constants = (_module_constant(tree, module, "__version__") for module in modules)
        return normalised(next(filter(None, constants), ""))
    return ""


def version_from(tree: ProjectTree, where: str) -> str:
    """Follow setuptools' `attr: package.module.NAME` or `file: VERSION`; "" if that is not literal."""
    kind, _, target = where.partition(":")
    target = target.strip()
    if kind == "file":
        return normalised((tree.text(target) or "").strip()) if target in tree.files else ""
    module, _, name = target.rpartition(".")
    return normalised(_module_constant(tree, module, name))


def _module_constant(tree: ProjectTree, module: str, name: str) -> str:
    path = module.replace(".", "/")
    candidates = (f"{root}{path}{suffix}" for root in _ROOTS for suffix in ("/__init__.py", ".py"))
    return next(filter(None, (module_constant(tree, candidate, name) for candidate in candidates)), "")


def _assigned(tree: ProjectTree, path: str) -> str:
    match = _ASSIGNED.search((tree.text(path) or "") if path in tree.files else "")
    return normalised(match[1]) if match else ""
