"""The part of YAML that package managers write into their lock and workspace files: block mappings, lists and scalars.

No tags, anchors, block scalars or flow mappings: a value of such a form is kept as its text, which is enough for names
and versions. Nothing is ever built but dictionaries, lists and strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["YamlProblem", "parse_yaml"]


_KEY = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#'"\[\]{}&*!|>%@`-][^#]*?|-[^\s#][^#]*?)\s*:(?:\s+(?P<rest>.*))?$"""
)
_COMMENT = re.compile(r"\s+#.*$")
_DEEPEST = 50


class YamlProblem(ValueError):
    """A line that is not of that form, named in the message."""


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


@dataclass(slots=True)
class _Reader:
    lines: list[_Line]
    position: int = 0
    depth: int = field(default=0)

    def block(self, indent: int) -> object:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise YamlProblem(f"line {self.lines[self.position].number} is nested too deeply")
        is_list = self._is_item(self.lines[self.position])
        value = self._list(indent) if is_list else self._mapping(indent)
        self.depth -= 1
        return value

    @staticmethod
    def _is_item(line: _Line) -> bool:
        return line.text == "-" or line.text.startswith("- ")

    def _here(self, indent: int) -> _Line | None:
        if self.position == len(self.lines):
            return None
        line = self.lines[self.position]
        if line.indent > indent:
            raise YamlProblem(f"line {line.number} is indented in an unexpected way")
        return line if line.indent == indent else None

    def _list(self, indent: int) -> list[object]:
        items: list[object] = []
        while (line := self._here(indent)) is not None and self._is_item(line):
            rest = line.text[1:].lstrip()
            if rest and _KEY.fullmatch(rest) and not rest.startswith(('"', "'")):
                inner = indent + len(line.text) - len(rest)
                self.lines[self.position] = _Line(line.number, inner, rest)
                items.append(self.block(inner))
                continue
            self.position += 1
            items.append(_scalar(rest) if rest else self._nested(indent))
        return items

    def _mapping(self, indent: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while (line := self._here(indent)) is not None and not self._is_item(line):
            match = _KEY.fullmatch(line.text)
            if match is None:
                raise YamlProblem(f"line {line.number} is no `key: value`")
            self.position += 1
            rest = match["rest"] or ""
            if rest in {"|", ">", "|-", ">-", "|+", ">+"}:
                self._skip(indent)
            found[str(_scalar(match["key"]))] = _value(rest) if rest else self._nested(indent, in_mapping=True)
        return found

    def _nested(self, indent: int, *, in_mapping: bool = False) -> object:
        if self.position == len(self.lines):
            return ""
        line = self.lines[self.position]
        if line.indent > indent or (in_mapping and line.indent == indent and self._is_item(line)):
            return self.block(line.indent)
        return ""

    def _skip(self, indent: int) -> None:
        while self.position < len(self.lines) and self.lines[self.position].indent > indent:
            self.position += 1


def parse_yaml(text: str) -> dict[str, object]:
    """Read a document that is a mapping; of several in one file the last one that holds something.

    Raises:
        YamlProblem: A line is not of the form that is understood.
    """
    documents = [lines for part in re.split(r"^---.*$", text, flags=re.MULTILINE) if (lines := list(_lines(part)))]
    if not documents:
        return {}
    reader = _Reader(documents[-1])
    value = reader.block(documents[-1][0].indent)
    if reader.position != len(reader.lines) or not isinstance(value, dict):
        number = reader.lines[min(reader.position, len(reader.lines) - 1)].number
        raise YamlProblem(f"line {number} does not continue a mapping")
    return value


def _lines(text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.splitlines(), 1):
        body = line.lstrip(" ")
        if not body.strip() or body.startswith(("#", "%")):
            continue
        if body.startswith("\t"):
            raise YamlProblem(f"line {number} is indented with a tab")
        quoted = "'" in body or '"' in body
        yield _Line(number, len(line) - len(body), (body if quoted else _COMMENT.sub("", body)).rstrip())


def _value(text: str) -> object:
    if text.startswith("[") and text.endswith("]"):
        return [_scalar(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    return _scalar(text)


def _scalar(text: str) -> str:
    if text.startswith("'") and (end := re.match(r"'((?:[^']|'')*)'", text)):
        return end[1].replace("''", "'")
    if text.startswith('"') and (end := re.match(r'"((?:[^"\\]|\\.)*)"', text)):
        return re.sub(r"\\(.)", r"\1", end[1])
    return _COMMENT.sub("", text)
