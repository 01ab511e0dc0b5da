"""The ways in which asking a Hatch registry for a package fails, beside those of every source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.manifest.problem import did_you_mean

__all__ = ["HatchArchiveTooLarge", "NoHatchVersion", "SeveralRepositories", "UnknownRepository"]


@dataclass(kw_only=True, eq=False)
class SeveralRepositories(HatchlockError):
    """More than one repository of a registry has a package of that name."""

    code: ClassVar[str] = "several-repositories"

    name: str
    repositories: tuple[str, ...]
    index: str

    def __str__(self) -> str:
        return f"{self.name} is in more than one repository of {self.index}: {', '.join(self.repositories)}"

    def _hint(self) -> str:
        return f"say which one: hatch:{self.repositories[0]}:{self.name}"


@dataclass(kw_only=True, eq=False)
class UnknownRepository(HatchlockError):
    """A registry has no repository of that name."""

    code: ClassVar[str] = "unknown-repository"

    repository: str
    name: str
    known: tuple[str, ...]
    index: str

    def __str__(self) -> str:
        return f"there is no repository {self.repository!r}, wanted for {self.name}, on the index {self.index}"

    def _hint(self) -> str:
        known = f"its repositories are {', '.join(self.known)}" if self.known else "it has none"
        return did_you_mean(self.repository, self.known, known)


@dataclass(kw_only=True, eq=False)
class NoHatchVersion(HatchlockError):
    """A registry has the package, but not the version."""

    code: ClassVar[str] = "no-version"

    name: str
    version: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = f"there are {', '.join(self.known)}" if self.known else "none may be used"
        return f"{self.name} has no version {self.version}: {known}"

    def _hint(self) -> str:
        return "ask for another version, or ask the index again with --refresh"


@dataclass(kw_only=True, eq=False)
class HatchArchiveTooLarge(HatchlockError):
    """A package's archive is larger than any that is taken; the rest was not even read."""

    code: ClassVar[str] = "archive-too-large"

    package: str
    url: str
    limit: int

    def __str__(self) -> str:
        return f"the archive of {self.package}, {self.url}, is larger than {self.limit >> 20} MiB"

    def _hint(self) -> str:
        return "choose another version of it, or tell whoever keeps the package"
