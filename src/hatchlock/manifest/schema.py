"""The manifest's document: every table and key of the format, closed, with its type and its description.

The tables say what may be written. What fits together is in `checks`, what this version cannot do yet in `later`, and
what it all means in `model`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from hatchlock.manifest.schema_base import Table, key, table_or_list
from hatchlock.manifest.schema_servers import DefaultsTable, EnvironmentTable, MountTable, SecretTable, ServerTable
from hatchlock.manifest.words import (
    AdoptedAddress,
    ClientName,
    Duration,
    Moment,
    Name,
    OwnedAddress,
    Platform,
    RegistryHost,
    RegistryMirror,
    ServerAddress,
    SnapshotId,
    Specifier,
    Text,
    Url,
    VariableName,
    VersionNumber,
)
from hatchlock.manifest.wrong import Wrong

__all__ = ["Document", "OverlayDocument", "json_schema"]


class ProjectTable(Table):
    """The project."""

    name: Name = Field(description="The project's name.")
    description: Text | None = key("Free text.")
    requires_hatchlock: Specifier | None = key("The versions of hatchlock that may read this, as in PEP 440.")
    platforms: list[Platform] | None = key("What is locked for.", min_length=1)
    exclude_newer: Moment | None = key("Ignore releases younger than this: 7d, a date, or a time.")
    min_glibc: VersionNumber | None = key("The oldest glibc that process environments meet.")
    min_macos: VersionNumber | None = key("The oldest macOS that process environments meet.")
    audit: Literal["calls"] | None = key(
        '"calls": every call of a tool is written to the audit log, without its arguments.'
    )


class IndexTable(Table):
    """A package index."""

    name: Name | None = key("What the lock calls it; the kind's name unless said.")
    url: Url | None = key("Its address.")
    mirrors: list[Url] | None = key("Addresses that serve the same files.")
    ttl: Duration | None = key("How long its answers may be kept.")
    packages: list[Text] | None = key("Names that it alone may serve, such as acme-*.", min_length=1)


_Indexes = Annotated[
    Annotated[IndexTable, Tag("a table")] | Annotated[Annotated[list[IndexTable], Field(min_length=1)], Tag("a list")],
    Discriminator(table_or_list),
]


class DebianTable(IndexTable):
    """An archive of Debian packages."""

    suite: Text | None = key(
        "The suite, such as bookworm; those of the base's own apt sources unless said.", min_length=1
    )
    components: list[Text] | None = key("The components; main unless said.", min_length=1)
    snapshot: SnapshotId | None = key("The id of a snapshot, such as 20260701T000000Z.")
    keyring: Text | None = key("A file with the keys that may sign it; those of the base unless said.", min_length=1)


class IndexesTable(Table):
    """The package indexes, by kind."""

    pypi: _Indexes | None = key("Python packages.")
    npm: _Indexes | None = key("npm packages.")
    debian: DebianTable | None = key("Debian packages.")
    hatch: _Indexes | None = key("Hatch packages.")
    mcp: IndexTable | None = key("The MCP registry.")
    conda: _Indexes | None = key("Conda channels; of several the first that has a name serves it.")


class RegistryTable(Table):
    """A container registry."""

    mirrors: list[RegistryMirror] | None = key("Registries that serve the same images, asked before it in this order.")
    plain_http: bool | None = key("Speak HTTP; only loopback registries unless said.")


class ClientTable(Table):
    """An application that lists servers."""

    scope: Literal["user", "project"] | None = key("The user's file (default), or one in the project.")
    path: Text | None = key("The file, where it is not the usual one.", min_length=1)
    if_installed: bool | None = key("Leave it out where the application is not installed.")


class MovedTable(Table):
    """A server that got another name."""

    from_: ServerAddress = Field(description="What it was: server:NAME.")
    to: ServerAddress = Field(description="What it is now.")


class ForgetTable(Table):
    """Something that is given up, and stays as it is."""

    address: OwnedAddress = Field(
        description="server:NAME with its entries and volumes, client:APPLICATION/NAME or volume:NAME/PATH."
    )


class AdoptTable(Table):
    """Something of somebody else's that is taken over."""

    address: AdoptedAddress = Field(description="What it becomes: client:APPLICATION/NAME or volume:NAME/PATH.")
    name: Text | None = key("Of a volume: the engine's volume, or the directory, that it is copied from.", min_length=1)


class _Machines(Table):
    indexes: IndexesTable | None = key("Package indexes.")
    registries: dict[RegistryHost, RegistryTable] | None = key("Container registries, by host[:port].")
    clients: dict[ClientName, ClientTable] | None = key("Applications, by name.")


class Document(_Machines):
    """The manifest of hatchlock: hatchlock.toml."""

    project: ProjectTable = Field(description="Its name, and what it is locked for.")
    defaults: DefaultsTable | None = key("Merged under every server.")
    environments: dict[Name, EnvironmentTable] | None = key("Shared environments, by name.")
    servers: dict[Name, ServerTable] | None = key("MCP servers, by name.")
    policy: dict[str, Any] | None = key("What is allowed.")
    targets: dict[str, Any] | None = key("Other machines.")
    moved: list[MovedTable] | None = key("What got another name.")
    forget: list[ForgetTable] | None = key("What is no longer ours, and stays.")
    adopt: list[AdoptTable] | None = key("What becomes ours.")


def _reference_only(value: object) -> object:
    if isinstance(value, str):
        raise Wrong("an overlay holds references to secrets, no values", 'write { secret = "env:NAME" }')
    return value


class OverlaySandboxTable(Table):
    """What this machine mounts."""

    mounts: list[MountTable] | None = key("What it sees of this machine; replaces the mount with the same target.")
    reason: Text | None = key("Why.", min_length=1)


class OverlayDefaultsTable(Table):
    """This machine's part of the defaults."""

    runtime: Literal["process", "container"] | None = key("Where servers run.")
    isolation: Literal["required", "best-effort"] | None = key("What to do where processes cannot be isolated.")
    clients: list[ClientName] | None = key("The applications that list them.")


class OverlayServerTable(OverlayDefaultsTable):
    """This machine's part of a server."""

    env: dict[VariableName, Annotated[SecretTable, BeforeValidator(_reference_only)]] | None = key("References.")
    sandbox: OverlaySandboxTable | None = key("What this machine mounts.")


class OverlayDocument(_Machines):
    """What holds on one machine only: hatchlock.local.toml."""

    defaults: OverlayDefaultsTable | None = key("Merged over the manifest's defaults.")
    servers: dict[Name, OverlayServerTable] | None = key("Merged over the manifest's servers.")


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
