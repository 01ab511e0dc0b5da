"""A compose file: each server that is an image as a service, as closed as it is here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hatchlock.clients.yaml_writing import Style, block
from hatchlock.launch_parts import HOME_INSIDE, WORKSPACE, Mount, Sandbox, size_in_bytes
from hatchlock.migrate.outgoing.model import Contained, Note, Rendered, Served, Withheld
from hatchlock.migrate.outgoing.references import secret_names
from hatchlock.migrate.outgoing.setting import Setting
from hatchlock.security.provided import SECRETS_INSIDE
from hatchlock.surface import shown

__all__ = ["COMPOSE", "compose_file", "tmpfs_of"]

COMPOSE = "compose.yaml"

_TEMPORARY = "/tmp"  # noqa: S108  inside the container
_WORDS = ("none", "internet", "host")
_OPEN = "its network is a list of hosts, which compose does not know: there it reaches every host"
_REACHED = "a port leads to it, so it has a network, and reaches every host"


def compose_file(servers: Sequence[Served], setting: Setting) -> Rendered:
    """Return a compose file (Compose Specification) with the servers that are images.

    Secrets are variables of whoever runs it, and of those that are files the variable names a file. Nothing of it needs
    hatchlock.
    """
    chosen = [server for server in servers if isinstance(server, Contained)]
    names = secret_names(chosen)
    notes = tuple(note for server in chosen for note in _notes(server))
    document = {
        "services": {server.name: _service(server, names, setting) for server in chosen},
        **_networks(chosen),
        **_volumes(chosen),
        **_secret_files(chosen, names),
    }
    text = "\n".join([*_comments(notes), *block(document, style=Style())]) + "\n" if chosen else ""
    return Rendered(
        files={COMPOSE: text} if chosen else {},
        servers=tuple(server.name for server in chosen),
        notes=notes,
        withheld=tuple(
            Withheld(server=server.name, why="somebody else runs it, and a compose file starts containers")
            for server in servers
            if not isinstance(server, Contained)
        ),
    )


def tmpfs_of(server: Contained) -> Iterator[tuple[str, str]]:
    """Yield what is memory inside, and its options: the usual places, and what the image would keep on disk."""
    options = f"rw,noexec,nosuid,nodev,mode=1777,size={size_in_bytes(server.sandbox.tmp)}"
    taken = {*server.sandbox.writable, *(mount.target for mount in server.sandbox.mounts)}
    others = server.volumes if server.sandbox.read_only else ()
    for path in dict.fromkeys((_TEMPORARY, HOME_INSIDE, *others)):
        if path not in taken:
            yield path, options


def _comments(notes: Iterable[Note]) -> list[str]:
    return [
        "# Written by `hatchlock export --format compose.yaml`, from hatch.lock: images by digest, no secrets.",
        "# A server that speaks stdio is started by an application: docker compose run --rm -T SERVER",
        *(f"# {shown(str(note))}" for note in notes),
        "",
    ]


def _notes(server: Contained) -> Iterator[Note]:
    sandbox = server.sandbox
    if sandbox.network[0] not in _WORDS:
        yield Note(server=server.name, what=_OPEN)
    elif server.port and sandbox.network == ("none",):
        yield Note(server=server.name, what=_REACHED)
    if sandbox.writable:
        places = ", ".join(sandbox.writable)
        yield Note(
            server=server.name, what=f"what it keeps in {places} begins as root's: give it to {sandbox.user} once"
        )
    if server.tools is not None:
        yield Note(server=server.name, what="all of its tools pass there: compose looks at no message")
    for key, reference in server.secrets.items():
        if not reference.required and reference.as_ == "variable":
            yield Note(server=server.name, what=f"{key} is set, to nothing, where there is no value for it")


def _service(server: Contained, names: Mapping[str, str], setting: Setting) -> dict[str, Any]:
    sandbox = server.sandbox
    limits = {
        "mem_limit": sandbox.memory,
        "memswap_limit": size_in_bytes(sandbox.memory) + size_in_bytes(sandbox.swap),
        "cpus": sandbox.cpus,
        "pids_limit": sandbox.pids,
        "ulimits": {"nofile": sandbox.files, "core": 0},
        "shm_size": sandbox.tmp,
    }
    return _without_nothing(
        {
            "image": server.image,
            "entrypoint": [_literal(word) for word in server.argv],
            "command": [],
            "working_dir": _literal(server.cwd),
            "environment": _environment(server, names),
            "secrets": [
                {"source": _file_name(names[reference.secret]), "target": key}
                for key, reference in server.secrets.items()
                if reference.as_ == "file"
            ],
            "user": sandbox.user if sandbox.run_as == "user" else "${HOST_USER:?UID:GID of whoever starts it}",
            "read_only": sandbox.read_only,
            "cap_drop": ["ALL"],
            "cap_add": list(sandbox.capabilities),
            "security_opt": list(_security(sandbox, setting)),
            "init": True,
            "ipc": "private",
            **limits,
            "tmpfs": [f"{path}:{options}" for path, options in tmpfs_of(server)],
            "volumes": [*_mounts(sandbox.mounts, setting), *_kept(server)],
            **_network(server),
            **({} if server.port else {"stdin_open": True, "logging": {"driver": "none"}}),
            "healthcheck": {"disable": True},
            "stop_signal": sandbox.stop_signal,
            "stop_grace_period": f"{sandbox.stop_grace:g}s",
        }
    )


def _without_nothing(service: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty, but for the command: without one the image's own would follow the entrypoint."""
    return {key: value for key, value in service.items() if value not in ("", [], {}) or key == "command"}


def _literal(text: str) -> str:
    return text.replace("$", "$$")


def _environment(server: Contained, names: Mapping[str, str]) -> dict[str, str]:
    found = {key: _literal(value) for key, value in server.env.items()}
    for key, reference in server.secrets.items():
        if reference.as_ == "file":
            found[f"{key}_FILE"] = f"{SECRETS_INSIDE}/{key}"
            continue
        name = names[reference.secret]
        value = f"${{{name}:?{server.name} needs it}}" if reference.required else f"${{{name}:-}}"
        before, place, after = reference.format.partition("{}")
        found[key] = _literal(before) + value * bool(place) + _literal(after)
    return found


def _file_name(name: str) -> str:
    return name.lower()


def _secret_files(servers: Iterable[Contained], names: Mapping[str, str]) -> dict[str, Any]:
    wanted = {
        names[reference.secret]: server.name
        for server in servers
        for reference in server.secrets.values()
        if reference.as_ == "file"
    }
    files = {
        _file_name(name): {"file": f"${{{name}_FILE:?a file with what {server} needs}}"}
        for name, server in wanted.items()
    }
    return {"secrets": files} if files else {}


def _security(sandbox: Sandbox, setting: Setting) -> Iterator[str]:
    yield "no-new-privileges:true"
    if sandbox.seccomp == "unconfined":
        yield "seccomp=unconfined"
    elif sandbox.seccomp != "default":
        yield f"seccomp={_literal(setting.relative(sandbox.seccomp))}"
    if sandbox.apparmor != "default":
        yield f"apparmor={_literal(sandbox.apparmor)}"
    if sandbox.selinux != "default":
        yield "label=disable" if sandbox.selinux == "disable" else f"label=type:{_literal(sandbox.selinux)}"


def _mounts(mounts: Iterable[Mount], setting: Setting) -> Iterator[dict[str, Any]]:
    for mount in mounts:
        is_workspace = mount.source == WORKSPACE
        source = "${WORKSPACE:?the directory to work in}" if is_workspace else _literal(setting.relative(mount.source))
        bound = {"type": "bind", "source": source, "target": _literal(mount.target)}
        relabelled = {"shared": "z", "private": "Z"}.get(mount.relabel)
        yield {
            **bound,
            **({"read_only": True} if mount.mode == "ro" else {}),
            **({"bind": {"selinux": relabelled}} if relabelled else {}),
        }


def _kept(server: Contained) -> Iterator[dict[str, Any]]:
    for path in server.sandbox.writable:
        yield {"type": "volume", "source": _volume(server.name, path), "target": _literal(path)}


def _volume(server: str, path: str) -> str:
    return f"{server}-{re.sub(r'[^A-Za-z0-9]+', '-', path).strip('-').lower()}"


def _volumes(servers: Iterable[Contained]) -> dict[str, Any]:
    names = [_volume(server.name, path) for server in servers for path in server.sandbox.writable]
    return {"volumes": {name: {} for name in names}} if names else {}


def _is_closed(server: Contained) -> bool:
    return server.sandbox.network == ("none",) and not server.port


def _network(server: Contained) -> dict[str, Any]:
    if server.sandbox.network == ("host",):
        return {"network_mode": "host"}
    if _is_closed(server):
        return {"network_mode": "none"}
    if not server.port:
        return {}
    return {"ports": [f"127.0.0.1:{server.host_port or server.port}:{server.port}"]}


def _networks(servers: Iterable[Contained]) -> dict[str, Any]:
    """Return the network of those that have one: on it, as here, containers do not see each other."""
    if all(_is_closed(server) or server.sandbox.network == ("host",) for server in servers):
        return {}
    apart = {"com.docker.network.bridge.enable_icc": "false"}
    return {"networks": {"default": {"driver": "bridge", "driver_opts": apart}}}
