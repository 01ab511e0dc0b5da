"""From a manifest's document, found to be right, to its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from packaging.utils import canonicalize_name

from hatchlock.address import Address, Kind, Source
from hatchlock.launch import Mount, Runtime, Sandbox, SecretReference
from hatchlock.manifest.fitting import PRIVATE_KEYS
from hatchlock.manifest.handover import Handover
from hatchlock.manifest.model import (
    BuildSpec,
    ClientSpec,
    EnvironmentSpec,
    IndexSpec,
    Manifest,
    ProbeSpec,
    Project,
    RegistrySpec,
    ServerSpec,
    seconds,
)
from hatchlock.manifest.remotes import REMOTE_KEYS
from hatchlock.manifest.schema import DebianTable, Document, IndexTable, ProjectTable
from hatchlock.manifest.schema_servers import (
    BuildTable,
    EnvironmentTable,
    ProbeTable,
    SandboxTable,
    SecretTable,
    ServerTable,
    ToolsTable,
)
from hatchlock.paths import normal_path
from hatchlock.surface import SurfaceRules

__all__ = ["build", "merged_servers"]

_T = TypeVar("_T")
_INDEXES = {
    Kind.PYPI: "pypi",
    Kind.NPM: "npm",
    Kind.DEB: "debian",
    Kind.HATCH: "hatch",
    Kind.MCP: "mcp",
    Kind.CONDA: "conda",
}
"""The kinds that have indexes, and the tables that declare them."""


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Merge tables key by key, at every depth; anything else of `high` replaces what `low` has.

    The one list that is merged is that of mounts: by target.
    """
    result = dict(low)
    for key, value in high.items():
        below = low.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = _merge(below, value)
        elif key == "mounts" and isinstance(below, list):
            result[key] = _merged_mounts(below, value)
        else:
            result[key] = value
    return result


def _merged_mounts(low: list[dict[str, Any]], high: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_target = {mount["target"]: mount for mount in low}
    for mount in high:
        by_target[mount["target"]] = _merge(by_target.get(mount["target"], {}), mount)
    return list(by_target.values())


def merged_servers(document: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every server's table with defaults and overlay merged in.

    The order, each over the one before: the manifest's defaults, the overlay's, the manifest's server, the overlay's.
    Defaults for a private environment do not reach a server that names a shared one, and the other way round.
    """
    defaults = _merge(document.get("defaults", {}), overlay.get("defaults", {}))
    local = overlay.get("servers", {})
    return {
        name: _merge(_merge(_fitting(defaults, table), table), local.get(name, {}))
        for name, table in document.get("servers", {}).items()
    }


def _fitting(defaults: Mapping[str, Any], server: Mapping[str, Any]) -> dict[str, Any]:
    if "url" in server:
        return {key: value for key, value in defaults.items() if key in REMOTE_KEYS and key != "transport"}
    source = server.get("source", "")
    nothing_to_install = not source or str(source).startswith("oci:")
    dropped = {"headers"}
    if nothing_to_install or "environment" in server:
        dropped |= set(PRIVATE_KEYS)
    if nothing_to_install or any(key in server for key in PRIVATE_KEYS):
        dropped.add("environment")
    if nothing_to_install:
        dropped.add("runtime")  # it can run in one way only
    return {key: value for key, value in defaults.items() if key not in dropped}


def build(document: Mapping[str, Any], overlay: Mapping[str, Any]) -> Manifest:
    """Return the manifest's values, merged with its overlay.

    Both documents have passed their schemas and `checks`, so that nothing can be wrong here.
    """
    servers = merged_servers(document, overlay)
    machines = {key: overlay[key] for key in ("indexes", "registries", "clients") if key in overlay}
    merged = Document.model_validate({**_merge(document, machines), "servers": servers})
    environments = {
        name: _environment(name, table, table.dependencies, description=table.description or "")
        for name, table in (merged.environments or {}).items()
    }
    return Manifest(
        project=_project(merged.project),
        environments=environments,
        servers={name: _server(name, table, environments) for name, table in (merged.servers or {}).items()},
        indexes={
            kind: tuple(_index(kind, table) for table in (found if isinstance(found, list) else [found]))
            for kind, key in _INDEXES.items()
            if merged.indexes and (found := getattr(merged.indexes, key))
        },
        registries={
            host: RegistrySpec(host=host, mirrors=tuple(table.mirrors or ()), plain_http=table.plain_http)
            for host, table in (merged.registries or {}).items()
        },
        clients={
            name: ClientSpec(
                name=name,
                scope=table.scope or "user",
                path=table.path or "",
                if_installed=bool(table.if_installed),
            )
            for name, table in (merged.clients or {}).items()
        },
        handover=_handover(merged),
    )


def _handover(document: Document) -> Handover:
    def name(address: str) -> str:
        return Address.parse(address).name

    return Handover(
        moved={name(table.from_): name(table.to) for table in document.moved or ()},
        forgotten=tuple(sorted({Address.parse(table.address) for table in document.forget or ()})),
        adopted={
            Address.parse(table.address.removesuffix("@process")): table.name or "" for table in document.adopt or ()
        },
    )


def _index(kind: Kind, table: IndexTable) -> IndexSpec:
    debian = table if isinstance(table, DebianTable) else DebianTable()
    return IndexSpec(
        name=table.name or _INDEXES[kind],
        url=table.url or "",
        mirrors=tuple(table.mirrors or ()),
        ttl=seconds(table.ttl) if table.ttl else None,
        packages=tuple(table.packages or ()),
        suite=debian.suite or "",
        components=tuple(sorted(set(debian.components or ()))),
        snapshot=debian.snapshot or "",
        keyring=debian.keyring or "",
    )


def _project(table: ProjectTable) -> Project:
    return Project(
        name=table.name,
        description=table.description or "",
        requires_hatchlock=table.requires_hatchlock or "",
        platforms=tuple(sorted(set(table.platforms or ()))),
        exclude_newer=table.exclude_newer,
        min_glibc=table.min_glibc or "",
        min_macos=table.min_macos or "",
        audit=table.audit or "",
    )


def _sources(texts: list[str] | None) -> tuple[Source, ...]:
    return tuple(Source.parse(text) for text in texts or ())


def _names(texts: list[str] | None) -> tuple[str, ...]:
    return tuple(sorted({canonicalize_name(text) for text in texts or ()}))


def _source(value: str | dict[str, str] | None) -> Source | None:
    if isinstance(value, dict):
        return Source(
            kind=Kind.URL,
            spec=" ".join(f"{platform}={text.partition(':')[2]}" for platform, text in sorted(value.items())),
        )
    return Source.parse(value) if value else None


def _base(text: str | None) -> Source | None:
    return Source.parse(text) if text else None


def _environment(
    name: str, table: EnvironmentTable | ServerTable, dependencies: list[str] | None, *, description: str = ""
) -> EnvironmentSpec:
    return EnvironmentSpec(
        name=name,
        description=description,
        python=table.python or "",
        node=table.node or "",
        base=_base(table.base),
        trust=table.trust or "",
        dependencies=_sources(dependencies),
        constraints=_sources(table.constraints),
        overrides=_sources(table.overrides),
        allow_build=_names(table.allow_build),
        allow_scripts=tuple(sorted(set(table.allow_scripts or ()))),
    )


def _server(name: str, table: ServerTable, environments: Mapping[str, EnvironmentSpec]) -> ServerSpec:
    source = _source(table.source)
    command = [table.command] if isinstance(table.command, str) else table.command or []
    env, headers = table.env or {}, table.headers or {}
    return ServerSpec(
        name=name,
        description=table.description or "",
        source=source,
        command=tuple(command),
        args=tuple(table.args or ()),
        cwd=table.cwd or "",
        env_literals={key: value for key, value in env.items() if isinstance(value, str)},
        secrets={key: _secret(value) for key, value in env.items() if isinstance(value, SecretTable)},
        runtime=_runtime(table, source),
        isolation=table.isolation or "required",
        clients=tuple(sorted(set(table.clients or ()))),
        client_fields=table.client or {},
        groups=tuple(sorted(set(table.groups or ()))),
        trust=table.trust or (environments[table.environment].trust if table.environment else ""),
        environment=table.environment,
        private=_environment(name, table, table.with_),
        sandbox=_sandbox(table.sandbox),
        startup_timeout=_or(table.startup_timeout, 30.0),
        build=_build(table.build) if table.build is not None else None,
        drift=table.drift or "correct",
        url=table.url or "",
        headers={key: value for key, value in headers.items() if isinstance(value, str)},
        header_secrets={key: _secret(value) for key, value in headers.items() if isinstance(value, SecretTable)},
        transport=table.transport or ("http" if table.url else "stdio"),
        port=table.port or 0,
        path=table.path or "",
        host_port=table.host_port or 0,
        serve=table.serve or "",
        probe=_probe(table.probe),
        tools=_tools(table.tools or ToolsTable()),
    )


def _probe(value: bool | ProbeTable | None) -> ProbeSpec | None:
    if value is False:
        return None
    table = value if isinstance(value, ProbeTable) else ProbeTable()
    return ProbeSpec(timeout=table.timeout or 0.0, call=table.call or "", arguments=table.args or {})


def _tools(table: ToolsTable) -> SurfaceRules:
    return SurfaceRules(
        allow=tuple(sorted(set(table.allow or ()))),
        deny=tuple(sorted(set(table.deny or ()))),
        changed=table.changed or "refuse",
    )


def _build(value: str | BuildTable) -> BuildSpec:
    table = BuildTable(context=value) if isinstance(value, str) else value
    return BuildSpec(
        context=normal_path(table.context),
        dockerfile=normal_path(table.dockerfile or "Dockerfile").removeprefix("./"),
        target=table.target or "",
        args=dict(sorted((table.args or {}).items())),
        image=(table.image or "").removeprefix(f"{Kind.OCI}:"),
    )


def _runtime(table: ServerTable, source: Source | None) -> Runtime:
    if source is None:
        return "container" if table.build is not None else "process"
    return "container" if source.kind is Kind.OCI else table.runtime or "container"


def _or(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _secret(table: SecretTable) -> SecretReference:
    return SecretReference(
        secret=table.secret,
        format=table.format or "{}",
        as_=table.as_ or "variable",
        required=_or(table.required, default=True),
    )


def _sandbox(table: SandboxTable | None) -> Sandbox:
    """The field names of the table and of the profile are the same; absent ones get the profile's defaults."""
    if table is None:
        return Sandbox()
    given = {key: getattr(table, key) for key in table.model_fields_set}
    if isinstance(given.get("network"), str):
        given["network"] = (given["network"],)
    elif "network" in given:
        given["network"] = tuple(sorted({item.lower() for item in given["network"]})) or ("none",)
    for key in ("cpus", "stop_grace"):
        if key in given:
            given[key] = float(given[key])
    mounts = given.pop("mounts", [])
    given["mounts"] = tuple(
        Mount(source=m.source, target=m.target, mode=m.mode or "ro", relabel=m.relabel or "") for m in mounts
    )
    given |= {key: tuple(sorted(set(given[key]))) for key in ("capabilities", "writable") if key in given}
    return Sandbox(**given)
