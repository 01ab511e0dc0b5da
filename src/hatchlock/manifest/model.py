"""The manifest's values, as resolver and planner read them: parsed, merged, complete.

They need no schema library, so that whoever only holds a manifest does not load one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hatchlock.address import Source
from hatchlock.launch import Isolation, Runtime, Sandbox, SecretReference
from hatchlock.manifest.handover import Handover
from hatchlock.surface import SurfaceRules

__all__ = [
    "MANAGED",
    "PLATFORMS",
    "BuildSpec",
    "ClientSpec",
    "EnvironmentSpec",
    "IndexSpec",
    "Manifest",
    "ProbeSpec",
    "Project",
    "RegistrySpec",
    "ServerSpec",
    "moment",
    "seconds",
]

MANAGED = "managed:"
"""Before a Python version: one of uv's own builds, not one of the machine's."""
PLATFORMS = ("darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64")
"""The platforms that a manifest can name: operating system and architecture, as OCI images name them."""

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def seconds(duration: str) -> int:
    """Return the seconds of `30s`, `10m`, `12h`, `7d` or `2w`.

    Raises:
        ValueError: `duration` is none of these.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(duration)
    return int(match[1]) * _SECONDS[match[2]]


def moment(text: str, now: datetime) -> datetime:
    """Return the moment that `exclude-newer` means, in UTC.

    Args:
        text: A duration before `now` (`7d`), a date (`2026-01-31`: its last instant counts, so the midnight that ends it
            in UTC is returned), or an RFC 3339 date-time with its offset.
        now: An aware date-time.

    Raises:
        ValueError: `text` is none of these.
    """
    if _DURATION.fullmatch(text):
        try:
            return now.astimezone(UTC) - timedelta(seconds=seconds(text))
        except OverflowError as error:
            raise ValueError(text) from error
    if _DATE.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(days=1)
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(text)
    return parsed.astimezone(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """`[project]`.

    Attributes:
        name: It goes into image tags and paths.
        description: Free text.
        requires_hatchlock: A PEP 440 specifier that this version satisfies, or "".
        platforms: Sorted, from `PLATFORMS`; empty when the manifest does not say.
        exclude_newer: As written; `moment` turns it into a time. None when absent.
        min_glibc: "2.28", or "".
        min_macos: "12.0", or "".
        audit: "calls": every call of a tool is written to the audit log; "" otherwise.
    """

    name: str
    description: str = ""
    requires_hatchlock: str = ""
    platforms: tuple[str, ...] = ()
    exclude_newer: str | None = None
    min_glibc: str = ""
    min_macos: str = ""
    audit: Literal["", "calls"] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentSpec:
    """A declared environment, or what a server says about its private one.

    Attributes:
        name: A private environment has its server's name.
        description: Free text.
        python: "3.11", "3.11.9", or "managed:3.11" for one of uv's own builds; "" when the manifest does not say.
        node: "22" or "22.4"; "" when the manifest does not say.
        base: The base image (kind oci), or None.
        trust: A free label, or "".
        dependencies: As written, in order; of a private environment what `with` lists, without the server's source.
        constraints: Bounds on packages that something else brings in.
        overrides: Requirements that replace whatever anyone says about these packages.
        allow_build: Names of Python packages that may be built from source, normalised (PEP 503), sorted.
        allow_scripts: Names of npm packages whose install scripts run, sorted.
    """

    name: str
    description: str = ""
    python: str = ""
    node: str = ""
    base: Source | None = None
    trust: str = ""
    dependencies: tuple[Source, ...] = ()
    constraints: tuple[Source, ...] = ()
    overrides: tuple[Source, ...] = ()
    allow_build: tuple[str, ...] = ()
    allow_scripts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSpec:
    """`build`: a Dockerfile of the user's own.

    Attributes:
        context: The directory, normalised; a relative one begins with a dot and is relative to the manifest.
        dockerfile: Its path in there.
        target: The stage that is wanted, by name or number; "" for the last one.
        args: Values for its ARGs.
        image: An image with a digest, without `oci:`, that was built from it before and is taken instead; "" for none.
    """

    context: str
    dockerfile: str = "Dockerfile"
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    image: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeSpec:
    """`probe`: how a server is probed after it was applied. It is not locked.

    Attributes:
        timeout: Seconds for all of it; 0 for the server's `startup-timeout`.
        call: A tool to call as well; "" for none.
        arguments: What that tool gets.
    """

    timeout: float = 0.0
    call: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSpec:
    """A server with defaults and overlay applied.

    Attributes:
        name: Its name.
        description: Free text.
        source: Where it comes from; None for an image that is built, and for a program of this machine, which then has a
            `command`. A table of platforms is
            one source, `url:linux/amd64=https://… linux/arm64=https://…`, sorted.
        command: One word is a script of its environment (or a program); more words fix its first arguments. Empty: the
            choice is left to the lock.
        args: What follows the command.
        cwd: As written; "" when not said.
        env_literals: Variables with their values.
        secrets: Variables with references.
        runtime: Where it runs.
        isolation: What to do where the process runtime cannot isolate.
        clients: Names of the applications that list it, sorted.
        client_fields: Application -> fields of its own that its entry gets. They are not locked.
        groups: Free labels, sorted.
        trust: A free label, its own or that of the environment that it shares; "" for none.
        environment: The declared environment that it shares; None when it has a private one, or none at all.
        private: What it says about its private environment; nothing when it shares one.
        sandbox: The whole profile, mount sources as written.
        startup_timeout: Seconds.
        transport: "stdio", "http", "sse", or how an entry of the MCP registry says that it is spoken to.
        build: The Dockerfile that its image is built from; None for any other server.
        entry: The entry of the MCP registry that `source` stands for, `mcp:io.github.acme/weather`; "" if it is no entry's.
        drift: What is done when somebody else has changed something of it. It is not locked.
        url: Where it is, if somebody else runs it; "" otherwise.
        headers: What requests to it have, literally.
        header_secrets: Headers with references.
        port: The port that it listens on, inside; 0 when not said.
        path: The path of its URL; "" when not said.
        host_port: The port of this machine that leads to it; 0 when not said.
        serve: "http": it speaks stdio, and is served over streamable HTTP as well.
        probe: How it is probed after it was applied; None: not at all.
        tools: Which of its tools pass, without pins. It is not locked.
    """

    name: str
    description: str = ""
    source: Source | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    cwd: str = ""
    env_literals: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    runtime: Runtime = "container"
    isolation: Isolation = "required"
    clients: tuple[str, ...] = ()
    client_fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    trust: str = ""
    environment: str | None = None
    private: EnvironmentSpec
    sandbox: Sandbox = field(default_factory=Sandbox)
    startup_timeout: float = 30.0
    transport: str = "stdio"
    build: BuildSpec | None = None
    entry: str = ""
    drift: Literal["correct", "warn", "ignore"] = "correct"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    header_secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    port: int = 0
    path: str = ""
    host_port: int = 0
    serve: Literal["", "http"] = ""
    probe: ProbeSpec | None = field(default_factory=ProbeSpec)
    tools: SurfaceRules = field(default_factory=SurfaceRules)

    @property
    def references(self) -> Mapping[str, SecretReference]:
        """Every secret that it is started with, by what it is for: a variable, or a header."""
        return {**self.secrets, **self.header_secrets}


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSpec:
    """`[indexes.KIND]`, or one of several `[[indexes.KIND]]`.

    Attributes:
        name: What the lock calls it; the kind's name unless said.
        url: Its address as written; "" for the user's own default.
        mirrors: Addresses that serve the same files, tried in this order.
        ttl: Seconds that its answers may be kept; None when not said.
        packages: Patterns of names that it alone may serve (`acme-*`); empty: it serves what no other claims.
        suite: Debian: the suite; "" for those of the base's own apt sources.
        components: Debian: its components; empty: `main`.
        snapshot: Debian: the id of a snapshot; "" for none.
        keyring: Debian: a file with the keys that may sign it, as written; "" for those of the base.
    """

    name: str
    url: str = ""
    mirrors: tuple[str, ...] = ()
    ttl: int | None = None
    packages: tuple[str, ...] = ()
    suite: str = ""
    components: tuple[str, ...] = ()
    snapshot: str = ""
    keyring: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrySpec:
    """`[registries."HOST"]`.

    Attributes:
        host: `host[:port]`.
        mirrors: Registries that serve the same images and are asked before it, in this order: `host[:port][/path]`.
        plain_http: Whether to speak HTTP; None leaves it to the default: only on loopback.
    """

    host: str
    mirrors: tuple[str, ...] = ()
    plain_http: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientSpec:
    """`[clients.NAME]`.

    Attributes:
        name: The application.
        scope: Its user's file, or a file of the project.
        path: The file, if not the usual one; as written.
        if_installed: Whether it is left out where the application is not installed.
    """

    name: str
    scope: Literal["user", "project"] = "user"
    path: str = ""
    if_installed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The whole manifest, merged with defaults and overlay. Mappings are by name, in the manifest's order; indexes by kind."""

    project: Project
    environments: Mapping[str, EnvironmentSpec] = field(default_factory=dict)
    servers: Mapping[str, ServerSpec] = field(default_factory=dict)
    indexes: Mapping[str, tuple[IndexSpec, ...]] = field(default_factory=dict)
    registries: Mapping[str, RegistrySpec] = field(default_factory=dict)
    clients: Mapping[str, ClientSpec] = field(default_factory=dict)
    handover: Handover = field(default_factory=Handover)

    def client(self, name: str) -> ClientSpec:
        """Return what the manifest says about an application, or its defaults."""
        return self.clients.get(name) or ClientSpec(name=name)
