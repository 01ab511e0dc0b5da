"""Debian packages as a lock has them."""

from __future__ import annotations

from hatchlock.address import Kind
from hatchlock.lock.model import File, Package
from support.debian_archive import Deb

__all__ = ["locked_deb"]


def locked_deb(deb: Deb, *edges: str, index: str = "debian/bookworm") -> Package:
    """Return a package of an archive as it is locked, with its edges in the lock's form."""
    platform = "" if deb.architecture == "all" else f"linux/{deb.architecture}"
    file = File(name=deb.file_name, sha256=deb.sha256, size=len(deb.data), platform=platform)
    return Package(
        kind=Kind.DEB,
        name=deb.name,
        version=deb.version,
        index=index,
        location=deb.path.rpartition("/")[0],
        files=(file,),
        dependencies=tuple(sorted(edges)),
        signature="signed",
    )
