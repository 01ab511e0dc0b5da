"""`mcp-pin.lock`, version 1: the file in which the mcp-pin project keeps what was approved of servers. Read and written.

    {"lockfileVersion": 1, "about": …, "servers": {NAME: {"id", "package"?, "setHash", "tools", "promptsHash"?, "prompts"?,
     "instructionsHash", "instructions"}}}; a tool or prompt is {"name", "hash", "definition"}.

Its hashes are those of `surface`: tool definition hash version 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import Lock
from hatchlock.lock.surfaces import Definition, Surface, readable
from hatchlock.place import Place
from hatchlock.surface import Unhashable, definition_hash, instructions_hash, is_torn, parse_strictly, set_hash, shown

__all__ = ["BadPinFile", "PinnedPackage", "PinnedServer", "read_mcp_pin", "render_mcp_pin"]

_VERSION = 1
_ID_DIGITS = 16
_ABOUT = "Written by hatchlock. These are the MCP tool definitions that this project approved."


@dataclass(kw_only=True, eq=False)
class BadPinFile(HatchlockError):
    """A file is no `mcp-pin.lock`, or not one that holds together."""

    code: ClassVar[str] = "bad-pin-file"

    why: str

    def __str__(self) -> str:
        return f"nothing can be taken from it: {self.why}"

    def _hint(self) -> str:
        return "make it anew with `mcp-pin lock`, or look at the servers with `hatchlock pin`"


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedPackage:
    """What a server was started from when it was pinned.

    Attributes:
        ecosystem: "npm", "pypi" or "oci".
        name: As it says.
        version: Exact; of an image its digest.
    """

    ecosystem: str
    name: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedServer:
    """What such a file has of one server. All of it is a stranger's text.

    Attributes:
        name: Its name.
        tools: With hashes that are theirs.
        prompts: Likewise; None where nobody had asked for them.
        instructions: None for none.
        package: What it was started from; None if that was not recorded.
    """

    name: str
    tools: tuple[Definition, ...]
    prompts: tuple[Definition, ...] | None
    instructions: str | None
    package: PinnedPackage | None


def render_mcp_pin(lock: Lock) -> str:
    """Return everything that a lock has pinned as `mcp-pin.lock`.

    It is for servers that are started as `hatchlock run NAME`. Packages are not in it: what such a command runs mcp-pin
    cannot tell, and would refuse it.
    """
    servers = {surface.server: _entry(surface) for surface in lock.surfaces}
    return json.dumps({"lockfileVersion": _VERSION, "about": _ABOUT, "servers": servers}, indent=2) + "\n"


def _entry(surface: Surface) -> dict[str, Any]:
    return {
        "id": sha256_bytes(f"hatchlock run {surface.server}".encode())[:_ID_DIGITS],
        "setHash": surface.tools_sha256,
        "tools": [_definition(item) for item in surface.tools],
        "promptsHash": surface.prompts_sha256,
        "prompts": [_definition(item) for item in surface.prompts],
        "instructionsHash": surface.instructions_sha256 or None,
        "instructions": surface.instructions if surface.instructions_sha256 else None,
    }


def _definition(item: Definition) -> dict[str, Any]:
    return {"name": item.name, "hash": item.sha256, "definition": json.loads(item.text)}


def read_mcp_pin(data: bytes, *, file: str) -> tuple[PinnedServer, ...]:
    """Read such a file, sorted by name. Every hash in it is computed again.

    Args:
        data: Its bytes.
        file: Its name, for messages.

    Raises:
        BadPinFile: It is none, of another version, or a hash in it is not that of its text.
    """
    try:
        document = parse_strictly(data)
        servers = [_server(name, entry) for name, entry in _entries(document).items()]
    except (Unhashable, _BadError) as error:
        raise BadPinFile(place=Place(file=file), why=str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadPinFile(place=Place(file=file), why="it is no mcp-pin.lock") from error
    return tuple(sorted(servers, key=lambda server: server.name))


class _BadError(Exception):
    """What is wrong, in words."""


def _entries(document: Any) -> Mapping[str, Any]:
    version = document["lockfileVersion"]
    if version != _VERSION:
        raise _BadError(f"it is of version {shown(str(version))}, and known is {_VERSION}")
    return _mapping(document["servers"], "servers")


def _server(name: str, entry: Any) -> PinnedServer:
    whose = f"of server {shown(name)}"
    tools = tuple(sorted(_definitions(entry["tools"], "tool", whose)))
    prompts = tuple(sorted(_definitions(entry["prompts"], "prompt", whose))) if "prompts" in entry else None
    _same(_set(tools), entry["setHash"], f"the tools {whose}")
    if prompts is not None:
        _same(_set(prompts), entry["promptsHash"], f"the prompts {whose}")
    instructions = entry["instructions"]
    for text in (
        *(item.name for item in (*tools, *(prompts or ()))),
        *([instructions] if isinstance(instructions, str) else []),
    ):
        if is_torn(text):
            raise _BadError(f"{shown(text)} {whose} has half a character in it, which no file of text can hold")
    _same(instructions_hash(instructions) or None, entry["instructionsHash"], f"the instructions {whose}")
    return PinnedServer(
        name=name,
        tools=tools,
        prompts=prompts,
        instructions=instructions if isinstance(instructions, str) else None,
        package=_package(entry["package"]) if entry.get("package") else None,
    )


def _definitions(items: Any, word: str, whose: str) -> Iterator[Definition]:
    names: set[str] = set()
    for item in items:
        name, definition = item["name"], _mapping(item["definition"], "definition")
        if not isinstance(name, str) or name != definition.get("name") or name in names:
            raise _BadError(f"a {word} {whose} has two names, none, or that of another one")
        names.add(name)
        _same(definition_hash(definition), item["hash"], f"the {word} {shown(name)} {whose}")
        yield Definition(name=name, sha256=item["hash"], text=readable(definition))


def _package(value: Any) -> PinnedPackage:
    return PinnedPackage(ecosystem=str(value["ecosystem"]), name=str(value["name"]), version=str(value["version"]))


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _BadError(f"{what} is no object")
    return value


def _set(definitions: tuple[Definition, ...]) -> str:
    return set_hash((item.name, item.sha256) for item in definitions)


def _same(found: str | None, said: Any, what: str) -> None:
    if found != said:
        raise _BadError(f"the hash of {what} is another one than it says")
