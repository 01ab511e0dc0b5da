"""What can be wrong with a Hatch package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError, KeyProblem, ManyErrors

__all__ = ["BadHatchMetadata", "BadHatchPackage", "report"]


@dataclass(kw_only=True, eq=False)
class BadHatchMetadata(KeyProblem):
    """Something in a package's `hatch_metadata.json`, or in what it says about the package's files, is wrong."""

    code: ClassVar[str] = "bad-hatch-metadata"


@dataclass(kw_only=True, eq=False)
class BadHatchPackage(HatchlockError):
    """A directory or an archive is no Hatch package, or not the one that it should be."""

    code: ClassVar[str] = "bad-hatch-package"

    package: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.package} is not used: {self.why}"

    def _hint(self) -> str:
        return self.advice or "tell whoever keeps the package; meanwhile choose another version of it"


def report(problems: Sequence[HatchlockError]) -> None:
    """Raise what was found: nothing, the only one, or all.

    Raises:
        HatchlockError: The only one.
        ManyErrors: All of several, in their order.
    """
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ManyErrors(errors=tuple(problems))
