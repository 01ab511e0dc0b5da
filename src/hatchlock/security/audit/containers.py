"""What an engine says of a container, as facts for the checks; `security.posture` knows the words of each engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hatchlock.security.audit.facts import ContainerFacts
from hatchlock.security.container import LABEL
from hatchlock.security.posture import found_posture

__all__ = ["container_facts"]

_NAMESPACES = ("ipc", "pid", "uts", "user", "cgroup")
_WORK = ("purpose", "path")


def container_facts(inspected: Mapping[str, Any], *, owner_gone: bool, podman: bool) -> ContainerFacts | None:
    """Return the facts of a container; None of one that is at work for an `apply`, and no server's.

    Args:
        inspected: What the engine says of it.
        owner_gone: Whether the session that made it provably runs no more.
        podman: Whether the engine is Podman.
    """
    labels = inspected["Config"].get("Labels") or {}
    if any(f"{LABEL}.{name}" in labels for name in _WORK):
        return None
    found = found_posture(inspected, podman=podman)
    shared = [f"the machine's own {name} namespace" for name in _NAMESPACES if found[f"{name} namespace"] == "host"]
    return ContainerFacts(
        name=str(inspected["Name"]).lstrip("/"),
        server=str(labels.get(f"{LABEL}.server", "")),
        role=str(labels.get(f"{LABEL}.role", "")),
        owner_gone=owner_gone,
        user=found["user"],
        init=found["init"],
        read_only=found["read-only root"],
        privileged=found["privileged"],
        capabilities=tuple(sorted(found["capabilities"])),
        new_privileges=found["new privileges"],
        shares=(*shared, *sorted(f"the device {name}" for name in found["devices"])),
        seccomp=found["seccomp"],
        apparmor=found["apparmor"],
        selinux=found["selinux"],
        network=found["network"],
        memory=max(found["memory"], 0),
        swap=found["swap"],
        cpus=found["cpus"],
        pids=found["pids"],
        temporary=tuple(sorted(found["tmpfs"])),
        writable=tuple(sorted(target for target, (_, mode) in found["mounts"].items() if mode == "rw")),
    )
