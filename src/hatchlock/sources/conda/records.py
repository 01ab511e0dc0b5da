"""What a channel says of a package, and what the lock keeps of that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from packaging.utils import canonicalize_name

from hatchlock.address import BadSource, Kind
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import File, Package
from hatchlock.sources.conda.declared import declared_conda
from hatchlock.sources.conda.platforms import NOARCH

__all__ = ["CondaRecord", "CondaTwoFiles", "lock_packages", "python_names", "python_of"]

_PURL = re.compile(r"pkg:pypi/(?P<name>[^@?#]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaRecord:
    """A build of a package, chosen for one platform.

    Attributes:
        name: In lower case.
        version: As the channel writes it.
        build: The build string, which tells builds of one version apart.
        subdir: The channel's directory that it is in: `linux-64`, `noarch`.
        channel: The name of the channel.
        file: Its file's name, `numpy-1.26.4-py311h64a7726_0.conda`.
        sha256: 64 hex digits.
        size: Bytes; 0 if the channel does not say.
        depends: MatchSpecs, as the channel writes them.
        licence: As the channel writes it; "" if it says nothing.
        url: Where it is now; not for the lock.
        python_names: See `python_names`.
    """

    name: str
    version: str
    build: str
    subdir: str
    channel: str
    file: str
    sha256: str
    size: int = 0
    depends: tuple[str, ...] = ()
    licence: str = ""
    url: str = ""
    python_names: tuple[str, ...] = ()

    @property
    def full_version(self) -> str:
        """Version and build, `1.26.4=py311h64a7726_0`: the lock's version. Builds of one version are different things."""
        return f"{self.version}={self.build}"


@dataclass(kw_only=True, eq=False)
class CondaTwoFiles(HatchlockError):
    """One build of a package would be two things: platforms take it from different channels, or a channel has it twice."""

    code: ClassVar[str] = "conda-two-files"

    package: str
    origins: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.package} would be different files, of {' and '.join(self.origins)}"

    def _hint(self) -> str:
        return (
            "name the channel in the requirement, conda:CHANNEL::NAME, or put its channel first below [indexes.conda]"
        )


def python_names(*, name: str, depends: Iterable[str], noarch: str, purls: Iterable[str]) -> tuple[str, ...]:
    """Return the names on Python's package index of what a conda package installs, normalised (PEP 503), sorted.

    The channel's own word counts, its package URLs of type `pypi`, where there are any. Otherwise what runs in Python
    (`noarch: python`, or a dependency on `python`) is taken to have the same name on both sides.

    Args:
        name: conda's.
        depends: Its dependencies.
        noarch: "python", "generic" or "".
        purls: Package URLs.
    """
    named = [match["name"] for purl in purls if (match := _PURL.match(purl))]
    if not named and (noarch == "python" or any(re.match(r"python(?:\s|$|[=<>!~])", text) for text in depends)):
        named = [name]
    return tuple(sorted({str(canonicalize_name(item)) for item in named}))


def python_of(records: Iterable[CondaRecord]) -> str:
    """Return the full version of the Python among some packages, or "" if there is none."""
    return next((record.version for record in records if record.name == "python"), "")


def lock_packages(solutions: Mapping[str, Sequence[CondaRecord]]) -> tuple[Package, ...]:
    """Return what the lock says of the packages of an environment, by id.

    A file of a platform's directory has that platform, one of `noarch` has none.

    Args:
        solutions: Platform -> its packages.

    Raises:
        CondaTwoFiles: An id would stand for several files of one platform.
    """
    found: dict[str, dict[str, CondaRecord]] = {}
    for platform, records in sorted(solutions.items()):
        for record in records:
            files = found.setdefault(f"{Kind.CONDA}:{record.name}@{record.full_version}", {})
            known = files.setdefault("" if record.subdir == NOARCH else platform, record)
            _check_same(known, record, (*files.values(), record))
    return tuple(_package(files) for _, files in sorted(found.items()))


def _check_same(known: CondaRecord, record: CondaRecord, others: Iterable[CondaRecord]) -> None:
    channels = {item.channel for item in others}
    if known.sha256 != record.sha256 or len(channels) > 1:
        origins = {f"{item.channel}/{item.subdir}/{item.file}" for item in others}
        package = f"{Kind.CONDA}:{record.name}@{record.full_version}"
        raise CondaTwoFiles(package=package, origins=tuple(sorted(origins)))


def _package(files: Mapping[str, CondaRecord]) -> Package:
    first = next(iter(files.values()))
    locked = [
        File(name=record.file, sha256=record.sha256, size=record.size, platform=platform)
        for platform, record in files.items()
    ]
    depends = {edge for record in files.values() for text in record.depends if (edge := _edge(text))}
    return Package(
        kind=Kind.CONDA,
        name=first.name,
        version=first.full_version,
        index=first.channel,
        files=tuple(sorted(locked)),
        dependencies=tuple(sorted(depends)),
        licence=first.licence,
        source_class="registry",
    )


def _edge(text: str) -> str:
    """A dependency as an edge of the lock; "" for one on a fact of the platform."""
    if text.startswith("__"):
        return ""
    try:
        return f"{Kind.CONDA}:{declared_conda(text)}"
    except BadSource:
        # a channel may write what people may not, such as brackets
        return f"{Kind.CONDA}:{text}"
