"""Debian's versions, ordered as Debian Policy 5.6.12 says and dpkg does it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache, total_ordering
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["BadDebVersion", "DebVersion"]

_VERSION = re.compile(
    r"(?:(?P<epoch>[0-9]+):)?(?P<upstream>[A-Za-z0-9][A-Za-z0-9.+~:-]*?)(?:-(?P<revision>[A-Za-z0-9.+~]+))?", re.ASCII
)
# more digits than that are no number to Python
_LONGEST = 4000
_LARGEST_EPOCH = 2**31 - 1
_PAIR = re.compile(r"([^0-9]*)([0-9]*)", re.ASCII)
# The end of a part sorts before everything but a tilde, letters before what is neither.
_END = "\x02"
_WEIGHTS = {"~": "\x01", **{sign: chr(ord(sign) + 256) for sign in "+-.:"}}
_RANKED = str.maketrans(_WEIGHTS)

_Part = tuple[str | int, ...]


@dataclass(kw_only=True, eq=False)
class BadDebVersion(HatchlockError, ValueError):
    """A text that is no version of a Debian package."""

    code: ClassVar[str] = "bad-deb-version"

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no version of a Debian package"

    def _hint(self) -> str:
        return "write it as `apt-cache policy` shows it: 2.36-9, 1:2.39.5-0+deb12u2"


@total_ordering
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DebVersion:
    """A version, ordered as dpkg orders it. Equal is what dpkg calls equal: `1.0` and `1.0-0` are.

    Attributes:
        text: As it was written.
        epoch: The number before the colon, else 0.
        upstream: What the authors call it.
        revision: Debian's own part behind the last hyphen, or "".
    """

    text: str
    epoch: int
    upstream: str
    revision: str
    key: tuple[int, _Part, _Part] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.epoch, _part(self.upstream), _part(self.revision)))

    @classmethod
    def parse(cls, text: str) -> DebVersion:
        """Read a version, `[epoch:]upstream[-revision]`.

        Raises:
            BadDebVersion: It is none.
        """
        return _parse(text)

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DebVersion) and self.key == other.key

    def __lt__(self, other: DebVersion) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=65536)
def _parse(text: str) -> DebVersion:
    match = _VERSION.fullmatch(text.strip())
    if match is None or len(text) > _LONGEST or _is_ambiguous(match):
        raise BadDebVersion(text=text)
    epoch = int(match["epoch"] or 0)
    if epoch > _LARGEST_EPOCH:
        raise BadDebVersion(text=text)
    return DebVersion(text=text.strip(), epoch=epoch, upstream=match["upstream"], revision=match["revision"] or "")


def _is_ambiguous(match: re.Match[str]) -> bool:
    """Return whether the upstream part has a colon or hyphen that would be read as the end of epoch or upstream part."""
    return (match["epoch"] is None and ":" in match["upstream"]) or (
        match["revision"] is None and "-" in match["upstream"]
    )


def _part(text: str) -> _Part:
    """Return text and numbers in turn, beginning and ending with text, so that tuples compare as the policy says."""
    pairs = [pair for pair in _PAIR.findall(text) if any(pair)] or [("", "")]
    pieces = [piece for letters, digits in pairs for piece in (f"{letters.translate(_RANKED)}{_END}", int(digits or 0))]
    return (*pieces, _END)
