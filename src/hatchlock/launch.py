"""How a server is started: the sandbox it gets, the secrets it needs, and the launch record that `run` reads.

A launch record is the lock's launch plus this machine's facts. It holds everything that `run` needs, so that `run` loads
no manifest, lock, resolver or engine SDK, and it holds no secret: only references to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.launch_parts import (
    HOME_INSIDE,
    SANDBOX_RULES,
    WORKSPACE,
    Isolation,
    Mount,
    Runtime,
    Sandbox,
    SecretReference,
    is_below,
    place_inside,
    size_in_bytes,
    target_problem,
)

if TYPE_CHECKING:
    from hatchlock.launch_rare import Endpoint, Relay, Remote, SourceTree
    from hatchlock.surface import SurfaceRules

__all__ = [
    "HOME_INSIDE",
    "LAUNCH_FORMAT",
    "SANDBOX_RULES",
    "WORKSPACE",
    "Endpoint",
    "Isolation",
    "LaunchRecord",
    "Mount",
    "Relay",
    "Remote",
    "Runtime",
    "Sandbox",
    "SecretReference",
    "SourceTree",
    "SurfaceRules",
    "is_below",
    "place_inside",
    "size_in_bytes",
    "target_problem",
]

LAUNCH_FORMAT = 1

_RARE = {
    "source": "SourceTree",
    "relay": "Relay",
    "remote": "Remote",
    "endpoint": "Endpoint",
    "surface": "SurfaceRules",
}
"""Attribute -> class of what few records have."""
_OPTIONAL = (
    *("source", "trust", "relay", "ca", "proxies", "volumes"),
    *("surface", "remote", "endpoint", "audit"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchRecord:
    """Everything that `run` needs to start one server on this machine.

    Attributes:
        project: The project's name.
        server: The server's name.
        runtime: Where it runs.
        isolation: What to do when the process runtime cannot isolate.
        argv: The command, with absolute paths of the place where it runs (machine or image); exec form, no shell.
        cwd: Its working directory there; "" means its home.
        env: Literal variables.
        secrets: Variable name -> reference.
        sandbox: The profile, with absolute mount sources.
        key: The environment's or image's input key.
        read_only_paths: Process runtime: absolute directories it needs (environment, interpreter), bound read-only.
        image: Container runtime: the image's tag in the engine, `hatchlock/PROJECT/SERVER:KEY`.
        engine: Container runtime: the engine's address, `unix:///var/run/docker.sock`.
        directory: The project's directory; relative `file:` secrets start there.
        startup_timeout: Seconds until the first answer is overdue.
        source: Its own project, if it comes from one.
        trust: Its label; nothing is started differently for it.
        relay: Container runtime, where `sandbox.network` is a list: what listens in its network.
        ca: Absolute path of a bundle of certificates (PEM) that this machine trusts besides the usual ones; "" for none.
        proxies: Each of a listed `sandbox.network` that is reached through a proxy -> that proxy, `http://host:port`.
        volumes: Each of `sandbox.writable` -> the engine's volume, or the absolute directory, that is there.
        surface: Which of its tools may be listed and called, and what they were when they were pinned; None for anything.
        remote: Where it is, if somebody else runs it: then nothing is started here but what speaks to it.
        endpoint: Where it is reached, if it stays; None for one that lives as long as its session.
        audit: "calls": its calls are written to the audit log.
    """

    project: str
    server: str
    runtime: Runtime
    isolation: Isolation = "required"
    argv: tuple[str, ...]
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    sandbox: Sandbox = field(default_factory=Sandbox)
    key: str
    read_only_paths: tuple[str, ...] = ()
    image: str = ""
    engine: str = ""
    directory: str = ""
    startup_timeout: float = 30.0
    source: SourceTree | None = None
    trust: str = ""
    relay: Relay | None = None
    ca: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    surface: SurfaceRules | None = None
    remote: Remote | None = None
    endpoint: Endpoint | None = None
    audit: Literal["", "calls"] = ""

    @property
    def digest(self) -> str:
        """The record's name: the digest of its content (64 hex digits)."""
        return sha256_bytes(self.to_json())

    @property
    def speaks_http(self) -> bool:
        """Whether it stays, and listens on a port of its own."""
        return self.endpoint is not None and self.endpoint.port > 0

    @property
    def is_tried(self) -> bool:
        """Whether it is a server of `try`, which no other command knows (`usecases.trial`)."""
        kind, _, trial = self.project.partition("-")
        return kind == "try" and self.directory.endswith(f"/tries/{trial}")

    @property
    def references(self) -> Mapping[str, SecretReference]:
        """Every secret that it is started with, by what it is for: a variable, or a header of one that is remote."""
        return {**self.secrets, **self.remote.secrets} if self.remote else self.secrets

    def to_json(self) -> bytes:
        """Return canonical JSON, with its `format_version`."""
        values = _plain(self)
        sandbox = values["sandbox"]
        # records of servers without these keep the name that they had before there were any
        for place, names in (
            (values, _OPTIONAL),
            (sandbox, ("seccomp_sha256",)),
            *((mount, ("relabel",)) for mount in sandbox["mounts"]),
        ):
            for name in names:
                if not place[name]:
                    del place[name]
        return canonical_json({"format_version": LAUNCH_FORMAT, **values})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a record.

        Raises:
            ValueError: It is of a format that this version does not know, or no record at all.
        """
        values = json.loads(data)
        if not isinstance(values, dict) or values.pop("format_version", None) != LAUNCH_FORMAT:
            raise ValueError("not a launch record of this version")
        values["argv"] = tuple(values["argv"])
        values["read_only_paths"] = tuple(values["read_only_paths"])
        values["secrets"] = {name: SecretReference(**reference) for name, reference in values["secrets"].items()}
        values["sandbox"] = Sandbox.from_dict(values["sandbox"])
        rare = {name: found for name in _RARE if (found := values.pop(name, None))}
        return cls(**values, **{name: _rare(name, content) for name, content in rare.items()})


def _rare(name: str, values: Mapping[str, Any]) -> Any:
    if name == "surface":
        return _loaded("SurfaceRules").from_dict(values)
    if name == "remote":
        secrets = {header: SecretReference(**reference) for header, reference in values["secrets"].items()}
        values = {**values, "secrets": secrets}
    return _loaded(_RARE[name])(**values)


def _loaded(name: str) -> Any:
    """Return a class that few records need; it takes a millisecond that a start has no use for."""
    if name == "SurfaceRules":
        from hatchlock.surface import SurfaceRules  # noqa: PLC0415

        return SurfaceRules
    from hatchlock import launch_rare  # noqa: PLC0415

    return getattr(launch_rare, name)


if not TYPE_CHECKING:  # which knows them from above

    def __getattr__(name: str) -> Any:
        if name not in _RARE.values():
            raise AttributeError(name)
        return _loaded(name)


def _plain(value: Any) -> Any:
    """Turn values into mappings, tuples into lists and whole floats into integers, so that JSON is canonical."""
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
