"""Names that are twice in one object of a JSON file: for applications and for us the last one counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.json5_text import parse as parse_json5
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.json_text import Node, Reader
from hatchlock.manifest.suspicion import known_tokens
from hatchlock.migrate.model import Left

__all__ = ["repeated"]


def repeated(data: bytes, dialect: JsonObject) -> tuple[Left, ...]:
    """Return the members of a file that another one of their name follows.

    Args:
        data: What it holds; none are found in what is no JSON.
        dialect: Which object matters: those around it as well, but nothing else of these. With an empty place all of it does.
    """
    try:
        return tuple(_repeated(data.decode("utf-8-sig"), dialect))
    except (UnicodeDecodeError, Unparsable):  # whoever reads it says what is wrong with it
        return ()


def _repeated(text: str, dialect: JsonObject) -> Iterator[Left]:
    reader = Reader(text, "")
    reader.tries = 0  # the fast way gives values without their members
    node = parse_json5(text, path="", inside=dialect.place) if dialect.form == "json5" else None
    node = node or Reader(text, "").document(dialect.place)
    for name in dialect.place:
        yield from _twice(text, node, "")
        member = node.member(name)
        if member is None:
            return
        node = member.node
    if dialect.form == "json5":
        yield from _twice(text, node, "")
    else:
        yield from _within(text, reader.value(node.start, inside=None, depth=0), "")


def _within(text: str, node: Node, before: str) -> Iterator[Left]:
    yield from _twice(text, node, before)
    for member in node.members:
        yield from _within(text, member.node, f"{before}{member.name}.")


def _twice(text: str, node: Node, before: str) -> Iterator[Left]:
    counts = Counter(member.name for member in node.members)
    for member in node.members:
        last = node.member(member.name)
        if counts[member.name] > 1 and last is not None and member is not last:
            shown = known_tokens().sub("…", f"{before}{member.name}")
            what = f"`{shown}`: the same name stands in line {_line(text, last.start)} again, and that one counts; leave one of them out"
            yield Left(line=_line(text, member.start), what=what)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
