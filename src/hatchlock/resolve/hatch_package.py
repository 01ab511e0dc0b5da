"""What the lock holds of a Hatch package, from a directory or from an archive."""

from __future__ import annotations

from collections.abc import Iterable

from hatchlock.address import Kind
from hatchlock.lock.model import File, Package
from hatchlock.sources.hatch.index import HatchRelease
from hatchlock.sources.hatch.local import HatchDirectory

__all__ = ["local_hatch_package", "released_hatch_package"]


def local_hatch_package(
    found: HatchDirectory, *, source: str, location: str, version: str, file: File, dependencies: Iterable[str]
) -> Package:
    """Return the package of a directory.

    Args:
        found: What it says.
        source: What names it: `hatch:./kit`.
        location: Its directory, relative to the manifest's.
        version: With a mark of its content.
        file: Its snapshot.
        dependencies: With directories relative to the manifest's.
    """
    return _package(
        found,
        version=version,
        file=file,
        dependencies=dependencies,
        source=source,
        location=location,
        source_class="local",
    )


def released_hatch_package(found: HatchDirectory, release: HatchRelease, *, file: File) -> Package:
    """Return the package of an archive.

    Args:
        found: What it says.
        release: What its registry says.
        file: The archive.
    """
    return _package(
        found,
        version=release.version,
        file=file,
        dependencies=found.requirements,
        index=release.index,
        publisher=release.repository,
    )


def _package(
    found: HatchDirectory,
    *,
    version: str,
    file: File,
    dependencies: Iterable[str],
    source: str = "",
    location: str = "",
    index: str = "",
    publisher: str = "",
    source_class: str = "registry",
) -> Package:
    facts = found.facts
    return Package(
        kind=Kind.HATCH,
        name=facts.name,
        version=version,
        source=source,
        index=index,
        location=location,
        files=(file,),
        dependencies=tuple(sorted(set(dependencies))),
        scripts={facts.name: facts.server_file} if facts.server_file else {},
        requires_python=facts.requires_python,
        licence=facts.licence,
        authors=", ".join(facts.authors),
        contributors=facts.contributors,
        citations=facts.citations,
        provenance=facts.provenance,
        publisher=publisher,
        repository=facts.repository,
        source_class=source_class,
    )
