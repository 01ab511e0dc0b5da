"""What a launch record is made of: the sandbox profile, references to secrets."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

__all__ = [
    "HOME_INSIDE",
    "SANDBOX_RULES",
    "WORKSPACE",
    "Isolation",
    "Mount",
    "Runtime",
    "Sandbox",
    "SecretReference",
    "is_below",
    "is_loopback",
    "place_inside",
    "size_in_bytes",
    "target_problem",
    "url_problem",
]

Runtime = Literal["process", "container"]
Isolation = Literal["required", "best-effort"]

HOME_INSIDE = "/home/hatchlock"
"""The home of every sandboxed server: memory of its own."""
WORKSPACE = "workspace"
"""The source of a mount that is known only when an application starts the server."""
SANDBOX_RULES = 1
"""The version of the default profile below. A default never changes under the same number."""

_NEVER_TARGETS = ("/dev", "/opt/hatchlock", "/proc", "/run/hatchlock", "/run/secrets", "/sys")
_BESIDE = frozenset({"reason", "seccomp_sha256"})
_NAMED_IN_FILE = re.compile(r"(.+)#([A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)
_SIZE = re.compile(r"(\d+)([kmg]?)")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size_in_bytes(text: str) -> int:
    """Return the bytes of `512m`, `1g`, `64k` or `1024`.

    Raises:
        ValueError: `text` is none of these.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def target_problem(target: str) -> str:
    """Return why nothing can be put at an absolute path inside of a sandbox, as a clause; "" if something can."""
    normal = place_inside(target)
    if normal == "/":
        return "it would hide everything else"
    taken = next((place for place in _NEVER_TARGETS if is_below(normal, place)), "")
    if taken:
        return f"{taken} is the sandbox's own"
    if any(is_below(place, normal) for place in _NEVER_TARGETS):
        return "it would hide what the sandbox needs"
    return ""


def place_inside(path: str) -> str:
    """Return the one form of an absolute path inside of a sandbox: `//data/./x` is `/data/x`."""
    return posixpath.normpath(f"/{path.lstrip('/')}")  # two slashes would stay two


def is_below(path: str, place: str) -> bool:
    """Whether an absolute path is `place` or lies in it."""
    return path == place or path.startswith(f"{place.rstrip('/')}/")


def url_problem(url: str) -> str:
    """Return why no server can be reached at an address, as a clause; "" if one can."""
    from urllib.parse import urlsplit  # noqa: PLC0415  few servers are somewhere else

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is no address"
    problems = {
        "it does not begin with https://": parts.scheme not in {"http", "https"},
        "it is no address": not host or any(not character.isprintable() or character == " " for character in url),
        "it holds a user name or password, which everybody who reads the manifest would know": "@" in parts.netloc,
        "what follows # never leaves this machine": bool(parts.fragment),
        "http can be read and changed on its way; only a server of this machine may be reached by it": (
            parts.scheme == "http" and not is_loopback(host)
        ),
    }
    return next((problem for problem, is_there in problems.items() if is_there), "")


def is_loopback(host: str) -> bool:
    """Whether a host, as it stands in an address, is this machine by itself."""
    from ipaddress import ip_address  # noqa: PLC0415  few servers are somewhere else

    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretReference:
    """Where a secret comes from when the server starts. Never its value.

    Attributes:
        secret: `env:NAME`, `file:PATH`, `file:PATH#NAME`, `keyring:NAME` or `command:PROGRAM ARGUMENT…`.
        format: How the value is used; `{}` stands for the secret.
        as_: Given to the server as a variable, or as a file.
        required: Whether the server is refused without it.
    """

    secret: str
    format: str = "{}"
    as_: Literal["variable", "file"] = "variable"
    required: bool = True

    @property
    def kind(self) -> str:
        """`env`, `file`, `keyring` or `command`."""
        return self.secret.partition(":")[0]

    @property
    def spec(self) -> str:
        """What follows the kind."""
        return self.secret.partition(":")[2]

    @property
    def file(self) -> tuple[str, str]:
        """Of `file:`, the path as it is written, and the name that is looked up in it; "" where the file is the secret."""
        match = _NAMED_IN_FILE.fullmatch(self.spec)
        return (match[1], match[2]) if match else (self.spec, "")

    @property
    def words(self) -> tuple[str, ...]:
        """Of `command:`, program and arguments, cut as a shell cuts words; nothing is expanded.

        Raises:
            ValueError: A quotation is not closed.
        """
        import shlex  # noqa: PLC0415  few secrets come from a command

        return tuple(shlex.split(self.spec))


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """A directory or file of this machine that the server sees.

    Attributes:
        source: In the lock as written (relative to the project); in a launch record absolute and resolved. `WORKSPACE` in
            both: the directory in which the application started the server.
        target: An absolute path inside.
        mode: Read-only or read-write.
        relabel: SELinux: give the source a label that containers may use (`shared`), or this one alone (`private`).
    """

    source: str
    target: str
    mode: Literal["ro", "rw"] = "ro"
    relabel: Literal["", "shared", "private"] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sandbox:
    """The profile that a server runs under. The field defaults are the default profile (`SANDBOX_RULES`).

    Sizes are texts as in the manifest (`size_in_bytes`). `network` is `("none",)`, `("internet",)`, `("host",)`, or a
    tuple of `host:port`. `cpus` counts cores. `stop_grace` is in seconds. `seccomp` is `default`, `unconfined`, or the path
    of a profile in Docker's form, relative to the project, whose content is named by `seccomp_sha256` (64 hex digits).
    """

    network: tuple[str, ...] = ("none",)
    user: str = "10001:10001"
    run_as: Literal["user", "host"] = "user"
    read_only: bool = True
    memory: str = "512m"
    swap: str = "0"
    cpus: float = 1.0
    pids: int = 128
    files: int = 1024
    tmp: str = "64m"
    log_size: str = "10m"
    mounts: tuple[Mount, ...] = ()
    writable: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    seccomp: str = "default"
    seccomp_sha256: str = ""
    apparmor: str = "default"
    selinux: str = "default"
    stop_signal: str = "SIGTERM"
    stop_grace: float = 5.0
    reason: str = ""

    def deviations(self) -> dict[str, Any]:
        """Return the fields that differ from the default profile, by name.

        Neither `reason` nor `seccomp_sha256` is among them: they belong to the ones that are.
        """
        default = Sandbox()
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name not in _BESIDE and getattr(self, item.name) != getattr(default, item.name)
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `dataclasses.asdict` (through JSON or TOML) gave; absent fields get their defaults."""
        values = dict(data)
        for name in ("network", "writable", "capabilities"):
            if name in values:
                values[name] = tuple(values[name])
        if "mounts" in values:
            values["mounts"] = tuple(Mount(**mount) for mount in values["mounts"])
        return cls(**values)
