"""Seccomp profiles of the project: read and checked when they are locked, by whose bytes the lock names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import read_optional

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock, Server
    from hatchlock.resolve.freshness import Reason
    from hatchlock.usecases.project import Project

__all__ = ["ProfileChanged", "ProfileMissing", "changed_profiles", "profile_paths", "read_profile", "with_profiles"]

_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_ANY_KERNEL = (99, 0)


@dataclass(kw_only=True, eq=False)
class ProfileMissing(HatchlockError):
    """The file that `sandbox.seccomp` names is not there, or is none."""

    code: ClassVar[str] = "profile-missing"

    file: str

    def __str__(self) -> str:
        return f"its seccomp profile {self.file} is no file of the project"

    def _hint(self) -> str:
        return "write the path of a JSON file, relative to hatchlock.toml"


@dataclass(kw_only=True, eq=False)
class ProfileChanged(HatchlockError):
    """A seccomp profile is not what was locked, and the store does not have that."""

    code: ClassVar[str] = "profile-changed"

    file: str

    def __str__(self) -> str:
        return f"its seccomp profile {self.file} changed since it was locked"

    def _hint(self) -> str:
        return "run `hatchlock lock`, or bring back what was locked"


def with_profiles(project: Project, lock: Lock) -> Lock:
    """Return a lock with the digests of the seccomp profiles that its servers name.

    Raises:
        ProfileMissing: There is no such file.
        BadSeccompProfile: It is no profile.
        SeccompProfileUnusable: It is none for a server that is a process, which has no engine to make sense of it.
    """
    if not any(_has_one(server) for server in lock.servers):
        return lock
    return replace(lock, servers=tuple(_with_profile(project, lock, server) for server in lock.servers))


def read_profile(project: Project, server: Server) -> bytes:
    """Return the bytes of a server's profile, as they are now.

    Raises:
        ProfileMissing: There is no such file.
    """
    path = project.directory / server.sandbox.seccomp
    data = read_optional(path) if path.is_file() else None
    if data is None:
        raise ProfileMissing(address=f"server:{server.name}", file=server.sandbox.seccomp)
    return data


def profile_paths(project: Project, lock: Lock) -> list[str]:
    """Return the files of all profiles, whether they are there or not."""
    return [str(project.directory / server.sandbox.seccomp) for server in _servers(lock)]


def changed_profiles(project: Project, lock: Lock) -> Iterator[Reason]:
    """Yield the profiles that are not what was locked; one that is gone does no harm as long as the store has it."""
    servers = list(_servers(lock))
    if not servers:
        return
    from hatchlock.digest import sha256_bytes
    from hatchlock.resolve.freshness import Reason
    from hatchlock.store.blobs import Blobs

    blobs = Blobs(project.home.blobs)
    for server in servers:
        digest, file = server.sandbox.seccomp_sha256, server.sandbox.seccomp
        try:
            same = sha256_bytes(read_profile(project, server)) == digest
            what = f"its seccomp profile {file} changed since it was locked"
        except ProfileMissing:
            same = bool(digest) and blobs.has(digest)
            what = f"its seccomp profile {file} is gone, and the store does not have it"
        if not same:
            yield Reason(address=f"server:{server.name}", what=what)


def _servers(lock: Lock) -> Iterable[Server]:
    return (server for server in lock.servers if _has_one(server))


def _has_one(server: Server) -> bool:
    return server.sandbox.seccomp not in {"default", "unconfined"}


def _with_profile(project: Project, lock: Lock, server: Server) -> Server:
    if not _has_one(server):
        return server
    from hatchlock.digest import sha256_bytes
    from hatchlock.security.seccomp_form import check_form

    content = read_profile(project, server)
    try:
        check_form(content, file=server.sandbox.seccomp)
        if server.runtime == "process":
            _check_filter(content, lock.platforms)
    except HatchlockError as error:
        error.address = f"server:{server.name}"
        raise
    return replace(server, sandbox=replace(server.sandbox, seccomp_sha256=sha256_bytes(content)))


def _check_filter(content: bytes, platforms: Iterable[str]) -> None:
    """Every machine that the lock is for has to get a filter of it."""
    from hatchlock.security.seccomp import profile_filter

    for platform in platforms:
        if platform in _MACHINES:
            profile_filter(content, machine=_MACHINES[platform], kernel=_ANY_KERNEL)
