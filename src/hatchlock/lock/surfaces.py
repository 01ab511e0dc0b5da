"""The tool surface of a pinned server, as the lock has it: readable, with its hashes, and what it was seen under."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hatchlock.surface import Unhashable, definition_hash, instructions_hash, parse_strictly, set_hash, shown

__all__ = ["Definition", "Surface", "readable", "surface_of", "surface_problem"]

_EXACT = 2.0**53


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Definition:
    """A tool or a prompt as a server defined it.

    Attributes:
        name: Its name.
        sha256: Its definition hash, version 1 (64 hex digits).
        text: The definition as JSON, for people: indented, ASCII, with the members in the order in which they came.
    """

    name: str
    sha256: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """What a model reads of one server.

    Attributes:
        server: The server's name.
        artefact: Digest of what was probed (64 hex digits): it is stale when the lock's server has become something else.
        artefacts: Platform -> digest of what that was there, once the server has become something else on some platforms and
            not on all; empty for most.
        protocol: The protocol's version that both agreed on; "" where that was not recorded.
        secrets: Names of the variables and headers whose secrets were there, sorted: lists shrink without credentials.
        instructions: The text; "" for none.
        instructions_sha256: Its hash; "" for none.
        tools: By name.
        tools_sha256: Their set hash.
        prompts: By name.
        prompts_sha256: Their set hash.
        varying: `tool NAME`, `prompt NAME`, sorted: what is among these and only some applications are shown, by what they say
            that they can do.
    """

    server: str
    artefact: str
    artefacts: Mapping[str, str] = field(default_factory=dict)
    protocol: str = ""
    secrets: tuple[str, ...] = ()
    instructions: str = ""
    instructions_sha256: str = ""
    tools: tuple[Definition, ...] = ()
    tools_sha256: str = ""
    prompts: tuple[Definition, ...] = ()
    prompts_sha256: str = ""
    varying: tuple[str, ...] = ()


def surface_of(
    server: str,
    *,
    artefact: str,
    protocol: str = "",
    secrets: Iterable[str] = (),
    instructions: str | None = None,
    tools: Iterable[Definition] = (),
    prompts: Iterable[Definition] = (),
    varying: Iterable[str] = (),
) -> Surface:
    """Return a surface with its hashes; definitions, secrets and what varies in any order."""
    listed, asked = tuple(sorted(tools)), tuple(sorted(prompts))
    return Surface(
        server=server,
        artefact=artefact,
        protocol=protocol,
        secrets=tuple(sorted(secrets)),
        instructions=instructions or "",
        instructions_sha256=instructions_hash(instructions),
        tools=listed,
        tools_sha256=set_hash((item.name, item.sha256) for item in listed),
        prompts=asked,
        prompts_sha256=set_hash((item.name, item.sha256) for item in asked),
        varying=tuple(sorted(varying)),
    )


def readable(definition: Mapping[str, Any]) -> str:
    """Return the text of a definition: indented ASCII JSON, which has the definition's own hash.

    Args:
        definition: As `surface.parse_strictly` gave it: its members are in the order in which they were sent.
    """
    text = json.dumps(_with_integers(definition), indent=2)
    # only strings have these; the lock's form of text has no room for either
    return text.replace("\x7f", "\\u007f").replace("'''", "\\u0027" * 3)


def surface_problem(surface: Surface) -> str:
    """Return why a surface of a lock does not hold together, as a clause; "" if every text has the hash that it says."""
    return next(_problems(surface), "")


def _problems(surface: Surface) -> Iterator[str]:
    of = f"pinned of {surface.server}"
    for what, definitions, whole in (
        ("tool", surface.tools, surface.tools_sha256),
        ("prompt", surface.prompts, surface.prompts_sha256),
    ):
        for item in definitions:
            if why := _wrong(item):
                yield f"the {what} {shown(item.name)} {of} {why}"
        if set_hash((item.name, item.sha256) for item in definitions) != whole:
            yield f"the {what}s {of} are not those of {what}s-sha256"
        if len({item.name for item in definitions}) != len(definitions):
            yield f"two {what}s {of} have the same name"
    labels = {*(f"tool {item.name}" for item in surface.tools), *(f"prompt {item.name}" for item in surface.prompts)}
    for label in surface.varying:
        if label not in labels:
            yield f"the {shown(label)} {of} is not there, and said to vary"
    # there is a hash of empty instructions, too
    said = surface.instructions if surface.instructions_sha256 else surface.instructions or None
    if instructions_hash(said) != surface.instructions_sha256:
        yield f"the text of the instructions {of} has another hash than the one beside it"


def _wrong(definition: Definition) -> str:
    try:
        value = parse_strictly(definition.text)
        digest = definition_hash(value)
    except Unhashable as error:
        return f"has no hash: {error}"
    except ValueError:
        return "has a text that is no JSON"
    if value["name"] != definition.name:
        return f"is called {shown(value['name'])} in its text"
    return "" if digest == definition.sha256 else "has a text with another hash than the one beside it"


def _with_integers(value: Any) -> Any:
    """Whole numbers are written without a point, as they usually were; the hash knows only doubles."""
    if isinstance(value, Mapping):
        return {name: _with_integers(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_integers(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return value
