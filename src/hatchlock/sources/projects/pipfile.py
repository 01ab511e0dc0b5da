"""Pipfiles."""

from __future__ import annotations

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from hatchlock.sources.projects.loose import Document, string, strings, table
from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.requirements import Requirement, both, git_location, path_location, without_credentials
from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["pipfile_needs"]

_FILE = "Pipfile"
_CONDITIONS = (
    "sys_platform",
    "platform_machine",
    "platform_system",
    "os_name",
    "python_version",
    "python_full_version",
)


def pipfile_needs(tree: ProjectTree) -> tuple[list[Requirement], str]:
    """Return what the `[packages]` of a Pipfile require, and the Python that it asks for as a PEP 440 specifier.

    Raises:
        BadProjectFile: A version or condition has no meaning.
    """
    document = tree.toml(_FILE)
    wanted = [_requirement(tree, name, value) for name, value in table(document, "packages").items()]
    requires = table(document, "requires")
    if full := string(requires.get("python_full_version")):
        return wanted, f"=={full}"
    minor = string(requires.get("python_version"))
    return wanted, f"=={minor}.*" if minor else ""


def _requirement(tree: ProjectTree, name: str, value: object) -> Requirement:
    facts = table(value)
    version = string(value) or string(facts.get("version"))
    try:
        specifier = "" if version in {"", "*"} else str(SpecifierSet(version))
        marker = str(Marker(text)) if (text := string(facts.get("markers"))) else ""
        for condition in _CONDITIONS:
            if said := string(facts.get(condition)):
                marker = both(marker, str(Marker(f"{condition} {said}")))
    except (InvalidSpecifier, InvalidMarker) as error:
        raise BadProjectFile(file=_FILE, why=f"what it says of {name} has no meaning: {error}") from error
    return Requirement(
        name=canonicalize_name(name),
        extras=tuple(sorted(canonicalize_name(extra) for extra in strings(facts.get("extras")))),
        specifier=specifier,
        marker=marker,
        location=_location(tree, facts),
    )


def _location(tree: ProjectTree, facts: Document) -> str:
    if url := string(facts.get("git")):
        return git_location(url, reference=string(facts.get("ref")), subdirectory=string(facts.get("subdirectory")))
    if path := string(facts.get("path")):
        return path_location(path, tree=tree, file=_FILE)
    return without_credentials(string(facts.get("file")))
