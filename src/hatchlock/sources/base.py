"""What every source offers to the resolver, and the ways in which asking one can fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

from hatchlock.address import Kind
from hatchlock.digest import algorithm_of
from hatchlock.errors import HatchlockError

__all__ = ["BadAnswer", "FileGone", "MissingHash", "Source", "UnknownPackage"]

Target_contra = TypeVar("Target_contra", contravariant=True)
Version_co = TypeVar("Version_co", covariant=True)
Candidate = TypeVar("Candidate")


class Source(Protocol[Target_contra, Version_co, Candidate]):
    """One kind of package index: which versions a name has, and what each needs.

    Names are normalised by the kind's rule. The answers do not depend on the order of questions; methods may be called
    from any thread, and wait for the network.
    """

    kind: Kind

    def versions(self, name: str) -> Sequence[Version_co]:
        """Return every version that the index lists, newest first by the kind's own order.

        Raises:
            UnknownPackage: The index has no such name.
            Unreachable: It cannot be asked.
            BadAnswer: It answers something that is not its format.
        """
        ...

    def candidate(self, name: str, version: str, target: Target_contra) -> Candidate | None:
        """Return what would be installed on `target`, or None if that version does not run there or may not be used.

        Raises:
            MissingHash: The index gives no hash for the file.
        """
        ...

    def dependencies(self, candidate: Candidate) -> Sequence[str]:
        """Return what a candidate declares to need, in the kind's own words.

        Raises:
            BadAnswer: The metadata cannot be read.
        """
        ...


@dataclass(kw_only=True, eq=False)
class UnknownPackage(HatchlockError):
    """An index has no package of that name."""

    code: ClassVar[str] = "unknown-package"

    kind: Kind
    name: str
    index: str
    requirer: str = ""

    def __str__(self) -> str:
        wanted = f", which {self.requirer} requires" if self.requirer else ""
        return f"there is no package {self.name!r}{wanted}, on the index {self.index}"

    def _hint(self) -> str:
        other = "; if it is an npm package, write npm:NAME" if self.kind == Kind.PYPI else ""
        return f"check the spelling, and whether it lives on another index{other}"


@dataclass(kw_only=True, eq=False)
class BadAnswer(HatchlockError):
    """An index or a file of it is not what its format demands."""

    code: ClassVar[str] = "bad-answer"

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} cannot be used: {self.why}"

    def _hint(self) -> str:
        return (
            "ask again with --refresh; if it stays, tell whoever keeps the index, or name another one below [indexes]"
        )


@dataclass(kw_only=True, eq=False)
class MissingHash(HatchlockError):
    """An index offers a file without a hash that is strong enough to lock it."""

    code: ClassVar[str] = "missing-hash"

    file: str
    index: str
    algorithm: str = "sha256"

    def __str__(self) -> str:
        return f"the index {self.index} gives no {self.algorithm} for {self.file}"

    def _hint(self) -> str:
        return f"use an index that lists {self.algorithm} hashes"


@dataclass(kw_only=True, eq=False)
class FileGone(HatchlockError):
    """A locked file is no longer offered by its index."""

    code: ClassVar[str] = "file-gone"

    package: str
    file: str
    digest: str
    index: str

    def __str__(self) -> str:
        what = f"{self.file} of {self.package} with {algorithm_of(self.digest)} {self.digest}"
        return f"the index {self.index} no longer offers {what}"

    def _hint(self) -> str:
        return "use a mirror that has it, or run `hatchlock lock --upgrade` to choose another version"
