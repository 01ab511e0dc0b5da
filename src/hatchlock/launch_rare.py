"""What few launch records have: where a server comes from or is, and how it is reached. Loaded for those that have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hatchlock.launch_parts import SecretReference

__all__ = ["Endpoint", "Relay", "Remote", "SourceTree"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceTree:
    """Where a server's own project is, when it comes from a directory, a repository or an address.

    Attributes:
        directory: In the environment.
        live: The directory that it was taken from, for `path:`; "" otherwise.
        sha256: Of its snapshot (64 hex digits).
    """

    directory: str
    live: str = ""
    sha256: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """What listens inside of a container's network for the hosts that a server may reach.

    Attributes:
        image: A tag in the engine, of an image with an interpreter.
        interpreter: The path of that interpreter inside, or a name on the image's PATH.
        language: Which it is.
    """

    image: str
    interpreter: str
    language: Literal["python", "node"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A server that somebody else runs, at an address.

    Attributes:
        url: Where it is, `https://…`.
        transport: Streamable HTTP, or the older HTTP with server-sent events.
        headers: What every request to it has, literally.
        secrets: Header -> reference.
    """

    url: str
    transport: Literal["http", "sse"] = "http"
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where on this machine's loopback a server that stays is reached.

    Attributes:
        host_port: The port here.
        path: The path of the URL, `/mcp`.
        port: The server's own port, inside, where it speaks HTTP itself; 0 where it speaks stdio and is served over HTTP.
    """

    host_port: int
    path: str = "/mcp"
    port: int = 0

    @property
    def url(self) -> str:
        """Its address, for programs of this machine."""
        return f"http://127.0.0.1:{self.host_port}{self.path}"
