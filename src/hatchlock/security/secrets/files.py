"""`file:` secrets: a whole file, or a name in a dotenv file; and whether anybody else can read it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = [
    "BadDotenv",
    "InsecureSecret",
    "dotenv_value",
    "dotenv_values",
    "open_to_others",
    "read_secret",
    "secret_path",
]

_LARGEST = 1 << 20
_GROUP = stat.S_IRGRP | stat.S_IWGRP
_OTHERS = stat.S_IROTH | stat.S_IWOTH
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_AFTER_QUOTED = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_BARE = re.compile(r"([^\n]*?)(?:[ \t]+#[^\n]*)?[ \t]*(?:\r?\n|\Z)")
_NOTHING = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


@dataclass(kw_only=True, eq=False)
class InsecureSecret(HatchlockError):
    """Somebody else can read or change the file of a secret."""

    code: ClassVar[str] = "insecure-secret"

    variable: str
    path: str
    mode: int
    who: str = "every user"

    def __str__(self) -> str:
        return f"the secret file {self.path} for {self.variable} can be read by {self.who} (mode {self.mode:04o})"

    def _hint(self) -> str:
        return f"chmod 600 {self.path}"


@dataclass(kw_only=True, eq=False)
class BadDotenv(HatchlockError):
    """A line of a dotenv file is none; what it says is not repeated. Its place names it."""

    code: ClassVar[str] = "bad-dotenv"

    why: str

    def __str__(self) -> str:
        return self.why

    def _hint(self) -> str:
        return "write NAME=value, NAME='value' or NAME=\"value\"; a comment begins with #"


def secret_path(path: str, *, environ: Mapping[str, str], directory: str) -> Path:
    """Return the absolute path of a secret's file: relative ones start in the project, `~/` is the user's home."""
    if path.startswith("~/") and "HOME" in environ:
        return Path(environ["HOME"]) / path[2:]
    return Path(directory) / path


def open_to_others(facts: os.stat_result) -> str:
    """Return who besides its owner can read or change a file, in words; "" for nobody.

    The group counts, unless it is the owner's private one, which has their name.
    """
    if facts.st_mode & _OTHERS:
        return "every user"
    if facts.st_mode & _GROUP and not _is_private(facts):
        return "its whole group"
    return ""


def _is_private(facts: os.stat_result) -> bool:
    import grp  # noqa: PLC0415  not on every system, and seldom asked
    import pwd  # noqa: PLC0415

    try:
        group = grp.getgrgid(facts.st_gid)
        return group.gr_name == pwd.getpwuid(facts.st_uid).pw_name and not group.gr_mem
    except KeyError:
        return False


def read_secret(path: Path, variable: str) -> bytes:
    """Return the bytes of a secret's file.

    Raises:
        InsecureSecret: Somebody else can read or change it.
        ValueError: It is no regular file, or larger than 1 MiB.
        OSError: It cannot be read.
    """
    # a pipe would be waited for
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no regular file")
        if who := open_to_others(facts):
            raise InsecureSecret(variable=variable, path=str(path), mode=stat.S_IMODE(facts.st_mode), who=who)
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError("it is larger than 1 MiB")
    return data


def dotenv_value(text: str, name: str) -> str | None:
    """Return what a dotenv file says of a name, or None; see `dotenv_values`.

    Raises:
        ValueError: As there.
    """
    return dotenv_values(text).get(name)


def dotenv_values(text: str) -> dict[str, str]:
    r"""Return what a dotenv file says. The last assignment to a name counts, as for a shell that reads it.

    A line is empty, a comment, or `NAME=value`, with `export` before it if one likes, and blanks around the `=`. A bare value
    ends at the end of the line or before a `#` that follows a blank. Between single quotes everything is itself; between
    double ones `\n \r \t \" \\ \$` are what they are in a shell, and another backslash is itself. Both may go over several
    lines. A `$` is a dollar sign: nothing is expanded.

    Raises:
        ValueError: `(line, what is wrong)`, without the text of the line.
    """
    return dict(_assignments(text.removeprefix("\ufeff")))


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        if nothing := _NOTHING.match(text, at):
            at = nothing.end()
            continue
        assignment = _ASSIGNMENT.match(text, at)
        if assignment is None:
            raise ValueError(_line(text, at), "it is no line of a dotenv file")
        value, at = _value(text, assignment.end())
        yield assignment[1], value


def _value(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] in {"'", '"'}:
        quoted = _QUOTED.match(text, at)
        after = _AFTER_QUOTED.match(text, quoted.end()) if quoted else None
        if quoted is None or after is None:
            raise ValueError(_line(text, at), "a quotation is not closed, or something follows it")
        value = quoted[1] if quoted[1] is not None else _ESCAPED.sub(_unescaped, quoted[2])
        return value, after.end()
    bare = _BARE.match(text, at)
    if bare is None:  # the pattern fits everything
        raise ValueError(_line(text, at), "it is no line of a dotenv file")
    value = bare[1]
    return ("" if value.startswith("#") else value), bare.end()


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
