"""Exact edits of TOML as text: one table more or less, one member of an inline table, one item of an array.

Each of them changes nothing but that and what joins it to its neighbours, and what is added can be removed without a trace.
Offsets count characters of the decoded text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from hatchlock.clients.file_text import BOM, newline_of
from hatchlock.clients.toml_scan import Run, Span, Statement, items, members

__all__ = [
    "add_block",
    "add_item",
    "add_member",
    "remove_item",
    "remove_member",
    "remove_run",
    "replace_table",
]

_COMMENT = re.compile(r"#[^\r\n]*")
_COMMENT_OF_LINE = re.compile(r"(?:[ \t]*#[^\r\n]*)?")
_REST_OF_LINE_IS_BLANK = re.compile(r"[ \t]*[\r\n]")
_SPACE = re.compile(r"[ \t]*")
_WHITE = " \t\r\n"


# Edits of whole lines. `add_block` puts two line ends and the block behind the end of a line, so `remove_run` can tell, from the
# text alone, what was put there and take away just that.


def add_block(text: str, statements: Sequence[Statement], table: str, header: str, pairs: Sequence[str]) -> str:
    """Return the text with one more table, behind what there is of its neighbours, else at the end.

    Args:
        text: The document.
        statements: Its statements.
        table: The key that the neighbours' paths begin with.
        header: The table's header.
        pairs: Its keys and values.
    """
    newline = newline_of(text)
    if not text.strip(_WHITE + BOM):
        at = len(BOM) * text.startswith(BOM)
        return text[:at] + newline.join((header, *pairs)) + newline + text[at:]
    ours = [index for index, statement in enumerate(statements) if statement.path[0] == table]
    at = _end_of_section(text, statements, ours[-1]) if ours else _line_end(text, len(text.rstrip(_WHITE)))
    outer, inner = _indents(text, statements, table)
    block = newline.join((outer + header, *(inner + pair for pair in pairs)))
    return text[:at] + newline + newline + block + text[at:]


def remove_run(text: str, run: Run) -> str:
    """Return the text without the lines of a run, and without the empty line above that sets a table apart."""
    start, stop = _line_start(text, run.first.start), _line_end(text, run.last.end)
    if not text[:start].strip(_WHITE + BOM):
        rest = text[_behind_newline(text, stop) :]
        if run.first.is_header and rest.strip(_WHITE):
            rest = rest[_behind_newline(rest, 0) :]
        return text[:start] + rest
    start = _before_newline(text, start)
    if run.first.is_header and text[:start].endswith("\n"):
        start = _before_newline(text, start)
    return text[:start] + text[stop:]


def replace_table(text: str, run: Run, header: str, pairs: Sequence[str]) -> str:
    """Return the text with other keys in the table whose header begins a run, and without its sub-tables there.

    Args:
        text: The document.
        run: All that is said of the table.
        header: Its new header; "" to leave the one that it has.
        pairs: Its keys and values.
    """
    first = run.first
    tail = _line_end(text, first.end)
    model = first if run.second is None or run.second.is_header else run.second
    lead = newline_of(text) + _indent_at(text, model.start)
    head = text[: first.start] + header + text[first.end : tail] if header else text[:tail]
    return head + "".join(lead + pair for pair in pairs) + text[max(tail, run.last.end) :]


def _end_of_section(text: str, statements: Sequence[Statement], index: int) -> int:
    """Return the end of the line behind which nothing is about a statement's table any more.

    Comments right above the next header belong to that one.
    """
    last, header = next(
        ((one, two) for one, two in pairwise(statements[index:]) if two.is_header), (statements[-1], None)
    )
    if header is None:
        return _line_end(text, len(text.rstrip(_WHITE)))
    floor, stop = _line_end(text, last.end), _line_start(text, header.start)
    while (above := _line_start(text, stop - 1)) > floor and text[above:stop].lstrip(_WHITE).startswith("#"):
        stop = above
    return _line_end(text, len(text[:stop].rstrip(_WHITE)))


def _indents(text: str, statements: Sequence[Statement], table: str) -> tuple[str, str]:
    """Return how the last neighbour's header is indented, and its keys."""
    headers = [
        index
        for index, statement in enumerate(statements)
        if statement.is_header and statement.path[0] == table and len(statement.path) > 1
    ]
    if not headers:
        return "", ""
    least = min(len(statements[index].path) for index in headers)
    index = next(index for index in reversed(headers) if len(statements[index].path) == least)
    header, *behind = statements[index : index + 2]
    outer = _indent_at(text, header.start)
    is_pair = bool(behind) and not behind[0].is_header
    return outer, _indent_at(text, behind[0].start) if is_pair else outer


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at) + 1, len(BOM) * text.startswith(BOM))


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - (end > at and text[end - 1] == "\r")


def _before_newline(text: str, at: int) -> int:
    return at - (2 if text[:at].endswith("\r\n") else 1)


def _behind_newline(text: str, at: int) -> int:
    return at + (2 if text.startswith("\r\n", at) else text.startswith("\n", at))


def _indent_at(text: str, at: int) -> str:
    start = _line_start(text, at)
    match = _SPACE.match(text, start, at)
    return match.group() if match else ""


# Edits inside of a value.


def add_member(text: str, table: Span, member: str) -> str:
    """Return the text with one more member at the end of an inline table."""
    found = members(text, table)
    if not found:
        return text[: table.end - 1] + member + text[table.end - 1 :]
    at = found[-1].value.end
    return f"{text[:at]}, {member}{text[at:]}"


def remove_member(text: str, table: Span, index: int) -> str:
    """Return the text without one member of an inline table."""
    found = members(text, table)
    start, stop = found[index].start, found[index].value.end
    if index:
        start = found[index - 1].value.end
    elif len(found) > 1:
        stop = found[1].start
    return text[:start] + text[stop:]


def add_item(text: str, array: Span, item: str) -> str:
    """Return the text with one more item at the end of an array, on a line of its own where its neighbours have that."""
    found = items(text, array)
    newline, inside = newline_of(text), array.start + 1
    if not found:
        if "\n" not in text[array.start : array.end]:
            return text[:inside] + item + text[inside:]
        at = _behind_comments(text, inside, array.end)
        return f"{text[:at]}{newline}{_indent_at(text, array.start)}    {item},{text[at:]}"
    last = found[-1]
    before = found[-2].comma if len(found) > 1 else array.start
    behind = last.value.end if last.comma is None else last.comma + 1
    match = _COMMENT_OF_LINE.match(text, behind)
    at = match.end() if match else behind
    is_spread = "\n" in text[before or array.start : last.start]
    lead = newline + _indent_at(text, last.start) if is_spread or at > behind else " "
    if last.comma is None:
        return f"{text[:behind]},{text[behind:at]}{lead}{item}{text[at:]}"
    return f"{text[:at]}{lead}{item},{text[at:]}"


def remove_item(text: str, array: Span, index: int) -> str:
    """Return the text without one item of an array, and without the comma and the line that it needed."""
    found = items(text, array)
    item = found[index]
    before = found[index - 1].comma if index else None
    inside = array.start + 1 if before is None else before + 1
    end = item.value.end
    behind = end if item.comma is None else item.comma + 1
    start = _behind_comments(text, inside, item.start)
    if start > inside and not _REST_OF_LINE_IS_BLANK.match(text, behind):
        start = item.start  # what follows must not end up in the comment before
    if item.comma is not None:
        return text[:start] + text[end : item.comma] + text[behind:]
    if before is not None:
        return text[:before] + text[before + 1 : start] + text[end:]
    return text[:start] + text[end:]


def _behind_comments(text: str, start: int, stop: int) -> int:
    ends = [match.end() for match in _COMMENT.finditer(text, start, stop)]
    return ends[-1] if ends else start
