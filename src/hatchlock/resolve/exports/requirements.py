"""requirements.txt, as pip and uv read it: every version pinned, every file with its hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, File
from hatchlock.resolve.exports.selection import Selected, git_url, hashes

__all__ = ["render_constraints", "render_requirements"]


def render_requirements(
    environment: Environment,
    selected: Sequence[Selected],
    *,
    platforms: Sequence[str],
    paths: Mapping[str, str],
) -> str:
    """Return a requirements.txt that installs what the lock has.

    Args:
        environment: Whose it is.
        selected: Its Python packages.
        platforms: Which the export is for; for the heading.
        paths: Id of a project in a directory -> that directory, as the file is to name it.
    """
    lines = [f"# {_heading(environment, platforms)}"]
    if environment.overrides:
        lines.append("# Overrides are in force, which installers do not know: install it with --no-deps.")
    if any(item.package.kind in {Kind.GIT, Kind.PATH} for item in selected):
        lines.append("# Repositories and directories have no hash here: installers refuse them with --require-hashes.")
    return "\n".join([*lines, *(_requirement(item, paths) for item in selected)]) + "\n"


def render_constraints(environment: Environment, selected: Sequence[Selected], *, platforms: Sequence[str]) -> str:
    """Return a constraints file: `NAME==VERSION` of everything that an index has.

    A marker stands only where platforms differ in the version.
    """
    indexed = [item for item in selected if not item.is_direct]
    names = [item.package.name for item in indexed]
    lines = [_with_marker(_pin(item), item.marker if names.count(item.package.name) > 1 else "") for item in indexed]
    return "\n".join([f"# {_heading(environment, platforms)}", *lines]) + "\n"


def _heading(environment: Environment, platforms: Sequence[str]) -> str:
    return (
        f"Written by `hatchlock export`: environment {environment.name}, Python {environment.python}, "
        f"{', '.join(platforms)}."
    )


def _requirement(item: Selected, paths: Mapping[str, str]) -> str:
    named = _with_marker(_named(item, paths), item.marker)
    return " \\\n    ".join([named, *(f"--hash={text}" for file in item.files for text in _hash_texts(file))])


def _named(item: Selected, paths: Mapping[str, str]) -> str:
    package = item.package
    if package.kind is Kind.PATH:
        return paths[package.id]
    if package.kind is Kind.GIT:
        part = f"#subdirectory={package.subdirectory}" if package.subdirectory else ""
        return f"{package.name} @ git+{git_url(package.location)}@{package.commit}{part}"
    return f"{package.name} @ {package.location}" if item.is_direct else _pin(item)


def _pin(item: Selected) -> str:
    return f"{item.package.name}=={item.package.version}"


def _with_marker(text: str, marker: str) -> str:
    return f"{text} ; {marker}" if marker else text


def _hash_texts(file: File) -> list[str]:
    return [f"{algorithm}:{digest}" for algorithm, digest in hashes(file).items()]
