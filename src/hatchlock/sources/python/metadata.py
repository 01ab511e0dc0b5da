"""What a wheel says about itself: METADATA and entry_points.txt (core metadata specification, PEP 566, 639, 753)."""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Self

__all__ = ["WheelMetadata", "is_static", "read_scripts"]

_REPOSITORY_LABELS = ("source", "sourcecode", "repository", "github", "code", "homepage")
_FORGES = ("github.com/", "gitlab.com/", "codeberg.org/", "bitbucket.org/", "sr.ht/")
_LONGEST_LICENCE = 80
_STATIC_SINCE = (2, 2)
_DECIDING = frozenset({"requires-dist", "requires-python", "provides-extra"})
_UNKNOWN = frozenset({"", "UNKNOWN"})


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelMetadata:
    """The part of a wheel's metadata that locking needs.

    Attributes:
        requires_dist: PEP 508 requirements as written.
        requires_python: A PEP 440 specifier, or "".
        extras: Declared extras as written.
        licence: SPDX expression, else the package's own short words, else "".
        authors: Author or maintainer, or "".
        repository: URL of its source code, or "".
        scripts: Console scripts, name -> `module:function`; None if nobody looked yet.
    """

    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    extras: tuple[str, ...] = ()
    licence: str = ""
    authors: str = ""
    repository: str = ""
    scripts: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, data: bytes, *, scripts: Mapping[str, str] | None = None) -> Self:
        """Read a METADATA file.

        Raises:
            ValueError: It names no package, so it is no such file.
        """
        fields = _headers(data)
        if not fields.get("name"):
            raise ValueError("it has no Name")
        return cls(
            requires_dist=tuple(fields.get("requires-dist", ())),
            requires_python=_first(fields, "requires-python"),
            extras=tuple(fields.get("provides-extra", ())),
            licence=_licence(fields),
            authors=_authors(fields),
            repository=_repository(fields),
            scripts=scripts,
        )

    def to_json(self) -> bytes:
        """Return it as JSON, for the cache."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read back what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: It is something else.
        """
        values = json.loads(data)
        return cls(**values | {name: tuple(values[name]) for name in ("requires_dist", "extras")})


def read_scripts(data: bytes) -> Mapping[str, str]:
    """Return the console scripts of an entry_points.txt, name -> `module:function`.

    Raises:
        ValueError: It is no such file.
    """
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    try:
        parser.read_string(data.decode())
    except configparser.Error as error:
        raise ValueError(str(error)) from error
    if not parser.has_section("console_scripts"):
        return {}
    # "module:function [extra]" is the old way to ask for an extra
    return {name: value.partition("[")[0].strip() for name, value in sorted(parser.items("console_scripts"))}


def is_static(data: bytes) -> bool:
    """Return whether the PKG-INFO of a source distribution binds the wheels that are built from it (PEP 643).

    That is so when it says what the package needs, and does not leave that to the build.
    """
    fields = _headers(data)
    try:
        since = tuple(int(part) for part in _first(fields, "metadata-version").split("."))
    except ValueError:
        return False
    return since >= _STATIC_SINCE and _DECIDING.isdisjoint(field.lower() for field in fields.get("dynamic", ()))


def _headers(data: bytes) -> dict[str, list[str]]:
    """Read the headers only: `email` would also split the description, which is most of the file."""
    text = data.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode(errors="replace")
    fields: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if line[:1] in {" ", "\t"} and current:
            current[-1] += "\n" + line.strip()
            continue
        name, _, value = line.partition(":")
        current = fields.setdefault(name.strip().lower(), [])
        current.append(value.strip())
    return fields


def _first(fields: Mapping[str, list[str]], *names: str) -> str:
    for name in names:
        for value in fields.get(name, ()):
            if value not in _UNKNOWN:
                return value
    return ""


def _licence(fields: Mapping[str, list[str]]) -> str:
    if expression := _first(fields, "license-expression"):
        return expression
    # some put the whole text into License
    if 0 < len(words := _first(fields, "license")) <= _LONGEST_LICENCE and "\n" not in words:
        return words
    classified = (item for item in fields.get("classifier", ()) if item.startswith("License ::"))
    return next((item.rpartition(" :: ")[2] for item in classified), "")


def _authors(fields: Mapping[str, list[str]]) -> str:
    named = _first(fields, "author", "maintainer") or _first(fields, "author-email", "maintainer-email")
    name = named.partition("<")[0].strip().strip('"') or named
    return " ".join(name.split())


def _repository(fields: Mapping[str, list[str]]) -> str:
    urls = dict(_project_urls(fields.get("project-url", ())))
    urls.setdefault("homepage", _first(fields, "home-page"))
    for label in _REPOSITORY_LABELS:
        url = urls.get(label, "")
        if url and (label != "homepage" or any(forge in url for forge in _FORGES)):
            return url
    return ""


def _project_urls(values: Iterable[str]) -> Iterable[tuple[str, str]]:
    for value in values:
        label, _, url = value.partition(",")
        yield "".join(character for character in label.lower() if character.isalnum()), url.strip()
