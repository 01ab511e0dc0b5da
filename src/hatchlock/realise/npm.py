"""Verified npm tarballs to `node_modules`, as `npm ci --ignore-scripts` leaves it; no npm, and nothing is run."""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.realise.commands import check_commands, link_to, present_commands
from hatchlock.realise.unpack import public_directory, unpack

__all__ = ["BadPlace", "NpmPlacement", "check_place", "link_commands", "unpack_packages"]

_WORKERS = 2
"""Inflating and writing run beside Python; more of them do not help."""
_MODULES = "node_modules"
_PACKAGE = r"node_modules/(?:@[^/\0]+/)?[^/.@\0][^/\0]*"
_PLACE = re.compile(rf"{_PACKAGE}(?:/{_PACKAGE})*")


@dataclass(kw_only=True, eq=False)
class BadPlace(HatchlockError):
    """A tree puts a package where none can be."""

    code: ClassVar[str] = "bad-place"

    package: str
    path: str

    def __str__(self) -> str:
        return f"{self.package} cannot be at {self.path!r}: that is no path of a package in node_modules"

    def _hint(self) -> str:
        return "run `hatchlock lock`, which chooses the tree anew"


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmPlacement:
    """A package and where it goes.

    Attributes:
        path: Below the root: `node_modules/a`, `node_modules/a/node_modules/@scope/b`.
        blob: Its verified tarball.
        name: `NAME@VERSION`, for messages.
        commands: Command -> file in the package, without a leading `./`.
    """

    path: str
    blob: Path
    name: str
    commands: Mapping[str, str] = field(default_factory=dict)


def unpack_packages(packages: Sequence[NpmPlacement], root: Path) -> None:
    """Unpack packages to their places below a directory, and link their commands into the `.bin` beside each.

    As npm does: the first directory of a tarball is left out whatever its name, links are left out, `.gitignore` is
    called `.npmignore` unless there is one, executable files stay executable and the files of commands become so, with
    the line ending of their first line mended. The result does not depend on the order of `packages`; of two commands with
    one name in one `.bin`, that of the package whose path sorts last counts.

    Args:
        packages: Every package of the tree, each path once.
        root: Where `node_modules` is made. It has no symlinks there.

    Raises:
        BadArchive: A tarball cannot be used.
        BadCommand: A command leads out of its package.
        BadPlace: A path is none of a package.
        OSError: The disk is full, or the like.
    """
    _check(packages)
    ordered = sorted(packages, key=lambda package: package.path.split("/"))
    families: dict[str, list[NpmPlacement]] = {}
    for package in ordered:
        families.setdefault(_top(package.path), []).append(package)
    for parent in {posixpath.dirname(path) for path in families}:
        public_directory(root / parent)
    with ThreadPoolExecutor(_WORKERS) as pool:
        largest_first = sorted(families.values(), key=_size, reverse=True)
        list(pool.map(lambda family: _unpack_family(family, root), largest_first))
    for package in ordered:
        holder = package.path.rpartition(f"{_MODULES}/")[0] + f"{_MODULES}/.bin"
        for command, program in present_commands(root / package.path, package.commands):
            link_to(program, at=root / holder / command)


def link_commands(root: Path, packages: Iterable[NpmPlacement], *, node: Path | None) -> tuple[str, ...]:
    """Offer commands of packages in `root/bin`, as relative symlinks, and the interpreter as `root/bin/node`.

    Args:
        root: The environment; its packages are unpacked.
        packages: Those whose commands are wanted; of two with one name the last one counts.
        node: The interpreter, an absolute path; None if there is to be none.

    Returns:
        The names that were linked, sorted. They take the place of what is in `bin` already.

    Raises:
        BadCommand: A command leads out of its package.
        OSError: The disk is full, or the like.
    """
    packages = list(packages)
    _check(packages)
    public_directory(root / "bin")
    linked = []
    if node is not None:
        (root / "bin" / "node").unlink(missing_ok=True)  # a wheel may have one
        (root / "bin" / "node").symlink_to(node)
        linked.append("node")
    for package in packages:
        for command, program in present_commands(root / package.path, package.commands):
            link_to(program, at=root / "bin" / command)
            linked.append(command)
    return tuple(sorted(set(linked)))


def check_place(package: str, path: str) -> None:
    """Refuse a place that is none of a package in `node_modules`.

    Args:
        package: What to call it in messages.
        path: The place, below the root.

    Raises:
        BadPlace: So it is.
    """
    if not _PLACE.fullmatch(path):
        raise BadPlace(package=package, path=path)


def _check(packages: Iterable[NpmPlacement]) -> None:
    for package in packages:
        check_place(package.name, package.path)
        check_commands(package.name, package.commands)


def _top(path: str) -> str:
    """The outermost package of a path: those inside one another are unpacked one after the other."""
    return path.split(f"/{_MODULES}/", maxsplit=1)[0]


def _size(family: Sequence[NpmPlacement]) -> tuple[int, str]:
    return sum(package.blob.stat().st_size for package in family), family[0].path


def _unpack_family(family: Sequence[NpmPlacement], root: Path) -> None:
    for package in family:
        directory = root / package.path
        if directory.exists():
            shutil.rmtree(directory)  # what its parent's own tarball has there
        unpack(package.blob, directory, name=package.name, strip=1, links=False, place=_renamed_as_npm_does())


def _renamed_as_npm_does() -> Callable[[str], str]:
    seen: set[str] = set()

    def place(path: str) -> str:
        directory, name = posixpath.split(path)
        if name == ".npmignore":
            seen.add(path)
        if name != ".gitignore":
            return path
        renamed = posixpath.join(directory, ".npmignore")
        return "" if renamed in seen else renamed

    return place
