"""A locked server as somebody else would start it, and what an export made of some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hatchlock.clients.shape import Transport
from hatchlock.launch_parts import Sandbox, SecretReference

__all__ = ["Addressed", "Contained", "Note", "Outgoing", "Rendered", "Served", "Started", "Withheld", "by_reason"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contained:
    """A server that is an image, run by an engine.

    Attributes:
        name: Its name.
        description: What the manifest says of it.
        image: `[HOST/]REPOSITORY@sha256:…`.
        argv: The whole command, as it stands inside.
        after_own: What of it follows what the image starts by itself; None where that is something else.
        cwd: Its working directory; "" for the image's own.
        env: Literal variables.
        secrets: Variable -> reference.
        sandbox: Its profile; sources of mounts and the seccomp file as the manifest writes them.
        volumes: Directories that its image would keep on disk without a limit.
        port: The port that it listens on, where it speaks HTTP; 0 for stdio.
        host_port: The port of a machine's loopback that leads there; 0 where none was chosen.
        path: The path of its URL.
        tools: The names of its tools that pass; None for all of them.
    """

    name: str
    description: str = ""
    image: str
    argv: tuple[str, ...]
    after_own: tuple[str, ...] | None = None
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    sandbox: Sandbox = field(default_factory=Sandbox)
    volumes: tuple[str, ...] = ()
    port: int = 0
    host_port: int = 0
    path: str = ""
    tools: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A server that a command line starts, on a machine that has the command.

    Attributes:
        name: Its name.
        words: The command line.
        env: Literal variables.
        secrets: Variable -> reference.
        cwd: Its working directory; "" for whoever starts it to choose.
    """

    name: str
    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    cwd: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressed:
    """A server that somebody else runs.

    Attributes:
        name: Its name.
        description: What the manifest says of it.
        url: Where it is.
        transport: "http", or "sse" for the older server-sent events.
        headers: What every request has, literally.
        secrets: Header -> reference.
        tools: The names of its tools that pass; None for all of them.
    """

    name: str
    description: str = ""
    url: str
    transport: Transport = "http"
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    tools: tuple[str, ...] | None = None


Served = Contained | Addressed
"""What needs nothing of the machine that it is used on but an engine, or a network."""
Outgoing = Served | Started


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What of a server the other tool does not do, or needs from people.

    Attributes:
        server: Its name; "" for all of them.
        what: A sentence without its full stop.
    """

    server: str
    what: str

    def __str__(self) -> str:
        """Return it with its server, for people."""
        return f"{self.server}: {self.what}" if self.server else self.what


@dataclass(frozen=True, kw_only=True, slots=True)
class Withheld:
    """A server that is not in an export.

    Attributes:
        server: Its name.
        why: A clause about it: "it runs as a process, and a compose file starts containers".
        hint: What to do about it; "" for nothing.
    """

    server: str
    why: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What an export made.

    Attributes:
        files: The texts by file name.
        servers: The names of those that are in them, sorted.
        notes: What people should know of them.
        withheld: Those that are not in them.
    """

    files: Mapping[str, str]
    servers: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    withheld: tuple[Withheld, ...] = ()


def by_reason(withheld: Iterable[Withheld]) -> Mapping[tuple[str, str], list[str]]:
    """Return why and hint -> the servers that are left out for that."""
    found: dict[tuple[str, str], list[str]] = {}
    for item in withheld:
        found.setdefault((item.why, item.hint), []).append(item.server)
    return found
