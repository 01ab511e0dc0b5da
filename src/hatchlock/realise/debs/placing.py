"""Where the things of packages go: through every symlink of the base and of the layer, and who has which path."""

from __future__ import annotations

import hashlib
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.realise.base_tree import BasePath, BaseTree, SymlinkLoop
from hatchlock.realise.debs.contents import DebPath, UnpackedDeb
from hatchlock.realise.debs.database import Database, Installed, Owners
from hatchlock.realise.unpack import BadArchive
from hatchlock.sources.debian.relations import parse_relations
from hatchlock.sources.debian.versions import DebVersion

__all__ = ["BaseOverwritten", "DebsClash", "Placed", "Taken", "place", "taken_over"]


@dataclass(kw_only=True, eq=False)
class BaseOverwritten(HatchlockError):
    """A package would put something in the place of what the base has.

    Attributes:
        path: Which, absolute.
        package: `NAME VERSION`.
        owner: `NAME VERSION` of the base's package that it belongs to; "" if it belongs to none.
    """

    code: ClassVar[str] = "base-overwritten"

    path: str
    package: str
    owner: str = ""

    def __str__(self) -> str:
        whose = f"{self.owner} of the base" if self.owner else "no package of the base"
        return f"deb:{self.package} would overwrite {self.path}, which belongs to {whose}"

    def _hint(self) -> str:
        return "choose a base that has the package already, or another version of the package or the base"


@dataclass(kw_only=True, eq=False)
class DebsClash(HatchlockError):
    """Two packages want to have the same path.

    Attributes:
        path: Which, absolute.
        packages: `NAME VERSION` of both, sorted.
    """

    code: ClassVar[str] = "debs-clash"

    path: str
    packages: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.path} is in both deb:{self.packages[0]} and deb:{self.packages[1]}"

    def _hint(self) -> str:
        return "leave out one of the two, or put their servers into environments of their own"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """Something of a package, in its place.

    Attributes:
        path: Where it goes, after all symlinks.
        item: What.
        deb: Whose.
    """

    path: str
    item: DebPath
    deb: UnpackedDeb


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Who has what in the end.

    Attributes:
        placed: What the layer has, path -> thing.
        lost: Packages of the layer (by name) -> the paths, as they have them, that another one has instead.
        lost_of_base: Likewise of the base's packages, by the file that lists their paths.
    """

    placed: Mapping[str, Placed]
    lost: Mapping[str, frozenset[str]]
    lost_of_base: Mapping[str, frozenset[str]]


def place(debs: Sequence[UnpackedDeb], base: BaseTree, database: Database) -> tuple[BaseTree, tuple[Placed, ...]]:
    """Return the base with the symlinks of the layer, and where everything goes.

    A directory of a package that is a symlink in the base or in another package stays that, as with dpkg; so does one of the
    base where a package has a symlink.

    Raises:
        BadArchive: The symlinks lead in a circle.
    """
    links = [(deb, item) for deb in debs for item in deb.paths if item.kind == "symlink"]
    try:
        tree = _with_links(links, base, database)
        return tree, tuple(_placed(debs, tree, database))
    except SymlinkLoop as error:
        names = ", ".join(deb.name for deb in debs)
        raise BadArchive(archive=names, why=f"the symlinks of {error} lead in a circle") from error


def _placed(debs: Iterable[UnpackedDeb], tree: BaseTree, database: Database) -> Iterator[Placed]:
    for deb in debs:
        for item in deb.paths:
            path = _place_of(deb, item, tree, database)
            there = tree.paths.get(path)
            is_kept = there is not None and (item.kind, there.kind) in {
                ("directory", "symlink"),
                ("symlink", "directory"),
            }
            if path and not is_kept:
                yield Placed(path=path, item=item, deb=deb)


def _with_links(links: Iterable[tuple[UnpackedDeb, DebPath]], base: BaseTree, database: Database) -> BaseTree:
    """Symlinks lie behind symlinks: ask until their places stay the same."""
    links = list(links)
    below = dict(base.paths)
    own: dict[str, BasePath] = {}
    for _ in range(len(links) + 2):
        tree = BaseTree(paths=ChainMap(own, below), files=base.files)
        found: dict[str, BasePath] = {}
        for deb, item in links:
            path = _place_of(deb, item, tree, database)
            there = base.paths.get(path)
            if there is None or there.kind != "directory":
                found[path] = BasePath(kind="symlink", target=item.target)
        if found == own:
            return tree
        own = found
    raise SymlinkLoop(next(iter(own)))


def _place_of(deb: UnpackedDeb, item: DebPath, tree: BaseTree, database: Database) -> str:
    target, keeper = database.diverted.get(item.path, ("", ""))
    is_diverted = bool(target) and item.kind != "directory" and keeper != deb.name
    return tree.resolve(target if is_diverted else item.path)


def taken_over(placed: Iterable[Placed], base: BaseTree, owners: Owners) -> Taken:
    """Return who has each path: as dpkg decides it, but independent of any order.

    Raises:
        BaseOverwritten: The base has something else there, which the package does not say it replaces.
        DebsClash: Two packages do, and neither says that it replaces the other.
        OSError: A file cannot be read.
    """
    wanted: defaultdict[str, list[Placed]] = defaultdict(list)
    for item in placed:
        wanted[item.path].append(item)
    upgraded = {item.deb.name for found in wanted.values() for item in found}
    chosen: dict[str, Placed] = {}
    lost: defaultdict[str, set[str]] = defaultdict(set)
    lost_of_base: defaultdict[str, set[str]] = defaultdict(set)
    for path, candidates in sorted(wanted.items()):
        winner = chosen[path] = _winner(path, candidates)
        for other in candidates:
            if other is not winner and not other.item.same_as(winner.item):
                lost[other.deb.name].add(other.item.path)
        for owner, as_it_has_it in _replaced(winner, base, owners, upgraded):
            if owner.list_file:
                lost_of_base[owner.list_file].add(as_it_has_it)
    return Taken(
        placed=chosen,
        lost={name: frozenset(paths) for name, paths in lost.items()},
        lost_of_base={name: frozenset(paths) for name, paths in lost_of_base.items()},
    )


def _winner(path: str, candidates: Sequence[Placed]) -> Placed:
    """Directories are everybody's; of other things all but one have to be the same or replaced by that."""
    if all(item.item.kind == "directory" for item in candidates):
        return candidates[0]
    for item in candidates:
        rest = [other for other in candidates if other is not item and not other.item.same_as(item.item)]
        if all(_replaces(item.deb, other.deb.name, str(other.deb.control.field("Version"))) for other in rest):
            return item
    one, two = sorted(f"{item.deb.name} {item.deb.control.field('Version')}" for item in candidates)[:2]
    raise DebsClash(path=f"/{path}", packages=(one, two))


def _replaced(winner: Placed, base: BaseTree, owners: Owners, upgraded: set[str]) -> Iterator[tuple[Installed, str]]:
    """Yield the base's packages that lose a path, after a look whether they may."""
    there = base.paths.get(winner.path)
    if there is None or winner.item.kind == there.kind == "directory":
        return
    having = owners.of(winner.path)
    mine = any(owner.name == winner.deb.name for owner, _ in having)
    for owner, path in having:
        if owner.name in upgraded or _is_same(winner.item, owner.sums.get(path, "")):
            continue
        if not owner.version or _replaces(winner.deb, owner.name, owner.version):
            yield owner, path
        elif not mine:
            raise _overwritten(winner, f"{owner.name} {owner.version}")
    if not having and not _may_replace_unowned(winner, base, there, owners):
        raise _overwritten(winner, "")
    if there.kind == "directory":
        raise _overwritten(winner, next((f"{owner.name} {owner.version}" for owner, _ in having), ""))


def _may_replace_unowned(winner: Placed, base: BaseTree, there: BasePath, owners: Owners) -> bool:
    """Bases without dpkg list no symlinks, so those of a package that is upgraded seem to be nobody's."""
    if owners.knows(winner.deb.name):
        return True
    if there.kind == "symlink":
        return there.target == winner.item.target
    content = base.files.get(winner.path)
    return content is not None and _is_same(winner.item, hashlib.md5(content, usedforsecurity=False).hexdigest())


def _is_same(item: DebPath, md5: str) -> bool:
    return item.kind == "file" and bool(md5) and item.md5() == md5


def _overwritten(winner: Placed, owner: str) -> BaseOverwritten:
    package = f"{winner.deb.name} {winner.deb.control.field('Version')}"
    return BaseOverwritten(path=f"/{winner.path}", package=package, owner=owner)


def _replaces(deb: UnpackedDeb, name: str, version: str) -> bool:
    text = deb.control.field("Replaces")
    groups = parse_relations(" ".join(text.split()), deb.architecture if deb.architecture != "all" else "")
    return any(
        relation.name == name and relation.allows(DebVersion.parse(version)) for group in groups for relation in group
    )
