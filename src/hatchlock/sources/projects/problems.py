"""Why a directory cannot be used as a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = [
    "BadEntry",
    "BadProjectFile",
    "ChangedWhileRead",
    "LeadsOut",
    "MissingProject",
    "TooLarge",
    "UnknownProject",
]

_MIB = 1 << 20


@dataclass(kw_only=True, eq=False)
class MissingProject(HatchlockError):
    """There is no such directory."""

    code: ClassVar[str] = "missing-project"

    root: str
    is_file: bool = False

    def __str__(self) -> str:
        return f"{self.root} is a file, not a directory" if self.is_file else f"there is no directory {self.root}"

    def _hint(self) -> str:
        if self.is_file:
            return "name the directory that it is in; for one archive or program write url:"
        return "check the path; a relative one is relative to the manifest"


@dataclass(kw_only=True, eq=False)
class LeadsOut(HatchlockError):
    """A symlink of a project points to something outside of it.

    Attributes:
        path: The link, relative to the project.
        target: Where it points; "" when a file was found to be reached through such a link.
    """

    code: ClassVar[str] = "leads-out"

    path: str
    target: str = ""

    def __str__(self) -> str:
        target = f" to {self.target}" if self.target else ""
        return f"the symlink {self.path}{target} leads out of the project"

    def _hint(self) -> str:
        return "replace it by the file itself or by a link inside the project, or leave it out with .gitignore"


@dataclass(kw_only=True, eq=False)
class BadEntry(HatchlockError):
    """Something in a project's directory cannot be kept in an archive."""

    code: ClassVar[str] = "bad-entry"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be part of a project: {self.why}"

    def _hint(self) -> str:
        return "remove it, or leave it out with .gitignore"


@dataclass(kw_only=True, eq=False)
class ChangedWhileRead(HatchlockError):
    """A file changed between the first look at a project and the end of reading it."""

    code: ClassVar[str] = "changed-while-read"

    path: str

    def __str__(self) -> str:
        return f"{self.path} changed while the project was read"

    def _hint(self) -> str:
        return "wait until nothing writes there (a build, an editor, a log), then run the same command again"


@dataclass(kw_only=True, eq=False)
class TooLarge(HatchlockError):
    """A project's files are more than a snapshot may hold.

    Attributes:
        largest: Path and bytes of the largest entries of its root and of its largest directories, largest first.
    """

    code: ClassVar[str] = "too-large"

    root: str
    size: int
    limit: int
    largest: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        largest = ", ".join(f"{path} ({_size(size)})" for path, size in self.largest)
        return (
            f"the files of {self.root} are {_size(self.size)}, more than the {_size(self.limit)} of a snapshot; "
            f"the largest: {largest}"
        )

    def _hint(self) -> str:
        return "leave out what the server does not need with .gitignore or .dockerignore, or mount it as data"


@dataclass(kw_only=True, eq=False)
class BadProjectFile(HatchlockError):
    """A file that describes a project does not have the form that it must have."""

    code: ClassVar[str] = "bad-project-file"

    file: str
    why: str
    advice: str = "mend the file"

    def __str__(self) -> str:
        return f"{self.file} cannot be used: {self.why}"

    def _hint(self) -> str:
        return self.advice


@dataclass(kw_only=True, eq=False)
class UnknownProject(HatchlockError):
    """A directory holds nothing that says how to use it.

    Attributes:
        found: The file names that were recognised, sorted.
    """

    code: ClassVar[str] = "unknown-project"

    root: str
    found: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        found = f"only {', '.join(self.found)}" if self.found else "no file that describes a project"
        return f"{self.root} is no Python or Node project: it has {found}"

    def _hint(self) -> str:
        return self.advice


def _size(number: int) -> str:
    return f"{number / _MIB:.1f} MiB" if number >= _MIB // 10 else f"{number} bytes"
