"""A launch record as the Engine API's description of a container. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hatchlock.launch import LaunchRecord, Mount, Sandbox, size_in_bytes
from hatchlock.security.kept_filter import PODMANS_PROFILE
from hatchlock.security.network import CA_INSIDE
from hatchlock.security.provided import NOTHING, SECRETS_INSIDE, Provided
from hatchlock.security.sandbox import HOME_INSIDE

__all__ = [
    "LABEL",
    "EngineTraits",
    "HostFacts",
    "bridge_config",
    "bridge_name",
    "container_config",
    "podmans_seccomp",
    "server_user",
    "ulimits",
]

LABEL = "dev.hatchlock"
"""Prefix of all our labels."""

_MOST_PROCESSES = 1 << 15  # no more than Podman itself may have, which it cannot give to others
_TEMPORARY = "/tmp"  # noqa: S108  inside the container
_PODMANS_TEMPORARY = ("/run", "/var/tmp")  # noqa: S108  Podman lets every read-only root have these, without a size


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFacts:
    """What of this machine goes into a container's description.

    Attributes:
        uid: The caller's uid, for `run-as = "host"`.
        gid: The caller's gid.
        max_files: Hard limit of open files; engines without privileges refuse to go above it.
        max_processes: Hard limit of processes of one uid.
        selinux: Whether it has SELinux, so that a container sees only what has a label for it.
    """

    uid: int
    gid: int
    max_files: int
    max_processes: int
    selinux: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineTraits:
    """What of the engine goes into a container's description.

    Attributes:
        podman: Whether it is Podman behind Docker's API.
        seccomp_file: Podman: the file that it reads for `seccomp = "default"`, since its own lets user namespaces be made;
            "" where that file is not on its machine.
        image_volumes: Directories for which the image wants volumes of its own: disk without a limit.
    """

    podman: bool = False
    seccomp_file: str = ""
    image_volumes: tuple[str, ...] = ()


_DOCKER = EngineTraits()


def podmans_seccomp(address: str, *, podman: bool) -> str:
    """Return `EngineTraits.seccomp_file` for an engine at an address: it must be one of this very machine."""
    here = address.startswith("unix://") and sys.platform.startswith("linux")
    return str(PODMANS_PROFILE) if podman and here else ""


def container_config(
    record: LaunchRecord,
    *,
    env: Mapping[str, str],
    host: HostFacts,
    labels: Mapping[str, str],
    provided: Provided = NOTHING,
    engine: EngineTraits = _DOCKER,
) -> dict[str, Any]:
    """Return the body of `POST /containers/create` for a server that is spoken to over stdio.

    Args:
        record: What to start.
        env: The variables that go over the image's own.
        host: This machine.
        labels: Labels besides project, server and key, without prefix: session, owner.
        provided: What this session gives it.
        engine: The engine, and what it says of the image.
    """
    sandbox = record.sandbox
    names = {"project": record.project, "server": record.server, "key": record.key, **labels}
    config: dict[str, Any] = {
        "Image": record.image,
        "Entrypoint": list(record.argv),
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in sorted(env.items())],
        "User": server_user(sandbox, host),
        "Labels": {f"{LABEL}.{name}": value for name, value in names.items()},
        "StopSignal": sandbox.stop_signal,
        "StopTimeout": math.ceil(sandbox.stop_grace),
        # An image's own would be one more program that runs beside the server, now and then.
        "Healthcheck": {"Test": ["NONE"]},
        "Tty": False,
        "OpenStdin": True,
        # The server's stdin ends when we go away: without StdinOnce it would stay open for ever.
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_config(record, host, provided, engine),
    }
    if ports := _ports(record):
        config["ExposedPorts"] = {port: {} for port in ports}
        config["HostConfig"]["PortBindings"] = ports
    if record.cwd:
        config["WorkingDir"] = record.cwd
    return config


def server_user(sandbox: Sandbox, host: HostFacts) -> str:
    """Return `UID:GID` of the server inside of its container."""
    return sandbox.user if sandbox.run_as == "user" else f"{host.uid}:{host.gid}"


def _host_config(record: LaunchRecord, host: HostFacts, provided: Provided, engine: EngineTraits) -> dict[str, Any]:
    sandbox = record.sandbox
    memory = size_in_bytes(sandbox.memory)
    return {
        "ReadonlyRootfs": sandbox.read_only,
        "CapDrop": ["ALL"],
        "CapAdd": list(sandbox.capabilities),
        "Privileged": False,
        "SecurityOpt": _security_options(sandbox, provided, engine),
        **_namespaces(record, provided),
        "Memory": memory,
        "MemorySwap": memory + size_in_bytes(sandbox.swap),
        "OomKillDisable": False,
        "NanoCpus": round(sandbox.cpus * 1e9),
        "PidsLimit": sandbox.pids,
        "Ulimits": ulimits(sandbox, host),
        "Init": True,
        "Devices": [],
        "ShmSize": size_in_bytes(sandbox.tmp),
        "Tmpfs": dict(_temporary(record, engine)),
        "Mounts": [_bind(mount) for mount in _mounts(record, host, provided) if not mount.relabel],
        "Binds": [*_relabelled(_mounts(record, host, provided), engine), *_volumes(record, engine)],
        # The engine would log the protocol itself, prompts and results included; `run` keeps stderr, within log-size.
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }


def bridge_name(project: str) -> str:
    """Return the name of the network on which containers of a project are that may reach every host."""
    return f"hatchlock-{project}"


def bridge_config(project: str, *, podman: bool) -> dict[str, Any]:
    """Return the body of `POST /networks/create` for that network, on which containers do not see each other."""
    # Podman keeps networks apart from each other, but knows no such thing within one
    option = {"isolate": "true"} if podman else {"com.docker.network.bridge.enable_icc": "false"}
    return {
        "Name": bridge_name(project),
        "Driver": "bridge",
        "CheckDuplicate": True,
        "Labels": {f"{LABEL}.project": project},
        "Options": option,
    }


def _ports(record: LaunchRecord) -> dict[str, list[dict[str, str]]]:
    """Return the ports that the engine publishes on this machine's loopback: of a container on a bridge its own one."""
    if not record.endpoint or not record.endpoint.port or record.sandbox.network != ("internet",):
        return {}
    return {f"{record.endpoint.port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(record.endpoint.host_port)}]}


def _network_mode(record: LaunchRecord, provided: Provided) -> str:
    if provided.joins:
        return f"container:{provided.joins}"
    word = record.sandbox.network[0]
    return bridge_name(record.project) if word == "internet" else word


def _namespaces(record: LaunchRecord, provided: Provided) -> dict[str, Any]:
    """Return namespaces of its own: an empty word means that too, but for users, where the engine's own setting holds."""
    return {
        "NetworkMode": _network_mode(record, provided),
        "PublishAllPorts": False,
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "CgroupnsMode": "private",
    }


def ulimits(sandbox: Sandbox, host: HostFacts) -> list[dict[str, Any]]:
    """Return limits of single processes, never above this machine's own: an engine without privileges refuses those."""
    processes = min(host.max_processes, _MOST_PROCESSES)
    files = min(sandbox.files, host.max_files)
    return [
        {"Name": "nofile", "Soft": files, "Hard": files},
        # Counted over all containers with the same uid, so no place for `pids`; PidsLimit is the one that binds.
        {"Name": "nproc", "Soft": processes, "Hard": processes},
        {"Name": "core", "Soft": 0, "Hard": 0},
    ]


def _temporary(record: LaunchRecord, engine: EngineTraits) -> Iterator[tuple[str, str]]:
    """Yield every place that is memory: the usual ones, and those that engine or image would make writable without a limit."""
    sandbox = record.sandbox
    options = f"rw,noexec,nosuid,nodev,mode=1777,size={size_in_bytes(sandbox.tmp)}"
    yield _TEMPORARY, options
    yield HOME_INSIDE, options
    if not sandbox.read_only:
        return
    taken = {_TEMPORARY, HOME_INSIDE, *record.volumes, *(mount.target for mount in sandbox.mounts)}
    wanted = (*(_PODMANS_TEMPORARY if engine.podman else ()), *engine.image_volumes)
    for path in dict.fromkeys(wanted):
        if path not in taken:
            yield path, options


def _mounts(record: LaunchRecord, host: HostFacts, provided: Provided) -> Iterator[Mount]:
    yield from record.sandbox.mounts
    if record.ca:
        yield Mount(source=record.ca, target=CA_INSIDE)
    label: Literal["private", ""] = "private" if host.selinux else ""
    for target, source in sorted(provided.shown.items()):
        yield Mount(source=source, target=target, relabel=label)
    if provided.secrets_directory:
        yield Mount(source=provided.secrets_directory, target=SECRETS_INSIDE, relabel=label)


def _bind(mount: Mount) -> dict[str, Any]:
    described = {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.mode == "ro"}
    # What is mounted below a source would come along, and be writable: Docker makes only the topmost read-only.
    return {**described, "BindOptions": {"NonRecursive": True}} if mount.mode == "ro" else described


def _relabelled(mounts: Iterable[Mount], engine: EngineTraits) -> Iterator[str]:
    """Yield the mounts whose SELinux label the engine changes: that can only be said in the old notation."""
    for mount in mounts:
        if mount.relabel:
            alone = ",bind" if engine.podman and mount.mode == "ro" else ""
            yield f"{mount.source}:{mount.target}:{mount.mode}{alone},{'z' if mount.relabel == 'shared' else 'Z'}"


def _volumes(record: LaunchRecord, engine: EngineTraits) -> Iterator[str]:
    """Yield the server's own volumes, in the old notation: in the new one Podman copies into them what they cover."""
    options = "rw,nocopy,nosuid,nodev" if engine.podman else "rw,nocopy"
    for target, name in sorted(record.volumes.items()):
        yield f"{name}:{target}:{options}"


def _security_options(sandbox: Sandbox, provided: Provided, engine: EngineTraits) -> list[str]:
    options = ["no-new-privileges"]
    if sandbox.seccomp == "unconfined":
        options.append("seccomp=unconfined")
    elif sandbox.seccomp != "default":
        # Docker takes the profile itself, Podman the name of a file that it reads.
        options.append(f"seccomp={provided.seccomp_path if engine.podman else provided.seccomp.decode()}")
    elif engine.seccomp_file:
        options.append(f"seccomp={engine.seccomp_file}")
    if sandbox.apparmor != "default":
        options.append(f"apparmor={sandbox.apparmor}")
    if sandbox.selinux != "default":
        options.append("label=disable" if sandbox.selinux == "disable" else f"label=type:{sandbox.selinux}")
    return options
