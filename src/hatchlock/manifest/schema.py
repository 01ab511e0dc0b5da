"""The manifest's document: every table and key of the format, closed, with its type and its description.

The tables say what may be written. What fits together is in `checks`, what this version cannot do yet in `later`, and
what it all means in `model`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from hatchlock.manifest.words import (
    AbsolutePath,
    AdoptedAddress,
    AppArmor,
    Argument,
    Base,
    Capability,
    ClientName,
    Duration,
    Format,
    HostPort,
    Moment,
    Name,
    NodeVersion,
    OwnedAddress,
    Platform,
    PythonVersion,
    RegistryHost,
    RegistryMirror,
    Seccomp,
    Secret,
    SELinux,
    ServerAddress,
    Size,
    SnapshotId,
    SourceText,
    Specifier,
    Text,
    Url,
    User,
    VariableName,
    VersionNumber,
)
from hatchlock.manifest.wrong import Wrong

__all__ = ["Document", "MountTable", "OverlayDocument", "SandboxTable", "SecretTable", "ServerTable", "json_schema"]


def _hyphens(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, alias_generator=_hyphens)


def _key(description: str, **limits: Any) -> Any:
    return Field(default=None, description=description, **limits)


def _word_or_list(value: object) -> str:
    return "a list" if isinstance(value, list) else "a word"


def _table_or_list(value: object) -> str:
    return "a list" if isinstance(value, list) else "a table"


def _word_or_table(value: object) -> str:
    return "a table" if isinstance(value, dict) else "a word"


# Which side of a union is meant is decided by the value's shape, so that a mistake is reported once, and where it is.
_NetworkWord = Literal["none", "internet", "host"]
_Network = Annotated[
    Annotated[_NetworkWord, Tag("a word")] | Annotated[list[HostPort], Tag("a list")], Discriminator(_word_or_list)
]
_Command = Annotated[
    Annotated[Annotated[Text, Field(min_length=1)], Tag("a word")]
    | Annotated[Annotated[list[Argument], Field(min_length=1)], Tag("a list")],
    Discriminator(_word_or_list),
]
_Source = Annotated[
    Annotated[SourceText, Tag("a word")] | Annotated[dict[Platform, SourceText], Tag("a table")],
    Discriminator(_word_or_table),
]


class SecretTable(_Table):
    """A reference to a secret, never its value."""

    secret: Secret = Field(
        description="Where the value comes from when the server starts: keyring:NAME, file:PATH, file:PATH#NAME, env:NAME or command:PROGRAM."
    )
    format: Format | None = _key("How the value is used; {} stands for the secret.")
    as_: Literal["variable", "file"] | None = _key("Whether the server gets it as a variable or as a file.")
    required: bool | None = _key("Whether the server is refused without it; true unless said.")


_Value = Annotated[
    Annotated[Text, Tag("a word")] | Annotated[SecretTable, Tag("a table")], Discriminator(_word_or_table)
]


class MountTable(_Table):
    """A file or directory of this machine that the server sees."""

    source: Text = Field(min_length=1, description="Relative to the project, or ~/ or absolute.")
    target: AbsolutePath = Field(description="An absolute path inside.")
    mode: Literal["ro", "rw"] | None = _key("Read-only (default) or read-write.")
    relabel: Literal["shared", "private"] | None = _key(
        "SELinux: give the source a label that all containers may use, or this one alone."
    )


class SandboxTable(_Table):
    """The profile that a server runs under; every relaxation of a default needs a reason."""

    network: _Network | None = _key('"none" (default), a list of host:port, "internet" or "host".')
    user: User | None = _key("UID:GID inside, never root.")
    run_as: Literal["user", "host"] | None = _key("As `user` (default), or as whoever starts it.")
    read_only: bool | None = _key("Whether the root file system is read-only; true unless said.")
    memory: Size | None = _key("Most memory, such as 512m.")
    swap: Size | None = _key("Most swap space; 0 unless said.")
    cpus: float | None = _key("Most cores.", gt=0, le=4096)
    pids: int | None = _key("Most processes and threads.", gt=0, le=1 << 22)
    files: int | None = _key("Most open files.", gt=0, le=1 << 20)
    tmp: Size | None = _key("Size of /tmp, which is in memory.")
    log_size: Size | None = _key("Size of the log that is kept.")
    mounts: list[MountTable] | None = _key("What it sees of this machine.")
    writable: list[AbsolutePath] | None = _key("Directories that keep what it writes.")
    capabilities: list[Capability] | None = _key("Linux capabilities, of which it has none by default.")
    seccomp: Seccomp | None = _key(
        '"default", "unconfined", or a profile of the project: a JSON file in Docker\'s form.'
    )
    apparmor: AppArmor | None = _key('"default", "unconfined", or the name of a profile that the kernel has.')
    selinux: SELinux | None = _key('"default", "disable", or a type, such as container_t.')
    stop_signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"] | None = _key(
        "What asks it to end."
    )
    stop_grace: float | None = _key("Seconds that it gets to end by itself.", ge=0, le=3600)
    reason: Text | None = _key("Why a default is relaxed; shown in every plan.", min_length=1)


class ToolsTable(_Table):
    """Which of a server's tools may be used."""

    allow: list[Text] | None = _key("Only these.")
    deny: list[Text] | None = _key("All but these.")


class _PackagesTable(_Table):
    python: PythonVersion | None = _key(
        "Python version of the environment, or managed:VERSION for one of uv's own builds; recorded at the first lock."
    )
    node: NodeVersion | None = _key("Node version of the environment; recorded at the first lock unless said.")
    base: Base | None = _key("Base image, for the container runtime.")
    constraints: list[SourceText] | None = _key("Bounds on packages that something else brings in.")
    overrides: list[SourceText] | None = _key("Requirements that replace what anyone else says about a package.")
    allow_build: list[Text] | None = _key("Packages that may be built from source.")
    allow_scripts: list[Text] | None = _key("Packages whose install scripts may run.")
    trust: Text | None = _key("A free label that policy can speak about.")


class EnvironmentTable(_PackagesTable):
    """A named set of packages that servers share."""

    description: Text | None = _key("Free text.")
    dependencies: list[SourceText] | None = _key("What is in it: kind:spec.")


class DefaultsTable(_PackagesTable):
    """What holds for every server that does not say otherwise."""

    environment: Name | None = _key("The declared environment that it shares, instead of a private one.")
    with_: list[SourceText] | None = _key("More dependencies for its private environment.")
    cwd: Text | None = _key("Working directory.")
    env: dict[VariableName, _Value] | None = _key("Variables: values, or references to secrets.")
    files: dict[str, Any] | None = _key("Files that it gets.")
    headers: dict[str, _Value] | None = _key("Headers of requests to a remote server.")
    runtime: Literal["process", "container"] | None = _key("Where it runs; container unless said.")
    isolation: Literal["required", "best-effort"] | None = _key("What to do where processes cannot be isolated.")
    transport: Literal["stdio", "http"] | None = _key("How it is spoken to; stdio unless said.")
    port: int | None = _key("The port that an http server listens on.", gt=0, lt=1 << 16)
    path: Text | None = _key("The path that an http server answers on.")
    host_port: int | None = _key("The port of this machine that leads to it.", gt=0, lt=1 << 16)
    serve: Any = _key("How it is served to clients.")
    startup_timeout: float | None = _key("Seconds until the first answer is overdue; 30 unless said.", gt=0, le=3600)
    probe: Any = _key("How it is probed.")
    tools: ToolsTable | None = _key("Which of its tools may be used.")
    clients: list[ClientName] | None = _key("The applications that list it.")
    client: dict[ClientName, dict[str, Any]] | None = _key("An application's own fields.")
    groups: list[Name] | None = _key("Free labels to choose servers by.")
    sandbox: SandboxTable | None = _key("What it may do.")
    drift: Literal["correct", "warn", "ignore"] | None = _key(
        "What to do when somebody else has changed it; correct unless said."
    )


class BuildTable(_Table):
    """A Dockerfile of the user's own."""

    context: Text = Field(min_length=1, description="The directory that it is built from, relative to the project.")
    dockerfile: Text | None = _key("The Dockerfile in it; Dockerfile unless said.", min_length=1)
    target: Text | None = _key("The stage whose image is wanted; the last one unless said.", min_length=1)
    args: dict[VariableName, Text] | None = _key("Values for its ARGs; no secrets.")
    image: Text | None = _key("An image that was built from it, which is taken instead: oci:HOST/REPOSITORY@sha256:….")


_Build = Annotated[
    Annotated[Annotated[Text, Field(min_length=1)], Tag("a word")] | Annotated[BuildTable, Tag("a table")],
    Discriminator(_word_or_table),
]


class ServerTable(DefaultsTable):
    """An MCP server."""

    description: Text | None = _key("Free text.")
    source: _Source | None = _key("Where it comes from: kind:spec, or a table of platforms.")
    url: Url | None = _key("Address of a remote server.")
    build: _Build | None = _key("The directory with the Dockerfile that its image is built from.")
    command: _Command | None = _key("A script of its environment, or a program of this machine; with its arguments.")
    args: list[Argument] | None = _key("Arguments; no secrets.")


class ProjectTable(_Table):
    """The project."""

    name: Name = Field(description="The project's name.")
    description: Text | None = _key("Free text.")
    requires_hatchlock: Specifier | None = _key("The versions of hatchlock that may read this, as in PEP 440.")
    platforms: list[Platform] | None = _key("What is locked for.", min_length=1)
    exclude_newer: Moment | None = _key("Ignore releases younger than this: 7d, a date, or a time.")
    min_glibc: VersionNumber | None = _key("The oldest glibc that process environments meet.")
    min_macos: VersionNumber | None = _key("The oldest macOS that process environments meet.")
    audit: Any = _key("What is written to the audit log.")


class IndexTable(_Table):
    """A package index."""

    name: Name | None = _key("What the lock calls it; the kind's name unless said.")
    url: Url | None = _key("Its address.")
    mirrors: list[Url] | None = _key("Addresses that serve the same files.")
    ttl: Duration | None = _key("How long its answers may be kept.")
    packages: list[Text] | None = _key("Names that it alone may serve, such as acme-*.", min_length=1)


_Indexes = Annotated[
    Annotated[IndexTable, Tag("a table")] | Annotated[Annotated[list[IndexTable], Field(min_length=1)], Tag("a list")],
    Discriminator(_table_or_list),
]


class DebianTable(IndexTable):
    """An archive of Debian packages."""

    suite: Text | None = _key(
        "The suite, such as bookworm; those of the base's own apt sources unless said.", min_length=1
    )
    components: list[Text] | None = _key("The components; main unless said.", min_length=1)
    snapshot: SnapshotId | None = _key("The id of a snapshot, such as 20260701T000000Z.")
    keyring: Text | None = _key("A file with the keys that may sign it; those of the base unless said.", min_length=1)


class IndexesTable(_Table):
    """The package indexes, by kind."""

    pypi: _Indexes | None = _key("Python packages.")
    npm: _Indexes | None = _key("npm packages.")
    debian: DebianTable | None = _key("Debian packages.")
    hatch: _Indexes | None = _key("Hatch packages.")
    mcp: IndexTable | None = _key("The MCP registry.")
    conda: _Indexes | None = _key("Conda channels; of several the first that has a name serves it.")


class RegistryTable(_Table):
    """A container registry."""

    mirrors: list[RegistryMirror] | None = _key("Registries that serve the same images, asked before it in this order.")
    plain_http: bool | None = _key("Speak HTTP; only loopback registries unless said.")


class ClientTable(_Table):
    """An application that lists servers."""

    scope: Literal["user", "project"] | None = _key("The user's file (default), or one in the project.")
    path: Text | None = _key("The file, where it is not the usual one.", min_length=1)
    if_installed: bool | None = _key("Leave it out where the application is not installed.")


class MovedTable(_Table):
    """A server that got another name."""

    from_: ServerAddress = Field(description="What it was: server:NAME.")
    to: ServerAddress = Field(description="What it is now.")


class ForgetTable(_Table):
    """Something that is given up, and stays as it is."""

    address: OwnedAddress = Field(
        description="server:NAME with its entries and volumes, client:APPLICATION/NAME or volume:NAME/PATH."
    )


class AdoptTable(_Table):
    """Something of somebody else's that is taken over."""

    address: AdoptedAddress = Field(description="What it becomes: client:APPLICATION/NAME or volume:NAME/PATH.")
    name: Text | None = _key(
        "Of a volume: the engine's volume, or the directory, that it is copied from.", min_length=1
    )


class _Machines(_Table):
    indexes: IndexesTable | None = _key("Package indexes.")
    registries: dict[RegistryHost, RegistryTable] | None = _key("Container registries, by host[:port].")
    clients: dict[ClientName, ClientTable] | None = _key("Applications, by name.")


class Document(_Machines):
    """The manifest of hatchlock: hatchlock.toml."""

    project: ProjectTable = Field(description="Its name, and what it is locked for.")
    defaults: DefaultsTable | None = _key("Merged under every server.")
    environments: dict[Name, EnvironmentTable] | None = _key("Shared environments, by name.")
    servers: dict[Name, ServerTable] | None = _key("MCP servers, by name.")
    policy: dict[str, Any] | None = _key("What is allowed.")
    targets: dict[str, Any] | None = _key("Other machines.")
    moved: list[MovedTable] | None = _key("What got another name.")
    forget: list[ForgetTable] | None = _key("What is no longer ours, and stays.")
    adopt: list[AdoptTable] | None = _key("What becomes ours.")


def _reference_only(value: object) -> object:
    if isinstance(value, str):
        raise Wrong("an overlay holds references to secrets, no values", 'write { secret = "env:NAME" }')
    return value


class OverlaySandboxTable(_Table):
    """What this machine mounts."""

    mounts: list[MountTable] | None = _key("What it sees of this machine; replaces the mount with the same target.")
    reason: Text | None = _key("Why.", min_length=1)


class OverlayDefaultsTable(_Table):
    """This machine's part of the defaults."""

    runtime: Literal["process", "container"] | None = _key("Where servers run.")
    isolation: Literal["required", "best-effort"] | None = _key("What to do where processes cannot be isolated.")
    clients: list[ClientName] | None = _key("The applications that list them.")


class OverlayServerTable(OverlayDefaultsTable):
    """This machine's part of a server."""

    env: dict[VariableName, Annotated[SecretTable, BeforeValidator(_reference_only)]] | None = _key("References.")
    sandbox: OverlaySandboxTable | None = _key("What this machine mounts.")


class OverlayDocument(_Machines):
    """What holds on one machine only: hatchlock.local.toml."""

    defaults: OverlayDefaultsTable | None = _key("Merged over the manifest's defaults.")
    servers: dict[Name, OverlayServerTable] | None = _key("Merged over the manifest's servers.")


def json_schema() -> dict[str, Any]:
    """Return the manifest's JSON Schema, draft 2020-12, for editors and other tools.

    It is as closed as the manifest itself, and describes every key. What it cannot say (a declared environment that does
    not exist, a relaxation without a reason) only `load` finds.
    """
    schema = _without_null(Document.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _without_null(node: Any) -> Any:
    """TOML has no null: drop that choice, which stands for an absent key."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    choices = [choice for choice in kept.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if choices else kept
