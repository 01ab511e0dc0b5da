"""`pin --import`: what an `mcp-pin.lock` says was approved, as if it had been looked at. Nothing is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hatchlock.errors import UsageError
from hatchlock.surface import shown
from hatchlock.usecases.pin import Looked

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.lock.mcp_pin import PinnedPackage, PinnedServer
    from hatchlock.lock.model import Lock, Server
    from hatchlock.usecases.project import Project

__all__ = ["read_pins"]


def read_pins(project: Project, path: Path, names: Sequence[str] = ()) -> tuple[Looked, ...]:
    """Return what would be pinned from a file.

    A server whose file names another version of its package than the lock has is not pinned: what was approved was
    something else.

    Args:
        project: Whose servers are meant, by their names.
        path: The file.
        names: Which of them; all that the file has if none is named.

    Raises:
        BadPinFile: It is no such file, or does not hold together.
        UsageError: There is no such file.
        NotInLock: A server that was named is not in the lock.
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
    """
    from hatchlock.files import read_optional
    from hatchlock.lock.mcp_pin import read_mcp_pin
    from hatchlock.usecases.inspect import NotInLock
    from hatchlock.usecases.locked import satisfied_lock

    data = read_optional(path)
    if data is None:
        raise UsageError(what=f"--import {path}: there is no such file", advice="name an mcp-pin.lock")
    _, lock = satisfied_lock(project)
    known = tuple(server.name for server in lock.servers)
    for name in names:
        if name not in known:
            raise NotInLock(what="server", name=name, known=known)
    there = {server.name: server for server in read_mcp_pin(data, file=str(path))}
    wanted = names or tuple(there)
    return tuple(_looked(lock, name, there.get(name)) for name in sorted(set(wanted)))


def _looked(lock: Lock, name: str, found: PinnedServer | None) -> Looked:
    from hatchlock.lock.artefact import artefact_of
    from hatchlock.lock.surfaces import surface_of

    server = next((item for item in lock.servers if item.name == name), None)
    if server is None:
        return Looked(server=shown(name), problems=("the manifest has no server of that name",))
    before = lock.surface(name)
    if found is None:
        return Looked(server=name, before=before, problems=("the file does not have it",))
    if found.prompts is None:
        return Looked(server=name, before=before, problems=("the file does not say which prompts it has",))
    if wrong := _other_package(lock, server, found.package):
        return Looked(server=name, before=before, problems=(wrong,))
    after = surface_of(
        name,
        artefact=artefact_of(lock, name),
        instructions=found.instructions,
        tools=found.tools,
        prompts=found.prompts,
    )
    return Looked(server=name, before=before, after=after)


def _other_package(lock: Lock, server: Server, package: PinnedPackage | None) -> str:
    """Return why what the file was made of is not what the lock has; "" if it is, or the file does not say."""
    from packaging.utils import canonicalize_name

    if package is None:
        return ""
    told = f"it was approved as {shown(package.name)} {shown(package.version)}"
    if package.ecosystem == "oci":
        images = [image for image in lock.images if image.reference == server.image]
        digests = {
            digest for image in images for digest in (image.digest, *(p.digest for p in image.platforms.values()))
        }
        return "" if package.version in digests else f"{told}, and the lock has another image"
    used = [item for item in lock.environments if (item.name, item.runtime) == (server.environment, server.runtime)]
    packages = [lock.by_id[name] for item in used for name in item.everywhere if name in lock.by_id]
    is_pypi = package.ecosystem == "pypi"
    name = str(canonicalize_name(package.name)) if is_pypi else package.name
    versions = sorted({item.version for item in packages if item.kind == package.ecosystem and item.name == name})
    if package.version in versions:
        return ""
    return f"{told}, and the lock has {', '.join(versions) or 'no such package'}"
