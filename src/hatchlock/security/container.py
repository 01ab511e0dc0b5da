"""A launch record as the Engine API's description of a container. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.launch import LaunchRecord, Sandbox, size_in_bytes
from hatchlock.security.provided import NOTHING, Provided
from hatchlock.security.sandbox import HOME_INSIDE

__all__ = ["LABEL", "HostFacts", "container_config"]

LABEL = "dev.hatchlock"
"""Prefix of all our labels."""

_MOST_PROCESSES = 1 << 15  # no more than Podman itself may have, which it cannot give to others
_NETWORK_MODES = {"none": "none", "internet": "bridge", "host": "host"}


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFacts:
    """What of this machine goes into a container's description.

    Attributes:
        uid: The caller's uid, for `run-as = "host"`.
        gid: The caller's gid.
        max_files: Hard limit of open files; engines without privileges refuse to go above it.
        max_processes: Hard limit of processes of one uid.
    """

    uid: int
    gid: int
    max_files: int
    max_processes: int


def container_config(
    record: LaunchRecord,
    *,
    env: Mapping[str, str],
    host: HostFacts,
    labels: Mapping[str, str],
    provided: Provided = NOTHING,
) -> dict[str, Any]:
    """Return the body of `POST /containers/create` for a server that is spoken to over stdio.

    Args:
        record: What to start.
        env: The variables that go over the image's own.
        host: This machine.
        labels: Labels besides project, server and key, without prefix: session, owner.
        provided: What this session gives it.
    """
    sandbox = record.sandbox
    names = {"project": record.project, "server": record.server, "key": record.key, **labels}
    config: dict[str, Any] = {
        "Image": record.image,
        "Entrypoint": list(record.argv),
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in sorted(env.items())],
        "User": _user(sandbox, host),
        "Labels": {f"{LABEL}.{name}": value for name, value in names.items()},
        "StopSignal": sandbox.stop_signal,
        "Tty": False,
        "OpenStdin": True,
        # The server's stdin ends when we go away: without StdinOnce it would stay open for ever.
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_config(sandbox, host, provided),
    }
    if record.cwd:
        config["WorkingDir"] = record.cwd
    return config


def _user(sandbox: Sandbox, host: HostFacts) -> str:
    return sandbox.user if sandbox.run_as == "user" else f"{host.uid}:{host.gid}"


def _host_config(sandbox: Sandbox, host: HostFacts, provided: Provided) -> dict[str, Any]:
    memory = size_in_bytes(sandbox.memory)
    tmpfs = f"rw,noexec,nosuid,nodev,mode=1777,size={size_in_bytes(sandbox.tmp)}"
    processes = min(host.max_processes, _MOST_PROCESSES)
    files = min(sandbox.files, host.max_files)
    return {
        "ReadonlyRootfs": sandbox.read_only,
        "CapDrop": ["ALL"],
        "CapAdd": list(sandbox.capabilities),
        "Privileged": False,
        "SecurityOpt": _security_options(sandbox),
        "NetworkMode": f"container:{provided.joins}" if provided.joins else _NETWORK_MODES[sandbox.network[0]],
        "IpcMode": "private",
        "Memory": memory,
        "MemorySwap": memory + size_in_bytes(sandbox.swap),
        "NanoCpus": round(sandbox.cpus * 1e9),
        "PidsLimit": sandbox.pids,
        "Ulimits": [
            {"Name": "nofile", "Soft": files, "Hard": files},
            # Counted over all containers with the same uid, so no place for `pids`; PidsLimit is the one that binds.
            {"Name": "nproc", "Soft": processes, "Hard": processes},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "Init": True,
        "Tmpfs": {"/tmp": tmpfs, HOME_INSIDE: tmpfs},  # noqa: S108
        "Mounts": [
            {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.mode == "ro"}
            for mount in sandbox.mounts
        ],
        # The engine would log the protocol itself, prompts and results included; `run` keeps stderr, within log-size.
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }


def _security_options(sandbox: Sandbox) -> list[str]:
    options = ["no-new-privileges"]
    if sandbox.seccomp != "default":
        options.append(f"seccomp={sandbox.seccomp}")
    if sandbox.apparmor != "default":
        options.append(f"apparmor={sandbox.apparmor}")
    if sandbox.selinux != "default":
        options.append(f"label={sandbox.selinux}")
    return options
