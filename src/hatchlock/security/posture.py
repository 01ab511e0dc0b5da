"""How confined a container really is: what an engine says of it, compared with what its profile sets. Pure.

Engines describe the same container in their own words. Both sides are turned into the same fields first: capabilities are
those that are left, however they were taken away; what is not said has the meaning that the engine gives it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from hatchlock.launch import WORKSPACE, LaunchRecord, Mount, Sandbox
from hatchlock.security.container import EngineTraits, HostFacts, bridge_name, container_config, podmans_seccomp
from hatchlock.security.network import is_listed, published, resolver_files
from hatchlock.security.provided import RELAY_INSIDE, SECRETS_INSIDE, Provided

__all__ = ["IN_PLACE", "LIMITS", "Difference", "differences", "found_posture", "own_posture", "relay_posture", "shown"]

Posture = Mapping[str, Any]

LIMITS = ("memory", "swap", "cpus", "pids")
"""The fields that a control group holds: an engine can change them while the container runs, or does not bind them at all."""
IN_PLACE = frozenset({*LIMITS, "restart", "networks"})
"""The fields that can be put right while the container runs."""

_ANY = "*"
_SHOWN_DIGITS = 12
_USUAL = frozenset(
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split()  # noqa: SIM905
)
_USUAL_ONCE = frozenset({"AUDIT_WRITE", "MKNOD", "NET_RAW"})
"""What Docker leaves to containers too, and newer Podmans do not."""
_OWN = frozenset({"", "private"})
_TMPFS_FLAGS = frozenset({"noexec", "nosuid", "nodev", "ro"})
_DESKTOP = "/host_mnt"
"""Docker Desktop's name for this machine's files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A field of a container that is not what its profile sets.

    Attributes:
        field: Its name: `memory`, `capabilities`, `networks`.
        expected: What it should be, in words.
        found: What it is.
    """

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.field} {self.found}, should be {self.expected}"


def own_posture(record: LaunchRecord, *, host: HostFacts, podman: bool) -> Posture:
    """Return what a server's container should be like; `*` stands for what only its session knows.

    Args:
        record: Its launch record, as applied.
        host: This machine.
        podman: Whether the engine is Podman.
    """
    sandbox = record.sandbox
    joined = is_listed(sandbox) or bool(published(record))
    provided = Provided(
        joins=_ANY if joined else "",
        secrets_directory=_ANY if _has_secret_files(record) else "",
        shown=dict.fromkeys(resolver_files({}), _ANY) if joined else {},
    )
    mounts = tuple(replace(mount, source=_ANY) if mount.source == WORKSPACE else mount for mount in sandbox.mounts)
    config = container_config(
        replace(record, sandbox=replace(sandbox, mounts=mounts)),
        env={},
        host=host,
        labels={},
        provided=provided,
        engine=EngineTraits(podman=podman, seccomp_file=podmans_seccomp(record.engine, podman=podman)),
    )
    posture = _posture(config, config["HostConfig"], podman=False)
    own = f"profile {sandbox.seccomp_sha256[:_SHOWN_DIGITS]}"
    return {
        **posture,
        "mounts": dict(_described(config["HostConfig"])),
        "networks": frozenset({bridge_name(record.project)} if sandbox.network == ("internet",) else ()),
        **({"seccomp": "profile of a file" if podman else own} if sandbox.seccomp_sha256 else {}),
    }


def relay_posture(record: LaunchRecord, *, host: HostFacts, podman: bool) -> Posture:
    """Return what the container beside a server's own should be like, whose network both have.

    It has the whole default profile, and one socket of ours. Which program it runs is not compared: another version of
    hatchlock may have started it.

    Args:
        record: The server's launch record, as applied; it has a relay.
        host: This machine.
        podman: Whether the engine is Podman.
    """
    itself = replace(
        record,
        argv=(_ANY,),
        image=record.relay.image if record.relay else "",
        secrets={},
        volumes={},
        endpoint=None,
        ca="",
        sandbox=Sandbox(
            mounts=(Mount(source=_ANY, target=RELAY_INSIDE),), selinux="disable" if host.selinux else "default"
        ),
    )
    posture = own_posture(itself, host=host, podman=podman)
    return {name: value for name, value in posture.items() if name != "command"}


def found_posture(inspected: Mapping[str, Any], *, podman: bool) -> Posture:
    """Return what a container is like.

    Args:
        inspected: What the engine says of it.
        podman: Whether the engine is Podman.
    """
    attached = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    names = {"bridge" if name == "podman" else name for name in attached} - {"none", "host"}
    return {
        **_posture(inspected["Config"], inspected["HostConfig"], podman=podman),
        "mounts": dict(_mounted(inspected.get("Mounts") or ())),
        "networks": frozenset(names),
    }


def differences(expected: Posture, found: Posture, *, live: tuple[str, str] | None = None) -> tuple[Difference, ...]:
    """Return where a container is not as it should be, by field, in the fields' order.

    What is only stricter than it should be is no difference where machines differ by themselves (limits of open files).

    Args:
        expected: From `own_posture`.
        found: From `found_posture`.
        live: Source and target of a mount that a session may have besides: the directory that a server is developed in.
    """
    mine = {**found, "mounts": _without_live(found["mounts"], expected["mounts"], live)}
    return tuple(
        Difference(field=name, expected=shown(name, wanted), found=shown(name, mine[name]))
        for name, wanted in expected.items()
        if not _AGREES.get(name, _is_same)(wanted, mine[name])
    )


def shown(name: str, value: Any) -> str:
    """Return the value of a field in words."""
    if name in _AMOUNTS:
        unlimited = value < 0 or (value == 0 and name != "swap")
        return "unlimited" if unlimited else _AMOUNTS[name](value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in sorted(value.items())) or "none"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return str(value) or "none"


def _posture(config: Mapping[str, Any], host: Mapping[str, Any], *, podman: bool) -> dict[str, Any]:
    memory = int(host.get("Memory") or 0)
    limits = {_name_of_limit(item["Name"]): int(item["Hard"]) for item in host.get("Ulimits") or ()}
    return {
        "image": str(config.get("Image", "")),
        "command": (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        "user": str(config.get("User", "")),
        "groups": frozenset(host.get("GroupAdd") or ()),
        "privileged": bool(host.get("Privileged")),
        "capabilities": _capabilities(host, podman=podman),
        **_guards(host),
        "read-only root": bool(host.get("ReadonlyRootfs")),
        "init": bool(host.get("Init")),
        "network": _network(str(host.get("NetworkMode", ""))),
        **{f"{name} namespace": _namespace(host, key, podman=podman) for name, key in _NAMESPACES},
        "memory": memory,
        "swap": _swap(int(host.get("MemorySwap") or 0), memory),
        "cpus": _cpus(host),
        "pids": max(int(host.get("PidsLimit") or 0), 0),
        "open files": limits.get("nofile", 0),
        "processes": limits.get("nproc", 0),
        "shared memory": int(host.get("ShmSize") or 0),
        "tmpfs": {path: _tmpfs(options) for path, options in (host.get("Tmpfs") or {}).items()},
        "devices": frozenset(_devices(host)),
        "ports": frozenset(host.get("PortBindings") or ()),
        "volumes of others": frozenset(host.get("VolumesFrom") or ()),
        "restart": str((host.get("RestartPolicy") or {}).get("Name") or "no"),
        "log": str((host.get("LogConfig") or {}).get("Type", "")),
        "stop signal": _signal(str(config.get("StopSignal") or "SIGTERM")),
        "stop grace": int(config.get("StopTimeout") or 0),
        "survives without memory": bool(host.get("OomKillDisable")),
    }


_NAMESPACES = (
    ("ipc", "IpcMode"),
    ("pid", "PidMode"),
    ("uts", "UTSMode"),
    ("user", "UsernsMode"),
    ("cgroup", "CgroupnsMode"),
)


def _capabilities(host: Mapping[str, Any], *, podman: bool) -> frozenset[str]:
    """Return those that the container's root has: Podman lists all that it took away, Docker what it was asked for."""
    added = {name.upper().removeprefix("CAP_") for name in host.get("CapAdd") or ()}
    dropped = {name.upper().removeprefix("CAP_") for name in host.get("CapDrop") or ()}
    if "ALL" in dropped:
        return frozenset(added)
    usual = _USUAL | _USUAL_ONCE if not podman or dropped & _USUAL_ONCE else _USUAL
    return frozenset((usual - dropped) | added)


def _guards(host: Mapping[str, Any]) -> dict[str, Any]:
    options = [str(option) for option in host.get("SecurityOpt") or ()]
    pairs = [option.partition("=" if "=" in option else ":")[::2] for option in options]
    values = dict(pairs)
    return {
        "new privileges": values.get("no-new-privileges", "false") not in {"", "true"},
        "seccomp": _seccomp(values.get("seccomp", "")),
        "apparmor": values.get("apparmor", "default"),
        "selinux": " ".join(sorted(value for name, value in pairs if name == "label")) or "default",
        # an empty list is what systempaths=unconfined gives; without one the usual paths are hidden
        "hidden system paths": host.get("MaskedPaths", None) != [],
    }


def _seccomp(value: str) -> str:
    if value.startswith("{"):
        return f"profile {sha256(value.encode()).hexdigest()[:_SHOWN_DIGITS]}"
    return value if value == "unconfined" else "profile of a file" if value else "default"


def _network(mode: str) -> str:
    """Podman and Docker have their own names for the usual network."""
    if mode.startswith("container:"):
        return "container"
    # which bridge it is, is compared by its name
    return "bridge" if mode in {"default", "podman"} or mode.startswith(bridge_name("")) else mode


def _namespace(host: Mapping[str, Any], key: str, *, podman: bool) -> str:
    mode = str(host.get(key) or "")
    if mode in _OWN or (podman and mode == "shareable"):
        return "private"
    return mode


def _swap(both: int, memory: int) -> int:
    """Return bytes of swap, -1 for all that there is; engines count memory and swap together, and 0 is as much as memory."""
    return both - memory if both > 0 else memory if both == 0 else -1


def _cpus(host: Mapping[str, Any]) -> float:
    if nano := int(host.get("NanoCpus") or 0):
        return round(nano / 1e9, 3)
    quota, period = int(host.get("CpuQuota") or 0), int(host.get("CpuPeriod") or 0) or 100_000
    return round(quota / period, 3) if quota > 0 else 0.0


def _tmpfs(options: str) -> tuple[str, ...]:
    """Return the options that matter, in an order: Podman adds others."""
    words = options.split(",")
    return (*sorted(_TMPFS_FLAGS.intersection(words)), *(word for word in words if word.startswith("size=")))


def _devices(host: Mapping[str, Any]) -> Iterable[str]:
    yield from (str(item.get("PathOnHost", "")) for item in host.get("Devices") or ())
    yield from (f"{item.get('Driver') or 'any'} device" for item in host.get("DeviceRequests") or ())


def _name_of_limit(name: str) -> str:
    return name.lower().removeprefix("rlimit_")


def _signal(name: str) -> str:
    return signal.Signals(int(name)).name if name.isdigit() else name


def _described(host: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, str]]]:
    """Yield target -> source and mode, of a description."""
    for item in host["Mounts"]:
        yield item["Target"], (item["Source"], "ro" if item["ReadOnly"] else "rw")
    for text in host["Binds"]:
        source, target, options = text.rsplit(":", 2)
        yield target, (source, "ro" if "ro" in options.split(",") else "rw")


def _mounted(mounts: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, tuple[str, str]]]:
    for item in mounts:
        if item.get("Type") == "tmpfs":
            continue
        source = (
            str(item.get("Name") or item.get("Source", ""))
            if item.get("Type") == "volume"
            else str(item.get("Source", ""))
        )
        yield str(item["Destination"]), (source.removeprefix(_DESKTOP), "rw" if item.get("RW") else "ro")


def _has_secret_files(record: LaunchRecord) -> bool:
    return any(reference.as_ == "file" for reference in record.secrets.values())


def _without_live(
    found: Mapping[str, Any], expected: Mapping[str, Any], live: tuple[str, str] | None
) -> Mapping[str, Any]:
    """Leave out what a session may have besides: where it is developed, secrets that are not required."""
    allowed = {(live[1], (live[0], "ro"))} if live else set()
    return {
        target: item
        for target, item in found.items()
        if target in expected or not ((target, item) in allowed or (target == SECRETS_INSIDE and item[1] == "ro"))
    }


def _is_same(expected: Any, found: Any) -> bool:
    return bool(expected == found)


def _names_the_same(expected: str, found: str) -> bool:
    """An engine may put the host of a registry before a name."""
    return found == expected or found.endswith(f"/{expected}")


def _is_at_most(expected: int, found: int) -> bool:
    return 0 < found <= expected


def _has_same_mounts(expected: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return expected.keys() == found.keys() and all(
        mode == found[target][1] and source in {_ANY, found[target][0]} for target, (source, mode) in expected.items()
    )


def _has_same_tmpfs(expected: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """What an image would have as volumes is memory too, with the same options."""
    kinds = set(expected.values())
    return all(found.get(path) == options for path, options in expected.items()) and kinds.issuperset(found.values())


def _size(size: int) -> str:
    for unit, factor in (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


_AMOUNTS: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("memory", "swap", "shared memory"), _size),
    **dict.fromkeys(("pids", "open files", "processes"), str),
    "cpus": "{:g}".format,
}
_AGREES: Mapping[str, Callable[[Any, Any], bool]] = {
    "image": _names_the_same,
    "open files": _is_at_most,
    "processes": _is_at_most,
    "mounts": _has_same_mounts,
    "tmpfs": _has_same_tmpfs,
}


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
