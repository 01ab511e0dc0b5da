"""Chosen Debian packages as the lock writes them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping
from email.utils import parseaddr

from hatchlock.address import Kind
from hatchlock.lock.model import File, Package
from hatchlock.sources.base import BadAnswer, MissingHash
from hatchlock.sources.debian.choice import DebChoice
from hatchlock.sources.debian.package import DebPackage

__all__ = ["lock_packages"]


def lock_packages(choices: Mapping[str, DebChoice]) -> tuple[Package, ...]:
    """Return what was chosen as packages of a lock, sorted by id.

    Args:
        choices: Platform (`linux/amd64`) -> what was chosen for it.

    Returns:
        One package for each name and version, with a file for each platform; a file that all of `choices` use is for no
        platform in particular. Its dependencies are those of all platforms.

    Raises:
        MissingHash: A release gives no SHA-256 for a file.
        BadAnswer: A release names a file that cannot be in a pool.
    """
    found: defaultdict[tuple[str, str], dict[str, DebPackage]] = defaultdict(dict)
    for platform, choice in sorted(choices.items()):
        for package in choice.packages:
            found[package.name, str(package.version)][platform] = package
    locked = [_locked(per_platform, choices) for per_platform in found.values()]
    return tuple(sorted(locked, key=lambda package: package.id))


def _locked(found: Mapping[str, DebPackage], choices: Mapping[str, DebChoice]) -> Package:
    package = next(iter(found.values()))
    edges = {edge for platform in found for edge in choices[platform].edges[package.name]}
    return Package(
        kind=Kind.DEB,
        name=package.name,
        version=str(package.version),
        index=package.suite,
        location=_path(package)[0],
        files=_files(found, everywhere=len(found) == len(choices)),
        dependencies=tuple(sorted(edges)),
        # a name is what people look for; the address is that of a list at the archive
        authors=parseaddr(package.fields.get("maintainer", ""))[0],
        repository=package.fields.get("homepage", ""),
        signature="signed",
    )


def _files(found: Mapping[str, DebPackage], *, everywhere: bool) -> tuple[File, ...]:
    files = [_file(package, platform) for platform, package in found.items()]
    shared = {(file.name, file.sha256) for file in files}
    if everywhere and len(shared) == 1 and all(package.architecture == "all" for package in found.values()):
        return (_file(next(iter(found.values())), ""),)
    return tuple(sorted(files))


def _file(package: DebPackage, platform: str) -> File:
    name = _path(package)[1]
    sha256 = package.fields.get("sha256", "")
    if not sha256:
        raise MissingHash(file=name, index=package.suite)
    return File(name=name, sha256=sha256, size=int(package.fields.get("size", "0")), platform=platform)


def _path(package: DebPackage) -> tuple[str, str]:
    """Return directory and name of a package's file in its archive."""
    path = package.fields.get("filename", "").removeprefix("./")
    directory, name = posixpath.split(path)
    if not name.endswith(".deb") or posixpath.normpath(path) != path or path.startswith(("/", "..")):
        raise BadAnswer(what=package.suite, why=f"the file of {package.name} would be {path!r}")
    return directory, name
