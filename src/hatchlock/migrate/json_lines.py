"""JSON of other tools, with the line of every value; comments, trailing commas and a byte order mark are tolerated."""

from __future__ import annotations

from collections.abc import Iterator

from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.json_text import Node, Reader
from hatchlock.manifest.problem import KeyPath
from hatchlock.migrate.document import Document, Unreadable, decoded
from hatchlock.place import Lines, Place

__all__ = ["load"]


def load(data: bytes, *, file: str) -> Document:
    """Read a file. Of a key that is there twice the last one counts.

    Args:
        data: What it holds.
        file: Its name, as it is shown.

    Raises:
        Unreadable: It is no JSON; with the line.
    """
    text = decoded(data, file=file)
    reader = _Reader(text, file)
    try:
        root = reader.document(())
        lines = dict(_lines(reader, root, ()))
    except Unparsable as problem:
        place = Place(file=file, line=problem.line)
        raise Unreadable(place=place, why=f"it is no JSON: {problem.why}") from problem
    return Document(file=file, value=root.value, lines=lines)


class _Reader(Reader):
    def __init__(self, text: str, path: str) -> None:
        super().__init__(text, path)
        self.tries = 0  # the fast way gives values without their places
        self.lines = Lines(text)

    def items(self, array: Node) -> Iterator[Node]:
        at = self.skip(array.start + 1)
        while not self.text.startswith("]", at):
            item = self.value(at, inside=None, depth=0)
            yield item
            at = self.skip(item.end)
            if self.text.startswith(",", at):
                at = self.skip(at + 1)


def _lines(reader: _Reader, node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    yield path, reader.lines.at(node.start)
    for member in node.members:
        yield from _lines(reader, member.node, (*path, member.name))
        yield (*path, member.name), reader.lines.at(member.start)
    if isinstance(node.value, list):
        for index, item in enumerate(reader.items(node)):
            yield from _lines(reader, item, (*path, index))
