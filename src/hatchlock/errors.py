"""The error tree.

    HatchlockError            exit status 1
    ├── UsageError            64: the command line is wrong
    ├── RefusedError          3: it needs a consent that was not given
    ├── SystemProblem         1: what the operating system refuses
    └── …                     each module adds those that it raises

An error carries data. The sentence is built by `__str__` (what is wrong, why) and `hint` (what to do), and both are put
together where they are shown: `ADDRESS or PLACE: SENTENCE`, a blank line, `hint: HINT`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from hatchlock.place import Place

__all__ = [
    "FULL",
    "INTERRUPTED",
    "HatchlockError",
    "KeyProblem",
    "ManyErrors",
    "PermissionProblem",
    "RefusedError",
    "SystemProblem",
    "UsageError",
    "about",
]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The numbers with which a system says that there is no room."""
INTERRUPTED = 130
"""The exit status of a command that a signal has ended."""


@dataclass(kw_only=True, eq=False)
class HatchlockError(Exception):
    """Anything that a user can mend; subclasses are dataclasses whose fields are the facts.

    Attributes:
        address: The resource, server or package that it is about, as a user writes it; "" if none.
        place: The line of the manifest or lock that it is about.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    address: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        """Return the sentence, without address, place, hint or full stop."""
        return self.code

    @property
    def hint(self) -> str:
        """What the user can do about it; "" when there is nothing to say."""
        return self._hint()

    def _hint(self) -> str:
        return ""


@dataclass(kw_only=True, eq=False)
class ManyErrors(HatchlockError):
    """Several errors that were found in one go, in the order to show them."""

    code: ClassVar[str] = "many"

    errors: tuple[HatchlockError, ...]

    def __str__(self) -> str:
        return f"{len(self.errors)} errors"


@dataclass(kw_only=True, eq=False)
class UsageError(HatchlockError):
    """The command line asks for something that does not exist or does not fit together."""

    code: ClassVar[str] = "usage"
    exit_status: ClassVar[int] = 64

    what: str
    advice: str = ""

    def __str__(self) -> str:
        return self.what

    def _hint(self) -> str:
        return self.advice


@dataclass(kw_only=True, eq=False)
class KeyProblem(HatchlockError):
    """Something in a document that people write is wrong; the base of what each document says of itself.

    Attributes:
        key: The key path that it is about: `servers.time.args`, `dependencies.python[0].name`; "" for the whole document.
        what: The sentence.
        advice: The hint, or "".
    """

    what: str
    key: str = ""
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" if self.key else self.what

    def _hint(self) -> str:
        return self.advice


@dataclass(kw_only=True, eq=False)
class RefusedError(HatchlockError):
    """Nothing was done, because a consent is missing or a policy forbids it."""

    code: ClassVar[str] = "refused"
    exit_status: ClassVar[int] = 3

    what: str
    needs: str = ""

    def __str__(self) -> str:
        return self.what

    def _hint(self) -> str:
        return self.needs


@dataclass(kw_only=True, eq=False)
class PermissionProblem(HatchlockError):
    """A path that cannot be used as it is, with who owns it and its mode."""

    code: ClassVar[str] = "permission"

    path: str
    problem: str
    owner: str = ""
    mode: int | None = None
    advice: str = field(default="")

    def __str__(self) -> str:
        facts = [f"owner {self.owner}"] if self.owner else []
        if self.mode is not None:
            facts.append(f"mode {self.mode:04o}")
        return f"{self.path}: {self.problem}" + (f" ({', '.join(facts)})" if facts else "")

    def _hint(self) -> str:
        return self.advice or (
            "change its owner or mode with `chown` or `chmod`; for the store, HATCHLOCK_HOME may name another directory"
        )


@dataclass(kw_only=True, eq=False)
class SystemProblem(HatchlockError):
    """What the operating system refuses, where nothing more is known: the disk is full, or the like.

    Attributes:
        problem: In the system's own words.
        path: The file; "" when the system does not say.
        number: Its `errno`.
    """

    code: ClassVar[str] = "system"

    problem: str
    path: str = ""
    number: int = 0

    @classmethod
    def of(cls, error: OSError, *, address: str = "") -> SystemProblem:
        """Return an operating system's error as one of ours."""
        path = str(error.filename) if error.filename else ""
        return cls(problem=error.strerror or str(error), path=path, number=error.errno or 0, address=address)

    @classmethod
    def known(cls, error: HatchlockError | OSError) -> HatchlockError:
        """Return an error as one of ours; one that is already is itself."""
        return cls.of(error) if isinstance(error, OSError) else error

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem

    def _hint(self) -> str:
        return f"{self._remedy()}, then run the same command again: it goes on from what is there"

    def _remedy(self) -> str:
        if self.number in FULL:
            return f"make room {'there' if self.path else 'where HATCHLOCK_HOME is'}"
        if self.number == errno.EISDIR:
            return "a file belongs where that directory is: move it away, or name a file"
        if self.number == errno.ENOTDIR:
            return "a directory belongs where a file is: move it away, or name another place"
        return "mend the cause"


@contextmanager
def about(address: str) -> Iterator[None]:
    """Say of an error that comes out of here what it is about, unless it says so itself."""
    try:
        yield
    except HatchlockError as error:
        error.address = error.address or address
        raise
