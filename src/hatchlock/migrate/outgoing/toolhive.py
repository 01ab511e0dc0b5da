"""ToolHive: a run configuration for each server, as `thv export` writes them and `thv run --from-config` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hatchlock.launch_parts import WORKSPACE, Sandbox
from hatchlock.migrate.outgoing.model import Addressed, Contained, Note, Rendered, Served, Withheld
from hatchlock.migrate.outgoing.references import filled, secret_names
from hatchlock.migrate.outgoing.setting import Setting

__all__ = ["toolhive_files"]

_SCHEMA = "v0.1.0"
_HOST = "127.0.0.1"
_SOMETHING = "…"
_WORDS = ("none", "internet", "host")
_LOST = "ToolHive holds to mounts and to the network; of limits, user and read-only root it has its own"


def toolhive_files(servers: Sequence[Served], setting: Setting, *, ports: Mapping[str, int]) -> Rendered:
    """Return a run configuration (RunConfig of ToolHive) for each server, `NAME.json`.

    Args:
        servers: The servers.
        setting: Where the export is made.
        ports: Server -> the port of a machine's loopback at which ToolHive is to offer it.
    """
    withheld = [found for server in servers if (found := _withheld(server))]
    left_out = {item.server for item in withheld}
    chosen = [server for server in servers if server.name not in left_out]
    names = secret_names(chosen)
    files: dict[str, str] = {}
    notes: list[Note] = [Note(server="", what=_LOST)] if any(isinstance(item, Contained) for item in chosen) else []
    for server in chosen:
        port = ports[server.name]
        if isinstance(server, Contained):
            document = _contained(server, names, setting, port)
            notes += _notes_of_container(server)
        else:
            document = _addressed(server, names, port)
        notes += _notes_of_secrets(server, names)
        files[f"{server.name}.json"] = json.dumps(document, indent=2) + "\n"
    return Rendered(
        files=files,
        servers=tuple(server.name for server in chosen),
        notes=tuple(notes),
        withheld=tuple(withheld),
    )


def _withheld(server: Served) -> Withheld | None:
    if not isinstance(server, Contained):
        return None
    if server.after_own is None:
        why = "it starts something else than its image does by itself, which ToolHive cannot say"
        return Withheld(server=server.name, why=why)
    if any(reference.as_ == "file" for reference in server.secrets.values()):
        return Withheld(server=server.name, why="it gets a secret as a file, and ToolHive gives variables only")
    if any(mount.source == WORKSPACE for mount in server.sandbox.mounts):
        why = "it works in the directory that it is started from, which ToolHive does not know"
        return Withheld(server=server.name, why=why)
    if server.sandbox.writable:
        why = "it keeps data in a volume, and ToolHive mounts directories of the machine"
        return Withheld(server=server.name, why=why)
    return None


def _common(server: Served, port: int, transport: str) -> dict[str, Any]:
    labels = {"": "true", "-name": server.name, "-basename": server.name, "-transport": transport, "-port": str(port)}
    return {
        "name": server.name,
        "container_name": server.name,
        "base_name": server.name,
        "transport": transport,
        "host": _HOST,
        "port": port,
        "proxy_mode": "sse" if transport == "sse" else "streamable-http",
        "container_labels": {f"toolhive{name}": value for name, value in labels.items()},
        **({"tools_filter": list(server.tools)} if server.tools is not None else {}),
    }


def _contained(server: Contained, names: Mapping[str, str], setting: Setting, port: int) -> dict[str, Any]:
    transport = "streamable-http" if server.port else "stdio"
    return {
        "schema_version": _SCHEMA,
        "image": server.image,
        "cmd_args": list(server.after_own or ()),
        **_common(server, port, transport),
        **({"target_port": server.port, "target_host": _HOST} if server.port else {}),
        "permission_profile": _profile(server, setting),
        "isolate_network": server.sandbox.network not in {("internet",), ("host",)},
        "env_vars": dict(server.env),
        "secrets": [f"{names[reference.secret]},target={key}" for key, reference in server.secrets.items()],
    }


def _addressed(server: Addressed, names: Mapping[str, str], port: int) -> dict[str, Any]:
    transport = "sse" if server.transport == "sse" else "streamable-http"
    forward = {
        "add_plaintext_headers": dict(server.headers),
        "add_headers_from_secret": {key: names[reference.secret] for key, reference in server.secrets.items()},
    }
    return {
        "schema_version": _SCHEMA,
        "image": "",
        "remote_url": server.url,
        **_common(server, port, transport),
        "permission_profile": None,
        **(
            {"header_forward": {key: value for key, value in forward.items() if value}} if any(forward.values()) else {}
        ),
    }


def _profile(server: Contained, setting: Setting) -> dict[str, Any]:
    mounts = [(mount.mode, f"{setting.absolute(mount.source)}:{mount.target}") for mount in server.sandbox.mounts]
    return {
        "name": f"hatchlock-{server.name}",
        "read": [text for mode, text in mounts if mode == "ro"],
        "write": [text for mode, text in mounts if mode == "rw"],
        "network": _network(server.sandbox),
        "privileged": False,
    }


def _network(sandbox: Sandbox) -> dict[str, Any]:
    pairs = [text.rpartition(":")[::2] for text in sandbox.network if sandbox.network[0] not in _WORDS]
    return {
        **({"mode": "host"} if sandbox.network == ("host",) else {}),
        "outbound": {
            "insecure_allow_all": sandbox.network in {("internet",), ("host",)},
            "allow_host": sorted({host for host, _ in pairs}),
            "allow_port": sorted({int(port) for _, port in pairs}),
        },
    }


def _notes_of_container(server: Contained) -> Iterator[Note]:
    network = server.sandbox.network
    if network[0] not in _WORDS:
        what = "it reaches its hosts through ToolHive's proxy, by HTTP and HTTPS, and each of them on all of its ports"
        yield Note(server=server.name, what=what)
    if server.sandbox.mounts:
        yield Note(server=server.name, what="its mounts are paths of this machine")
    if server.sandbox.capabilities:
        yield Note(
            server=server.name, what=f"it needs {', '.join(server.sandbox.capabilities)}, which ToolHive takes away"
        )
    if server.cwd:
        yield Note(
            server=server.name, what=f"it is to work in {server.cwd}, and starts in its image's own directory there"
        )


def _notes_of_secrets(server: Served, names: Mapping[str, str]) -> Iterator[Note]:
    for key, reference in server.secrets.items():
        whole = f", whole, as {filled(reference, _SOMETHING)}" if reference.format != "{}" else ""
        what = f"set {key}{whole}: thv secret set {names[reference.secret]}"
        yield Note(server=server.name, what=what)
