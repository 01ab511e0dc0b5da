"""The tool surface of a pinned server, as the lock has it: readable, with its hashes, and what it was seen under."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Definition", "Surface"]


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
        protocol: The protocol's version that both agreed on.
        secrets: Names of the variables and headers whose secrets were there, sorted: lists shrink without credentials.
        instructions: The text; "" for none.
        instructions_sha256: Its hash; "" for none.
        tools: By name.
        tools_sha256: Their set hash.
        prompts: By name.
        prompts_sha256: Their set hash.
    """

    server: str
    artefact: str
    protocol: str
    secrets: tuple[str, ...] = ()
    instructions: str = ""
    instructions_sha256: str = ""
    tools: tuple[Definition, ...] = ()
    tools_sha256: str = ""
    prompts: tuple[Definition, ...] = ()
    prompts_sha256: str = ""
