"""What apt's sources say: the one-line form of `*.list` files and the deb822 form of `*.sources` files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.net.credentials import without_userinfo
from hatchlock.sources.debian.control import paragraphs

__all__ = ["AptSource", "BadAptSource", "apt_sources"]

_OPTIONS = re.compile(r"\[([^\]]*)\]")
_MAIN = "etc/apt/sources.list"
_DIRECTORY = "etc/apt/sources.list.d/"
_SHORTEST = 3
_FALSE = frozenset({"no", "false", "without", "off", "disable", "0"})
_ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


@dataclass(kw_only=True, eq=False)
class BadAptSource(HatchlockError):
    """An entry of apt's sources that apt would not understand."""

    code: ClassVar[str] = "bad-apt-source"

    path: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}, entry {self.line}: {self.why}"

    def _hint(self) -> str:
        return "mend it where the base or machine is made, or declare url, suite and components below [indexes.debian]"


@dataclass(frozen=True, kw_only=True, slots=True)
class AptSource:
    """One suite of binary packages.

    Attributes:
        url: The archive's address, without user name and password.
        suite: Suite or codename; it ends in `/` if it is the directory of a flat archive.
        components: Empty for a flat archive.
        architectures: Those that it is limited to; empty for any.
        keyrings: Absolute paths of the keyrings that its signature is checked with.
        fingerprints: The keys that may sign it; empty for any of the keyrings.
        key: An armored key that stands in the entry itself; "" for none.
        checks_age: Whether `Valid-Until` counts.
        snapshot: The id of the snapshot that it asks for; "" for none.
    """

    url: str
    suite: str
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    keyrings: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    key: str = ""
    checks_age: bool = True
    snapshot: str = ""


def apt_sources(files: Mapping[str, bytes]) -> tuple[AptSource, ...]:
    """Read apt's sources in the order in which apt reads them.

    Args:
        files: Path relative to the root -> content; what is no source of apt's is passed over.

    Returns:
        The enabled sources of binary packages, one for each address and suite.

    Raises:
        BadAptSource: An entry is malformed.
    """
    found: list[AptSource] = []
    for path in sorted(files, key=lambda item: (item != _MAIN, item)):
        text = files[path].decode(errors="replace")
        if path == _MAIN or (path.startswith(_DIRECTORY) and path.endswith(".list")):
            found += _one_lines(path, text)
        elif path.startswith(_DIRECTORY) and path.endswith(".sources"):
            found += _deb822(path, text)
    return tuple(dict.fromkeys(found))


def _one_lines(path: str, text: str) -> Iterator[AptSource]:
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content or content.split()[0] != "deb":
            continue
        match = _OPTIONS.search(content.split("://")[0])
        options = _options(match[1]) if match else {}
        words = (content.replace(match[0], " ", 1) if match else content).split()
        url, suite, *components = [*words[1:], "", ""] if len(words) < _SHORTEST else words[1:]
        if not suite or suite.endswith("/") == bool(components):
            raise BadAptSource(path=path, line=number, why="it is not `deb [options] address suite component…`")
        yield _source(options, url=url, suite=suite, components=components)


def _options(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in text.split())
    # of the form [arch+=…] only the plain one is common
    return {name.rstrip("+-").lower(): value.replace(",", " ") for name, _, value in pairs}


def _deb822(path: str, text: str) -> Iterator[AptSource]:
    for number, fields in enumerate(paragraphs(text), 1):
        if fields.get("enabled", "yes").lower() in _FALSE or "deb" not in fields.get("types", "").split():
            continue
        urls, suites = fields.get("uris", "").split(), fields.get("suites", "").split()
        components = fields.get("components", "").split()
        if not urls or not suites or any(suite.endswith("/") == bool(components) for suite in suites):
            raise BadAptSource(path=path, line=number, why="it lacks one of URIs, Suites and Components")
        for suite in suites:
            for url in urls:
                yield _source(fields, url=url, suite=suite, components=components)


def _source(options: Mapping[str, str], *, url: str, suite: str, components: list[str]) -> AptSource:
    signed = options.get("signed-by", "").strip()
    is_key = signed.startswith(_ARMOR)
    words = [] if is_key else signed.replace(",", " ").split()
    return AptSource(
        # it stands in messages, and what a base says is no login of the user's
        url=without_userinfo(url).rstrip("/"),
        suite=suite,
        components=tuple(components),
        architectures=tuple((options.get("architectures") or options.get("arch") or "").split()),
        keyrings=tuple(word for word in words if word.startswith("/")),
        fingerprints=tuple(word for word in words if not word.startswith("/")),
        key=_unfolded(signed) if is_key else "",
        checks_age=options.get("check-valid-until", "yes").lower() not in _FALSE,
        snapshot=_snapshot(options.get("snapshot", "")),
    )


def _snapshot(text: str) -> str:
    # `enable` only allows a snapshot that apt's caller names
    return text if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", text) else ""


def _unfolded(text: str) -> str:
    """Return a value of several lines, in which a dot stands for an empty one."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join("" if line == "." else line for line in lines) + "\n"
