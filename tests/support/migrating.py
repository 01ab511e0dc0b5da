"""The tables of `docs/migrating/`: what each row is about, and what it says to do, which can be done.

A row has three cells. The first names commands, flags and other words of the old tool, in code. The second says what to do here, in
code: `hatchlock …` is a command; `[table]` and `key = value` are lines of the manifest, and "delete `[table]`" takes one out; a dash
alone means that there is nothing, and the third cell says why.
"""

from __future__ import annotations

import contextlib
import gc
import re
import shlex
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomlkit

from support.cats import CatProject
from support.project import Done
from support.source_tree import ROOT

__all__ = ["Command", "Lines", "Row", "World", "facts", "known", "named", "pages", "quick_collections", "rows"]

_NOTHING = "\N{EN DASH}"
_CODE = re.compile(r"`([^`]+)`")
_WORDS = re.compile(r"(delete )?`([^`]+)`")
_TABLE = re.compile(r"\[([a-zA-Z0-9_.-]+)\]")
_KEY = re.compile(r"[a-zA-Z0-9_.-]+ = ")
_ASKING = frozenset({"apply", "destroy", "gc", "rollback", "up"})
_ASKING_OF_CLIENT = frozenset({"clean", "remove", "restore", "sync"})
_TO_BE_APPLIED = frozenset({"add", "client restore", "import", "remove", "rollback"})
_OWN_PROCESS = frozenset({"exec", "probe", "run", "serve", "try"})


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a row."""

    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Lines of the manifest of a row; none: the table goes."""

    table: tuple[str, ...]
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
        section: The heading above it.
        about: The words of its first cell.
        steps: What its second cell says to do; none where there is nothing.
        reason: Its third cell.
        line: Where it stands.
    """

    section: str
    about: tuple[str, ...]
    steps: tuple[Command | Lines, ...]
    reason: str
    line: int

    @property
    def key(self) -> str:
        return " ".join(self.about)


@cache
def facts(tool: str) -> dict[str, Any]:
    """Return what `fixtures/migrating` knows of a tool."""
    return tomllib.loads((ROOT / f"fixtures/migrating/{tool}.toml").read_text())


def pages() -> dict[str, Path]:
    """Return the page of each tool."""
    return {path.stem: path for path in sorted((ROOT / "docs/migrating").glob("*.md"))}


@cache
def rows(tool: str) -> tuple[Row, ...]:
    """Return all rows of a tool's page, in order."""
    return tuple(_rows(pages()[tool].read_text()))


def _rows(text: str) -> Iterator[Row]:
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            section = line.lstrip("# ")
        if not line.startswith("| `"):
            continue
        first, second, third = (cell.strip() for cell in line.strip().strip("|").split(" |", 2))
        steps = () if second == _NOTHING else tuple(_steps(second, number))
        assert steps or second == _NOTHING, f"line {number}: nothing that can be done"
        yield Row(
            section=section, about=tuple(_CODE.findall(first)), steps=steps, reason=third.strip("| "), line=number
        )


def _steps(cell: str, line: int) -> Iterator[Command | Lines]:
    table: tuple[str, ...] = ()
    for delete, code in _WORDS.findall(cell):
        if code.startswith("hatchlock "):
            yield Command(words=tuple(shlex.split(code)[1:]))
        elif found := _TABLE.fullmatch(code):
            table = tuple(found[1].split("."))
            if delete:
                yield Lines(table=table, values={})
        else:
            assert table, f"line {line}: {code!r} stands in no table"
            assert _KEY.match(code), f"line {line}: {code!r} is no line of a table"
            yield Lines(table=table, values=tomllib.loads(code))


def known(tool: str) -> set[tuple[str, str]]:
    """Return every command with each of its flags and targets, ("run", "--env"), and what stands for itself, ("", "NO_COLOR")."""
    document = facts(tool)
    alone = ("flags", "variables", "fields", "promised_flags", "promised_variables")
    found = {("", word) for name in alone for word in document.get(name, ())}
    for command in _commands(tool):
        found |= {(command["name"], word) for word in ("", *command["flags"], *command.get("targets", ()))}
    return found


def named(tool: str, row: Row) -> set[tuple[str, str]]:
    """Return what a row is about, in the form of `known`: its commands, and each of its flags with each of them."""
    commands = {text: name for text in row.about if (name := _command(tool, text))}
    words = [text for text in row.about if text not in commands]
    if not commands:
        return {("", word) for word in words}
    targets = {(name, word) for text, name in commands.items() for word in text.removeprefix(name).split()[:1]}
    return {(name, word) for name in commands.values() for word in ("", *words)} | (targets & known(tool))


def _commands(tool: str) -> list[dict[str, Any]]:
    return [*facts(tool)["command"], *facts(tool).get("promised", ())]


def _command(tool: str, text: str) -> str:
    """Return the command that a text begins with; the longest."""
    names = [item["name"] for item in _commands(tool) if f"{text} ".startswith(f"{item['name']} ")]
    return max(names, key=len, default="")


@contextlib.contextmanager
def quick_collections() -> Iterator[None]:
    """Leave what is there already out of every collection inside the block, which makes them quick."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class World(CatProject):
    """A project in which rows are done."""

    places: Mapping[str, str] = MappingProxyType({})
    """What stands on the page -> where that is in a test."""

    def run(self, *words: str, **options: Any) -> Done:
        """Run a command in this process, and let go of what it has left open: that would be in the middle of something else."""
        done = super().run(*words, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # as `CatProject` says
            gc.collect()
        return done

    left: list[Done]
    """What each command of the last row left."""

    def do(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Do what rows say, as their user would, and yield each when it is done and applied.

        Neighbours that are lines of the manifest and nothing else are applied together.
        """
        waiting: list[Row] = []
        for row in rows:
            if not all(isinstance(step, Lines) for step in row.steps):
                yield from self._applied(waiting)
                waiting = []
                self._do(row)
                yield row
                continue
            for step in row.steps:
                assert isinstance(step, Lines)
                self._change(step)
            waiting.append(row)
        yield from self._applied(waiting)

    def _applied(self, rows: Sequence[Row]) -> Iterator[Row]:
        if rows:
            self.up()
        yield from rows

    def _do(self, row: Row) -> None:
        self.left = []
        waits = False
        for step in row.steps:
            if isinstance(step, Lines):
                self._change(step)
                waits = True
                continue
            if waits:
                self.up()
            self.left.append(self._command(row, step.words))
            waits = not _TO_BE_APPLIED.isdisjoint({step.words[0], " ".join(step.words[:2])})
        if waits:
            self.up()

    def up(self) -> None:
        """Lock and apply."""
        self.ok("up", "--yes", "--no-probe")

    def _command(self, row: Row, words: tuple[str, ...]) -> Done:
        words = tuple(self._placed(f"{self.user_home}{word[1:]}" if word.startswith("~/") else word) for word in words)
        own = self.real if words[0] in _OWN_PROCESS else self.run
        done = own(*words, *(["--yes"] if _asks(words) else []))
        assert done.status == 0, f"line {row.line}: {' '.join(words)}: {done.said}"
        return done

    def _placed(self, text: str) -> str:
        for written, place in self.places.items():
            text = text.replace(written, place)
        return text

    def _change(self, lines: Lines) -> None:
        document = tomlkit.parse(self.manifest.read_text())
        if not lines.values:
            parent: Any = document
            for name in lines.table[:-1]:
                parent = parent[name]
            del parent[lines.table[-1]]
        else:
            values = {
                key: self._placed(value) if isinstance(value, str) else value for key, value in lines.values.items()
            }
            merged = _merged(document.unwrap(), lines.table, values)
            document = tomlkit.document()
            document.update(merged)
        self.write(tomlkit.dumps(document))


def _asks(words: tuple[str, ...]) -> bool:
    if "--yes" in words or "--dry-run" in words:
        return False
    return words[0] in _ASKING or (words[0] == "client" and words[1] in _ASKING_OF_CLIENT)


def _merged(document: dict[str, Any], table: tuple[str, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    if table:
        return {**document, table[0]: _merged(document.get(table[0], {}), table[1:], values)}
    found = dict(document)
    for key, value in values.items():
        inner = isinstance(value, Mapping) and isinstance(found.get(key), Mapping) and "secret" not in value
        found[key] = _merged(found[key], (), value) if inner else value
    return found
