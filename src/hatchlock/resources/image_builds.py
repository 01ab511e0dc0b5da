"""What of an image has to be built first: in a container of its own base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.digest import hex_of
from hatchlock.images.assemble import load
from hatchlock.images.key import image_tag
from hatchlock.paths import Home
from hatchlock.realise.builds.build import Run
from hatchlock.realise.builds.contained import ContainedBuild
from hatchlock.resources.build_spec import UnknownSpec
from hatchlock.resources.env_builds import Sandbox, built_environment
from hatchlock.resources.image_build import composed
from hatchlock.resources.image_spec import ImageSpec

if TYPE_CHECKING:
    from hatchlock.engines.docker import Engine

__all__ = ["build_missing", "sandbox_of_image"]


def build_missing(spec: ImageSpec, *, project: str, engine: Engine, home: Home, logs: Path) -> None:
    """Build every package of an image that comes as source and that the store does not have built.

    Args:
        spec: The image; the blobs of its base were checked.
        project: Whose.
        engine: Where it is built.
        home: The store.
        logs: See `built_environment`.

    Raises:
        BuildFailed, BadBuildResult: Something cannot be built.
        HatchlockError: What `sandbox_of_image` raises.
    """
    assert spec.environment is not None  # noqa: S101  the caller looked
    with sandbox_of_image(spec, project=project, engine=engine, home=home) as sandbox:
        built_environment(spec.environment, home=home, logs=logs, sandbox=sandbox)


@contextmanager
def sandbox_of_image(spec: ImageSpec, *, project: str, engine: Engine, home: Home) -> Iterator[Sandbox]:
    """Yield the sandbox of an image's packages: containers of its base, which the engine has for as long as the block takes.

    Raises:
        NotLoaded, EngineError, EngineFailed, EngineUnreachable: The engine refuses, or is gone.
        WrongHash: A blob of the store is damaged; it is removed.
    """
    base = replace(spec, environment=None, debs=(), outputs=())
    tag = image_tag(project, spec.server, hex_of(spec.base.digest))

    def sandbox(build: UnknownSpec, command: tuple[str, ...]) -> Run:
        return ContainedBuild(
            key=build.key,
            package=build.package,
            command=command,
            image=tag,
            project=project,
            engine=engine.url,
            cores=float(engine.info()["NCPU"]),
        )

    with composed(base, home=home) as image:
        load(image, engine=engine, tag=tag)
        try:
            yield sandbox
        finally:
            engine.untag(tag)
