"""JSON as text: where each member of an object stands, and exact edits of one member.

Reads RFC 8259 and what applications tolerate beside it: `//` and `/* */` comments, a trailing comma, a byte order mark,
duplicate names (the last one counts). `json5_text` reads more on top of it, and the edits serve both, for what is written is
plain JSON. Offsets count characters of the decoded text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from hatchlock.clients.file_text import BOM, Unparsable, line_start, newline_of

__all__ = ["Member", "Node", "Reader", "append", "parse", "remove", "rename", "render", "replace"]

_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_COMMENTS_OF_LINE = re.compile(r"(?:[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/))*")
_INDENT = re.compile(r"[ \t]*")
_REST_OF_LINE_IS_BLANK = re.compile(r"[ \t]*[\r\n]")
_DEEPEST = 200
_TRIES = (
    100  # of the fast way: each that fails costs a look at all of the text before it, where the error is said to be
)
BROKEN_STRING = "the string that starts here is broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A value and where it stands.

    Attributes:
        value: As `json.loads` would give it.
        start: The offset of its first character.
        end: The offset behind its last one.
        members: Of an object that was asked for (`parse`): its members, in the order of the file.
    """

    value: Any
    start: int
    end: int
    members: tuple[Member, ...] = ()

    def member(self, name: str) -> Member | None:
        """Return the member of that name which counts: the last one."""
        return next((member for member in reversed(self.members) if member.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member of an object.

    Attributes:
        name: Its name, unescaped.
        start: The offset of the name's first character, which may be a quote.
        name_end: The offset behind its last one.
        node: Its value.
        comma: The offset of the comma behind it; None if there is none.
    """

    name: str
    start: int
    name_end: int
    node: Node
    comma: int | None


def parse(text: str, *, path: str, inside: tuple[str, ...] = ()) -> Node:
    """Read a whole document.

    Args:
        text: The document, with or without a byte order mark.
        path: The file's name, for messages.
        inside: Names that lead from the root to an object; the members are given of the root and of the objects along
            this way only (the rest is read by the standard library where it is plain JSON, which is fast).

    Raises:
        Unparsable: It is not JSON, even with what is tolerated.
    """
    return Reader(text, path).document(inside)


def _why_no_value(opening: str) -> str:
    match opening:
        case "":
            return "it ends where a value is expected"
        case '"':
            return BROKEN_STRING
    return f"{opening!r} starts no JSON value"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


class Reader:
    """Reads one document. What a form may have beside this one overrides `skip`, `scalar` and `name`."""

    no_name: ClassVar[str] = "a name in double quotes is expected here"

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.decoder = json.JSONDecoder(parse_constant=_no_constant)
        self.tries = _TRIES

    def document(self, inside: tuple[str, ...]) -> Node:
        """Return the root, as `parse` says."""
        root = self.value(self.skip(1 if self.text.startswith(BOM) else 0), inside=inside, depth=0)
        rest = self.skip(root.end)
        if rest != len(self.text):
            self.fail(rest, "something follows the end of the document")
        return root

    def fail(self, at: int, why: str) -> NoReturn:
        """Refuse the document because of what stands at an offset."""
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        raise Unparsable(path=self.path, line=line, column=column, why=why)

    def skip(self, at: int, blank: re.Pattern[str] = _BLANK) -> int:
        """Return the offset behind blanks and comments."""
        end = _end(blank, self.text, at)
        if self.text.startswith("/*", end):
            self.fail(end, "a comment that starts here does not end")
        return end

    def scalar(self, at: int) -> Node | None:
        """Return the text, number, boolean or null that starts here; None if none does."""
        return self._plain(at)

    def name(self, at: int) -> Node | None:
        """Return the name of a member that starts here; None if none does."""
        return self.scalar(at) if self.text.startswith('"', at) else None

    def value(self, at: int, *, inside: tuple[str, ...] | None, depth: int) -> Node:
        """Return the value that starts here."""
        if depth > _DEEPEST:
            self.fail(at, "it is nested too deeply")
        opening = self.text[at : at + 1]
        if opening in ("{", "["):
            if inside is None and self.tries:
                if (plain := self._plain(at)) is not None:
                    return plain
                self.tries -= 1
            return self._object(at, inside=inside, depth=depth) if opening == "{" else self._array(at, depth=depth)
        if (scalar := self.scalar(at)) is None:
            self.fail(at, _why_no_value(opening))
        return scalar

    def _plain(self, at: int) -> Node | None:
        try:
            value, end = self.decoder.raw_decode(self.text, at)
        except (ValueError, RecursionError):
            return None
        return Node(value=value, start=at, end=end)

    def _object(self, start: int, *, inside: tuple[str, ...] | None, depth: int) -> Node:
        members: list[Member] = []
        at = self.skip(start + 1)
        while not self.text.startswith("}", at):
            member = self._member(at, inside=inside, depth=depth)
            members.append(member)
            at = self.skip(member.node.end if member.comma is None else member.comma + 1)
            if member.comma is None and not self.text.startswith("}", at):
                self.fail(at, "a comma or } is expected here")
        value = {member.name: member.node.value for member in members}
        return Node(value=value, start=start, end=at + 1, members=tuple(members))

    def _member(self, at: int, *, inside: tuple[str, ...] | None, depth: int) -> Member:
        name = self.name(at)
        if name is None:
            self.fail(at, self.no_name)
        colon = self.skip(name.end)
        if not self.text.startswith(":", colon):
            self.fail(colon, "a colon is expected here")
        below = inside[1:] if inside and inside[0] == name.value else None
        node = self.value(self.skip(colon + 1), inside=below, depth=depth + 1)
        after = self.skip(node.end)
        comma = after if self.text.startswith(",", after) else None
        return Member(name=name.value, start=at, name_end=name.end, node=node, comma=comma)

    def _array(self, start: int, *, depth: int) -> Node:
        values: list[Any] = []
        at = self.skip(start + 1)
        while not self.text.startswith("]", at):
            node = self.value(at, inside=None, depth=depth + 1)
            values.append(node.value)
            at = self.skip(node.end)
            if self.text.startswith(",", at):
                at = self.skip(at + 1)
            elif not self.text.startswith("]", at):
                self.fail(at, "a comma or ] is expected here")
        return Node(value=values, start=start, end=at + 1)


# Edits. `append` puts a member where `remove` can tell, from the text alone, what was put there and take away just that.


def append(text: str, *, root: Node, parent: Node, name: str, value: Any) -> str:
    """Return the text with one more member at the end of `parent`, in the style of its neighbours.

    Nothing else changes but the comma that the member before needs. `remove` of that member gives `text` back.

    Args:
        text: The document.
        root: Its root, as parsed; the indentation is looked up there when `parent` is empty.
        parent: The object, with its members; it may be the root.
        name: The new member's name.
        value: Its value.
    """
    if not parent.members:
        return _append_first(text, root=root, parent=parent, name=name, value=value)
    last = parent.members[-1]
    before = parent.members[-2].comma if len(parent.members) > 1 else parent.start
    spread = _breaks(text[before or parent.start : last.start])
    indent = _indent_at(text, last.start)
    spaced = text[last.node.start - 1].isspace()
    behind = last.node.end if last.comma is None else last.comma + 1
    at = _end(_COMMENTS_OF_LINE, text, behind)
    lead = newline_of(text) + indent if spread or _in_line_comment(text, behind, at) else " " * spaced
    unit = indent.removeprefix(_indent_at(text, parent.start)) or _unit_of(text, root)
    style = _Style(newline=newline_of(text), indent=indent, unit=unit if spread else None, spaced=spaced)
    member = lead + style.member(name, value)
    if last.comma is None:
        return f"{text[:behind]},{text[behind:at]}{member}{text[at:]}"
    return f"{text[:at]}{member},{text[at:]}"


def _append_first(text: str, *, root: Node, parent: Node, name: str, value: Any) -> str:
    inside, closing = parent.start + 1, parent.end - 1
    at = _behind_comments(text, inside, closing)
    outer, newline = _indent_at(text, parent.start), newline_of(text)
    if parent is not root and not _breaks(text[root.start : root.end]):
        style = _Style(newline=newline, indent="", unit=None, spaced=text[parent.start - 1].isspace())
        return text[:at] + style.member(name, value) + text[at:]
    unit = _unit_of(text, root)
    style = _Style(newline=newline, indent=outer + unit, unit=unit, spaced=True)
    member = newline + style.indent + style.member(name, value)
    if at > inside:
        return text[:at] + member + text[at:]
    return text[:closing] + member + newline + outer + text[closing:]


def replace(text: str, *, root: Node, member: Member, value: Any) -> str:
    """Return the text with another value for a member, on one line if the old value is, else spread out."""
    node = member.node
    style = _Style(
        newline=newline_of(text),
        indent=_indent_at(text, member.start),
        unit=_unit_of(text, root) if _breaks(text[node.start : node.end]) else None,
        spaced=text[node.start - 1].isspace(),
    )
    return text[: node.start] + style.value(value) + text[node.end :]


def rename(text: str, *, member: Member, name: str) -> str:
    """Return the text with another name for a member, which stays where it stands."""
    return text[: member.start] + json.dumps(name) + text[member.name_end :]


def remove(text: str, *, parent: Node, member: Member) -> str:
    """Return the text without a member of `parent`, and without the comma and the line that it needed."""
    index = parent.members.index(member)
    before = parent.members[index - 1] if index else None
    inside = before.comma + 1 if before and before.comma is not None else parent.start + 1
    end = member.node.end
    behind = end if member.comma is None else member.comma + 1
    start = _behind_comments(text, inside, member.start)
    stop = behind
    if len(parent.members) == 1 and start == inside:
        start, stop = _lines_of_only_member(text, (inside, member.start), (behind, parent.end - 1))
    if _in_line_comment(text, inside, start) and not _REST_OF_LINE_IS_BLANK.match(text, behind):
        start = member.start  # what follows must not end up in the comment before
    if member.comma is not None:
        return text[:start] + text[end : member.comma] + text[stop:]
    if before and before.comma is not None:
        return text[: before.comma] + text[before.comma + 1 : start] + text[stop:]
    return text[:start] + text[stop:]


def _lines_of_only_member(text: str, lead: tuple[int, int], tail: tuple[int, int]) -> tuple[int, int]:
    blank = text[slice(*lead)]
    if not _breaks(blank):
        return lead[1], tail[0]
    start = lead[0] + max(blank.rfind("\n"), blank.rfind("\r"))
    start -= text[start - 1 : start + 1] == "\r\n"
    rest = text[slice(*tail)]
    return start, tail[1] if rest.isspace() and _breaks(rest) else tail[0]


def render(value: Any, *, newline: str, indent: str, unit: str | None, spaced: bool = True) -> str:
    """Return a value as JSON, in ASCII.

    Args:
        value: A JSON value.
        newline: The line end.
        indent: The indentation of the line on which the value starts.
        unit: What each level is indented by; None for one line.
        spaced: On one line: whether spaces follow colons and commas.
    """
    if unit is None:
        return json.dumps(value, separators=(", ", ": ") if spaced else (",", ":"))
    return json.dumps(value, indent=unit).replace("\n", newline + indent)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    newline: str
    indent: str
    unit: str | None
    spaced: bool

    def value(self, value: Any) -> str:
        return render(value, newline=self.newline, indent=self.indent, unit=self.unit, spaced=self.spaced)

    def member(self, name: str, value: Any) -> str:
        return json.dumps(name) + (": " if self.spaced or self.unit is not None else ":") + self.value(value)


def _breaks(text: str) -> bool:
    return "\n" in text or "\r" in text


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _indent_at(text: str, at: int) -> str:
    start = line_start(text, at)
    return text[start : min(_end(_INDENT, text, start), at)]


def _unit_of(text: str, root: Node) -> str:
    if not root.members or not _breaks(text[root.start : root.members[0].start]):
        return "  "
    return _indent_at(text, root.members[0].start).removeprefix(_indent_at(text, root.start)) or "  "


def _behind_comments(text: str, start: int, stop: int) -> int:
    ends = [match.end() for match in _COMMENT.finditer(text, start, stop)]
    return ends[-1] if ends else start


def _in_line_comment(text: str, start: int, stop: int) -> bool:
    comments = [match.group() for match in _COMMENT.finditer(text, start, stop)]
    return bool(comments) and comments[-1].startswith("//")
