"""Requirements files, as pip reads them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.requirements import Requirement, git_location, parse_requirement, path_location
from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["RequirementsFile", "read_requirements_file"]

_COMMENT = re.compile(r"(^|\s+)#.*$")
_OPTION_BEHIND = re.compile(r"\s+--?[A-Za-z][\w-]*[ =].*$")
_OPTION = re.compile(r"(?P<name>--?[A-Za-z][\w-]*)(?:[ =]\s*)?(?P<value>.*)")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_PATH = re.compile(r"\.{0,2}/|\.$|\.\.$|file:")
_EXTRAS_BEHIND = re.compile(r"\[(?P<extras>[\w\s,.-]*)\]$")
_NESTED_AT_MOST = 20


@dataclass(kw_only=True, slots=True)
class RequirementsFile:
    """What a requirements file and those that it includes ask for.

    Attributes:
        requirements: In order.
        constraints: The versions that its constraints files allow: they install nothing.
        files: All files that were read.
        notes: What was not taken.
    """

    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_requirements_file(tree: ProjectTree, name: str) -> RequirementsFile:
    """Read a requirements file of the project.

    `-r` and `-c` are followed inside the project. Hashes and options (indexes, `--pre`, …) are not taken: indexes come
    from the manifest, hashes from the lock. An editable requirement is the directory or repository that it names.

    Raises:
        BadProjectFile: It names a file that is not there, a variable of the environment, or something unreadable.
    """
    found = RequirementsFile()
    _read(tree, name, found, depth=0, constraints=False)
    return found


def _read(tree: ProjectTree, name: str, found: RequirementsFile, *, depth: int, constraints: bool) -> None:
    if name in found.files:
        return
    text = tree.text(name)
    if text is None or depth > _NESTED_AT_MOST:
        raise BadProjectFile(file=name, why="it is included by another file, but is not in the project")
    found.files.append(name)
    for number, line in _lines(text):
        if _VARIABLE.search(line):
            raise BadProjectFile(
                file=f"{name}:{number}",
                why="it has a variable of the environment in it, which a lock cannot",
                advice="write the value, or ask for the package by its name",
            )
        option = _OPTION.fullmatch(line) if line.startswith("-") else None
        if option is None:
            target = found.constraints if constraints else found.requirements
            target.append(_requirement(tree, _OPTION_BEHIND.sub("", line), f"{name}:{number}", posixpath.dirname(name)))
        else:
            _option(tree, name, number, option, found, depth=depth, constraints=constraints)


def _option(
    tree: ProjectTree,
    name: str,
    number: int,
    option: re.Match[str],
    found: RequirementsFile,
    *,
    depth: int,
    constraints: bool,
) -> None:
    folder, value = posixpath.dirname(name), option["value"].strip()
    match option["name"]:
        case "-r" | "--requirement" | "-c" | "--constraint":
            included = posixpath.normpath(posixpath.join(folder, value))
            only_bounds = constraints or option["name"] in {"-c", "--constraint"}
            _read(tree, included, found, depth=depth + 1, constraints=only_bounds)
        case "-e" | "--editable":
            wanted = _requirement(tree, value, f"{name}:{number}", folder)
            if wanted.location != "path:.":
                found.requirements.append(wanted)
        case _:
            found.notes.append(f"{option['name']} in {name} is not taken: say it in the manifest if it is needed")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines with the number of their first one: a backslash at the end joins, a comment ends."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        continues = line.endswith("\\") and not line.lstrip().startswith("#")
        pending += line[:-1] if continues else line
        if continues:
            continue
        if stripped := _COMMENT.sub("", pending).strip():
            yield start, stripped
        pending, start = "", 0
    if stripped := _COMMENT.sub("", pending).strip():
        yield start, stripped


def _requirement(tree: ProjectTree, text: str, where: str, folder: str) -> Requirement:
    text = text.strip()
    if text.startswith("git+") or (_PATH.match(text) and " @ " not in text):
        address, _, marker = text.partition(" ;")
        return _unnamed(tree, address.strip(), marker.strip(), where, folder)
    if re.match(r"https?://", text):
        raise BadProjectFile(
            file=where, why=f"{text} does not say which package it is", advice=f"write NAME @ {text.partition(' ')[0]}"
        )
    return parse_requirement(text, tree=tree, file=where)


def _unnamed(tree: ProjectTree, address: str, marker: str, where: str, folder: str) -> Requirement:
    named = re.search(r"[#&]egg=(?P<name>[\w.-]+)", address)
    name = named["name"] if named else ""
    if address.startswith("git+"):
        return Requirement(name=name, marker=marker, location=git_location(address))
    extras = _EXTRAS_BEHIND.search(address)
    path = _EXTRAS_BEHIND.sub("", address).removeprefix("file://").removeprefix("file:").partition("#")[0]
    if extras and extras["extras"].strip():
        raise BadProjectFile(
            file=where,
            why=f"{address} asks a directory for extras without its name",
            advice=f"write NAME[{extras['extras']}] @ file:{path}",
        )
    base = tree.root / folder
    return Requirement(name=name, marker=marker, location=path_location(path, tree=tree, file=where, base=base))
