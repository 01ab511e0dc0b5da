"""What of an environment has to be built first: taken from the store if it was, else built there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.files import private_directory
from hatchlock.paths import Home
from hatchlock.realise.builds.build import Run, build_wheel, run_scripts
from hatchlock.realise.builds.order import BuildInput, program
from hatchlock.realise.builds.record import BuildRecord, BuildRecords
from hatchlock.realise.builds.scripts import ScriptInput, script_program
from hatchlock.resources.base import Artefact
from hatchlock.resources.build_facts import NO_BUILDS, BuildNotIsolated, kept_build, records_of
from hatchlock.resources.build_spec import BuildSpec, ProjectBuildSpec, ScriptSpec, UnknownSpec
from hatchlock.resources.env_layout import checked, minor_version, placements_of
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.sources.python.sdists import read_sdist_file
from hatchlock.state.lease import lease
from hatchlock.store.blobs import Blobs

__all__ = [
    "NotBuilt",
    "Sandbox",
    "built_environment",
    "kept_environment",
    "rebuilt",
    "sandbox_of_processes",
]

_TIMEOUT = 7200.0

Sandbox = Callable[[UnknownSpec, tuple[str, ...]], Run]
"""Gives a sandbox for one build, and the command that runs in it."""


@dataclass(kw_only=True, eq=False)
class NotBuilt(HatchlockError):
    """What only `apply` builds is needed, and was not built here."""

    code: ClassVar[str] = "not-built"

    package: str

    def __str__(self) -> str:
        return f"{self.package} comes as source, and was not built on this machine: what is in it is not known"

    def _hint(self) -> str:
        return "run `hatchlock apply` on a machine of that platform first"


def built_environment(spec: EnvSpec, *, home: Home, logs: Path, sandbox: Sandbox, emit: Sink = discard) -> EnvSpec:
    """Return an environment with results in the place of what is built; whatever the store does not have is built now.

    Args:
        spec: The environment; its interpreters are in place.
        home: The store.
        logs: Where what builds say is kept, `ENVIRONMENT.PACKAGE.log`.
        sandbox: Where a build runs.
        emit: Told for whom it waits.

    Raises:
        BuildFailed, BadBuildResult: Something cannot be built.
        WrongHash: A blob of the store is damaged; it is removed.
        HatchlockError: What `sandbox` raises.
    """
    work = _Work(spec=spec, home=home, results=home, logs=logs, sandbox=sandbox, emit=emit)
    return _with_results(spec, work.result)


def rebuilt(build: UnknownSpec, spec: EnvSpec, *, home: Home, logs: Path, sandbox: Sandbox) -> BuildRecord:
    """Build once more what the store has built, note whether that gave the same, and return what it gave; nobody uses it.

    Args:
        build: One of the environment's.
        spec: The environment.
        home: As for `built_environment`.
        logs: As there.
        sandbox: As there.

    Raises:
        HatchlockError: As there.
    """
    with TemporaryDirectory(dir=private_directory(home.cache), prefix="build-") as scratch:
        aside = Home(root=Path(scratch), is_default=False)
        made = _Work(spec=spec, home=home, results=aside, logs=logs, sandbox=sandbox).make(build)
    BuildRecords(records_of(home)).compare(build.key, made)
    return made


def kept_environment(spec: EnvSpec, *, home: Home) -> EnvSpec:
    """Return an environment with results in the place of what was built, for whoever builds nothing.

    Raises:
        NotBuilt: The store does not have one of them.
    """

    def result(build: UnknownSpec) -> BuildRecord:
        record = kept_build(build, home)
        if record is None:
            raise NotBuilt(package=build.package)
        return record

    return _with_results(spec, result)


def sandbox_of_processes(spec: EnvSpec) -> Sandbox:
    """Return the sandbox of an environment of the process runtime.

    Raises:
        BuildNotIsolated: There is none on this machine.
    """
    from hatchlock.engines.process import isolation_system  # noqa: PLC0415  containers do without
    from hatchlock.realise.builds.isolated import IsolatedBuild  # noqa: PLC0415
    from hatchlock.security.bubblewrap import System  # noqa: PLC0415

    system = isolation_system(os.environ)
    if not isinstance(system, System):
        raise BuildNotIsolated(problem=system if isinstance(system, str) else NO_BUILDS)

    def sandbox(build: UnknownSpec, command: tuple[str, ...]) -> Run:
        return IsolatedBuild(key=build.key, command=command, prefixes=spec.prefixes, system=system)

    return sandbox


def _with_results(spec: EnvSpec, result: Callable[[UnknownSpec], BuildRecord]) -> EnvSpec:
    made = [_artefact(result(build)) for build in spec.builds]
    projects = {build.package: _artefact(result(build)) for build in spec.project_builds}
    changes = {script.path: _artefact(result(script)) for script in spec.scripts}
    return replace(
        spec,
        wheels=tuple(sorted((*spec.wheels, *made), key=lambda wheel: wheel.name)),
        builds=(),
        modules=tuple(replace(module, changes=changes.get(module.path)) for module in spec.modules),
        scripts=(),
        projects=tuple(
            replace(item, artefact=projects.get(item.artefact.package, item.artefact)) for item in spec.projects
        ),
        project_builds=(),
    )


def _artefact(record: BuildRecord) -> Artefact:
    return Artefact(package=record.package, name=record.file, digest=record.sha256, size=record.size)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """The builds of one environment, from one store into one, usually the same."""

    spec: EnvSpec
    home: Home
    results: Home
    logs: Path
    sandbox: Sandbox
    emit: Sink = discard

    def result(self, build: UnknownSpec) -> BuildRecord:
        path = private_directory(self.home.root / "locks") / f"build-{build.key}.lock"
        with lease(path, what=f"the build of {build.package}", purpose="apply", timeout=_TIMEOUT, emit=self.emit):
            return kept_build(build, self.home) or self.make(build)

    def make(self, build: UnknownSpec) -> BuildRecord:
        match build:
            case BuildSpec():
                return self._wheel(build)
            case ProjectBuildSpec():
                return self._project(build)
            case ScriptSpec():
                return self._changes(build)

    def _wheel(self, build: BuildSpec) -> BuildRecord:
        blobs = Blobs(self.home.blobs)
        archive = checked(build.archive, blobs)
        facts = read_sdist_file(
            archive,
            name=build.archive.name,
            scratch=private_directory(self.home.cache),
            is_project=build.is_project,
        )
        wanted = BuildInput(
            package=build.package,
            is_project=build.is_project,
            archive=archive,
            system=facts.system,
            wheels=[(wheel.name, checked(wheel, blobs)) for wheel in build.wheels],
            python=minor_version(self.spec),
            python_path=self.spec.python,
        )
        return build_wheel(
            build.key,
            wanted,
            said=facts.metadata,
            run=self.sandbox(build, (self.spec.python, "-s", "-c", program())),
            records=BuildRecords(records_of(self.results)),
            blobs=Blobs(self.results.blobs),
            log=self._log(build),
            scratch=private_directory(self.home.cache),
        )

    def _changes(self, script: ScriptSpec) -> BuildRecord:
        blobs = Blobs(self.home.blobs)
        for module in self.spec.modules:
            blobs.verify(module.artefact.digest)
        own = next(module.artefact.digest for module in self.spec.modules if module.path == script.path)
        return run_scripts(
            script.key,
            ScriptInput(package=script.package, path=script.path, tree=placements_of(self.spec.modules, blobs)),
            archive=own,
            run=self.sandbox(script, self._node),
            records=BuildRecords(records_of(self.results)),
            blobs=Blobs(self.results.blobs),
            log=self._log(script),
            scratch=private_directory(self.home.cache),
        )

    def _project(self, build: ProjectBuildSpec) -> BuildRecord:
        blobs = Blobs(self.home.blobs)
        for module in build.modules:
            blobs.verify(module.artefact.digest)
        siblings = {f"node_modules/{item.name}": checked(item.artefact, blobs) for item in build.siblings}
        wanted = ScriptInput(
            package=build.package,
            path="",
            tree=placements_of(build.modules, blobs),
            projects={"": checked(build.archive, blobs), **siblings},
            entries=build.entries,
        )
        return run_scripts(
            build.key,
            wanted,
            archive=build.archive.digest,
            run=self.sandbox(build, self._node),
            records=BuildRecords(records_of(self.results)),
            blobs=Blobs(self.results.blobs),
            log=self._log(build),
            scratch=private_directory(self.home.cache),
        )

    @property
    def _node(self) -> tuple[str, ...]:
        path = self.spec.node.path if self.spec.node else ""
        return (path or "node", "-e", script_program())

    def _log(self, build: UnknownSpec) -> Path:
        return self.logs / f"{build.log_name(self.spec.name)}.log"
