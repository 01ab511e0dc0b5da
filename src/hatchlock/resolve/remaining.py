"""What of a lock is for what: what stays of it when servers go, without asking anybody. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hatchlock.address import Kind
from hatchlock.lock.model import Lock

__all__ = ["used_images", "used_packages", "without_servers"]


def without_servers(lock: Lock, names: Collection[str]) -> Lock:
    """Return a lock without some servers, and without everything that they alone needed; the rest stays as it is.

    An environment that they shared stays whole: what of it nobody needs any more, a resolution decides.

    Args:
        lock: Any.
        names: The servers; those that it does not have are ignored.
    """
    servers = tuple(item for item in lock.servers if item.name not in names)
    running = {(item.environment, item.runtime) for item in servers}
    inner = [item for item in lock.environments if not item.makes]
    held = {
        key
        for item in inner
        if not item.private or (item.name, item.runtime) in running
        for key in ((item.name, item.runtime), *((name, item.runtime) for name in item.builds.values()))
    }
    less = replace(
        lock,
        servers=servers,
        surfaces=tuple(item for item in lock.surfaces if item.server not in names),
        builds=tuple(item for item in lock.builds if item.server not in names),
        environments=tuple(item for item in lock.environments if (item.name, item.runtime) in held),
    )
    packages = used_packages(less)
    less = replace(less, packages=tuple(item for item in lock.packages if item.id in packages))
    images, archives = used_images(less), {item.index for item in less.packages if item.kind is Kind.DEB}
    return replace(
        less,
        images=tuple(item for item in lock.images if item.reference in images),
        archives=tuple(item for item in lock.archives if item.name in archives),
    )


def used_packages(lock: Lock) -> frozenset[str]:
    """Return the ids of the packages that an environment has, or that a server is as an entry of the MCP registry."""
    entries = {server.source for server in lock.servers}
    named = {name for item in lock.environments for name in item.everywhere.union(item.tree.values())}
    return frozenset(named | {item.id for item in lock.packages if item.kind is Kind.MCP and item.source in entries})


def used_images(lock: Lock) -> frozenset[str]:
    """Return the references of the images that are bases, servers, packages, or part of what is built."""
    images = {item.base for item in lock.environments} | {server.image for server in lock.servers}
    images |= {package.location for package in lock.packages if package.kind is Kind.OCI}
    images |= {name for build in lock.builds for name in (*build.images, build.image)}
    return frozenset(images - {""})
