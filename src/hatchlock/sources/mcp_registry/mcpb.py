"""MCP bundles (`.mcpb`): a zip archive with a server, everything that it needs, and a `manifest.json`."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from hatchlock.digest import digest_file
from hatchlock.errors import HatchlockError
from hatchlock.realise.archives import CANNOT_READ, LONGEST_NAME, Member, open_archive
from hatchlock.realise.unpack import Limits
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.mcp_registry.document import Document, Input, read_document
from hatchlock.sources.mcp_registry.launch import EntryLaunch
from hatchlock.sources.mcp_registry.template import names_in
from hatchlock.sources.mcp_registry.variables import Collected, Slot
from hatchlock.store.blobs import WrongHash

__all__ = ["HERE", "BadBundle", "BundleCommand", "BundleFacts", "bundle_launch", "read_bundle"]

HERE = "${__dirname}"
"""What stands for the directory that a bundle is unpacked in."""

_MANIFEST = "manifest.json"
_MANIFEST_AT_MOST = 1 << 20
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNED = b"MCPB_SIG_END"
_SYSTEMS = {"darwin": "darwin", "linux": "linux", "win32": "windows"}
_HERE_AS_TEXT = "\x01"
_USER_CONFIG = "user_config."
_LIMITS = Limits()


@dataclass(kw_only=True, eq=False)
class BadBundle(HatchlockError):
    """A bundle that is no such archive, would write outside of its directory, or cannot be run."""

    code: ClassVar[str] = "bad-bundle"

    bundle: str
    why: str

    def __str__(self) -> str:
        return f"{self.bundle} is no bundle that can be used: {self.why}"

    def _hint(self) -> str:
        return "choose another version of the server, or another package of it"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleCommand:
    """How a bundle says that it is started; `HERE` and `${user_config.NAME}` stand in it as written.

    Attributes:
        command: The program: `node`, `python`, or a file of the bundle, then with `HERE` in front.
        args: Its arguments.
        env: Its variables.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleFacts:
    """What a bundle says of itself; "" or empty where it does not.

    Attributes:
        name: Its own name.
        version: Its own version.
        type: "python", "node" or "binary".
        entry_point: The main file, below its root.
        commands: System ("linux", "darwin") -> how it is started there.
        user_config: Name -> what the user is asked.
        multiple: The names among them that take several values.
        systems: Those that it is for; empty: all.
        requires_python: Range of versions, as written.
        requires_node: Likewise.
        licence: SPDX expression, or its own words.
        author: Who made it.
        repository: Address of its source.
        signature: "signed" if there is a signature at its end, which is not checked; else "unsigned".
    """

    name: str
    version: str
    type: Literal["python", "node", "binary"]
    entry_point: str
    commands: Mapping[str, BundleCommand]
    user_config: Mapping[str, Input]
    multiple: Mapping[str, tuple[str, ...]]
    systems: tuple[str, ...] = ()
    requires_python: str = ""
    requires_node: str = ""
    licence: str = ""
    author: str = ""
    repository: str = ""
    signature: Literal["signed", "unsigned"] = "unsigned"

    def runs_on(self, platform: str) -> bool:
        """Return whether it says that it runs on the system of a platform, `linux/amd64`; of processors it says nothing."""
        return not self.systems or platform.partition("/")[0] in self.systems


class _Command(Document):
    command: str = ""
    args: tuple[str, ...] | None = None
    env: dict[str, str] = Field(default_factory=dict)


class _Config(_Command):
    overrides: dict[str, _Command] = Field(default_factory=dict, validation_alias="platform_overrides")


class _Server(Document):
    type: str
    entry_point: str
    mcp_config: _Config = _Config()


class _Author(Document):
    name: str = ""


class _Option(Document):
    type: str = "string"
    title: str = ""
    description: str = ""
    required: bool = False
    default: Any = None
    multiple: bool = False
    sensitive: bool = False


class _Compatibility(Document):
    platforms: tuple[str, ...] = ()
    runtimes: dict[str, str] = Field(default_factory=dict)


class _Manifest(Document):
    name: str
    version: str
    author: _Author = _Author()
    licence: str = Field(default="", validation_alias="license")
    repository: Any = None
    server: _Server
    compatibility: _Compatibility = _Compatibility()
    user_config: dict[str, _Option] = Field(default_factory=dict)


def read_bundle(path: Path, *, sha256: str = "", name: str = "", limits: Limits = _LIMITS) -> BundleFacts:
    """Read what a bundle says of itself. Nothing of it is unpacked or run.

    Args:
        path: The file.
        sha256: What it has to be, 64 hex digits, `fileSha256` of an entry; it is compared before the file is opened.
        name: What to call it in messages.
        limits: What it may become when it is unpacked.

    Raises:
        WrongHash: It is another file.
        BadBundle: It is damaged, too large, would write outside of its directory, or is of a type that cannot be run.
        OSError: It cannot be read.
    """
    shown = name or path.name
    if sha256 and (actual := digest_file(path)) != sha256.lower():
        raise WrongHash(what=shown, expected=sha256.lower(), actual=actual)
    if not zipfile.is_zipfile(path):
        raise BadBundle(bundle=shown, why="it is no zip archive")
    try:
        with open_archive(path, scratch=path.parent, limit=limits.size) as members:
            files, data = _contents(_checked(members, limits, shown), shown)
    except CANNOT_READ as error:
        raise BadBundle(bundle=shown, why=str(error) or type(error).__name__) from error
    return _facts(_parsed(data, shown), files, _signature(path), shown)


def bundle_launch(facts: BundleFacts, platform: str) -> EntryLaunch:
    """Return how a bundle's server is started: `HERE` still stands for where it is.

    Args:
        facts: Of the bundle.
        platform: `linux/amd64`.
    """
    command = facts.commands.get(platform.partition("/")[0]) or facts.commands["linux"]
    collected = Collected({f"{_USER_CONFIG}{key}": option for key, option in facts.user_config.items()})
    args: list[str] = []
    for word in command.args:
        words = _argument(collected, facts, word)
        if not words and args and args[-1].startswith("-"):
            # an option without its value would take the next word for it
            collected.slots[-1] = replace(collected.slots[-1], name=args.pop())
        args += words
    env: dict[str, str] = {}
    for variable, text in sorted(command.env.items()):
        value, needed = _value(collected, text, variable, is_env=True)
        if needed:
            collected.slots.append(Slot(where="env", name=variable, template=value, variables=needed))
        else:
            env[variable] = value
    return EntryLaunch(
        args=tuple(args),
        env=env,
        command=(command.command,),
        variables=tuple(collected.variables.values()),
        slots=tuple(collected.slots),
        notes=tuple(collected.notes),
    )


def _argument(collected: Collected, facts: BundleFacts, word: str) -> Sequence[str]:
    (name,) = names_in(word) if len(names_in(word)) == 1 else ("",)
    key = name.removeprefix(_USER_CONFIG)
    several = facts.multiple.get(key, ()) if word == f"${{{name}}}" else ()
    if several and not any(map(names_in, several)):
        return several
    value, needed = _value(collected, word, key, is_env=False)
    if not needed:
        return (value,)
    repeated = key in facts.multiple
    collected.slots.append(Slot(where="argument", name="", template=value, variables=needed, repeated=repeated))
    return ()


def _value(collected: Collected, text: str, name: str, *, is_env: bool) -> tuple[str, tuple[str, ...]]:
    """Return a value with what is known, and the variables that it still needs."""
    if not names_in(text):
        return text, ()
    given = Input(value=text.replace(HERE, _HERE_AS_TEXT))
    if not names_in(given.value):
        return text, ()
    value = collected.value(given, "env" if is_env else "argument", name)
    needed = tuple(item for item in names_in(value) if item in collected.variables)
    return value.replace(_HERE_AS_TEXT, HERE), needed


def _checked(members: Iterator[Member], limits: Limits, shown: str) -> Iterator[Member]:
    size = 0
    for number, member in enumerate(members, 1):
        size += member.size
        if number > limits.entries or size > limits.size:
            raise BadBundle(bundle=shown, why=f"it becomes more than {limits.entries} files or {limits.size} bytes")
        for path in (member.name, member.target):
            if len(path) > LONGEST_NAME or _leads_out(path if path is member.name else _beside(member.name, path)):
                raise BadBundle(bundle=shown, why=f"{member.name!r} leads out of its directory")
        yield member


def _beside(name: str, target: str) -> str:
    return target if target.startswith("/") else f"{name.rpartition('/')[0]}/{target}".lstrip("/")


def _leads_out(path: str) -> bool:
    depth = 0
    for part in path.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return True
    return path.startswith("/") or "\\" in path or "\0" in path


def _contents(members: Iterator[Member], shown: str) -> tuple[frozenset[str], bytes]:
    """Return the names of its files, and its manifest."""
    files: list[str] = []
    manifests: list[Member] = []
    for member in members:
        if member.kind == "file":
            files.append(member.name.removeprefix("./"))
            manifests += [member] if files[-1] == _MANIFEST else []
    if len(manifests) != 1:
        raise BadBundle(bundle=shown, why=f"it has {'no' if not manifests else 'more than one'} {_MANIFEST}")
    if manifests[0].size > _MANIFEST_AT_MOST:
        raise BadBundle(bundle=shown, why=f"its {_MANIFEST} has {manifests[0].size} bytes")
    return frozenset(files), b"".join(manifests[0].pieces())


def _parsed(data: bytes, shown: str) -> _Manifest:
    try:
        return read_document(_Manifest, json.loads(data), what=shown)
    except BadAnswer as error:
        raise BadBundle(bundle=shown, why=f"its {_MANIFEST} is not of that form ({error.why})") from None
    except (ValueError, RecursionError):
        raise BadBundle(bundle=shown, why=f"its {_MANIFEST} is no JSON") from None


def _signature(path: Path) -> Literal["signed", "unsigned"]:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - len(_SIGNED)))
        return "signed" if stream.read() == _SIGNED else "unsigned"


def _facts(
    manifest: _Manifest, files: frozenset[str], signature: Literal["signed", "unsigned"], shown: str
) -> BundleFacts:
    server = manifest.server
    kind = _type(server.type, shown)
    entry_point = server.entry_point.removeprefix("./")
    if entry_point not in files:
        raise BadBundle(bundle=shown, why=f"it does not hold its main file, {server.entry_point}")
    repository = manifest.repository
    runtimes = manifest.compatibility.runtimes
    options = manifest.user_config
    return BundleFacts(
        name=manifest.name,
        version=manifest.version,
        type=kind,
        entry_point=entry_point,
        commands={system: _command(server, entry_point, system, shown) for system in ("darwin", "linux")},
        user_config={key: _input(option) for key, option in options.items()},
        multiple={key: _texts(option.default) for key, option in options.items() if option.multiple},
        systems=tuple(sorted(_SYSTEMS.get(name, name) for name in manifest.compatibility.platforms)),
        requires_python=runtimes.get("python", ""),
        requires_node=runtimes.get("node", ""),
        licence=manifest.licence,
        author=manifest.author.name,
        repository=str(repository.get("url", "")) if isinstance(repository, dict) else str(repository or ""),
        signature=signature,
    )


def _type(text: str, shown: str) -> Literal["python", "node", "binary"]:
    match text:
        case "python" | "node" | "binary":
            return text
        case "uv":
            raise BadBundle(bundle=shown, why="its dependencies are not in it, but fetched when it starts (type uv)")
    raise BadBundle(bundle=shown, why=f"its server is of the unknown type {text!r}")


_STARTED_BY = {"python": "python", "node": "node"}


def _command(server: _Server, entry_point: str, system: str, shown: str) -> BundleCommand:
    config = server.mcp_config
    own = config.overrides.get(system, _Command())
    args = config.args if own.args is None else own.args
    starts = _STARTED_BY.get(server.type, "")
    command = own.command or config.command
    if not command:
        main = f"{HERE}/{entry_point}"
        command, args = (starts, (main, *(args or ()))) if starts else (main, args)
    inside = command.removeprefix(HERE).lstrip("/") if command.startswith(HERE) else command
    if command.startswith("/") or _leads_out(inside) or HERE in inside:
        raise BadBundle(bundle=shown, why=f"it starts {command}, which is not in it")
    if "/" in command and not command.startswith(HERE):
        command = f"{HERE}/{command.removeprefix('./')}"
    env = {**config.env, **own.env}
    if wrong := sorted(name for name in env if _ENV_NAME.fullmatch(name) is None):
        raise BadBundle(bundle=shown, why=f"{wrong[0]!r} is no name of an environment variable")
    return BundleCommand(command=command, args=tuple(args or ()), env=env)


def _input(option: _Option) -> Input:
    words = ": ".join(filter(None, (option.title, option.description)))
    default = option.default
    return Input(
        description=words,
        is_required=option.required,
        is_secret=option.sensitive,
        format={"directory": "filepath", "file": "filepath"}.get(option.type, option.type),
        default=default if isinstance(default, (str, bool, int, float)) else ",".join(_texts(default)),
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
