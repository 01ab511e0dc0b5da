"""Hatch packages in directories: what they say, and whether the files are there that they name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import reporting_permission
from hatchlock.manifest.problem import did_you_mean
from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.model import METADATA_NAME, HatchDocument, read_document
from hatchlock.sources.hatch.problems import report
from hatchlock.sources.hatch.server_code import implied_note, implied_requirements

__all__ = ["HatchDirectory", "NoHatchPackage", "name_of_directory", "read_directory"]

_NO_NAME = "package"


@dataclass(kw_only=True, eq=False)
class NoHatchPackage(HatchlockError):
    """A directory that is no Hatch package, or is not there.

    Attributes:
        directory: Its name for people.
        exists: Whether there is such a directory.
    """

    code: ClassVar[str] = "no-hatch-package"

    directory: str
    exists: bool

    def __str__(self) -> str:
        return f"{self.directory} has no {METADATA_NAME}" if self.exists else f"there is no directory {self.directory}"

    def _hint(self) -> str:
        if self.exists:
            return "name the directory of a Hatch package, or make one with `hatchlock new PATH`"
        return "check the path; one that begins with . is relative to the manifest, or to the package that names it"


@dataclass(frozen=True, kw_only=True, slots=True)
class HatchDirectory:
    """A package as it lies there.

    Attributes:
        facts: Its metadata. Name and version are never empty: where metadata 2.0.0 does not say them, they are those that
            `read_directory` was given, or made of the directory's name and "0".
        document: Where in its metadata things stand.
        server_source: The bytes of its server's file.
        wrapper_source: The bytes of what wraps it for Hatch; empty before metadata 1.2.1.
        implied: What its server needs beyond its metadata; see `implied_requirements`.
    """

    facts: HatchFacts
    document: HatchDocument
    server_source: bytes
    wrapper_source: bytes
    implied: tuple[str, ...]

    @property
    def requirements(self) -> tuple[str, ...]:
        """Everything that it needs, sorted: what it declares, and what is implied."""
        return tuple(sorted({*self.facts.dependencies, *self.implied}))

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that people should see."""
        implied = implied_note(self.facts, self.implied)
        return (*self.facts.notes, implied) if implied else self.facts.notes


def read_directory(directory: Path, *, shown: str = "", name: str = "", version: str = "0") -> HatchDirectory:
    """Read the package in a directory. Nothing of it is run, and nothing is fetched.

    Args:
        directory: Where its `hatch_metadata.json` is.
        shown: The directory's name for people; the path if not said.
        name: The package's where its metadata (2.0.0) does not say it; made of the directory's name if "".
        version: The package's where its metadata does not say it.

    Raises:
        NoHatchPackage: There is no such directory, or it has no metadata.
        BadHatchMetadata: The one mistake in its metadata, or a file that it names is not there or leads out of it.
        ManyErrors: All of several.
        OSError: A file cannot be read.
    """
    shown = shown or str(directory)
    data = _content(directory, METADATA_NAME)
    if isinstance(data, str):
        raise NoHatchPackage(directory=shown, exists=directory.is_dir())
    document = read_document(data, file=f"{shown.rstrip('/')}/{METADATA_NAME}")
    facts = document.facts
    sources: dict[str, bytes] = {}
    problems: list[HatchlockError] = []
    for part, entry in (("mcp_server", facts.server_file), ("hatch_mcp_server", facts.wrapper_file)):
        content = _content(directory, entry) if entry else b""
        path = ("entry_point", part) if facts.wrapper_file else ("entry_point",)
        if isinstance(content, str):
            advice = did_you_mean(
                entry, (item.name for item in directory.glob("*.py")), "write it, or name another file"
            )
            problems.append(document.problem(path, content, advice))
        else:
            sources[part] = content
    report(problems)
    name = facts.name or name or name_of_directory(directory)
    return HatchDirectory(
        facts=replace(facts, name=name, version=facts.version or version),
        document=document,
        server_source=sources["mcp_server"],
        wrapper_source=sources["hatch_mcp_server"],
        implied=implied_requirements(facts, sources["mcp_server"]),
    )


def name_of_directory(directory: Path) -> str:
    """Return a name as Hatch packages have them, close to a directory's."""
    return re.sub(r"[^a-z0-9]+", "_", directory.resolve().name.lower()).strip("_") or _NO_NAME


def _content(directory: Path, name: str) -> bytes | str:
    """Return a file's bytes, or what is wrong with it."""
    path = directory / name
    if not path.is_file():
        return f"{name!r} is not there" if not path.exists() else f"{name!r} is no file"
    if not path.resolve().is_relative_to(directory.resolve()):
        return f"{name!r} is a link that leads out of the package"
    with reporting_permission(path):
        return path.read_bytes()
