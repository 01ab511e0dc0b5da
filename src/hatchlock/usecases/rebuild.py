"""`verify --rebuild`: what was built is built once more, and compared. What there is stays; only what is said of it changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatchlock.errors import about
from hatchlock.events import Event, Sink
from hatchlock.usecases.plan import Connection, project_state

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.realise.builds.image_record import ImageRecord
    from hatchlock.realise.builds.record import BuildRecord
    from hatchlock.resources.base import Artefact
    from hatchlock.resources.dockerfile_spec import DockerfileSpec
    from hatchlock.resources.env_builds import Sandbox
    from hatchlock.resources.env_spec import EnvSpec
    from hatchlock.resources.image_spec import ImageSpec
    from hatchlock.resources.target import Target
    from hatchlock.usecases.project import Project

__all__ = ["Rebuilt", "rebuild"]

_LOCK_TIMEOUT = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """What became of one build.

    Attributes:
        name: What `logs --build` calls it.
        key: The digest of everything that goes in.
        difference: What the further build gave instead, as a clause; "" if it gave the same.
        absent: Why nothing was built, as a clause; "" if it was.
        is_lacking: Whether that is because the store lacks something.
        is_contained: Whether it is for containers.
    """

    name: str
    key: str
    difference: str = ""
    absent: str = ""
    is_lacking: bool = False
    is_contained: bool = False


def rebuild(
    project: Project, target: Target, *, environments: Collection[str], servers: Collection[str], emit: Sink
) -> tuple[Rebuilt, ...]:
    """Build again what was built for this machine, and compare; each build once, sorted by name.

    Args:
        project: Whose.
        target: What should be on this machine.
        environments: Those whose packages are built again.
        servers: Those whose Dockerfiles are built again.
        emit: Told about each build.

    Raises:
        LeaseHeld: An apply did not end in time.
        BuildFailed, BadBuildResult, BuildNotIsolated, ImageBuildFailed: This time it cannot be built.
        EngineFailed, EngineError, EngineUnreachable: The engine refuses, or is gone.
        WrongHash: A blob of the store is damaged; it is removed.
        OSError: The disk is full, or the like.
    """
    from hatchlock.usecases.leases import project_lease

    work = _Work(project=project, target=target, emit=emit)
    own = [spec for spec in target.environments if spec.name in environments and spec.unknown]
    images = [
        spec
        for spec in target.images
        if spec.environment and spec.environment.unknown and spec.environment.name in environments
    ]
    dockerfiles = [spec for spec in target.dockerfiles if spec.server in servers]
    if not (own or images or dockerfiles):
        return ()
    state = project_state(project, target.project)
    with project_lease(project.home, target.project, state, purpose="verify", timeout=_LOCK_TIMEOUT, emit=emit):
        found = [item for spec in own for item in work.environment(spec)]
        contained = [item for spec in images for item in work.image(spec)]
        contained += [work.dockerfile(spec) for spec in dockerfiles]
    found += [replace(item, is_contained=True) for item in contained]
    return tuple(sorted({item.key: item for item in found}.values(), key=lambda item: item.name))


class _Work:
    def __init__(self, *, project: Project, target: Target, emit: Sink) -> None:
        self._home = project.home
        self._target = target
        self._logs: Path = project_state(project, target.project).builds
        self._connect = Connection(target)
        self._emit = emit

    def environment(self, spec: EnvSpec) -> Iterator[Rebuilt]:
        from hatchlock.resources.env_builds import sandbox_of_processes

        with about(f"env:{spec.name}"):
            if told := list(self._not_possible(spec, spec.artefacts)):
                yield from told
                return
            yield from self._again(spec, sandbox_of_processes(spec))

    def image(self, spec: ImageSpec) -> Iterator[Rebuilt]:
        from hatchlock.resources.image_builds import sandbox_of_image

        assert spec.environment is not None  # noqa: S101  the caller looked
        with about(str(spec.address)):
            if told := list(self._not_possible(spec.environment, spec.artefacts)):
                yield from told
                return
            with sandbox_of_image(
                spec, project=self._target.project, engine=self._connect(), home=self._home
            ) as sandbox:
                yield from self._again(spec.environment, sandbox)

    def dockerfile(self, spec: DockerfileSpec) -> Rebuilt:
        from hatchlock.resources.dockerfile_image import DockerfileResource
        from hatchlock.resources.dockerfile_result import known_result

        before = known_result(spec, self._home)
        plain = Rebuilt(name=spec.server, key=spec.key)
        if before is None:
            return _absent(plain)
        if lacking := self._lacking(spec.artefacts):
            return _absent(plain, lacking)
        self._emit(Event(name="build.start", address=str(spec.address), message=spec.server))
        resource = DockerfileResource(
            [spec], project=self._target.project, home=self._home, logs=self._logs, connect=self._connect
        )
        with about(str(spec.address)):
            layers = resource.rebuild(spec.address)
        return _compared(plain, _of_layers(before, layers))

    def _not_possible(self, spec: EnvSpec, artefacts: Iterable[Artefact]) -> Iterator[Rebuilt]:
        """Yield what is to be said of each build if none can be made."""
        from hatchlock.resources.build_facts import kept_build

        lacking = self._lacking(artefacts)
        if lacking or not any(kept_build(build, self._home) for build in spec.unknown):
            for build in spec.unknown:
                yield _absent(Rebuilt(name=build.log_name(spec.name), key=build.key), lacking)

    def _again(self, spec: EnvSpec, sandbox: Sandbox) -> Iterator[Rebuilt]:
        from hatchlock.resources.build_facts import kept_build
        from hatchlock.resources.env_builds import rebuilt

        for build in spec.unknown:
            name = build.log_name(spec.name)
            before = kept_build(build, self._home)
            plain = Rebuilt(name=name, key=build.key)
            if before is None:
                yield _absent(plain)
                continue
            self._emit(Event(name="build.start", address=f"env:{spec.name}", message=name))
            made = rebuilt(build, spec, home=self._home, logs=self._logs, sandbox=sandbox)
            yield _compared(plain, _of_files(before, made))

    def _lacking(self, artefacts: Iterable[Artefact]) -> str:
        from hatchlock.store.blobs import Blobs

        blobs = Blobs(self._home.blobs)
        needed = {item.digest: item.package for item in artefacts}
        missing = [package for digest, package in needed.items() if not blobs.has(digest)]
        return f"the store lacks {len(missing)} of its {len(needed)} files, {missing[0]} among them" if missing else ""


def _of_files(before: BuildRecord, made: BuildRecord) -> str:
    if (before.file, before.sha256) == (made.file, made.sha256):
        return ""
    return f"a further build gave {made.file} with sha256:{made.sha256}, before it was sha256:{before.sha256}"


def _of_layers(before: ImageRecord, layers: tuple[str, ...]) -> str:
    if before.layers == layers:
        return ""
    if len(before.layers) != len(layers):
        return f"a further build gave {len(layers)} layers, before there were {len(before.layers)}"
    number = next(number for number, both in enumerate(zip(before.layers, layers, strict=True), 1) if len({*both}) > 1)
    return f"a further build gave something else from layer {number} of {len(layers)} on"


def _compared(plain: Rebuilt, difference: str) -> Rebuilt:
    return replace(plain, difference=f"{difference}: it is not reproducible" if difference else "")


def _absent(plain: Rebuilt, lacking: str = "") -> Rebuilt:
    why = lacking or "this store has no result of it"
    return replace(plain, absent=why, is_lacking=bool(lacking))
