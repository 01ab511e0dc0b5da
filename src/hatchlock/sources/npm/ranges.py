"""npm's versions and ranges, exactly as npm reads them: semver 2.0.0 in the loose form that its resolver uses.

The libraries on PyPI read a stricter language (`semantic-version` differs from npm in every fourth of the common forms), so
a lock that they check would not be the lock that npm makes. The tests compare this module with npm's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, total_ordering
from operator import eq, ge, gt, le, lt
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["BadNpmRange", "BadNpmVersion", "NpmRange", "NpmVersion"]

_LONGEST = 256
_LARGEST = 2**53 - 1
_IDENTIFIER = r"(?:[0-9]*[a-zA-Z-][a-zA-Z0-9-]*|[0-9]+)"
_PRERELEASE = rf"-?(?P<pre>{_IDENTIFIER}(?:\.{_IDENTIFIER})*)"
_BUILD = r"\+(?P<build>[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*)"
_VERSION = re.compile(
    rf"[v=\s]*(?P<major>[0-9]+)\.(?P<minor>[0-9]+)\.(?P<patch>[0-9]+)(?:{_PRERELEASE})?(?:{_BUILD})?", re.ASCII
)
_PARTIAL = (
    rf"[v=\s]*(?P<major>[0-9]+|[xX*])(?:\.(?P<minor>[0-9]+|[xX*])(?:\.(?P<patch>[0-9]+|[xX*])(?:{_PRERELEASE})?)?)?"
)
_TERM = re.compile(rf"(?P<operator>\^|~>?|[<>]?=?){_PARTIAL}", re.ASCII)
_SPAN_END = re.compile(_PARTIAL, re.ASCII)
_OPERATOR_AND_BLANK = (re.compile(r"([<>]=?|=)\s+(?=[v=]*[0-9xX*])"), re.compile(r"(~>?)\s+"), re.compile(r"(\^)\s+"))

_Key = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


@dataclass(kw_only=True, eq=False)
class BadNpmVersion(HatchlockError, ValueError):
    """A text that is no version of an npm package."""

    code: ClassVar[str] = "bad-npm-version"

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no npm version"

    def _hint(self) -> str:
        return "write three numbers: 1.2.3, or 1.2.3-beta.1"


@dataclass(kw_only=True, eq=False)
class BadNpmRange(HatchlockError, ValueError):
    """A text that is no range of npm versions; it may be a dist-tag."""

    code: ClassVar[str] = "bad-npm-range"

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no range of npm versions"

    def _hint(self) -> str:
        return "write ^1.2, ~1.2.3, >=1 <3, 1.x or 1.2.3"


@total_ordering
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NpmVersion:
    """A version, ordered as semver 2.0.0 section 11 says; where that leaves two alike, by their build metadata.

    Attributes:
        release: Major, minor and patch.
        prerelease: Dot-separated identifiers, or "".
        build: The same behind `+`, or "".
    """

    release: tuple[int, int, int]
    prerelease: str = ""
    build: str = ""
    key: _Key = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (*self.release, not self.prerelease, _identifiers(self.prerelease)))

    @classmethod
    def parse(cls, text: str) -> NpmVersion:
        """Read a version; `v1.2.3`, `=1.2.3` and `1.2.3beta` are understood as npm does.

        Raises:
            BadNpmVersion: It is none.
        """
        return _version(text)

    def __str__(self) -> str:
        text = ".".join(map(str, self.release))
        text += f"-{self.prerelease}" if self.prerelease else ""
        return text + (f"+{self.build}" if self.build else "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NpmVersion) and self._total == other._total

    def __lt__(self, other: NpmVersion) -> bool:
        return self._total < other._total

    def __hash__(self) -> int:
        return hash(self._total)

    @property
    def _total(self) -> tuple[_Key, tuple[tuple[bool, int, str], ...]]:
        return self.key, _identifiers(self.build)


@dataclass(frozen=True, slots=True)
class _Comparator:
    compare: Callable[[_Key, _Key], bool]
    bound: NpmVersion

    def allows(self, version: NpmVersion) -> bool:
        return self.compare(version.key, self.bound.key)

    def admits_prerelease(self, version: NpmVersion) -> bool:
        return bool(self.bound.prerelease) and self.bound.release == version.release


_Alternative = tuple[_Comparator, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmRange:
    """A set of versions: alternatives between `||`, each a list of comparators that must all hold.

    Attributes:
        text: As it was written, blanks reduced.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> NpmRange:
        """Read a range; "" and `*` are all versions.

        As in npm, terms that mean nothing are passed over as long as one of them means something.

        Raises:
            BadNpmRange: It is none; dist-tags such as `latest` are not.
        """
        found = cls(text=" ".join(text.split()))
        _alternatives(found.text, prereleases=False)
        return found

    def contains(self, version: NpmVersion, *, prereleases: bool = False) -> bool:
        """Return whether a version is in the range.

        Args:
            version: The version.
            prereleases: Let in every pre-release that lies between the bounds. Else one is in the range only if a
                comparator names a pre-release of the same major, minor and patch.
        """
        for comparators in _alternatives(self.text, prereleases=prereleases):
            if not all(comparator.allows(version) for comparator in comparators):
                continue
            if not version.prerelease or prereleases:
                return True
            if any(comparator.admits_prerelease(version) for comparator in comparators):
                return True
        return False

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=65536)
def _version(text: str) -> NpmVersion:
    match = _VERSION.fullmatch(text.strip())
    if match is None or len(text) > _LONGEST:
        raise BadNpmVersion(text=text)
    release = (int(match["major"]), int(match["minor"]), int(match["patch"]))
    if max(release) > _LARGEST:
        raise BadNpmVersion(text=text)
    prerelease = ".".join(str(int(part)) if part.isdigit() else part for part in (match["pre"] or "").split("."))
    return NpmVersion(release=release, prerelease=prerelease, build=match["build"] or "")


@lru_cache(maxsize=65536)
def _identifiers(text: str) -> tuple[tuple[bool, int, str], ...]:
    if not text:
        return ()
    return tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in text.split("."))


@lru_cache(maxsize=65536)
def _alternatives(text: str, *, prereleases: bool) -> tuple[_Alternative, ...]:
    try:
        read = [_alternative(part, prereleases=prereleases) for part in text.split("||")]
    except BadNpmVersion as error:
        raise BadNpmRange(text=text) from error
    found = tuple(item for item in read if item is not None)
    if not found:
        raise BadNpmRange(text=text)
    # npm takes `* || 1.0.0-beta` for `*`, so that the pre-release does not count
    return ((),) if () in found else found


def _alternative(text: str, *, prereleases: bool) -> _Alternative | None:
    """The comparators of a part between `||`; () for any version, None if nothing in it means something."""
    text = re.sub(_BUILD, "", text).strip()
    if not text:
        return ()
    first, blank_dash_blank, last = text.partition(" - ")
    if blank_dash_blank and (span := _span(first.strip(), last.strip(), prereleases=prereleases)) is not None:
        return span
    for pattern in _OPERATOR_AND_BLANK:
        text = pattern.sub(r"\1", text)
    terms = [_term(term, prereleases=prereleases) for term in text.split()]
    known = [term for term in terms if term is not None]
    return tuple(comparator for term in known for comparator in term) if known else None


def _span(first: str, last: str, *, prereleases: bool) -> _Alternative | None:
    """`1.2 - 2`: from the lowest that the first stands for to the highest that the last stands for."""
    low, high = _SPAN_END.fullmatch(first), _SPAN_END.fullmatch(last)
    if low is None or high is None:
        return None
    lowest = "0" if prereleases and not low["pre"] else ""
    found = [] if _is_any(low["major"]) else [_at_least(_numbers(low), low["pre"] if _is_full(low) else lowest, lowest)]
    if _is_any(high["major"]):
        return tuple(found)
    if not _is_full(high):
        found.append(_below(_after(high)))
    elif high["pre"] or not prereleases:
        found.append(_Comparator(le, _bound(_numbers(high), high["pre"] or "")))
    else:
        major, minor, patch = _numbers(high)
        found.append(_below((major, minor, patch + 1)))
    return tuple(found)


def _term(text: str, *, prereleases: bool) -> _Alternative | None:
    match = _TERM.fullmatch(text)
    if match is None:
        return None
    operator = match["operator"]
    if operator == "^":
        return _any_or(match, _caret_end, prereleases=prereleases)
    if operator.startswith("~"):
        return _any_or(match, _after, prereleases=prereleases)
    if _is_full(match):
        compare = {"": eq, "=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}[operator]
        return _anything(_Comparator(compare, _bound(_numbers(match), match["pre"] or "")), prereleases=prereleases)
    if _in_wrong_order(match):
        return None
    return _x_range(match, operator, prereleases=prereleases)


def _x_range(match: re.Match[str], operator: str, *, prereleases: bool) -> _Alternative:
    lowest = "0" if prereleases else ""
    if _is_any(match["major"]):
        return (_below((0, 0, 0)),) if operator in {"<", ">"} else ()
    numbers = _numbers(match)
    match operator:
        case ">":
            return _anything(_Comparator(ge, _bound(_after(match), lowest)), prereleases=prereleases)
        case ">=":
            return _anything(_Comparator(ge, _bound(numbers, lowest)), prereleases=prereleases)
        case "<":
            return (_below(numbers),)
        case "<=":
            return (_below(_after(match)),)
        case _:
            return (_at_least(numbers, lowest, lowest), _below(_after(match)))


def _any_or(
    match: re.Match[str], end: Callable[[re.Match[str]], tuple[int, int, int]], *, prereleases: bool
) -> _Alternative:
    if _is_any(match["major"]):
        return ()
    lowest = "0" if prereleases and not _is_full(match) else ""
    return (_at_least(_numbers(match), match["pre"] if _is_full(match) else "", lowest), _below(end(match)))


def _caret_end(match: re.Match[str]) -> tuple[int, int, int]:
    major, minor, patch = _numbers(match)
    # the text counts: npm takes 00 for another number than 0
    if match["major"] != "0" or _is_any(match["minor"]):
        return (major + 1, 0, 0)
    if not _is_full(match) or match["minor"] != "0":
        return (0, minor + 1, 0)
    return (0, 0, patch + 1)


def _after(match: re.Match[str]) -> tuple[int, int, int]:
    """The first release behind all that a version stands for when its patch is left open."""
    major, minor, _ = _numbers(match)
    return (major + 1, 0, 0) if _is_any(match["minor"]) else (major, minor + 1, 0)


def _numbers(match: re.Match[str]) -> tuple[int, int, int]:
    minor = "0" if _is_any(match["minor"]) else match["minor"]
    patch = match["patch"] if _is_full(match) else "0"
    return int(match["major"]), int(minor), int(patch)


def _is_any(part: str | None) -> bool:
    return part is None or part in {"x", "X", "*"}


def _is_full(match: re.Match[str]) -> bool:
    return not any(_is_any(match[part]) for part in ("major", "minor", "patch"))


def _in_wrong_order(match: re.Match[str]) -> bool:
    return (_is_any(match["major"]) and not _is_any(match["minor"])) or (
        _is_any(match["minor"]) and not _is_any(match["patch"])
    )


def _bound(release: tuple[int, int, int], prerelease: str) -> NpmVersion:
    return _version(".".join(map(str, release)) + (f"-{prerelease}" if prerelease else ""))


def _below(release: tuple[int, int, int]) -> _Comparator:
    return _Comparator(lt, _bound(release, "0"))


def _at_least(release: tuple[int, int, int], prerelease: str | None, lowest: str) -> _Comparator:
    return _Comparator(ge, _bound(release, prerelease or lowest))


def _anything(comparator: _Comparator, *, prereleases: bool) -> _Alternative:
    """`>=0.0.0` is written for "any version", and means that, as alternatives are concerned."""
    lowest = _bound((0, 0, 0), "0" if prereleases else "")
    return () if comparator.compare is ge and comparator.bound == lowest else (comparator,)
