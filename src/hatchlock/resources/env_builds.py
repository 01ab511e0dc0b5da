"""What of an environment has to be built first: taken from the store if it was, else built there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory
from hatchlock.paths import Home
from hatchlock.realise.builds.build import Run, build_wheel
from hatchlock.realise.builds.order import BuildInput
from hatchlock.realise.builds.record import BuildRecord, BuildRecords
from hatchlock.resources.base import Artefact
from hatchlock.resources.build_facts import kept_build, records_of
from hatchlock.resources.env_layout import checked, minor_version
from hatchlock.resources.env_spec import BuildSpec, EnvSpec
from hatchlock.sources.python.sdists import read_sdist_file
from hatchlock.state.lease import lease
from hatchlock.store.blobs import Blobs

__all__ = ["BuildNotIsolated", "NotBuilt", "built_environment", "kept_environment", "rebuilt", "sandbox_of_processes"]

_TIMEOUT = 7200.0


@dataclass(kw_only=True, eq=False)
class BuildNotIsolated(HatchlockError):
    """This machine has no sandbox to build in."""

    code: ClassVar[str] = "build-not-isolated"

    problem: str

    def __str__(self) -> str:
        return f"nothing is built outside of a sandbox, and there is none here: {self.problem}"

    def _hint(self) -> str:
        return 'install bubblewrap, or use runtime = "container", or constrain the package to a version that has wheels'


@dataclass(kw_only=True, eq=False)
class NotBuilt(HatchlockError):
    """What only `apply` builds is needed, and was not built here."""

    code: ClassVar[str] = "not-built"

    package: str

    def __str__(self) -> str:
        return f"{self.package} comes as source, and was not built on this machine: what is in it is not known"

    def _hint(self) -> str:
        return "run `hatchlock apply` on a machine of that platform first"


def built_environment(
    spec: EnvSpec, *, home: Home, logs: Path, sandbox: Callable[[EnvSpec, BuildSpec], Run]
) -> EnvSpec:
    """Return an environment with wheels in the place of what is built; whatever the store does not have is built now.

    Args:
        spec: The environment; its interpreter is in place.
        home: The store.
        logs: Where what builds say is kept, `ENVIRONMENT.PACKAGE.log`.
        sandbox: Where a build runs.

    Raises:
        BuildFailed, BadBuildResult: Something cannot be built.
        WrongHash: A blob of the store is damaged; it is removed.
        HatchlockError: What `sandbox` raises.
    """
    made = []
    for build in spec.builds:
        path = private_directory(home.root / "locks") / f"build-{build.key}.lock"
        with lease(path, what=f"the build of {build.package}", purpose="apply", timeout=_TIMEOUT):
            record = kept_build(build, home) or _build(spec, build, home=home, logs=logs, run=sandbox(spec, build))
        made.append(_wheel(build, record))
    return _with_wheels(spec, made)


def kept_environment(spec: EnvSpec, *, home: Home) -> EnvSpec:
    """Return an environment with wheels in the place of what was built, for whoever builds nothing.

    Raises:
        NotBuilt: The store does not have one of them.
    """
    made = []
    for build in spec.builds:
        record = kept_build(build, home)
        if record is None:
            raise NotBuilt(package=build.package)
        made.append(_wheel(build, record))
    return _with_wheels(spec, made)


def _wheel(build: BuildSpec, record: BuildRecord) -> Artefact:
    return Artefact(package=build.package, name=record.file, digest=record.sha256, size=record.size)


def _with_wheels(spec: EnvSpec, made: Iterable[Artefact]) -> EnvSpec:
    wheels = sorted((*spec.wheels, *made), key=lambda wheel: wheel.name)
    return replace(spec, wheels=tuple(wheels), builds=())


def rebuilt(spec: EnvSpec, build: BuildSpec, *, home: Home, logs: Path, run: Run) -> BuildRecord:
    """Build once more what may be there, and return what is known of the results; see `built_environment`."""
    path = private_directory(home.root / "locks") / f"build-{build.key}.lock"
    with lease(path, what=f"the build of {build.package}", purpose="verify", timeout=_TIMEOUT):
        return _build(spec, build, home=home, logs=logs, run=run)


def _build(spec: EnvSpec, build: BuildSpec, *, home: Home, logs: Path, run: Run) -> BuildRecord:
    blobs = Blobs(home.blobs)
    archive = checked(build.archive, blobs)
    facts = read_sdist_file(archive, name=build.archive.name, scratch=private_directory(home.cache))
    wanted = BuildInput(
        package=build.package,
        archive=archive,
        system=facts.system,
        wheels=[(wheel.name, checked(wheel, blobs)) for wheel in build.wheels],
        python=minor_version(spec),
        python_path=spec.python,
    )
    return build_wheel(
        build.key,
        wanted,
        said=facts.metadata,
        run=run,
        records=BuildRecords(records_of(home)),
        blobs=blobs,
        log=logs / f"{build.log_name(spec.name)}.log",
    )


def sandbox_of_processes(spec: EnvSpec, build: BuildSpec) -> Run:
    """Return the sandbox of an environment of the process runtime.

    Raises:
        BuildNotIsolated: There is none on this machine.
    """
    from hatchlock.engines.process import isolation_system  # noqa: PLC0415  containers do without
    from hatchlock.realise.builds.isolated import IsolatedBuild  # noqa: PLC0415

    system = isolation_system(os.environ)
    if isinstance(system, str):
        raise BuildNotIsolated(problem=system)
    return IsolatedBuild(key=build.key, python=spec.python, prefixes=spec.prefixes, system=system)
