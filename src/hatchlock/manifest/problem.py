"""What can be wrong with a manifest, and how it is said."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import KeyProblem
from hatchlock.place import Place

__all__ = [
    "Caution",
    "Finding",
    "KeyPath",
    "ManifestProblem",
    "NotYet",
    "closest",
    "did_you_mean",
    "dotted",
    "not_utf8",
]

KeyPath = tuple[str | int, ...]
"""Where a value stands in a TOML document: table and key names, and indexes of lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something to report.

    Attributes:
        path: What it is about.
        what: The sentence.
        advice: The hint, or "".
        is_locked: Whether the lock pins what it is about, so that only `lock --upgrade` may surprise.
    """

    path: KeyPath
    what: str
    advice: str = ""
    is_locked: bool = False


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: KeyPath) -> str:
    """Return a key path as it would be written in TOML: `servers.time.sandbox.mounts[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        text += ("." if text else "") + (part if _BARE.fullmatch(part) else f'"{part}"')
    return text


def closest(word: str, choices: Iterable[str]) -> str:
    """Return the choice that `word` was probably meant to be, or ""."""
    known = sorted(str(choice) for choice in choices)
    swapped = [choice for choice in known if sorted(choice) == sorted(word)]
    return next(iter(swapped or difflib.get_close_matches(word, known, n=1)), "")


def did_you_mean(word: str, choices: Iterable[str], otherwise: str = "") -> str:
    """Return a hint that names the closest choice, else `otherwise`."""
    found = closest(word, choices)
    return f"did you mean {found!r}?" if found else otherwise


@dataclass(kw_only=True, eq=False)
class ManifestProblem(KeyProblem):
    """Something in a manifest or its overlay that is wrong."""

    code: ClassVar[str] = "manifest"


def not_utf8(error: UnicodeDecodeError, *, shown: str) -> ManifestProblem:
    """Return what is wrong with a file that cannot be decoded, with its line, and how it becomes what it has to be."""
    data = error.object
    encoding = "UTF-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "WINDOWS-1252"
    return ManifestProblem(
        place=Place(file=shown, line=data.count(b"\n", 0, error.start) + 1),
        what=f"it is not UTF-8, as TOML has to be: byte {error.start + 1} is {data[error.start]:#04x}",
        advice="save it as UTF-8 in an editor, or look at what this prints and put it there: "
        f"iconv -f {encoding} -t UTF-8 {shlex.quote(shown)}",
    )


@dataclass(kw_only=True, eq=False)
class NotYet(ManifestProblem):
    """A key or value that belongs to the manifest, but that this version cannot do."""

    code: ClassVar[str] = "not-yet"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caution:
    """Something in a manifest that works, and may surprise.

    Attributes:
        place: Its line.
        key: The dotted key path that it is about.
        what: The sentence, without a full stop.
        hint: What to do about it, or "".
        server: The server in whose table it stands; "" for none.
        is_locked: Whether the lock pins what it is about, so that only `lock --upgrade` may surprise.
    """

    place: Place
    key: str
    what: str
    hint: str = ""
    server: str = ""
    is_locked: bool = False

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" if self.key else self.what
