"""A TOML file of ours: its text, its content, and where in it something stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from hatchlock.manifest.lines import line_of
from hatchlock.manifest.problem import KeyPath, ManifestProblem, not_utf8
from hatchlock.manifest.toml_words import toml_words
from hatchlock.place import Place

__all__ = ["Toml", "check_depth", "parse"]

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_CONFLICT = re.compile(r"(?:<{7,}|\|{7,}|={7,}|>{7,})(?:\s|$)")
_ENDLESS_KEY = re.compile(r"""(?:\.[\w"' \t-]{1,100}){200}""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Toml:
    """A file that was read.

    Attributes:
        shown: Its name for users.
        text: What it holds, without a byte order mark.
        data: What that means; empty when it is broken.
        broken: Why it could not be read, or None.
    """

    shown: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    broken: ManifestProblem | None = None

    def place(self, path: KeyPath) -> Place:
        """Return where a key stands, or the closest table above it."""
        return Place(file=self.shown, line=line_of(self.text, path))


def parse(data: bytes, *, shown: str) -> Toml:
    """Read a file's bytes as TOML 1.0; what is wrong with them is in the result's `broken`."""
    text = data.decode("utf-8-sig", errors="replace")
    try:
        data.decode()
        check_depth(text)
        return Toml(shown=shown, text=text, data=tomllib.loads(text))
    except UnicodeDecodeError as error:
        problem = not_utf8(error, shown=shown)
    except tomllib.TOMLDecodeError as error:
        problem = _syntax(shown, text, str(error))
    except RecursionError:
        problem = ManifestProblem(place=Place(file=shown, line=1), what="it is nested too deeply")
    return Toml(shown=shown, text=text, broken=problem)


def check_depth(text: str) -> None:
    """Refuse a key of more parts than anybody writes, before `tomllib` takes minutes for it.

    Raises:
        RecursionError: There is one.
    """
    if _ENDLESS_KEY.search(text):
        raise RecursionError


def _syntax(shown: str, text: str, message: str) -> ManifestProblem:
    match = _POSITION.search(message)
    last = text.rstrip("\n").count("\n") + 1
    line = int(match[1]) if match and match[1] else last
    if _CONFLICT.match(text.split("\n")[line - 1]):
        what, advice = (
            "it has git conflict markers",
            "resolve them here, then run `hatchlock lock`, which resolves the lock",
        )
        return ManifestProblem(place=Place(file=shown, line=line), what=what, advice=advice)
    words, hint = toml_words(_POSITION.sub("", message))
    return ManifestProblem(place=Place(file=shown, line=line), what=f"it is not valid TOML: {words}", advice=hint)
