"""dpkg's records of what a base has: its packages, what belongs to them, and which paths are diverted."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from hatchlock.realise.base_tree import BaseTree
from hatchlock.realise.debs.package_file import deb_fields

__all__ = ["DIVERSIONS", "INFO", "STATUS", "STATUS_PARTS", "Database", "Installed", "Owners", "read_database"]

STATUS = "var/lib/dpkg/status"
STATUS_PARTS = "var/lib/dpkg/status.d"
"""Of bases that were made without dpkg: a file for each package, without `Status`."""
INFO = "var/lib/dpkg/info"
DIVERSIONS = "var/lib/dpkg/diversions"

_BETWEEN = re.compile(r"\n(?:[ \t]*\n)+")
_SUM = re.compile(r"([0-9a-f]{32})  ?(?:\./)?(.+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A package of the base, or what is left of it.

    Attributes:
        name: Its name.
        architecture: Of its binaries, or "all".
        version: Its version; "" where nothing is left of it.
        stanza: Its paragraph, as it stands there, without a line break at its end.
        where: The file that has the paragraph.
        list_file: The file that lists its paths; "" if there is none.
        paths: Those, without a leading slash, as the package has them.
        sums: Path -> MD5 of its content, likewise.
    """

    name: str
    architecture: str
    version: str
    stanza: str = field(repr=False)
    where: str
    list_file: str = ""
    paths: tuple[str, ...] = field(default=(), repr=False)
    sums: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """Everything that the base's records say.

    Attributes:
        packages: In the order of the records.
        in_parts: Whether each package's paragraph is a file of its own.
        diverted: Path -> where it is to be found instead, and which package's own file keeps its place ("" for none).
    """

    packages: tuple[Installed, ...]
    in_parts: bool
    diverted: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def installed(self, name: str, architecture: str) -> Installed | None:
        """Return the package that a new one of that name takes the place of."""
        named = [item for item in self.packages if item.name == name]
        return next((item for item in named if "all" in {architecture, item.architecture}), None) or next(
            (item for item in named if item.architecture == architecture), None
        )


class Owners:
    """Whose a base's paths are, after its symlinks.

    Args:
        database: The records.
        tree: Follows the symlinks; those that layers bring may be among them.
    """

    def __init__(self, database: Database, tree: BaseTree) -> None:
        self._found: dict[str, list[tuple[Installed, str]]] = {}
        self._names = {package.name for package in database.packages if package.version}
        directory = lru_cache(maxsize=None)(lambda path: tree.resolve(f"{path}/x").removesuffix("x"))
        for package in database.packages:
            for path in package.paths:
                head, _, name = path.rpartition("/")
                self._found.setdefault(f"{directory(head)}{name}", []).append((package, path))

    def of(self, path: str) -> list[tuple[Installed, str]]:
        """Return the packages that a path belongs to, each with the path as it has it."""
        return self._found.get(path, [])

    def knows(self, name: str) -> bool:
        """Return whether there is such a package."""
        return name in self._names

    def only_of(self, names: Collection[str]) -> Iterator[str]:
        """Yield the paths that belong to packages of these names and to no others."""
        for path, owners in self._found.items():
            if all(owner.name in names for owner, _ in owners):
                yield path


def read_database(files: Mapping[str, bytes]) -> Database:
    """Read dpkg's records.

    Args:
        files: Path -> content of the base's files below /var/lib/dpkg.
    """
    parts = [
        path
        for path in sorted(files)
        if posixpath.dirname(path) == STATUS_PARTS and not path.endswith((".md5sums", ".conffiles", ".list"))
    ]
    in_parts = STATUS not in files and bool(parts)
    places = parts if in_parts else [STATUS] if STATUS in files else []
    packages = [
        _installed(stanza, place, files)
        for place in places
        for stanza in _stanzas(files[place].decode(errors="replace"))
    ]
    return Database(
        packages=tuple(item for item in packages if item.name),
        in_parts=in_parts,
        diverted=_diverted(files.get(DIVERSIONS, b"").decode(errors="replace")),
    )


def _stanzas(text: str) -> Iterator[str]:
    for part in _BETWEEN.split(text.strip("\n")):
        if part.strip():
            yield part.strip("\n")


def _installed(stanza: str, where: str, files: Mapping[str, bytes]) -> Installed:
    fields = {name.lower(): value.strip() for name, value in deb_fields(stanza)}
    name, architecture = fields.get("package", ""), fields.get("architecture", "all")
    if where != STATUS:
        sums = _sums(files.get(f"{where}.md5sums", b""))
        return Installed(
            name=name,
            architecture=architecture,
            version=fields.get("version", ""),
            stanza=stanza,
            where=where,
            # there is no other list
            paths=tuple(sums),
            sums=sums,
        )
    heads = (f"{INFO}/{name}", f"{INFO}/{name}:{architecture}")
    head = next((item for item in heads if f"{item}.list" in files), "")
    is_there = fields.get("status", "").endswith(" installed")
    return Installed(
        name=name,
        architecture=architecture,
        version=fields.get("version", "") if is_there else "",
        stanza=stanza,
        where=where,
        list_file=f"{head}.list" if head else "",
        paths=_listed(files.get(f"{head}.list", b"")),
        sums=_sums(files.get(f"{head}.md5sums", b"")),
    )


def _listed(content: bytes) -> tuple[str, ...]:
    lines = (line.strip("/") for line in content.decode(errors="surrogateescape").splitlines())
    return tuple(line for line in lines if line not in {"", "."})


def _sums(content: bytes) -> dict[str, str]:
    lines = (_SUM.fullmatch(line) for line in content.decode(errors="surrogateescape").splitlines())
    return {match[2].lstrip("/"): match[1] for match in lines if match}


def _diverted(text: str) -> dict[str, tuple[str, str]]:
    lines = text.splitlines()
    # a colon stands for the machine's owner, whose file nobody has
    return {
        path.lstrip("/"): (to.lstrip("/"), "" if package == ":" else package)
        for path, to, package in zip(lines[::3], lines[1::3], lines[2::3], strict=False)
    }
