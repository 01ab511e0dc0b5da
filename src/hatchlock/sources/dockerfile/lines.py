"""The lines of a Dockerfile as instructions: directives, comments, continuations, here-documents. Pure.

The reading is that of Docker's reference. Where builders of different ages read the same text in two ways it is refused:
an instruction that only the builder sees could name an image that no lock has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Instruction", "Lines", "Wrong", "read_lines", "split_words"]

_BOM = "\ufeff"
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_FLAG = re.compile(r"--[a-z][a-z-]*(?:=\S*)?")
_HEREDOC = re.compile(r"\d*<<(-?)([\"']?)([A-Za-z]\w*)\2", re.ASCII)
_LIKE_HEREDOC = re.compile(r"\d*<<(?!<)")
# What may stand beside a here-document, or builders disagree whether it is one: blanks, plain variables, closed quotes.
_VARIABLE = r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})"
_BESIDE_HEREDOC = re.compile(rf"""(?:[ \t]|[^\s\\$"']|{_VARIABLE}|"(?:[^"\\$]|{_VARIABLE})*"|'[^'\\]*')*""")
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")
_SPACE = " \t\v\f\r"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """A mistake: its line, the sentence, and what to do or ""."""

    line: int
    what: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """An instruction.

    Attributes:
        line: Where it begins, counted from 1.
        last: Its last line, here-documents included.
        name: In capitals: `RUN`.
        flags: `--from=builder`, as written.
        rest: What follows them, its lines joined.
        documents: The lines of its here-documents, their ends included.
    """

    line: int
    last: int
    name: str
    flags: tuple[str, ...] = ()
    rest: str = ""
    documents: tuple[str, ...] = ()

    def flag(self, name: str) -> Iterator[str]:
        """Yield the values of a flag: `builder` of `--from=builder`."""
        return (flag.partition("=")[2] for flag in self.flags if flag.partition("=")[0] == f"--{name}")


@dataclass(kw_only=True, slots=True)
class Lines:
    """A Dockerfile, instruction by instruction.

    Attributes:
        directives: Name -> (value, line): `escape`, `syntax`, `check`.
        instructions: In order.
        wrong: What cannot be read.
    """

    directives: dict[str, tuple[str, int]] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)

    @property
    def escape(self) -> str:
        r"""The character that continues a line: `\`, or "`" where a directive says so."""
        return "`" if self.directives.get("escape", ("", 0))[0] == "`" else "\\"


def read_lines(text: str) -> Lines:
    """Read a Dockerfile's text into instructions. What is wrong is told, and reading goes on behind it."""
    lines = [line.rstrip("\r") for line in text.removeprefix(_BOM).split("\n")]
    found = Lines()
    number = _directives(lines, found)
    while number < len(lines):
        if not lines[number].strip(_SPACE) or lines[number].strip(_SPACE).startswith("#"):
            number += 1
            continue
        number = _instruction(lines, number, found)
    return found


def _directives(lines: Sequence[str], found: Lines) -> int:
    """Directives stand before everything else, comments and empty lines included."""
    for number, line in enumerate(lines):
        match = _DIRECTIVE.fullmatch(line.strip(_SPACE))
        if match is None or match[1].lower() not in {"escape", "syntax", "check"}:
            return number
        name = match[1].lower()
        if name in found.directives:
            found.wrong.append(Wrong(line=number + 1, what=f"the directive {name} is there twice"))
        if name == "escape" and match[2] not in {"\\", "`"}:
            found.wrong.append(
                Wrong(line=number + 1, what=f"no line is continued by {match[2]!r}", advice=r"write # escape=\ or `")
            )
        found.directives[name] = (match[2], number + 1)
    return len(lines)


def _instruction(lines: Sequence[str], start: int, found: Lines) -> int:
    """Read one instruction, and return where the next one begins."""
    text, number = _joined(lines, start, found)
    words = text.split(maxsplit=1)
    if not words:
        return number
    name, rest = words[0].upper(), "".join(words[1:]).strip()
    flags, rest, wrong = _flags(rest, found.escape)
    if rest.endswith(found.escape):  # what was behind it is gone, and it would continue the line for the engine
        wrong.append(f"it ends with {found.escape} and a blank that some builders skip and others do not")
    heredocs = _heredocs(name, rest)
    if heredocs is None:
        wrong.append("its here-document is read in different ways by different builders")
    found.wrong += [Wrong(line=start + 1, what=what) for what in wrong]
    documents: list[str] = []
    for strip_tabs, word in heredocs or ():
        end = next((at for at in range(number, len(lines)) if _ends(lines[at], word, strip_tabs=strip_tabs)), None)
        if end is None:
            found.wrong.append(Wrong(line=start + 1, what=f"the here-document {word} has no end"))
            break
        documents += lines[number : end + 1]
        number = end + 1
    found.instructions.append(
        Instruction(line=start + 1, last=number, name=name, flags=flags, rest=rest, documents=tuple(documents))
    )
    return number


def _joined(lines: Sequence[str], start: int, found: Lines) -> tuple[str, int]:
    """Return an instruction's text, continued lines joined, and the number of the line behind it."""
    escape = found.escape
    text = ""
    for number in range(start, len(lines)):
        line = lines[number]
        if text and (not line.strip(_SPACE) or line.strip(_SPACE).startswith("#")):
            continue
        part, goes_on = _part(line, escape)
        text += part
        if part.endswith(escape):
            what = f"a line that ends with {escape * 2} is continued by some builders and not by others"
            found.wrong.append(Wrong(line=number + 1, what=what, advice="let something follow it"))
        if not goes_on:
            return text, number + 1
    return text, len(lines)


def _part(line: str, escape: str) -> tuple[str, bool]:
    bare = line.rstrip(" \t")
    return (bare[:-1], True) if bare.endswith(escape) else (line, False)


def _flags(rest: str, escape: str) -> tuple[tuple[str, ...], str, list[str]]:
    flags: list[str] = []
    wrong: list[str] = []
    while rest.startswith("--"):
        word = rest.split(maxsplit=1)[0]
        rest = rest[len(word) :].lstrip()
        if word == "--":
            break
        if not _FLAG.fullmatch(word) or any(mark in word for mark in (*"\"'", escape)):
            wrong.append(f"the flag {word} cannot be read")
        flags.append(word)
    return tuple(flags), rest, wrong


def _heredocs(name: str, rest: str) -> list[tuple[bool, str]] | None:
    """Return whether tabs are stripped, and the last line, of each here-document; None where builders may disagree."""
    words = [word for word in split_words(rest) if _LIKE_HEREDOC.match(word)] if name in _WITH_HEREDOCS else []
    found = [match for word in words if (match := _HEREDOC.fullmatch(word))]
    if len(found) < len(words) or (words and not _BESIDE_HEREDOC.fullmatch(rest)):
        return None
    return [(bool(match[1]), match[3]) for match in found]


def _ends(line: str, word: str, *, strip_tabs: bool) -> bool:
    return (line.lstrip("\t") if strip_tabs else line) == word


def split_words(text: str) -> list[str]:
    """Split at blanks that are not quoted; quotes and escapes stay in the words."""
    words: list[str] = []
    word, quote, escaped = "", "", False
    for character in text:
        if escaped:
            word, escaped = word + character, False
        elif character.isspace() and not quote:
            words += [word] if word else []
            word = ""
        else:
            word += character
            escaped = character == "\\" and quote != "'"
            if character == quote:
                quote = ""
            elif character in "\"'" and not quote:
                quote = character
    return [*words, word] if word else words
