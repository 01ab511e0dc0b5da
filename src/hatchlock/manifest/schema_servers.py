"""The manifest's servers and environments: what may be written of them, and of their sandboxes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from hatchlock.manifest.schema_base import Table, key, word_or_list, word_or_table
from hatchlock.manifest.words import (
    AbsolutePath,
    AppArmor,
    Argument,
    Base,
    Capability,
    ClientName,
    Format,
    HostPort,
    Name,
    NodeVersion,
    Platform,
    PythonVersion,
    Seccomp,
    Secret,
    SELinux,
    Size,
    SourceText,
    Text,
    Url,
    User,
    VariableName,
)

__all__ = [
    "BuildTable",
    "DefaultsTable",
    "EnvironmentTable",
    "MountTable",
    "ProbeTable",
    "SandboxTable",
    "SecretTable",
    "ServerTable",
    "ToolsTable",
]

# Which side of a union is meant is decided by the value's shape, so that a mistake is reported once, and where it is.
_NetworkWord = Literal["none", "internet", "host"]
_Network = Annotated[
    Annotated[_NetworkWord, Tag("a word")] | Annotated[list[HostPort], Tag("a list")], Discriminator(word_or_list)
]
_Command = Annotated[
    Annotated[Annotated[Text, Field(min_length=1)], Tag("a word")]
    | Annotated[Annotated[list[Argument], Field(min_length=1)], Tag("a list")],
    Discriminator(word_or_list),
]
_Source = Annotated[
    Annotated[SourceText, Tag("a word")] | Annotated[dict[Platform, SourceText], Tag("a table")],
    Discriminator(word_or_table),
]


class SecretTable(Table):
    """A reference to a secret, never its value."""

    secret: Secret = Field(
        description="Where the value comes from when the server starts: keyring:NAME, file:PATH, file:PATH#NAME, env:NAME or command:PROGRAM."
    )
    format: Format | None = key("How the value is used; {} stands for the secret.")
    as_: Literal["variable", "file"] | None = key("Whether the server gets it as a variable or as a file.")
    required: bool | None = key("Whether the server is refused without it; true unless said.")


_Value = Annotated[
    Annotated[Text, Tag("a word")] | Annotated[SecretTable, Tag("a table")], Discriminator(word_or_table)
]


class MountTable(Table):
    """A file or directory of this machine that the server sees."""

    source: Text = Field(min_length=1, description="Relative to the project, or ~/ or absolute.")
    target: AbsolutePath = Field(description="An absolute path inside.")
    mode: Literal["ro", "rw"] | None = key("Read-only (default) or read-write.")
    relabel: Literal["shared", "private"] | None = key(
        "SELinux: give the source a label that all containers may use, or this one alone."
    )


class SandboxTable(Table):
    """The profile that a server runs under; every relaxation of a default needs a reason."""

    network: _Network | None = key('"none" (default), a list of host:port, "internet" or "host".')
    user: User | None = key("UID:GID inside, never root.")
    run_as: Literal["user", "host"] | None = key("As `user` (default), or as whoever starts it.")
    read_only: bool | None = key("Whether the root file system is read-only; true unless said.")
    memory: Size | None = key("Most memory, such as 512m.")
    swap: Size | None = key("Most swap space; 0 unless said.")
    cpus: float | None = key("Most cores.", gt=0, le=4096)
    pids: int | None = key("Most processes and threads.", gt=0, le=1 << 22)
    files: int | None = key("Most open files.", gt=0, le=1 << 20)
    tmp: Size | None = key("Size of /tmp, which is in memory.")
    log_size: Size | None = key("Size of the log that is kept.")
    mounts: list[MountTable] | None = key("What it sees of this machine.")
    writable: list[AbsolutePath] | None = key("Directories that keep what it writes.")
    capabilities: list[Capability] | None = key("Linux capabilities, of which it has none by default.")
    seccomp: Seccomp | None = key(
        '"default", "unconfined", or a profile of the project: a JSON file in Docker\'s form.'
    )
    apparmor: AppArmor | None = key('"default", "unconfined", or the name of a profile that the kernel has.')
    selinux: SELinux | None = key('"default", "disable", or a type, such as container_t.')
    stop_signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"] | None = key(
        "What asks it to end."
    )
    stop_grace: float | None = key("Seconds that it gets to end by itself.", ge=0, le=3600)
    reason: Text | None = key("Why a default is relaxed; shown in every plan.", min_length=1)


class ToolsTable(Table):
    """Which of a server's tools may be used."""

    allow: list[Text] | None = key("Only these.")
    deny: list[Text] | None = key("All but these.")
    changed: Literal["refuse", "filter", "warn"] | None = key(
        "What is done with tools that are not as they were pinned: refuse the server (unless said), leave them out, or say so."
    )


class ProbeTable(Table):
    """How a server is probed."""

    timeout: float | None = key("Seconds for all of it; startup-timeout unless said.", gt=0, le=3600)
    call: Text | None = key("A tool to call as well.", min_length=1)
    args: dict[str, Any] | None = key("What that tool gets.")


_Probe = Annotated[Annotated[bool, Tag("a word")] | Annotated[ProbeTable, Tag("a table")], Discriminator(word_or_table)]


class _PackagesTable(Table):
    python: PythonVersion | None = key(
        "Python version of the environment, or managed:VERSION for one of uv's own builds; recorded at the first lock."
    )
    node: NodeVersion | None = key("Node version of the environment; recorded at the first lock unless said.")
    base: Base | None = key("Base image, for the container runtime.")
    constraints: list[SourceText] | None = key("Bounds on packages that something else brings in.")
    overrides: list[SourceText] | None = key("Requirements that replace what anyone else says about a package.")
    allow_build: list[Text] | None = key("Packages that may be built from source.")
    allow_scripts: list[Text] | None = key("Packages whose install scripts may run.")
    trust: Text | None = key("A free label that policy can speak about.")


class EnvironmentTable(_PackagesTable):
    """A named set of packages that servers share."""

    description: Text | None = key("Free text.")
    dependencies: list[SourceText] | None = key("What is in it: kind:spec.")


class DefaultsTable(_PackagesTable):
    """What holds for every server that does not say otherwise."""

    environment: Name | None = key("The declared environment that it shares, instead of a private one.")
    with_: list[SourceText] | None = key("More dependencies for its private environment.")
    cwd: Text | None = key("Working directory.")
    env: dict[VariableName, _Value] | None = key("Variables: values, or references to secrets.")
    files: dict[str, Any] | None = key("Files that it gets.")
    headers: dict[str, _Value] | None = key("Headers of requests to a remote server.")
    runtime: Literal["process", "container"] | None = key("Where it runs; container unless said.")
    isolation: Literal["required", "best-effort"] | None = key("What to do where processes cannot be isolated.")
    transport: Literal["stdio", "http", "sse"] | None = key(
        "How it is spoken to; stdio unless said, of a remote server http."
    )
    port: int | None = key("The port that an http server listens on.", gt=0, lt=1 << 16)
    path: AbsolutePath | None = key("The path of its URL; /mcp unless said.")
    host_port: int | None = key("The port of this machine that leads to it.", gt=0, lt=1 << 16)
    serve: Literal["http"] | None = key("Serve it over streamable HTTP as well, on this machine's loopback.")
    startup_timeout: float | None = key("Seconds until the first answer is overdue; 30 unless said.", gt=0, le=3600)
    probe: _Probe | None = key("How it is probed after it was applied; false: not at all.")
    tools: ToolsTable | None = key("Which of its tools may be used.")
    clients: list[ClientName] | None = key("The applications that list it.")
    client: dict[ClientName, dict[str, Any]] | None = key("An application's own fields.")
    groups: list[Name] | None = key("Free labels to choose servers by.")
    sandbox: SandboxTable | None = key("What it may do.")
    drift: Literal["correct", "warn", "ignore"] | None = key(
        "What to do when somebody else has changed it; correct unless said."
    )


class BuildTable(Table):
    """A Dockerfile of the user's own."""

    context: Text = Field(min_length=1, description="The directory that it is built from, relative to the project.")
    dockerfile: Text | None = key("The Dockerfile in it; Dockerfile unless said.", min_length=1)
    target: Text | None = key("The stage whose image is wanted; the last one unless said.", min_length=1)
    args: dict[VariableName, Text] | None = key("Values for its ARGs; no secrets.")
    image: Text | None = key("An image that was built from it, which is taken instead: oci:HOST/REPOSITORY@sha256:….")


_Build = Annotated[
    Annotated[Annotated[Text, Field(min_length=1)], Tag("a word")] | Annotated[BuildTable, Tag("a table")],
    Discriminator(word_or_table),
]


class ServerTable(DefaultsTable):
    """An MCP server."""

    description: Text | None = key("Free text.")
    source: _Source | None = key("Where it comes from: kind:spec, or a table of platforms.")
    url: Url | None = key("Address of a remote server.")
    build: _Build | None = key("The directory with the Dockerfile that its image is built from.")
    command: _Command | None = key("A script of its environment, or a program of this machine; with its arguments.")
    args: list[Argument] | None = key("Arguments; no secrets.")
