"""What npm packages may be called, and what they may ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from hatchlock.errors import HatchlockError
from hatchlock.sources.npm.ranges import BadNpmRange, NpmRange

__all__ = ["BadNpmName", "Wanted", "check_name", "file_name", "is_name", "parse_wanted", "url_name", "without_secrets"]

_PART = r"[A-Za-z0-9!~*'()-][A-Za-z0-9!~*'()._-]*"
_NAME = re.compile(rf"(?:@[A-Za-z0-9!~*'()._-]+/)?{_PART}", re.ASCII)
_FORBIDDEN = frozenset({"node_modules", "favicon.ico"})
_TAG = re.compile(r"[A-Za-z0-9!~*'()._-]+", re.ASCII)
_FILE = re.compile(r".*\.(?:tgz|tar\.gz|tar)", re.IGNORECASE)
_USER = re.compile(
    r"(?P<start>\b[a-z][a-z0-9+.-]*://|\b(?:github|gitlab|bitbucket|gist):)(?P<user>[^/\s]*)@", re.IGNORECASE
)
_QUERY = re.compile(r"\?[^#\s]*")
_LONGEST = 214


@dataclass(kw_only=True, eq=False)
class BadNpmName(HatchlockError):
    """A text that no npm package can be called."""

    code: ClassVar[str] = "bad-npm-name"

    name: str

    def __str__(self) -> str:
        return f"{self.name!r} is no name of an npm package"

    def _hint(self) -> str:
        return "write npm:NAME or npm:@SCOPE/NAME, with letters, digits, `-`, `_` and `.`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a dependency asks a registry for.

    Attributes:
        name: The package; of an alias, the real one.
        spec: A range or a dist-tag; `*` where nothing was written.
        form: What `spec` is.
    """

    name: str
    spec: str
    form: Literal["range", "tag"]


def check_name(name: str) -> str:
    """Return `name` if npm packages may have it. Then it is also a safe path: one directory, or one below a scope's.

    Raises:
        BadNpmName: It is none.
    """
    if not is_name(name):
        raise BadNpmName(name=name)
    return name


def is_name(name: str) -> bool:
    """Return whether npm packages may have a name; see `check_name`."""
    scope, _, bare = name.rpartition("/")
    fits = _NAME.fullmatch(name) is not None and len(name) <= _LONGEST
    return fits and bare.lower() not in _FORBIDDEN and scope not in {"@.", "@.."}


def file_name(name: str, version: str) -> str:
    """Return what the tarball of a package is called here, as `npm pack` calls it: `acme-tool-1.0.0.tgz`."""
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


def url_name(name: str) -> str:
    """Return a name as it stands in a registry's addresses."""
    return name.replace("/", "%2F")


def without_secrets(spec: str) -> str:
    """Return what is behind a dependency's name as anybody may see it: an address without its query, user and password.

    The user of an ssh address without a password stays: it is part of where that is.
    """
    return _QUERY.sub("", _USER.sub(_public_user, spec))


def _public_user(found: re.Match[str]) -> str:
    is_plain = "ssh" in found["start"].lower() and ":" not in found["user"]
    return found[0] if is_plain else found["start"]


def parse_wanted(name: str, spec: str) -> Wanted | None:
    """Return what the dependency `"name": "spec"` asks a registry for, or None if it asks somebody else.

    Aliases (`npm:real@^1`) count. git, GitHub's `owner/repository`, addresses, files and the like are somebody else.
    """
    spec = spec.strip()
    if spec.lower().startswith("npm:"):
        real, at, inner = spec[len("npm:") :].rpartition("@")
        name, spec = (real, inner.strip()) if at and real else (spec[len("npm:") :], "")
        if spec.lower().startswith("npm:"):
            return None
    if not is_name(name):
        return None
    try:
        return Wanted(name=name, spec=NpmRange.parse(spec).text or "*", form="range")
    except BadNpmRange:
        pass
    if _TAG.fullmatch(spec) and not _FILE.fullmatch(spec):
        return Wanted(name=name, spec=spec, form="tag")
    return None
