"""What an engine says of itself, as a value: which it is, which limits bind, what guards its containers, what it lacks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hatchlock.engines.api import Engine

__all__ = ["LIMITS", "EngineFacts", "Lack", "engine_facts", "lacks", "read_facts", "read_lacks", "read_unbound"]

LIMITS = ("memory", "swap", "cpus", "pids")
"""What control groups limit of a container."""

Kind = Literal["Docker", "Podman", "Finch"]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_KEYS = ("MemoryLimit", "SwapLimit", "CpuCfsQuota", "PidsLimit")
_PODMAN: Mapping[str, Any] = {"Components": [{"Name": "Podman Engine"}]}
_TOLD = re.compile(r"No (?:memory limit|swap limit|cpu cfs quota|cpu cfs period|pids limit) support")
"""Warnings that say what `EngineFacts.unbound` does."""
_CGROUPS_OF_ROOTLESS = (
    "let the user's session have control groups: cgroup v2, and `Delegate=yes` for user@.service in systemd"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFacts:
    """An engine as it describes itself.

    Attributes:
        kind: Whose it is.
        version: Its version.
        api: The version of Docker's API that it speaks.
        platform: Of its containers, `linux/amd64`.
        id: What tells it from others; "" where it has nothing that stays.
        cgroups: "1" or "2"; "" where it does not say.
        unbound: The limits that it takes and that bind nothing: of `memory`, `swap`, `cpus`, `pids`.
        guards: What it names among its security options: `seccomp`, `apparmor`, `selinux`, `rootless`, `userns`, ….
        unconfined: Whether containers get no seccomp profile if none is asked for.
        storage: How it keeps layers; `containerd` for the image store of that name.
        runtime: What starts its containers.
        init: The program that is the first process of containers; "" where it does not say.
        kernel: The release of the kernel that its containers run on; "" where it does not say.
        warnings: Its own.
    """

    kind: Kind
    version: str
    api: str
    platform: str
    id: str = ""
    cgroups: str = ""
    unbound: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    unconfined: bool = False
    storage: str = ""
    runtime: str = ""
    init: str = ""
    kernel: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_rootless(self) -> bool:
        """Whether it runs as a user, who is root inside of its containers at most."""
        return "rootless" in self.guards

    def __str__(self) -> str:
        """Return the facts in one line."""
        parts = (
            f"{self.kind} {self.version} (API {self.api})",
            self.platform,
            "rootless" if self.is_rootless else "",
            f"cgroup v{self.cgroups}" if self.cgroups else "",
            f"{self.storage} storage" if self.storage else "",
            self.runtime,
            self.init,
            f"id {self.id}" if self.id else "",
        )
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """Something that an engine does not do.

    Attributes:
        about: `limits`, `seccomp`, `API`, `sockets`, or the engine's own `warning`.
        what: What does not work for it, in one clause.
        mend: What to do about it; "" for nothing.
        is_fatal: Whether no server can run there.
    """

    about: str
    what: str
    mend: str = ""
    is_fatal: bool = False


def read_facts(engine: Engine) -> EngineFacts:
    """Ask an engine what it is.

    Raises:
        EngineError: It does not say.
        EngineUnreachable: It does not answer.
    """
    return engine_facts(engine.ask("GET", "/info"), engine.ask("GET", "/version"))


def read_lacks(engine: Engine) -> tuple[Lack, ...]:
    """Ask an engine what it does not do.

    Raises:
        EngineError: It does not say.
        EngineUnreachable: It does not answer.
    """
    # Podman takes a third of a second for its version, and lacks nothing for it
    version = _PODMAN if engine.is_podman else engine.ask("GET", "/version")
    return lacks(engine_facts(engine.ask("GET", "/info"), version), kernel=os.uname().release)


def read_unbound(engine: Engine) -> tuple[str, ...]:
    """Ask an engine which of `LIMITS` bind nothing.

    Raises:
        EngineError: It does not say.
        EngineUnreachable: It does not answer.
    """
    return _unbound(engine.ask("GET", "/info"))


def engine_facts(info: Mapping[str, Any], version: Mapping[str, Any]) -> EngineFacts:
    """Return what an engine says of itself.

    Args:
        info: What `GET /info` answers.
        version: What `GET /version` answers.
    """
    kind = _kind(version)
    machine = str(info.get("Architecture") or version.get("Arch") or "")
    options = [_option(text) for text in info.get("SecurityOptions") or ()]
    guards = [name for name, _ in options] + (["rootless"] if info.get("Rootless") else [])
    # Podman makes up an id for every answer
    identity = str(info.get("ID") or "") if kind != "Podman" else ""
    return EngineFacts(
        kind=kind,
        version=str(version.get("Version") or info.get("ServerVersion") or ""),
        api=str(version.get("ApiVersion") or ""),
        platform=f"{info.get('OSType') or 'linux'}/{_ARCHITECTURES.get(machine, machine)}",
        id=identity,
        cgroups=str(info.get("CgroupVersion") or ""),
        unbound=_unbound(info),
        guards=tuple(dict.fromkeys(guards)),
        unconfined=not any(name == "seccomp" and profile != "unconfined" for name, profile in options),
        storage="containerd"
        if "driver-type" in dict(info.get("DriverStatus") or ())
        else str(info.get("Driver") or ""),
        runtime=str(info.get("DefaultRuntime") or "").rpartition("/")[2],
        init=str(info.get("InitBinary") or ""),
        kernel=str(info.get("KernelVersion") or ""),
        warnings=tuple(str(text) for text in info.get("Warnings") or ()),
    )


def lacks(facts: EngineFacts, *, kernel: str = "") -> tuple[Lack, ...]:
    """Return what of a server's sandbox an engine does not do, the worst first.

    Args:
        facts: What it says of itself.
        kernel: The release of this machine's own kernel; an engine with another one is in a virtual machine, if it is here at
            all. "" to leave that open.
    """
    return (*_lacks(facts), *_of_a_virtual_machine(facts, kernel))


def _of_a_virtual_machine(facts: EngineFacts, kernel: str) -> Iterator[Lack]:
    if kernel and facts.kernel and facts.kernel != kernel:
        yield Lack(
            about="sockets",
            what=f"its containers run on another kernel ({facts.kernel}), in a virtual machine: no socket is shared with them",
            mend='servers with a list of hosts need an engine on this machine itself, or runtime = "process"',
        )


def _unbound(info: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, key in zip(LIMITS, _KEYS, strict=True) if not info.get(key))


def _lacks(facts: EngineFacts) -> Iterator[Lack]:
    if facts.kind == "Finch":
        yield Lack(
            about="API",
            what="finch-daemon refuses containers with a stdin, which every server of the container runtime has",
            mend='use Docker or Podman (DOCKER_HOST), or runtime = "process"',
            is_fatal=True,
        )
    if not facts.platform.startswith("linux/"):
        yield Lack(
            about="API",
            what=f"its containers are of {facts.platform}, and servers are built for Linux",
            mend="switch it to Linux containers",
            is_fatal=True,
        )
    if facts.unbound:
        yield Lack(
            about="limits",
            what=f"{' and '.join(facts.unbound)} would not be limited: its control groups do not allow it",
            mend=_CGROUPS_OF_ROOTLESS if facts.is_rootless else _of_the_kernel(facts.unbound),
        )
    if facts.unconfined:
        yield Lack(
            about="seccomp",
            what="containers would have no seccomp profile: every system call is allowed",
            mend='start it without the seccomp profile "unconfined", on a kernel with CONFIG_SECCOMP',
        )
    for warning in facts.warnings:
        text = warning.removeprefix("WARNING: ")
        if not _TOLD.match(text):
            yield Lack(about="warning", what=text)


def _of_the_kernel(unbound: tuple[str, ...]) -> str:
    if unbound == ("swap",):
        return "start the machine's kernel with swapaccount=1; without swap there is nothing to limit"
    return "start the machine's kernel with cgroup_enable=memory, or with cgroup v2"


def _kind(version: Mapping[str, Any]) -> Kind:
    names = [str(item.get("Name", "")) for item in version.get("Components") or ()]
    if "Podman Engine" in names:
        return "Podman"
    if str((version.get("Platform") or {}).get("Name", "")).startswith("Finch") or "nerdctl" in names:
        return "Finch"
    return "Docker"


def _option(text: str) -> tuple[str, str]:
    """Return name and profile of `name=seccomp,profile=default`; older engines write `seccomp` alone."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    return fields.get("name", text), fields.get("profile", "")
