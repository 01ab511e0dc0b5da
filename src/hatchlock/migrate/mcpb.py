"""MCP bundles (`.mcpb`, before `.dxt`), and what Claude Desktop has unpacked of them: https://github.com/anthropics/mcpb.

A bundle that is installed is a directory with a `manifest.json`; Claude Desktop keeps what its user has chosen beside, in
`Claude Extensions Settings/NAME.json`. hatchlock takes a directory (`path:`), or a bundle by its address (`url:`, with its hash).
"""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from hatchlock.address import Kind
from hatchlock.clients.shape import Start
from hatchlock.errors import HatchlockError
from hatchlock.manifest.suspicion import secret_arguments
from hatchlock.migrate import json_lines
from hatchlock.migrate.document import Document, Part, Unreadable
from hatchlock.migrate.finish import finished
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.names import server_name
from hatchlock.migrate.translate import translated
from hatchlock.migrate.user_config import Choices
from hatchlock.migrate.values import parted
from hatchlock.place import Place
from hatchlock.resolve.wanted import default_python

__all__ = ["MCPB"]

_MANIFEST = "manifest.json"
_LARGEST = 1 << 20
_ENDINGS = frozenset({".mcpb", ".dxt"})
_HERE = "${__dirname}"
_INSTALLED, _SETTINGS = "Claude Extensions", "Claude Extensions Settings"
_SYSTEMS = frozenset({"linux", "darwin"})
_PYTHONS = (default_python(), "3.12", "3.11", "3.13", "3.14", "3.10")
"""The first that will do is taken."""
_NODE = 22
_INTERPRETERS = {"python": "python", "python3": "python", "node": "node"}
_PACKAGES = {"node": ("package.json",), "python": ("pyproject.toml", "requirements.txt"), "uv": ("pyproject.toml",)}
_BUNDLED = ("lib/", "server/lib/", "server/venv/", ".venv/", "venv/")
_LOST = {
    "prompts": "the application itself has them, not the server",
    "localization": "the application shows it",
}
_MEANS_NOTHING = frozenset(
    {
        *("$schema", "manifest_version", "dxt_version", "name", "display_name", "version", "description", "author"),
        *("long_description", "repository", "homepage", "documentation", "support", "icon", "icons", "screenshots"),
        *("server", "tools", "tools_generated", "prompts_generated", "keywords", "license", "privacy_policies"),
        *("compatibility", "user_config", "_meta"),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bundle:
    """A bundle.

    Attributes:
        root: Its manifest.
        directory: Where it is unpacked, or is to be.
        files: The names of its files.
        packed: The archive that is to be unpacked there first; "" where it is.
        sha256: Of that archive.
        given: What the user has chosen.
        is_enabled: Whether the user has it switched on.
    """

    root: Part
    directory: Path
    files: frozenset[str]
    packed: str = ""
    sha256: str = ""
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_enabled: bool = True

    def has(self, *names: str) -> bool:
        """Whether it has one of these files, or something below one of these directories."""
        return any(name in self.files or (name.endswith("/") and self._below(name)) for name in names)

    def _below(self, directory: str) -> bool:
        return any(name.startswith(directory) for name in self.files)


def _is_bundle(path: Path, data: bytes) -> bool:
    if path.suffix.lower() in _ENDINGS:
        return True
    if path.name != _MANIFEST or (b'"manifest_version"' not in data and b'"dxt_version"' not in data):
        return False
    try:
        root = json_lines.load(data, file=path.name).root
    except HatchlockError:
        return b'"mcp_config"' in data
    return "server" in root


def _read(path: Path, data: bytes) -> Reading:
    bundle = _archive(path, data) if path.suffix.lower() in _ENDINGS else _unpacked(path, data)
    found = _server(bundle)
    servers, left = ((), (found,)) if isinstance(found, Left) else ((found,), ())
    return Reading(file=str(path), title=MCPB.title, servers=servers, left=left)


def _archive(path: Path, data: bytes) -> _Bundle:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = frozenset(info.filename for info in archive.infolist() if not info.is_dir())
            with archive.open(_MANIFEST) as stream:
                manifest = stream.read(_LARGEST + 1)
    except (KeyError, zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, RuntimeError) as error:
        why = f"it has no {_MANIFEST}" if isinstance(error, KeyError) else "it is no zip archive that can be read"
        raise Unreadable(place=Place(file=str(path)), why=f"it is no MCP bundle: {why}") from error
    if len(manifest) > _LARGEST:
        raise Unreadable(place=Place(file=str(path)), why=f"its {_MANIFEST} is larger than {_LARGEST} bytes")
    directory = path.absolute().with_suffix("")
    return _Bundle(
        root=_manifest(manifest, f"{path}/{_MANIFEST}").root,
        directory=directory,
        files=files,
        packed="" if (directory / _MANIFEST).is_file() else str(path.absolute()),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _unpacked(path: Path, data: bytes) -> _Bundle:
    directory = path.absolute().parent
    names = {item.name + "/" * item.is_dir() for item in directory.iterdir()} if directory.is_dir() else set()
    names |= {f"server/{item.name}/x" for item in directory.glob("server/*/")}
    names |= {f"{name}x" for name in names if name.endswith("/")}
    given: Mapping[str, Any] = {}
    is_enabled = True
    settings = directory.parent.with_name(_SETTINGS) / f"{directory.name}.json"
    if directory.parent.name == _INSTALLED and settings.is_file():
        chosen = json_lines.load(settings.read_bytes(), file=str(settings)).root
        options = chosen.get("userConfig")
        given = options.table() if options else {}
        is_enabled = chosen.table().get("isEnabled") is not False
    root = _manifest(data, str(path)).root
    return _Bundle(root=root, directory=directory, files=frozenset(names), given=given, is_enabled=is_enabled)


def _manifest(data: bytes, file: str) -> Document:
    document = json_lines.load(data, file=file)
    document.root.table()
    return document


def _server(bundle: _Bundle) -> Proposed | Left:
    server, name = bundle.root.need("server"), bundle.root.need("name").text()
    kind = server.need("type").text()
    systems = _platforms(bundle.root)
    if systems and not set(systems) & _SYSTEMS:
        return server.left(f"{name} is for {', '.join(systems)} alone")
    if kind not in {"node", "python", "binary", "uv"}:
        return server.need("type").left(f"{kind!r} is no kind of server that is known")
    choices = Choices(bundle.root.get("user_config"), bundle.given, {"__dirname": _HERE})
    words, env, lost = _config(server, kind)
    if choices.is_secret(words):
        return server.left(f"{name} gets a secret as an argument, which everybody on this machine can read")
    words = choices.arguments(words)
    literals, secrets = parted("env", {key: _inside(text) for key, text in choices.texts(env).items()})
    if secret_arguments(words):
        return server.left(f"an argument of {name} looks like a secret, and a manifest is no place for one")
    found = _started(bundle, kind, words)
    if isinstance(found, Left):
        return found
    fields, notes = found
    sandbox = {"mounts": choices.mounts} if choices.mounts else {}
    description = bundle.root.get("description")
    more = {"description": description.text() if description else "", "env": literals, "sandbox": sandbox}
    if choices.mounts:
        notes.append('what was chosen is mounted read-only: write mode = "rw" where it is to write')
    return finished(
        Proposed(
            name=server_name(name),
            found_as=name,
            line=server.line,
            fields={**fields, **{key: value for key, value in more.items() if value}},
            secrets=(*secrets, *choices.secrets(env)),
            left=tuple(sorted((*choices.left, *lost, *_left(bundle)), key=lambda item: item.line)),
            notes=tuple(notes),
        )
    )


def _platforms(root: Part) -> tuple[str, ...]:
    compatibility = root.get("compatibility")
    platforms = compatibility.get("platforms") if compatibility else None
    return platforms.texts() if platforms else ()


def _config(server: Part, kind: str) -> tuple[list[str], dict[str, str], list[Left]]:
    """Return the command with its arguments, the variables, and the ways of other systems."""
    entry = server.get("entry_point")
    config = server.get("mcp_config")
    command = config.get("command") if config else None
    if config is None or command is None:
        main = f"{_HERE}/{server.need('entry_point').text()}"
        return [*_default(kind), main], {}, []
    args, env = config.get("args"), config.get("env")
    words = [command.text(), *(args.texts() if args else ())]
    variables = {part.key: part.text() for part in env.members()} if env else {}
    lost: list[Left] = []
    overrides = config.get("platform_overrides")
    for own in overrides.members() if overrides else ():
        if own.key != sys.platform:
            lost += [own.left("the server is described for this system alone")] if own.key in _SYSTEMS else []
            continue
        command, args, env = own.get("command"), own.get("args"), own.get("env")
        words = [command.text() if command else words[0], *(args.texts() if args else words[1:])]
        variables |= {part.key: part.text() for part in env.members()} if env else {}
    if entry and kind == "binary" and words[0] == entry.text():
        words[0] = f"{_HERE}/{words[0]}"
    return words, variables, lost


def _default(kind: str) -> list[str]:
    return {"node": ["node"], "python": ["python"], "uv": ["python"]}.get(kind, [])


def _started(bundle: _Bundle, kind: str, words: list[str]) -> tuple[dict[str, Any], list[str]] | Left:
    """Return where the server comes from and what starts it, and what is to be said of that."""
    if words[0] not in _INTERPRETERS and _HERE not in words[0] and "/" not in words[0]:
        found = _elsewhere(bundle, words)
        if kind != "uv" or not isinstance(found, Left):
            return found
        words = ["python", f"{_HERE}/{bundle.root.need('server').need('entry_point').text()}"]
    command = [_INTERPRETERS.get(words[0], _program(words[0])), *map(_inside, words[1:])]
    is_project = bundle.has(*_PACKAGES.get(kind, ())) and not (kind == "python" and bundle.has(*_BUNDLED))
    source = f"{Kind.PATH}:{bundle.directory}" + ("" if is_project else "#as=files")
    fields: dict[str, Any] = {"source": source, "command": command}
    fields |= {} if is_project else _interpreter(bundle.root, kind)
    notes = []
    if is_project:
        notes.append("what it needs is locked from its own package file, instead of what is bundled with it")
    elif kind == "node" and bundle.has("node_modules/"):
        notes.append("node_modules is no part of a directory that is used as files, and it has no package.json")
    if bundle.packed:
        command_line = shlex.join(["python3", "-m", "zipfile", "-e", bundle.packed, str(bundle.directory)])
        notes.append(
            f"unpack it first: {command_line}; "
            f"where it is published, url:ADDRESS#sha256={bundle.sha256} is a source as well"
        )
    return fields, notes


def _elsewhere(bundle: _Bundle, words: list[str]) -> tuple[dict[str, Any], list[str]] | Left:
    """A bundle may only say how to run what is published elsewhere, or leave it to uv."""
    line = bundle.root.need("server").line
    if bundle.packed and any(_HERE in word for word in words):
        return Left(line=line, what=f"`{words[0]}`: what it runs is not unpacked yet")
    start = Start(command=words[0], args=tuple(word.replace(_HERE, str(bundle.directory)) for word in words[1:]))
    found = translated(start, name=bundle.directory.name, line=line)
    return found if isinstance(found, Left) else (dict(found.fields), list(found.notes))


def _program(word: str) -> str:
    """A program of the bundle's own is named as a file of its directory."""
    inside = _inside(word)
    return inside if inside.startswith(("./", "/")) else f"./{inside}"


def _inside(text: str) -> str:
    """A server is started where it lies, so that a path from there is what the directory's name stands for."""
    return text.replace(f"{_HERE}/", "./").replace(_HERE, ".")


def _interpreter(root: Part, kind: str) -> dict[str, str]:
    compatibility = root.get("compatibility")
    runtimes = compatibility.get("runtimes") if compatibility else None
    said = {part.key: part.text() for part in runtimes.members()} if runtimes else {}
    if kind == "node":
        match = re.match(r"\s*(?P<how>>=|>|)\D*(?P<major>\d+)", said.get("node", ""))
        major = int(match["major"]) if match else _NODE
        return {"node": str(max(major, _NODE) if not match or match["how"] else major)}
    if kind not in {"python", "uv"}:
        return {}
    try:
        wanted = SpecifierSet(said.get("python", "").replace(" ", ","))
    except InvalidSpecifier:
        wanted = SpecifierSet()
    return {"python": next((version for version in _PYTHONS if f"{version}.99" in wanted), _PYTHONS[0])}


def _left(bundle: _Bundle) -> list[Left]:
    found = [part.left(_LOST[part.key]) for part in bundle.root.members() if part.key in _LOST and part.value]
    found += [
        part.left("it is no key of a bundle that is known")
        for part in bundle.root.members()
        if part.key not in _MEANS_NOTHING and part.key not in _LOST
    ]
    if not bundle.is_enabled:
        found.append(Left(line=0, what="it is switched off in Claude Desktop"))
    return found


MCPB = Format(name="mcpb", title="MCP bundle", matches=_is_bundle, read=_read)
