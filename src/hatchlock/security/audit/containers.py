"""What an engine's description of a container says about its sandbox. Docker and Podman say it in different words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hatchlock.security.audit.facts import ContainerFacts
from hatchlock.security.container import LABEL

__all__ = ["container_facts"]

_USUAL = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
"""What every engine gives to containers unless it is told not to."""


def container_facts(inspected: Mapping[str, Any], *, owner_gone: bool) -> ContainerFacts:
    """Return the facts of a container.

    Args:
        inspected: The answer of `GET /containers/ID/json`.
        owner_gone: Whether the session that made it provably runs no more.
    """
    config, host = inspected["Config"], inspected["HostConfig"]
    memory = host.get("Memory") or 0
    total = host.get("MemorySwap") or 0
    return ContainerFacts(
        name=str(inspected["Name"]).lstrip("/"),
        server=str((config.get("Labels") or {}).get(f"{LABEL}.server", "")),
        running=bool(inspected["State"]["Running"]),
        owner_gone=owner_gone,
        user=config.get("User") or "",
        init=bool(host.get("Init")),
        read_only=bool(host.get("ReadonlyRootfs")),
        privileged=bool(host.get("Privileged")),
        drops_all=_drops_all(_capabilities(host.get("CapDrop"))),
        capabilities=tuple(sorted(_capabilities(host.get("CapAdd")))),
        options=tuple(sorted(_option(item) for item in host.get("SecurityOpt") or ())),
        network=host.get("NetworkMode") or "",
        memory=max(memory, 0),
        swap=-1 if total < 0 or not memory else max(total - memory, 0),
        cpus=_cpus(host),
        pids=max(host.get("PidsLimit") or 0, 0),
        temporary=tuple(sorted(host.get("Tmpfs") or ())),
        writable=tuple(sorted(item["Destination"] for item in inspected.get("Mounts") or () if _is_of_machine(item))),
    )


def _capabilities(names: Iterable[str] | None) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in names or ()}


def _drops_all(dropped: set[str]) -> bool:
    # Podman lists by name what it would have given
    return "ALL" in dropped or dropped >= _USUAL


def _option(text: str) -> str:
    """`no-new-privileges:true`, `seccomp:unconfined` and `seccomp={…}` in one form, without a profile's content."""
    name, _, value = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
    if value.lstrip().startswith("{"):
        value = "profile"
    return name if value in {"", "true"} else f"{name}={value}"


def _cpus(host: Mapping[str, Any]) -> float:
    if nano := host.get("NanoCpus") or 0:
        return float(nano) / 1e9
    quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or 0
    return float(quota) / float(period) if quota > 0 and period > 0 else 0.0


def _is_of_machine(mount: Mapping[str, Any]) -> bool:
    return mount.get("Type") == "bind" and bool(mount.get("RW"))
