"""A version of an npm package, as everybody gets it."""

from __future__ import annotations

from dataclasses import dataclass

from hatchlock.lock.model import File
from hatchlock.sources.base import MissingHash
from hatchlock.sources.npm.facts import hashes
from hatchlock.sources.npm.indexes import NpmIndex
from hatchlock.sources.npm.names import file_name
from hatchlock.sources.npm.packument import Packument
from hatchlock.sources.npm.ranges import NpmVersion

__all__ = ["NpmCandidate", "candidate_of"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NpmCandidate:
    """A version of a package, as everybody gets it; a source makes one for each, equal only to itself.

    Attributes:
        name: The package.
        version: Its version.
        spelling: The same as the registry writes it.
        file: Its tarball, with its hash.
        url: Where that is.
        requires_node: `engines.node`, or "".
        deprecated: Its author's message; "" if it is not deprecated.
        install_script: Whether it wants to run a script when it is installed.
        index: Name of the index that has it.
    """

    name: str
    version: NpmVersion
    spelling: str
    file: File
    url: str
    requires_node: str
    deprecated: str
    install_script: bool
    index: str

    @property
    def id(self) -> str:
        """`npm:name@version`."""
        return f"npm:{self.name}@{self.spelling}"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def candidate_of(document: Packument, version: NpmVersion, index: NpmIndex) -> NpmCandidate:
    """Return a version that a document has.

    Args:
        document: Its package's.
        version: One of `document.versions`.
        index: Where the document came from.

    Raises:
        MissingHash: There is no SHA-512 or SHA-256 of its file.
    """
    spelling = document.spelling(version) or ""
    release = document.release(spelling)
    name = file_name(document.name, spelling)
    known = hashes(release.integrity)
    if not known:
        raise MissingHash(file=name, index=index.url, algorithm="sha512")
    sha512 = known.get("sha512", "")
    return NpmCandidate(
        name=document.name,
        version=version,
        spelling=spelling,
        file=File(name=name, sha512=sha512, sha256="" if sha512 else known["sha256"]),
        url=release.tarball,
        requires_node=release.node,
        deprecated=release.deprecated,
        install_script=bool(document.manifest(spelling).get("hasInstallScript")),
        index=index.name,
    )
