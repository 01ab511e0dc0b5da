"""Docker's MCP Toolkit: a profile with each server and its entry of a catalogue, as `docker mcp profile import` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hatchlock.clients.yaml_writing import Style, block
from hatchlock.launch_parts import WORKSPACE
from hatchlock.migrate.outgoing.model import Addressed, Contained, Note, Rendered, Served, Withheld
from hatchlock.migrate.outgoing.references import filled, secret_names
from hatchlock.migrate.outgoing.setting import Setting

__all__ = ["docker_profile"]

_VERSION = 1
_STORE = "docker-desktop-store"
_SOMETHING = "…"
_WORDS = ("none", "internet", "host")
_LOST = "Docker's gateway forbids new privileges, and has limits of its own; it knows no read-only root and takes no capabilities away"
_HOSTS = "its hosts are a list, which the gateway holds it to with --block-network"


def docker_profile(servers: Sequence[Served], setting: Setting) -> Rendered:
    """Return a profile (version 1) of Docker's MCP gateway, `PROJECT.yaml`; each server in it has its entry of a catalogue."""
    withheld = [found for server in servers if (found := _withheld(server))]
    left_out = {item.server for item in withheld}
    chosen = [server for server in servers if server.name not in left_out]
    names = secret_names(chosen)
    document: dict[str, Any] = {"version": _VERSION, "id": setting.project, "name": setting.project}
    # a list of mappings, each on one line as JSON, which YAML can read
    entries = [json.dumps(_server(server, names, setting), ensure_ascii=True) for server in chosen]
    lines = [*block(document, style=Style()), "servers:", *(f"  - {entry}" for entry in entries)]
    if any(server.secrets for server in chosen):
        lines += block({"secrets": {"default": {"provider": _STORE}}}, style=Style())
    lost = [Note(server="", what=_LOST)] if any(isinstance(item, Contained) for item in chosen) else []
    return Rendered(
        files={f"{setting.project}.yaml": "\n".join(lines) + "\n"} if chosen else {},
        servers=tuple(server.name for server in chosen),
        notes=(*lost, *(note for server in chosen for note in _notes(server, names))),
        withheld=tuple(withheld),
    )


def _withheld(server: Served) -> Withheld | None:
    if not isinstance(server, Contained):
        return None
    reasons = {
        "it speaks HTTP, and Docker's gateway speaks stdio with containers": bool(server.port),
        "it starts something else than its image does by itself, which a catalogue cannot say": server.after_own
        is None,
        "it gets a secret as a file, and Docker's gateway gives variables only": any(
            reference.as_ == "file" for reference in server.secrets.values()
        ),
        "it works in the directory that it is started from, which Docker's gateway does not know": any(
            mount.source == WORKSPACE for mount in server.sandbox.mounts
        ),
        "it shares this machine's network, which a catalogue cannot say": server.sandbox.network == ("host",),
        # it replaces `$NAME` and `{{name}}` in words and values, and has no way to write them as they are
        "a variable or argument of it holds $ or {{, which Docker's gateway would replace": any(
            "$" in text or "{{" in text for text in (*server.env.values(), *(server.after_own or ()))
        ),
    }
    return next((Withheld(server=server.name, why=why) for why, is_so in reasons.items() if is_so), None)


def _server(server: Served, names: Mapping[str, str], setting: Setting) -> dict[str, Any]:
    entry = _contained(server, names, setting) if isinstance(server, Contained) else _addressed(server, names)
    place = {"image": server.image} if isinstance(server, Contained) else {"endpoint": server.url}
    return {
        "type": next(iter(place)).replace("endpoint", "remote"),
        **place,
        **({"secrets": "default"} if server.secrets else {}),
        **({"tools": list(server.tools)} if server.tools is not None else {}),
        "snapshot": {"server": entry},
    }


def _entry(server: Served, kind: str) -> dict[str, Any]:
    return {
        "name": server.name,
        "type": kind,
        "title": server.name,
        "description": server.description or server.name,
    }


def _contained(server: Contained, names: Mapping[str, str], setting: Setting) -> dict[str, Any]:
    sandbox = server.sandbox
    listed = list(sandbox.network) if sandbox.network[0] not in _WORDS else []
    mounts = [
        f"{setting.absolute(mount.source)}:{mount.target}{':ro' * (mount.mode == 'ro')}" for mount in sandbox.mounts
    ]
    kept = [f"{setting.project}-{server.name}-{path.strip('/').replace('/', '-')}:{path}" for path in sandbox.writable]
    found = {
        "image": server.image,
        "command": list(server.after_own or ()),
        "secrets": _secrets(server, names),
        "env": [{"name": key, "value": value} for key, value in server.env.items()],
        "volumes": [*mounts, *kept],
        "user": sandbox.user if sandbox.run_as == "user" else "",
        "disableNetwork": sandbox.network == ("none",),
        "allowHosts": listed,
    }
    return {**_entry(server, "server"), **{key: value for key, value in found.items() if value}}


def _addressed(server: Addressed, names: Mapping[str, str]) -> dict[str, Any]:
    headers = dict(server.headers)
    for key, reference in server.secrets.items():
        headers[key] = filled(reference, f"${{{names[reference.secret]}}}")
    remote = {
        "url": server.url,
        "transport_type": "sse" if server.transport == "sse" else "streamable-http",
        **({"headers": headers} if headers else {}),
    }
    secrets = _secrets(server, names)
    return {**_entry(server, "remote"), "remote": remote, **({"secrets": secrets} if secrets else {})}


def _secrets(server: Served, names: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what the gateway takes from its store: for a container the variable, for a header what stands in its place."""
    is_remote = isinstance(server, Addressed)
    return [
        {"name": _stored(server, names[reference.secret]), "env": names[reference.secret] if is_remote else key}
        for key, reference in server.secrets.items()
    ]


def _stored(server: Served, name: str) -> str:
    """Return the name in the gateway's store, which has to begin with the server's."""
    return f"{server.name}.{name.lower()}"


def _notes(server: Served, names: Mapping[str, str]) -> Iterator[Note]:
    for key, reference in server.secrets.items():
        is_whole = reference.format != "{}" and isinstance(server, Contained)
        whole = f", whole, as {filled(reference, _SOMETHING)}" if is_whole else ""
        stored = _stored(server, names[reference.secret])
        yield Note(server=server.name, what=f"set {key}{whole}: docker mcp secret set {stored}=…")
    if not isinstance(server, Contained):
        return
    if server.sandbox.network[0] not in _WORDS:
        yield Note(server=server.name, what=_HOSTS)
    if server.sandbox.mounts:
        yield Note(server=server.name, what="its mounts are paths of this machine")
    if server.cwd:
        yield Note(
            server=server.name, what=f"it is to work in {server.cwd}, and starts in its image's own directory there"
        )
