"""Why there is no tree: npm's reports, and what it was not to be asked for, as errors that name who wants what."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.sources.npm.names import without_secrets

__all__ = ["MANIFEST", "ForeignDependency", "NoNpmVersion", "NpmConflict", "NpmFailed", "NpmReport"]

MANIFEST = "the manifest"
"""Who requires what the manifest requires."""

_NO_VERSION = re.compile(r"No matching version found for (?P<name>@?[^@\s]+)@(?P<spec>.*?)\.?$")
_NOT_FOUND = re.compile(r"'(?P<name>@?[^@']+)@(?P<spec>[^']*)'")
_FOUND = re.compile(r"^Found: (?P<found>\S+)$", re.MULTILINE)
_WANTED = re.compile(
    r"Could not resolve dependency:\n(?P<peer>peer(?:Optional)? )?(?P<name>@?[^@\s]+)@\"(?P<spec>[^\"]*)\" from (?P<who>[^\n]+)"
)


@dataclass(kw_only=True, eq=False)
class ForeignDependency(HatchlockError):
    """A package of the tree needs something that is not from a registry: git, an address, a file."""

    code: ClassVar[str] = "foreign-dependency"

    requirer: str
    name: str
    spec: str

    def __post_init__(self) -> None:
        self.spec = without_secrets(self.spec)

    def __str__(self) -> str:
        return f"{self.requirer} requires {self.name} from {self.spec}, which is not a registry"

    def _hint(self) -> str:
        return f'replace it with overrides = ["npm:{self.name}@VERSION"]'


@dataclass(kw_only=True, eq=False)
class NoNpmVersion(HatchlockError):
    """No version of a package is what somebody wants."""

    code: ClassVar[str] = "no-version"

    name: str
    wanted: str
    requirer: str
    newest: str = ""
    excluded: str = ""
    constraint: str = ""

    def __post_init__(self) -> None:
        self.wanted = without_secrets(self.wanted)

    def __str__(self) -> str:
        who = self.requirer or "a package"
        there = f"the newest is {self.newest}" if self.newest else "none may be used"
        limit = f" (exclude-newer hides {self.excluded})" if self.excluded else ""
        within = f" within the constraint {self.name}@{self.constraint}" if self.constraint else ""
        return f"{who} requires {self.name}@{self.wanted}, but there is no such version{within}: {there}{limit}"

    def _hint(self) -> str:
        if self.excluded:
            return "move exclude-newer, or ask for an older version"
        if self.constraint:
            return (
                f"change the constraint on {self.name}, or ask for another version of {self.requirer or 'that package'}"
            )
        return f'ask for another version, or replace it with overrides = ["npm:{self.name}@VERSION"]'


@dataclass(kw_only=True, eq=False)
class NpmConflict(HatchlockError):
    """A package must be beside another one, and only another version of that fits the rest."""

    code: ClassVar[str] = "npm-conflict"

    name: str
    wanted: str
    requirer: str
    found: str

    def __str__(self) -> str:
        return f"{self.requirer} requires {self.name}@{self.wanted} beside it, but {self.found} is there"

    def _hint(self) -> str:
        return f'choose versions that agree, or settle it with overrides = ["npm:{self.name}@VERSION"]'


@dataclass(kw_only=True, eq=False)
class NpmFailed(HatchlockError):
    """npm's resolver ended without a tree for a reason that is not known here."""

    code: ClassVar[str] = "npm-failed"

    reason: str
    summary: str

    def __str__(self) -> str:
        return f"npm's resolver gives up: {self.summary}" + (f" ({self.reason})" if self.reason else "")

    def _hint(self) -> str:
        return "see whether `npm install --package-lock-only` of the same packages works"


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmReport:
    """What npm says when it ends with an error.

    Attributes:
        code: `ETARGET`, `E404`, `ERESOLVE`, …; "" if it does not say.
        summary: One line.
        detail: Many.
    """

    code: str
    summary: str
    detail: str

    @classmethod
    def parse(cls, output: str) -> NpmReport:
        """Read npm's output with `--json`; anything else is a report without a code."""
        try:
            error = json.loads(output[output.index("{") :])["error"]
            return cls(
                code=str(error.get("code") or ""),
                summary=str(error.get("summary") or ""),
                detail=str(error.get("detail") or ""),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            lines = [line.strip() for line in output.splitlines() if line.strip()]
            return cls(code="", summary=lines[-1] if lines else "it says nothing", detail="")

    @property
    def missing(self) -> tuple[str, str] | None:
        """The name and the spec of which no version was found, if that is the report."""
        match = _NO_VERSION.search(self.summary) if self.code == "ETARGET" else None
        match = match or (_NOT_FOUND.search(self.detail) if self.code == "E404" else None)
        return (match["name"], match["spec"]) if match else None

    def error(self, requirers: Mapping[str, str]) -> HatchlockError:
        """Return the report as an error of ours.

        Args:
            requirers: `name@spec` -> who wants that.
        """
        wanted = _WANTED.search(self.detail)
        found = _FOUND.search(self.detail)
        if self.code == "ERESOLVE" and wanted and found:
            who = wanted["who"].strip()
            return NpmConflict(
                name=wanted["name"],
                wanted=wanted["spec"],
                requirer=MANIFEST if who == "the root project" else who,
                found=_with_reason(found["found"], self.detail[found.end() : wanted.start()]),
            )
        if self.missing is not None:
            name, spec = self.missing
            return NoNpmVersion(name=name, wanted=spec, requirer=requirers.get(f"{name}@{spec}", ""))
        return NpmFailed(reason=self.code, summary=self.summary)


def _with_reason(found: str, explanation: str) -> str:
    match = re.search(r"@\"(?P<spec>[^\"]*)\" from (?P<who>[^\n]+)", explanation)
    if match is None:
        return found
    who = match["who"].strip()
    return f"{found} (for {MANIFEST if who == 'the root project' else who}, which requires {match['spec']})"
