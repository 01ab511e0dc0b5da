"""`lock --images`: what each image of a lock is, found by assembling it, for every platform that the lock is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatchlock.errors import about
from hatchlock.events import Event, Sink, discard

if TYPE_CHECKING:
    from hatchlock.lock.images import ImageOutput
    from hatchlock.lock.model import Environment, Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.resources.image_spec import ImageSpec
    from hatchlock.usecases.project import Project

__all__ = ["Recorded", "record_outputs"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A lock that says what its images are.

    Attributes:
        lock: The lock.
        notes: Of which environments it does not say that, one sentence each.
    """

    lock: Lock
    notes: tuple[str, ...] = ()


def record_outputs(
    project: Project, manifest: Manifest, lock: Lock, *, offline: bool, emit: Sink = discard
) -> Recorded:
    """Assemble the image of each environment for each of its platforms, and return the lock with what came of it.

    What the store lacks is fetched, each file once. What an earlier lock recorded counts for nothing here: all are assembled,
    one after the other, and no more than the layers of one are on disk at a time.

    Args:
        project: Whose lock.
        manifest: The manifest that the lock satisfies.
        lock: The lock, with its input keys.
        offline: Ask nobody: what is not in the store is an error.
        emit: Told about progress.

    Raises:
        HatchlockError: What fetching and assembling raise, at `env:NAME`.
        OSError: The disk is full, or the like.
    """
    from hatchlock.lock.store import dumps
    from hatchlock.resources.image_target import locked_image
    from hatchlock.usecases.fetch import fetch

    chosen = [item for item in lock.environments if item.keys and not item.makes and not _unknown(item)]
    specs = {
        (item.name, platform): locked_image(manifest, lock, item, platform, name=item.name)
        for item in chosen
        for platform in sorted(item.keys)
    }
    locked = replace(project, lock_bytes=dumps(lock).encode())
    files = {artefact.digest: artefact for spec in specs.values() for artefact in spec.artefacts}
    fetch(locked, files.values(), offline=offline, emit=emit)
    found: dict[str, dict[str, ImageOutput]] = {}
    for (name, platform), spec in specs.items():
        emit(Event(name="image.start", address=f"env:{name}", message=f"for {platform}", data={"platform": platform}))
        found.setdefault(name, {})[platform] = _output(project, spec)
    return Recorded(
        lock=replace(lock, environments=tuple(_with_outputs(item, found) for item in lock.environments)),
        notes=tuple(_unrecorded(lock)),
    )


def _with_outputs(locked: Environment, found: Mapping[str, Mapping[str, ImageOutput]]) -> Environment:
    return replace(locked, outputs=found.get(locked.name, {})) if locked.runtime == "container" else locked


def _output(project: Project, spec: ImageSpec) -> ImageOutput:
    from hatchlock.lock.images import ImageOutput
    from hatchlock.resources.image_build import composed

    with about(f"env:{spec.server}"), composed(spec, home=project.home) as image:
        return ImageOutput(config=image.config_digest, layers=image.layers)


def _unrecorded(lock: Lock) -> Iterator[str]:
    for item in lock.environments:
        if item.runtime == "container" and (unknown := _unknown(item)):
            why = f"{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} known after build"
            yield f"env:{item.name}: the lock cannot say what its image is, since {why}"


def _unknown(locked: Environment) -> tuple[str, ...]:
    """Return the packages of which nobody knows beforehand what comes of them: they are built, or run scripts."""
    return tuple(sorted({*locked.builds, *locked.scripts}))
