"""What stands below the names of conda: its own solver chooses all of an environment's conda packages at once.

Python's names that they bring are theirs: the index is not asked for them; see decision 0023.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from packaging.version import InvalidVersion, Version

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import Package
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.sources.conda.declared import declared_conda
from hatchlock.sources.conda.records import CondaRecord, lock_packages, python_of
from hatchlock.sources.conda.solve import CondaSource
from hatchlock.sources.python.targets import (
    DEFAULT_GLIBC,
    DEFAULT_MACOS,
    PythonTarget,
    container_target,
    process_target,
)

__all__ = ["PYTHON", "CondaFound", "CondaLayer", "InterpreterUnsaid", "conda_packages"]

PYTHON = "python"
"""What conda calls the interpreter."""


@dataclass(kw_only=True, eq=False)
class InterpreterUnsaid(HatchlockError):
    """Conda packages bring an interpreter that the environment did not ask for, beside the one that it has."""

    code: ClassVar[str] = "interpreter-unsaid"

    wanted: tuple[str, ...]
    python: str

    def __str__(self) -> str:
        return f"{', '.join(self.wanted)} would bring Python {self.python} along, and the environment has another"

    def _hint(self) -> str:
        minor = ".".join(self.python.split(".")[:2])
        return f'take the interpreter from conda as well: list "conda:{PYTHON}={minor}" among its dependencies'


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaFound:
    """What was solved for one platform.

    Attributes:
        records: The packages.
        owned: Name on Python's index -> the version that conda has of it.
        target: Where the environment's Python packages run, with conda's interpreter if there is one.
        python: The interpreter's version, "3.12"; "" if it is not conda's.
    """

    records: tuple[CondaRecord, ...] = ()
    owned: Mapping[str, Version] = field(default_factory=dict)
    target: PythonTarget
    python: str = ""

    @property
    def ids(self) -> frozenset[str]:
        """The packages' ids."""
        return frozenset(map(_id, self.records))


class CondaLayer:
    """Solves for the platforms of one environment.

    Args:
        channels: Opens the solver; called only when something is wanted.
        request: What the environment wants.
        preferred: Name -> versions to keep if they will do.
    """

    def __init__(
        self,
        channels: Callable[[], CondaSource],
        request: EnvironmentRequest,
        *,
        preferred: Mapping[str, Sequence[str]],
    ) -> None:
        self._open = channels
        self._request = request
        self._preferred = preferred

    def find(self, texts: Iterable[str], target: PythonTarget) -> CondaFound:
        """Return what satisfies requirements, `conda:…`, on a platform.

        Raises:
            InterpreterUnsaid: They bring Python along, and nobody asks for it.
            HatchlockError: What the solver raises.
        """
        wanted = sorted({text.removeprefix(f"{Kind.CONDA}:") for text in texts})
        if not wanted:
            return CondaFound(target=target)
        request, platform = self._request, target.platform
        glibc = request.glibc.get(platform, DEFAULT_GLIBC)
        macos = request.min_macos or DEFAULT_MACOS
        records = self._open().solve(wanted, platform=platform, glibc=glibc, macos=macos, preferred=self._preferred)
        owned = {name: _version(record.version) for record in records for name in record.python_names}
        python = python_of(records)
        if not python:
            return CondaFound(records=records, owned=owned, target=target)
        if not any(declared_conda(text).name == PYTHON for text in wanted):
            raise InterpreterUnsaid(wanted=tuple(f"{Kind.CONDA}:{text}" for text in wanted), python=python)
        minor = ".".join(python.split(".")[:2])
        own = (
            container_target(platform, python, libc=f"glibc {glibc}")
            if request.base
            else process_target(platform, minor, min_glibc=glibc, min_macos=macos)
        )
        return CondaFound(records=records, owned=owned, target=own, python=minor)


def conda_packages(found: Mapping[str, CondaFound]) -> tuple[Package, ...]:
    """Return what the lock holds of everything that was chosen, with the names of Python's that it has.

    Args:
        found: Platform -> what was solved for it.
    """
    owned = {_id(record): record.python_names for item in found.values() for record in item.records}
    packages = lock_packages({platform: item.records for platform, item in found.items()})
    return tuple(
        replace(package, provides=tuple(f"{Kind.PYPI}:{name}" for name in owned[package.id])) for package in packages
    )


def _id(record: CondaRecord) -> str:
    return f"{Kind.CONDA}:{record.name}@{record.full_version}"


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:  # conda allows more than PEP 440: then no bound of Python's can be held against it
        return Version("0")
