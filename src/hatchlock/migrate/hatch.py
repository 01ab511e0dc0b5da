"""Hatch: what its environments have, and a package of its own.

`environments.json` records Hatch packages only. What these need of other kinds stands in their metadata, and comes along with
`hatch:` (docs/decisions/0025). The form is that of Hatch 0.8.3 (`hatch/environment_manager.py`), which is also that of the
releases before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.manifest.problem import dotted
from hatchlock.manifest.words import CLIENTS
from hatchlock.migrate import json_lines
from hatchlock.migrate.document import Document, Part
from hatchlock.migrate.finish import NO_NETWORK
from hatchlock.migrate.fitting import fitted
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.names import server_name
from hatchlock.migrate.values import parted, unparted
from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.model import METADATA_NAME, read_document

__all__ = ["HATCH_ENVIRONMENTS", "HATCH_PACKAGE"]

_FILE = "environments.json"
_CURRENT = "current_env"
_REGISTRY = "https://github.com/CrackingShells/"
_OF_CONDA = ("conda_env_name", "python_executable", "manager")
_MINOR = re.compile(r"(3\.\d{1,2})(?:\.\d+)?")
_BARE = re.compile(r"[^\s<>=!~]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Package:
    """A package of an environment.

    Attributes:
        part: Where it stands.
        environment: Its environment's name in the file.
        copy: Where Hatch has put a copy of it.
        facts: What its metadata says, of the copy; None if there is none that can be read.
    """

    part: Part
    environment: str
    copy: Path
    facts: HatchFacts | None

    @property
    def name(self) -> str:
        return self.part.need("name").text()

    @property
    def version(self) -> str:
        version = self.part.get("version")
        return version.text() if version else ""

    @property
    def hosts(self) -> tuple[Part, ...]:
        hosts = self.part.get("configured_hosts")
        return tuple(hosts.members()) if hosts else ()

    @property
    def needed(self) -> frozenset[str]:
        """The names of the Hatch packages that it needs."""
        texts = self.facts.dependencies if self.facts else ()
        return frozenset(_last_word(text) for text in texts if text.startswith(f"{Kind.HATCH}:"))


def _is_environments(path: Path, data: bytes) -> bool:
    if path.name != _FILE and b'"packages"' not in data:
        return False
    try:
        value = json_lines.load(data, file=path.name).value
    except HatchlockError:
        return path.name == _FILE
    entries = list(value.values()) if isinstance(value, Mapping) else []
    return bool(entries or path.name == _FILE) and all(
        isinstance(entry, Mapping) and isinstance(entry.get("packages"), list) for entry in entries
    )


def _read_environments(path: Path, data: bytes) -> Reading:
    root = json_lines.load(data, file=str(path)).root
    packages = [package for part in root.members() for package in _packages(part, path.absolute().parent)]
    environments: dict[str, Mapping[str, Any]] = {}
    left: list[Left] = []
    for part in root.members():
        if any(package.environment == part.key for package in packages):
            environments[server_name(part.key)] = _environment(part)
            left += _of_conda(part)
        else:
            left.append(part.left("it has no packages"))
    names = _names(packages)
    servers: list[Proposed] = []
    for package in packages:
        found = _server(package, packages, names)
        if isinstance(found, Left):
            left.append(found)
        else:
            servers.append(found)
    if (path.parent / _CURRENT).is_file():
        left.append(Left(line=0, what=f"`{_CURRENT}`: each server names its environment, and none is the current one"))
    reading = Reading(file=str(path), title=HATCH_ENVIRONMENTS.title, servers=tuple(servers), left=tuple(left))
    kept = fitted(replace(reading, environments=environments))
    named = {server.fields["environment"] for server in kept.servers}
    return replace(kept, environments={name: table for name, table in environments.items() if name in named})


def _packages(environment: Part, directory: Path) -> Iterator[_Package]:
    for part in environment.need("packages").each():
        copy = directory / environment.key / part.need("name").text()
        yield _Package(part=part, environment=environment.key, copy=copy, facts=_facts(copy))


def _facts(directory: Path) -> HatchFacts | None:
    path = directory / METADATA_NAME
    if not path.is_file():
        return None
    try:
        return read_document(path.read_bytes(), file=str(path)).facts
    except HatchlockError:  # `lock` says what is wrong with it; here it only tells what the package needs
        return None


def _environment(part: Part) -> dict[str, Any]:
    description = part.get("description")
    fields = {"description": description.text() if description else "", "python": _python(part)}
    return {key: value for key, value in fields.items() if value}


def _python(part: Part) -> str:
    """The version that was asked for, as it was; else the one that there is, without its last number."""
    made = part.get("python_env")
    asked = part.get("python_version") or (made.get("requested_version") if made else None)
    if asked and _MINOR.fullmatch(asked.text()):
        return asked.text()
    found = made.get("version") if made else None
    match = _MINOR.fullmatch(found.text()) if found else None
    return match[1] if match else ""


def _of_conda(part: Part) -> Iterator[Left]:
    made = part.get("python_env")
    if made and any(key in made for key in _OF_CONDA):
        yield made.left(
            "the conda environment stays where it is; hatchlock makes one of its own, with the Python of that version which "
            'this machine has (one of uv\'s builds with python = "managed:VERSION")'
        )


def _names(packages: list[_Package]) -> Mapping[tuple[str, str], str]:
    """Return the servers' names, by environment and package.

    Of a package that several environments have, the first one that an application lists keeps its name, and the others are
    told apart by their environments.
    """
    count = Counter(package.name for package in packages)
    keeps: dict[str, str] = {}
    for package in sorted(packages, key=lambda item: not item.hosts):
        keeps.setdefault(package.name, package.environment)
    return {
        (package.environment, package.name): server_name(
            package.name
            if count[package.name] == 1 or keeps[package.name] == package.environment
            else f"{package.name}-{package.environment}"
        )
        for package in packages
    }


def _server(package: _Package, packages: list[_Package], names: Mapping[tuple[str, str], str]) -> Proposed | Left:
    kind = package.part.get("type")
    if kind and kind.text() != "hatch":
        what = f"`{package.name}` is no Hatch package; import the file of the application that lists it"
        return Left(line=package.part.line, what=what)
    users = [item.name for item in packages if item.environment == package.environment and package.name in item.needed]
    if users and not package.hosts:
        what = f"`{package.name}`: no application lists it; it comes with {users[0]}, which needs it"
        return Left(line=package.part.line, what=what)
    source, notes = _source(package)
    if not source:
        what = f"`{package.name}`: neither the directory that it came from nor Hatch's copy of it is there"
        return Left(line=package.part.line, what=what)
    fields: dict[str, Any] = {"source": source, "environment": server_name(package.environment)}
    given = _given(package)
    literals, secrets = parted("env", given.env)
    fields |= {key: value for key, value in {"args": list(given.args), "env": literals}.items() if value}
    unknown = [host.left("no application of that name is known") for host in package.hosts if host.key not in CLIENTS]
    return Proposed(
        name=names[package.environment, package.name],
        found_as=package.name,
        line=package.part.line,
        fields=fields,
        clients=tuple(host.key for host in package.hosts if host.key in CLIENTS),  # Hatch calls them as we do
        secrets=secrets,
        left=(*unknown, *given.left, *unparted("env", given.env, line=package.part.line)),
        notes=(*notes, NO_NETWORK),
    )


def _source(package: _Package) -> tuple[str, list[str]]:
    """Return where a package comes from, and what is to be said of it: a directory while it is there, then Hatch's copy."""
    part = package.part.get("source")
    text = part.text() if part else ""
    if text.startswith(("http://", "https://")):
        version = f"=={package.version}" if package.version else ""
        notes = (
            [] if text.startswith(_REGISTRY) else [f"it came from {text}; [indexes.hatch] names a registry that has it"]
        )
        return f"{Kind.HATCH}:{package.name}{version}", notes
    directory = Path(unquote(urlsplit(text).path) if text.startswith("file:") else text)
    if text and directory.is_absolute() and (directory / METADATA_NAME).is_file():
        found = _facts(directory)
        notes = []
        if found and found.version and package.version and found.version != package.version:
            notes.append(f"{directory} is {found.version} by now; Hatch had copied {package.version}")
        return f"{Kind.HATCH}:{directory}", notes
    if (package.copy / METADATA_NAME).is_file():
        gone = f"the directory that it came from is not there any more, so it is Hatch's copy, {package.copy}"
        return f"{Kind.HATCH}:{package.copy}", [gone]
    return "", []


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    """What somebody has set for a package's server in the applications.

    Attributes:
        args: Arguments behind the server's file.
        env: Its variables.
        left: What else there is.
    """

    args: tuple[str, ...] = ()
    env: Mapping[str, str]
    left: tuple[Left, ...] = ()


_OURS = frozenset({"name", "type", "command", "args", "env"})


def _given(package: _Package) -> _Given:
    env: dict[str, str] = {}
    args: tuple[str, ...] = ()
    left: list[Left] = []
    for host in package.hosts:
        config = host.get("server_config")
        if config is None:
            continue
        variables = config.get("env")
        env |= {part.key: part.text() for part in variables.members()} if variables else {}
        words = config.get("args")
        args = args or (words.texts()[1:] if words else ())
        left += [
            part.left(f"import the file of {host.key} to keep it")
            for part in config.members()
            if part.key not in _OURS and part.value not in (None, [], {})
        ]
    return _Given(args=args, env=env, left=tuple(left))


def _last_word(text: str) -> str:
    """Return the name of a package by the text of a requirement: `hatch:../base_pkg>=1.0`, `hatch:repository:name`."""
    match = _BARE.match(text)
    return re.split(r"[:/]", match[0])[-1] if match else ""


def _is_package(path: Path, _data: bytes) -> bool:
    return path.name == METADATA_NAME


def _read_package(path: Path, data: bytes) -> Reading:
    facts = read_document(data, file=str(path)).facts
    document = json_lines.load(data, file=str(path))
    directory = path.absolute().parent
    if _BARE.fullmatch(str(directory)) is None:
        what = f"the path {str(directory)!r} cannot be written behind hatch:"
        document.root.fail(what, "rename the directory, or copy it")
    name = facts.name or directory.name
    description = {"description": facts.description} if facts.description else {}
    server = Proposed(
        name=server_name(name.rpartition("/")[2]),
        found_as=name,
        line=1,
        fields={"source": f"{Kind.HATCH}:{directory}"} | description,
        left=tuple(_not_used(facts, document)),
        notes=(*facts.notes, NO_NETWORK),
    )
    return fitted(Reading(file=str(path), title=HATCH_PACKAGE.title, servers=(server,)))


def _not_used(facts: HatchFacts, document: Document) -> Iterator[Left]:
    lost = {
        ("entry_point", "hatch_mcp_server"): (facts.wrapper_file, "the server's own file is run, without the wrapper"),
        ("compatibility", "hatchling"): (facts.requires_hatchling, "it is about Hatch's own chat client"),
    }
    for path, (value, why) in lost.items():
        if value:
            yield Left(line=document.line(path), what=f"`{dotted(path)}`: {why}")


HATCH_ENVIRONMENTS = Format(name="hatch", title="Hatch environments", matches=_is_environments, read=_read_environments)
HATCH_PACKAGE = Format(name="hatch-package", title="Hatch package", matches=_is_package, read=_read_package)
