"""`.finch-mcp`: how finch-mcp 0.1 builds the project in whose directory the file is (`src/core/finch_config.rs`).

finch-mcp reads `.finch-mcp`, `.finch-mcp.yaml` and `.finch-mcp.yml`, as YAML, JSON or TOML, and documents `.json` and `.toml`
besides. Of what it reads it uses `dependencies` alone, and that only for Node projects. What `runtime` and `mcp` say is carried
over as it is documented, and said to be new.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hatchlock.address import Kind
from hatchlock.clients.shape import Start
from hatchlock.errors import HatchlockError
from hatchlock.manifest.suspicion import secret_arguments
from hatchlock.migrate import json_lines, toml_lines, yaml_lines
from hatchlock.migrate.document import Document, Part, Unreadable
from hatchlock.migrate.finish import finished
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.names import server_name
from hatchlock.migrate.translate import translated
from hatchlock.migrate.values import parted, unparted
from hatchlock.place import Place
from hatchlock.sources.projects.detect import read_project
from hatchlock.sources.projects.model import ProjectFacts

__all__ = ["FINCH"]

_NAMES = frozenset({".finch-mcp", *(f".finch-mcp.{ending}" for ending in ("yaml", "yml", "json", "toml"))})
_READ_BY_FINCH = frozenset({".finch-mcp", ".finch-mcp.yaml", ".finch-mcp.yml"})
_RUNNERS = (("poetry", "run"), ("pdm", "run"), ("pipenv", "run"), ("uv", "run"), ("rye", "run"))
_NPM = frozenset({"npm", "pnpm", "yarn"})
_SHELL = frozenset("&|;<>$`(){}*\n")
_WORKDIR = "/app"
_STARTUP = 30
_LOCKED = "the lock has what the project and its build need"
_NO_COMMAND = "no command runs before or instead of that"
_IN_BUILD = "`allow-build` runs the project's own build"
_NO_PROXY = "finch-mcp never used it, and a server needs no proxy here"
_WHY: Mapping[tuple[str, str], str] = {
    ("dependencies", "installAll"): _LOCKED,
    ("dependencies", "autoDetect"): _LOCKED,
    ("dependencies", "include"): f"{_LOCKED}; what is missing there belongs into its devDependencies",
    ("dependencies", "skip"): f"{_LOCKED}, and nothing of its devDependencies is left at run time",
    ("dependencies", "installCommand"): f"{_LOCKED}, and {_NO_COMMAND}",
    ("dependencies", "preInstall"): f"{_LOCKED}, and {_NO_COMMAND}",
    ("build", "command"): f"finch-mcp never used it; {_IN_BUILD}",
    ("build", "skip"): f"finch-mcp never used it; {_IN_BUILD} where it has to be built",
    ("build", "args"): f"finch-mcp never used it; {_IN_BUILD}",
    ("mcp", "bufferSize"): _NO_PROXY,
    ("mcp", "readinessPattern"): _NO_PROXY,
    ("mcp", "enableBuffering"): _NO_PROXY,
}
_CARRIED = frozenset({("runtime", "command"), ("runtime", "workingDir"), ("runtime", "env"), ("mcp", "startupTimeout")})


def _is_finch(path: Path, _data: bytes) -> bool:
    return path.name in _NAMES


def _read(path: Path, data: bytes) -> Reading:
    root = _load(data, path).root
    directory = path.absolute().parent
    facts = _facts(directory)
    left = list(_left(root))
    notes = [] if path.name in _READ_BY_FINCH else [f"finch-mcp documents {path.name}, and does not read it"]
    fields: dict[str, Any] = {"source": f"{Kind.PATH}:{directory}" + ("" if facts else "#as=files")}
    if facts and facts.needs_build:
        fields["allow-build"] = [facts.name]
        notes.append(f"it is built, in a sandbox without network: {facts.needs_build}")
    runtime = root.get("runtime")
    command = runtime.get("command") if runtime else None
    if command:
        found = _command(command, directory)
        left += [found] if isinstance(found, Left) else []
        fields |= {} if isinstance(found, Left) else found
        notes += [] if isinstance(found, Left) else ["finch-mcp never used runtime.command; here it is what is started"]
    env, secrets, lost = _env(runtime)
    fields |= {key: value for key, value in {**env, **_timeout(root)}.items() if value}
    if runtime and (cwd := runtime.get("workingDir")) and cwd.text() != _WORKDIR:
        left.append(
            cwd.left("finch-mcp never used it; a project is started where it lies, or name that directory instead")
        )
    server = finished(
        Proposed(
            name=server_name(directory.name),
            found_as=directory.name,
            line=1,
            fields=fields,
            secrets=secrets,
            left=tuple(sorted((*left, *lost), key=lambda item: item.line)),
            notes=tuple(notes),
        )
    )
    servers, others = ((), (server,)) if isinstance(server, Left) else ((server,), ())
    return Reading(file=str(path), title=FINCH.title, servers=servers, left=others)


def _load(data: bytes, path: Path) -> Document:
    """Read it in the first form in which it can be read.

    Raises:
        Unreadable: It can be read in none; what is wrong with it in the form that its name says, else as YAML.
    """
    loads: tuple[Callable[..., Document], ...] = (yaml_lines.load, json_lines.load, toml_lines.load)
    first = {".json": json_lines.load, ".toml": toml_lines.load}.get(path.suffix, yaml_lines.load)
    problems: list[Unreadable] = []
    for load in (first, *(load for load in loads if load is not first)):
        try:
            document = load(data, file=str(path))
        except Unreadable as problem:
            problems.append(problem)
            continue
        if isinstance(document.value, Mapping):
            return document
        problems.append(Unreadable(place=Place(file=str(path), line=1), why="it must be a mapping"))
    raise problems[0]


def _facts(directory: Path) -> ProjectFacts | None:
    try:
        return read_project(directory)
    except HatchlockError:  # it is used as files, or `lock` says what is wrong with it
        return None


def _left(root: Part) -> Iterator[Left]:
    for table in root.members():
        if table.key not in {"dependencies", "build", "runtime", "mcp"}:
            yield table.left("finch-mcp does not know it either")
            continue
        for part in table.members():
            key = (table.key, part.key)
            if key in _WHY:
                yield Left(line=part.line, what=f"`{'.'.join(key)}`: {_WHY[key]}")
            elif key not in _CARRIED:
                yield part.left("finch-mcp does not know it either")


def _command(part: Part, directory: Path) -> dict[str, Any] | Left:
    """Return what starts the server: a script of the project, or a command of its environment."""
    text = part.text()
    try:
        words = shlex.split(text)
    except ValueError:
        part.fail("its words cannot be told apart: a quotation is not closed")
    if not words or _SHELL & set(text):
        return part.left("a shell would have to read it; name the one program that is the server")
    if secret_arguments(words):
        return part.left("one of its words looks like a secret; give it as a variable that the server reads")
    if words[0] in _NPM:
        start = Start(command=words[0], args=tuple(words[1:]))
        found = translated(start, name=directory.name, directory=str(directory))
        if isinstance(found, Left) or not str(found.fields.get("source", "")).startswith(f"{Kind.PATH}:"):
            return part.left("it runs no script of package.json that starts one program")
        return {key: found.fields[key] for key in ("command", "args") if key in found.fields}
    if tuple(words[:2]) in _RUNNERS:
        words = words[2:]
    return {"command": words} if words else part.left("it says nothing to run")


def _env(runtime: Part | None) -> tuple[dict[str, Any], tuple[Any, ...], tuple[Left, ...]]:
    part = runtime.get("env") if runtime else None
    if part is None:
        return {}, (), ()
    values = {item.key: item.text() for item in part.members()}
    literals, secrets = parted("env", values)
    return {"env": literals}, secrets, unparted("env", values, line=part.line)


def _timeout(root: Part) -> dict[str, float]:
    mcp = root.get("mcp")
    part = mcp.get("startupTimeout") if mcp else None
    if part is None or part.value == _STARTUP:
        return {}
    if not isinstance(part.value, int | float) or isinstance(part.value, bool):
        part.fail("it must be a number")
    return {"startup-timeout": part.value}


FINCH = Format(name="finch", title="finch-mcp project", matches=_is_finch, read=_read)
