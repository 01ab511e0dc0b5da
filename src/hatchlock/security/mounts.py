"""Which directories of this machine a server may see, and where they really are.

A mount's source is followed through its symlinks before it is looked at, when a plan is made and again when the server
starts: what has become a link to something else by then is refused. What is below a source needs no look: its symlinks are
followed inside of the sandbox, where nothing else is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import WORKSPACE, Mount, is_below

__all__ = ["CREDENTIALS", "MountRefused", "Protected", "account_home", "mount_problem", "settle"]

_SYSTEM = ("/boot", "/dev", "/efi", "/etc", "/proc", "/run", "/sys", "/private/etc", "/System")
_PROGRAMS = (
    *("/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin"),
    *("/usr/local", "/opt/homebrew", "/Library"),
)
_SHARED = ("/", "/home", "/lost+found", "/mnt", "/media", "/opt", "/root", "/srv", "/tmp", "/var", "/Users", "/Volumes")  # noqa: S108
_ENGINES = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/rancher")
_LOGS = ("/var/log", "/var/spool", "/var/mail", "/var/backups")
_ENGINES_AT_HOME = (".colima", ".finch", ".lima", ".orbstack", ".rd")
CREDENTIALS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".oci", ".databrickscfg", ".boto", ".s3cfg"),
    *(".netrc", ".npmrc", ".yarnrc.yml", ".pypirc", ".git-credentials", ".pgpass", ".my.cnf", ".vault-token"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".terraform.d", ".m2/settings.xml"),
    *(".password-store", ".mozilla", ".thunderbird", ".local/share/keyrings", ".local/share/containers"),
    *(".config/gcloud", ".config/gh", ".config/op", ".config/hub", ".config/git", ".config/containers"),
    *(".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".config/rclone", ".config/doctl"),
    *(".claude.json", ".claude", ".codex", ".cursor", ".gemini", ".config/hatchlock", ".config/Claude"),
    *("Library/Keychains", "Library/Cookies", "Library/Application Support"),
)
"""What is below a home directory and holds somebody's logins, keys or tokens."""


@dataclass(kw_only=True, eq=False)
class MountRefused(HatchlockError):
    """A server must not see this, or there is nothing to see."""

    code: ClassVar[str] = "mount-refused"

    source: str
    target: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"the mount of {self.source} at {self.target} is refused: {self.why}"

    def _hint(self) -> str:
        return self.advice or "mount a directory that holds only what the server works on"


@dataclass(frozen=True, kw_only=True, slots=True)
class Protected:
    """What of this machine no server sees, besides its system.

    Attributes:
        home: The user's home directory, as the variable HOME has it: for applications in packages of their own that is another
            one than the account's, which is protected as well.
        store: The root of our store.
        engine: The address of the container engine, `unix:///var/run/docker.sock`; "" for none.
    """

    home: str
    store: str
    engine: str = ""

    @property
    def homes(self) -> tuple[str, ...]:
        """The real paths of both."""
        return tuple(dict.fromkeys(map(os.path.realpath, filter(None, (self.home, account_home())))))

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield every path that is protected with all that is below it, real, and what it is."""
        yield from ((path, "a directory of the system") for path in _SYSTEM)
        yield from ((path, "a container engine's own") for path in _ENGINES)
        yield from ((path, "a directory of the system") for path in _LOGS)
        yield os.path.realpath(self.store), "hatchlock's own store"
        if self.engine.startswith("unix://"):
            yield os.path.realpath(self.engine.removeprefix("unix://")), "the socket of a container engine"
        for home in self.homes:
            for name in _ENGINES_AT_HOME:
                yield os.path.realpath(f"{home}/{name}"), "a container engine's own"
            for name in CREDENTIALS:
                yield os.path.realpath(f"{home}/{name}"), "where credentials are"


def account_home() -> str:
    """Return the home directory of the account that we run as, whatever HOME says; "" where it has none."""
    import pwd  # noqa: PLC0415  not on every system

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def settle(
    mounts: Iterable[Mount], protected: Protected, *, workspace: str | None = None, settled: bool = False
) -> tuple[Mount, ...]:
    """Return mounts with the real paths of their sources, each of which a server may see.

    Args:
        mounts: Their sources are absolute, or `WORKSPACE`.
        protected: What no server sees.
        workspace: The directory that `WORKSPACE` stands for; None leaves such mounts as they are.
        settled: The sources are already real: one that leads elsewhere by now is refused.

    Raises:
        MountRefused: A source does not exist, is no file or directory, or must not be seen.
    """
    return tuple(_settled(mount, protected, workspace, settled) for mount in mounts)


def _settled(mount: Mount, protected: Protected, workspace: str | None, settled: bool) -> Mount:
    if mount.source == WORKSPACE:
        if workspace is None:
            return mount
        return replace(mount, source=_checked(mount, os.path.realpath(workspace), protected, is_workspace=True))
    real = os.path.realpath(mount.source)
    if settled and real != mount.source:
        why = f"it has become a link to {real} since it was applied"
        raise MountRefused(source=mount.source, target=mount.target, why=why, advice="run `hatchlock plan`, and look")
    return replace(mount, source=_checked(mount, real, protected))


def _checked(mount: Mount, real: str, protected: Protected, *, is_workspace: bool = False) -> str:
    if problem := mount_problem(real, mount.mode, protected):
        why = problem if real == mount.source else f"it is {real}, and {problem}"
        advice = ""
        if is_workspace:
            advice = "let the application start it in a project's directory: `workspace` is the directory that `run` is started in"
        elif problem == _MISSING:
            advice = f"make it ({_command(mount.source)}), or take the mount out of the manifest"
        raise MountRefused(source=mount.source, target=mount.target, why=why, advice=advice)
    return real


_MISSING = "there is no such file or directory"


def _command(path: str) -> str:
    return f"mkdir -p {path}"


def mount_problem(real: str, mode: str, protected: Protected) -> str:
    """Return why a server must not see a file or directory, as a clause; "" if it may.

    Args:
        real: An absolute path without symlinks.
        mode: "ro" or "rw".
        protected: What no server sees.
    """
    problems = (
        _of_its_kind(real),
        _of_everybody(real, protected),
        *(_of_a_place(real, place, what) for place, what in protected.places()),
        _of_programs(real, mode),
    )
    return next(filter(None, problems), "")


def _of_its_kind(real: str) -> str:
    try:
        kind = Path(real).stat().st_mode
    except PermissionError:
        return "it cannot be looked at"
    except OSError:
        return _MISSING
    return "" if stat.S_ISDIR(kind) or stat.S_ISREG(kind) else "it is neither a file nor a directory"


def _of_everybody(real: str, protected: Protected) -> str:
    if real == "/":
        return "it is the whole machine"
    if real in _SHARED:
        return "everybody's files are below it"
    return "it is a whole home directory, credentials included" if real in protected.homes else ""


def _of_a_place(real: str, place: str, what: str) -> str:
    if real == place:
        return f"it is {what}"
    if is_below(real, place):
        return f"it is below {place}, {what}"
    return f"{place} is below it, {what}" if is_below(place, real) and os.path.lexists(place) else ""


def _of_programs(real: str, mode: str) -> str:
    if real in _PROGRAMS:
        return "it is a directory of the system"
    below = any(is_below(real, top) for top in _PROGRAMS)
    return "the system's programs are there, and it would be writable" if below and mode == "rw" else ""
