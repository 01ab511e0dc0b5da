"""A file of another tool as values that know their lines, in whatever form it is written.

`yaml_lines`, `json_lines` and `toml_lines` each read one form. Who reads a format walks over `Part`s, and neither asks nor
knows which form it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from hatchlock.errors import HatchlockError
from hatchlock.manifest.problem import KeyPath, dotted
from hatchlock.migrate.model import Left
from hatchlock.place import Place

__all__ = ["Document", "Part", "Unreadable", "decoded"]


@dataclass(kw_only=True, eq=False)
class Unreadable(HatchlockError):
    """A file of another tool that is broken, or is not what its tool would read.

    Attributes:
        why: What is wrong, without any value of the file.
        advice: The hint.
    """

    code: ClassVar[str] = "unreadable-import"

    why: str
    advice: str = ""

    def __str__(self) -> str:
        return self.why

    def _hint(self) -> str:
        return self.advice or "mend the file, or leave it out of the import; it was not changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A file, read.

    Attributes:
        file: Its name, as it is shown.
        value: What it holds: mappings, lists, texts, numbers, booleans, None; aliases and merges of YAML are followed.
        lines: The line, counted from 1, of every key and of every item of a list, by its path.
    """

    file: str
    value: Any
    lines: Mapping[KeyPath, int] = field(repr=False)

    @property
    def root(self) -> Part:
        """All of it."""
        return Part(document=self, path=(), value=self.value)

    def line(self, path: KeyPath) -> int:
        """Return the line of a path, or of the closest that is above it and written down; 1 if there is none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A value of a document, and where it stands.

    Attributes:
        document: Whose it is.
        path: The keys and the indexes that lead to it.
        value: The value.
    """

    document: Document
    path: KeyPath
    value: Any = field(repr=False)

    @property
    def line(self) -> int:
        """The line of its key, or of the item."""
        return self.document.line(self.path)

    @property
    def key(self) -> str:
        """Its own key, or the index of the item, as text; "" of the whole document."""
        return str(self.path[-1]) if self.path else ""

    def __contains__(self, key: str) -> bool:
        """Whether it is a mapping that has a key, with a value that is not null."""
        return isinstance(self.value, Mapping) and self.value.get(key) is not None

    def get(self, key: str) -> Part | None:
        """Return what stands below a key; None if there is nothing, or null.

        Raises:
            Unreadable: It is no mapping.
        """
        value = self.table().get(key)
        return None if value is None else self._below(key, value)

    def need(self, key: str) -> Part:
        """Return what stands below a key.

        Raises:
            Unreadable: It is no mapping, or has no such key.
        """
        found = self.get(key)
        return self.fail(f"`{key}` is missing") if found is None else found

    def table(self) -> Mapping[str, Any]:
        """Return the mapping that it is; an empty one for null.

        Raises:
            Unreadable: It is none.
        """
        if self.value is None:
            return {}
        return self.value if isinstance(self.value, Mapping) else self.fail("it must be a mapping")

    def members(self) -> Iterator[Part]:
        """Yield what the keys of a mapping hold, null too, in their order.

        Raises:
            Unreadable: It is no mapping.
        """
        for key, value in self.table().items():
            yield self._below(key, value)

    def each(self) -> Iterator[Part]:
        """Yield the items of a list; none for null.

        Raises:
            Unreadable: It is no list.
        """
        if self.value is not None and not isinstance(self.value, list):
            self.fail("it must be a list")
        for index, value in enumerate(self.value or ()):
            yield self._below(index, value)

    def text(self) -> str:
        """Return the text that it is; a number or a boolean as it would be written.

        Raises:
            Unreadable: It is something else.
        """
        match self.value:
            case str():
                return self.value
            case bool():
                return "true" if self.value else "false"
            case int() | float():
                return str(self.value)
        return self.fail("it must be a text")

    def texts(self) -> tuple[str, ...]:
        """Return the texts of a list; a text alone is a list of one.

        Raises:
            Unreadable: It is neither.
        """
        return (self.value,) if isinstance(self.value, str) else tuple(item.text() for item in self.each())

    def flag(self) -> bool:
        """Return the boolean that it is.

        Raises:
            Unreadable: It is none.
        """
        return self.value if isinstance(self.value, bool) else self.fail("it must be true or false")

    def left(self, why: str) -> Left:
        """Return that it cannot be carried over.

        Args:
            why: A clause behind its key: "hatchlock restarts servers by itself".
        """
        return Left(line=self.line, what=f"`{self.key}`: {why}")

    def fail(self, why: str, advice: str = "") -> NoReturn:
        """Refuse the document because of this value.

        Raises:
            Unreadable: Always.
        """
        what = f"{dotted(self.path)}: {why}" if self.path else why
        raise Unreadable(place=Place(file=self.document.file, line=self.line), why=what, advice=advice)

    def _below(self, key: str | int, value: Any) -> Part:
        return Part(document=self.document, path=(*self.path, key), value=value)


def decoded(data: bytes, *, file: str) -> str:
    """Return a file's text, without a byte order mark.

    Raises:
        Unreadable: It is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(place=Place(file=file, line=line), why="it is not UTF-8") from error
