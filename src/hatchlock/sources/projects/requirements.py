"""What a Python project requires, as its files say it, and as the lock writes it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from packaging.utils import canonicalize_name

from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["Requirement", "both", "edges", "git_location", "parse_requirement", "path_location", "without_credentials"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One requirement.

    Attributes:
        name: Normalised (PEP 503).
        extras: Normalised, sorted.
        specifier: PEP 440, "" for any version.
        marker: PEP 508, "" if it always holds.
        location: Where it comes from when not from an index: `path:…`, `git:…`, or a URL.
    """

    name: str
    extras: tuple[str, ...] = ()
    specifier: str = ""
    marker: str = ""
    location: str = ""

    def edges(self) -> tuple[str, ...]:
        """Return it as the lock writes edges.

        One from a path or from git becomes `path:../core ; MARKER`. With extras there is a second edge,
        `pypi:core[fast] ; MARKER`, which asks the same project for them: the first form has no place for extras.
        """
        marker = f" ; {self.marker}" if self.marker else ""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        if self.location.startswith(("path:", "git:")):
            asked = (f"pypi:{self.name}{extras}{self.specifier}{marker}",) if extras else ()
            return (f"{self.location}{marker}", *asked)
        address = f" @ {self.location}" if self.location else ""
        return (f"pypi:{self.name}{extras}{self.specifier}{address}{marker}",)


def edges(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    """Return the edges of several requirements, sorted, each once."""
    return tuple(sorted({edge for requirement in requirements for edge in requirement.edges()}))


def parse_requirement(text: str, *, tree: ProjectTree, file: str) -> Requirement:
    """Read a PEP 508 requirement.

    Args:
        text: As written in `file`.
        tree: The project, for references to directories.
        file: For messages.

    Raises:
        BadProjectFile: It is none, or it refers to a directory of one machine.
    """
    try:
        parsed = Pep508(text)
    except InvalidRequirement as error:
        why = str(error).partition("\n")[0]
        raise BadProjectFile(file=file, why=f"{text!r} is no requirement: {why}") from error
    return Requirement(
        name=canonicalize_name(parsed.name),
        extras=tuple(sorted(canonicalize_name(extra) for extra in parsed.extras)),
        specifier=str(parsed.specifier),
        marker=str(parsed.marker) if parsed.marker else "",
        location=_location(parsed.url, tree=tree, file=file) if parsed.url else "",
    )


def _location(url: str, *, tree: ProjectTree, file: str) -> str:
    if url.startswith("git+"):
        return git_location(url)
    if url.startswith("file:"):
        return path_location(unquote(urlsplit(url).path), tree=tree, file=file)
    return without_credentials(url)


def path_location(path: str, *, tree: ProjectTree, file: str, base: Path | None = None) -> str:
    """Return `path:` and a directory as the project would write it.

    Args:
        path: As written in `file`; an absolute one must lie in the project's workspace.
        tree: The project.
        file: For messages.
        base: What the path is relative to; None: the project.

    Raises:
        BadProjectFile: It names a place that only one machine has.
    """
    if Path(path).is_absolute() and tree.is_outside(path):
        raise BadProjectFile(
            file=file,
            why=f"it requires {path}, which only one machine has",
            advice="write a path relative to the project, or a version of an index",
        )
    directory = Path(os.path.normpath((base or tree.root) / path))
    return f"path:{tree.relative(directory)}"


def git_location(url: str, *, reference: str = "", subdirectory: str = "") -> str:
    """Return `git:URL@REF#subdirectory=DIR`.

    Args:
        url: As pip, uv, poetry or npm write it: with or without `git+`; a reference and a fragment of its own count.
        reference: Branch, tag or commit, where the file says it apart.
        subdirectory: Where the project is, where the file says it apart.
    """
    address, _, fragment = url.removeprefix("git+").partition("#")
    inside = subdirectory or parse_qs(fragment).get("subdirectory", [""])[0]
    named = f"@{reference}" if reference else ""
    return f"git:{without_credentials(address)}{named}" + (f"#subdirectory={inside.strip('/')}" if inside else "")


def without_credentials(url: str) -> str:
    """Return a URL of the web without user and password: the lock is no place for them."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def both(first: str, second: str) -> str:
    """Return the marker that holds when both do; "" always holds."""
    if not first or not second:
        return first or second
    return str(Marker(f"({first}) and ({second})"))
