"""What the store knows of an environment's builds: which are there, and which gave something else each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.paths import Home
from hatchlock.resources.base import KNOWN_AFTER
from hatchlock.resources.build_spec import UnknownSpec
from hatchlock.resources.env_spec import EnvSpec

if TYPE_CHECKING:
    from hatchlock.realise.builds.record import BuildRecord

__all__ = [
    "NO_BUILDS",
    "BuildNotIsolated",
    "check_isolated",
    "is_unbuilt",
    "kept_build",
    "missing_inputs",
    "records_of",
    "told_of_builds",
]

NO_BUILDS = "builds are isolated by bubblewrap, which exists on Linux only"
"""Why nothing is built on a machine that isolates servers in another way."""


@dataclass(kw_only=True, eq=False)
class BuildNotIsolated(HatchlockError):
    """This machine has no sandbox to build in."""

    code: ClassVar[str] = "build-not-isolated"

    problem: str

    def __str__(self) -> str:
        return f"nothing is built outside of a sandbox, and there is none here: {self.problem}"

    def _hint(self) -> str:
        return (
            'install bubblewrap, or use runtime = "container"; or do without a build: take a version that has wheels, commit what '
            "the project's build makes"
        )


def records_of(home: Home) -> Path:
    """Return where a store records what builds gave."""
    return home.root / "builds"


def kept_build(build: UnknownSpec, home: Home) -> BuildRecord | None:
    """Return what a build gave, if the store has that."""
    from hatchlock.realise.builds.record import BuildRecords  # noqa: PLC0415  few environments have builds
    from hatchlock.store.blobs import Blobs  # noqa: PLC0415

    record = BuildRecords(records_of(home)).find(build.key)
    return record if record and record.package == build.package and Blobs(home.blobs).has(record.sha256) else None


def missing_inputs(spec: EnvSpec, home: Home) -> EnvSpec:
    """Return an environment without the builds that need not be made any more, and without what these would be made from."""
    made = {build.package for build in spec.project_builds if kept_build(build, home)}
    return replace(
        spec,
        builds=tuple(build for build in spec.builds if kept_build(build, home) is None),
        project_builds=tuple(build for build in spec.project_builds if build.package not in made),
        projects=tuple(item for item in spec.projects if item.artefact.package not in made),
    )


def is_unbuilt(spec: EnvSpec, home: Home) -> bool:
    """Return whether something of an environment has to be built, or install scripts have to run."""
    return any(kept_build(build, home) is None for build in spec.unknown)


def check_isolated(spec: EnvSpec, home: Home, isolation: str) -> None:
    """Refuse an environment of processes that something has to be built for, where nothing can be isolated.

    Args:
        spec: The environment.
        home: The store.
        isolation: Why processes cannot be isolated on this machine; "" if they can.

    Raises:
        BuildNotIsolated: So it is.
    """
    if isolation and is_unbuilt(spec, home):
        raise BuildNotIsolated(problem=isolation)


def told_of_builds(spec: EnvSpec, home: Home) -> Mapping[str, str]:
    """Return what people see of an environment's builds, as facts; nothing if there are none."""
    if not spec.unknown:
        return {}
    from hatchlock.realise.builds.record import BuildRecords  # noqa: PLC0415

    records = BuildRecords(records_of(home))
    known = {build.key: record for build in spec.unknown if (record := records.find(build.key))}
    differing = {key for key, record in known.items() if not record.is_reproducible}
    elsewhere = {
        build.key for build in spec.unknown if (record := kept_build(build, home)) is not None and record.elsewhere
    }
    result = KNOWN_AFTER if is_unbuilt(spec, home) else "built before"
    return {"builds": spec.told_of_builds(differing, elsewhere), "result": result}
