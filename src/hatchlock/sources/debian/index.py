"""Packages indexes, compiled once into SQLite files, so that a look-up costs microseconds and no index is parsed twice."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatchlock.files import private_directory
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.debian.control import fields_of
from hatchlock.sources.debian.package import USUAL_PIN, DebPackage
from hatchlock.sources.debian.versions import BadDebVersion

__all__ = ["CompiledIndex", "IndexOf", "IndexedUniverse", "compile_index"]

# Raised when the tables change; files of another form are left to the cache's cleaning.
_FORM = 1
# What of a paragraph is kept. The rest is most of its size.
_KEPT = re.compile(
    r"^(?:Package|Version|Architecture|Source|Pre-Depends|Depends|Conflicts|Breaks|Provides|Multi-Arch|Essential|Protected"
    r"|Important|Priority|Filename|Size|SHA256|Maintainer|Homepage|Installed-Size|Section): .*(?:\n[ \t].*)*",
    re.MULTILINE,
)
_NAME = re.compile(r"^Package: *(\S+)", re.MULTILINE)
_RELATIONS = re.compile(
    r"^(Pre-Depends|Depends|Conflicts|Breaks|Recommends|Suggests|Replaces|Enhances|Provides):(.*(?:\n[ \t].*)*)",
    re.MULTILINE,
)
# apt reads a paragraph's fields in this order, whatever the paragraph's own is
_READ_ORDER = {
    name: place
    for place, name in enumerate(
        ("Pre-Depends", "Depends", "Conflicts", "Breaks", "Recommends", "Suggests", "Replaces", "Enhances", "Provides")
    )
}
_MENTIONED = re.compile(r"(?:^|[,|])\s*([^\s,|(:\[<]+)")
_TABLES = """
CREATE TABLE form (number INTEGER);
CREATE TABLE package (id INTEGER PRIMARY KEY, name TEXT, paragraph TEXT);
CREATE TABLE provided (name TEXT, package INTEGER);
CREATE TABLE mentioned (place INTEGER PRIMARY KEY, name TEXT);
"""
_KEYS = """
CREATE INDEX package_name ON package (name);
CREATE INDEX provided_name ON provided (name);
CREATE UNIQUE INDEX mentioned_name ON mentioned (name);
"""


def compile_index(text: str, target: Path) -> None:
    """Write the compiled form of a Packages index; it appears whole or not at all.

    Args:
        text: The index.
        target: The file, in a directory that is made if needed.

    Raises:
        PermissionProblem: The directory is not ours to write.
        OSError: The disk is full, or the like.
    """
    private_directory(target.parent)
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}.tmp")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _fill(temporary, [part for part in text.split("\n\n") if part.strip()])
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(path: Path, stanzas: Sequence[str]) -> None:
    names = [match[1] if (match := _NAME.search(stanza)) else "" for stanza in stanzas]
    mentioned: dict[str, None] = {}
    provided: list[tuple[str, int]] = []
    for number, stanza in enumerate(stanzas):
        mentioned[names[number]] = None
        for field, value in sorted(_RELATIONS.findall(stanza), key=_place):
            found = _MENTIONED.findall(value)
            mentioned.update(dict.fromkeys(found))
            if field == "Provides":
                provided += [(name, number) for name in found]
    with _as_full_disk(path), contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_TABLES}")
        kept = ((number, names[number], "\n".join(_KEPT.findall(stanza))) for number, stanza in enumerate(stanzas))
        database.executemany("INSERT INTO package VALUES (?, ?, ?)", kept)
        database.executemany("INSERT INTO provided VALUES (?, ?)", provided)
        database.executemany("INSERT INTO mentioned VALUES (?, ?)", enumerate(mentioned))
        database.execute("INSERT INTO form VALUES (?)", (_FORM,))
        database.executescript(_KEYS)
        database.commit()


def _place(found: tuple[str, str]) -> int:
    return _READ_ORDER[found[0]]


@contextlib.contextmanager
def _as_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(None, str(error), str(path)) from error


class CompiledIndex:
    """A compiled index, open for reading. For any number of threads.

    Args:
        path: What `compile_index` wrote.

    Raises:
        ValueError: It is damaged, of another form, or not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            form = self._database.execute("SELECT number FROM form").fetchone()
        except sqlite3.Error as error:
            raise ValueError(str(error)) from error
        if form != (_FORM,):
            self.close()
            raise ValueError(f"form {form}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def named(self, name: str) -> list[str]:
        """Return the paragraphs of the packages of that name, in the index's order."""
        return self._ask("SELECT paragraph FROM package WHERE name = ? ORDER BY id", name)

    def providing(self, name: str) -> list[str]:
        """Return the paragraphs of the packages that provide that name."""
        question = "SELECT paragraph FROM package WHERE id IN (SELECT package FROM provided WHERE name = ?) ORDER BY id"
        return self._ask(question, name)

    def place(self, name: str) -> int | None:
        """Return the place of a name among all that the index mentions, by where it does so first; None if it does not."""
        found = self._ask("SELECT CAST(place AS TEXT) FROM mentioned WHERE name = ?", name)
        return int(found[0]) if found else None

    def _ask(self, question: str, name: str) -> list[str]:
        try:
            with self._lock:
                return [row[0] for row in self._database.execute(question, (name,))]
        except sqlite3.Error as error:
            raise BadAnswer(what=str(self._path), why=str(error)) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexOf:
    """A compiled index of a release.

    Attributes:
        suite: `ReleaseFacts.name`.
        index: The index.
        pin: apt's priority of the release.
    """

    suite: str
    index: CompiledIndex
    pin: int = USUAL_PIN


class IndexedUniverse:
    """The packages of several indexes as a `DebUniverse`. For any number of threads.

    Args:
        indexes: In the order of apt's sources.
        architecture: The one that they are of. What is for others is left out.
    """

    def __init__(self, indexes: Sequence[IndexOf], *, architecture: str) -> None:
        self.architecture = architecture
        self._indexes = tuple(indexes)
        self._named: dict[str, tuple[DebPackage, ...]] = {}
        self._providing: dict[str, tuple[DebPackage, ...]] = {}

    @property
    def releases(self) -> Sequence[str]:
        """The names of the releases that it consists of."""
        return tuple(dict.fromkeys(item.suite for item in self._indexes))

    def named(self, name: str) -> Sequence[DebPackage]:
        """Return the versions of a package, in the order of the releases; none if there is no such package.

        Raises:
            BadAnswer: A paragraph, or the file that holds it, is damaged.
        """
        if name not in self._named:
            self._named[name] = tuple(self._packages((item, item.index.named(name)) for item in self._indexes))
        return self._named[name]

    def providing(self, name: str) -> Sequence[DebPackage]:
        """Return the versions of packages that provide a name; see `named` for what is raised."""
        if name not in self._providing:
            self._providing[name] = tuple(self._packages((item, item.index.providing(name)) for item in self._indexes))
        return self._providing[name]

    def rank(self, name: str) -> int:
        """Return the place of a package among all names, in the order in which the indexes mention them first."""
        for number, item in enumerate(self._indexes):
            place = item.index.place(name)
            if place is not None:
                # no index mentions as many names
                return (number << 32) + place
        return len(self._indexes) << 32

    def _packages(self, found: Iterator[tuple[IndexOf, list[str]]]) -> Iterator[DebPackage]:
        for item, texts in found:
            for text in texts:
                fields = fields_of(text)
                if fields.get("architecture", "all") not in {self.architecture, "all"}:
                    continue
                try:
                    yield DebPackage.of(fields, suite=item.suite, pin=item.pin)
                except (KeyError, BadDebVersion) as error:
                    raise BadAnswer(
                        what=item.suite, why=f"a package has no version that can be read: {text[:60]!r}"
                    ) from error
