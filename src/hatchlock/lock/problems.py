"""What can be wrong with a lock's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["BadLock", "BadPin", "MissingLock", "NewerLock"]


@dataclass(kw_only=True, eq=False)
class MissingLock(HatchlockError):
    """There is a manifest, and no lock beside it."""

    code: ClassVar[str] = "missing-lock"

    path: str

    def __str__(self) -> str:
        return f"there is no {self.path}"

    def _hint(self) -> str:
        return "run `hatchlock lock`"


@dataclass(kw_only=True, eq=False)
class BadLock(HatchlockError):
    """The lock cannot be read."""

    code: ClassVar[str] = "bad-lock"

    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"the lock cannot be read: {self.why}"

    def _hint(self) -> str:
        return self.advice or "restore it from version control, or delete it and run `hatchlock lock`"


@dataclass(kw_only=True, eq=False)
class BadPin(BadLock):
    """What the lock says was pinned of a server is not what its hashes say: nobody has approved that."""

    server: str

    def _hint(self) -> str:
        return f"restore it from version control, or delete the [[surface]] of {self.server}, and pin it again"


@dataclass(kw_only=True, eq=False)
class NewerLock(HatchlockError):
    """A newer hatchlock wrote the lock, in a format or by rules that this one does not know."""

    code: ClassVar[str] = "newer-lock"

    what: str
    found: int
    known: int

    def __str__(self) -> str:
        return f"the lock has {self.what} {self.found}, this hatchlock knows {self.known}"

    def _hint(self) -> str:
        return "upgrade hatchlock; nothing was changed"
