"""Release files of Debian archives: what a suite consists of, as its keys vouch for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.debian.control import fields_of

__all__ = ["ExpiredRelease", "Listed", "Release", "WrongRelease", "parse_release"]

_LISTED = re.compile(r"^\s+([0-9a-f]{64})\s+([0-9]+)\s+(\S+)$", re.MULTILINE)


@dataclass(kw_only=True, eq=False)
class ExpiredRelease(HatchlockError):
    """A Release file that says that it should no longer be used."""

    code: ClassVar[str] = "expired-release"

    url: str
    until: str

    def __str__(self) -> str:
        return f"{self.url} was valid until {self.until}, and may hide newer security updates"

    def _hint(self) -> str:
        return (
            "ask again with --refresh, check this machine's clock, or use another mirror; to lock an old state on "
            "purpose, declare a `snapshot` below [indexes.debian]"
        )


@dataclass(kw_only=True, eq=False)
class WrongRelease(HatchlockError):
    """An archive serves another suite than the one that was asked for."""

    code: ClassVar[str] = "wrong-release"

    url: str
    wanted: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.url} is the Release of {' or '.join(self.found) or 'no suite'}, not of {self.wanted}"

    def _hint(self) -> str:
        return "name the suite as the archive does; if that is so, use another mirror"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A file that a Release lists: its sha256, 64 hex digits, and its bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What a Release says.

    Attributes:
        suite: "stable", or "".
        codename: "bookworm", or "".
        date: When it was made.
        valid_until: After which it should not be used; None if it does not say.
        by_hash: Whether its files can be asked for by their hash.
        architectures: Those of the suite, `all` among them where it has indexes of its own for that.
        components: As it calls them.
        files: Path below the suite -> what to expect there.
        snapshots: Address of its snapshots, with `@SNAPSHOTID@`; "" if it does not say.
        pin: apt's priority of its packages: 500, or less where it says `NotAutomatic`.
        all_is_apart: Whether what is for all architectures is missing in the indexes of the others.
    """

    suite: str
    codename: str
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    architectures: tuple[str, ...]
    components: tuple[str, ...]
    files: Mapping[str, Listed] = field(repr=False)
    snapshots: str
    pin: int
    all_is_apart: bool

    def check(self, *, url: str, suite: str, now: datetime | None) -> None:
        """Refuse it if it is of another suite or too old.

        Args:
            url: Its address, for errors.
            suite: What was asked for: a suite or a codename; "" for whatever it is.
            now: The time; None if its age does not matter.

        Raises:
            WrongRelease: It calls itself otherwise.
            ExpiredRelease: Its time is over.
        """
        names = tuple(name for name in (self.codename, self.suite) if name)
        if suite and suite not in names:
            raise WrongRelease(url=url, wanted=suite, found=names)
        if now and self.valid_until and now > self.valid_until:
            raise ExpiredRelease(url=url, until=f"{self.valid_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC")


def parse_release(text: str, *, url: str) -> Release:
    """Read a Release file, whose signature was checked.

    Raises:
        BadAnswer: It has no date that can be read, or no SHA-256 sums.
    """
    fields = fields_of(text)
    date = _date(fields.get("date", ""))
    if date is None:
        raise BadAnswer(what=url, why="it does not say when it was made")
    files = {
        path: Listed(sha256=digest, size=int(size)) for digest, size, path in _LISTED.findall(fields.get("sha256", ""))
    }
    if not files:
        raise BadAnswer(what=url, why="it lists no SHA-256 sums")
    architectures = tuple(fields.get("architectures", "").split())
    return Release(
        suite=fields.get("suite", ""),
        codename=fields.get("codename", ""),
        date=date,
        valid_until=_date(fields.get("valid-until", "")),
        by_hash=fields.get("acquire-by-hash", "") == "yes",
        architectures=architectures,
        components=tuple(fields.get("components", "").split()),
        files=files,
        snapshots=fields.get("snapshots", "").strip(),
        pin=_pin(fields),
        all_is_apart="all" in architectures and fields.get("no-support-for-architecture-all", "") != "Packages",
    )


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _pin(fields: Mapping[str, str]) -> int:
    if fields.get("notautomatic", "") != "yes":
        return 500
    return 100 if fields.get("butautomaticupgrades", "") == "yes" else 1
