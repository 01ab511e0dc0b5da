"""What this store has of a lock's builds, for other machines; and which of theirs a lock can use.

The result of a Dockerfile's build is in an engine. It gets into the store when it is first needed elsewhere.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.realise.builds.image_record import ImageRecord
    from hatchlock.realise.builds.record import BuildRecord
    from hatchlock.resources.build_spec import UnknownSpec
    from hatchlock.resources.dockerfile_spec import DockerfileSpec
    from hatchlock.store.blobs import Blobs
    from hatchlock.usecases.project import Project

    Record = BuildRecord | ImageRecord

__all__ = [
    "Record",
    "Results",
    "dockerfiles_of",
    "read_record",
    "result_of",
    "results_of",
    "take_results",
    "usable_results",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """What the store has of a lock's builds.

    Attributes:
        records: Input key -> what is known of the result, as JSON values.
        digests: The blobs that they name.
        notes: What of it is lost, one sentence each.
    """

    records: Mapping[str, Mapping[str, Any]]
    digests: tuple[str, ...]
    notes: tuple[str, ...]


def results_of(project: Project, manifest: Manifest, lock: Lock, platforms: Sequence[str]) -> Results:
    """Return the results that this machine has, those of Dockerfiles taken out of the engine.

    Args:
        project: Whose.
        manifest: The one that the lock satisfies.
        lock: Whose builds.
        platforms: Of the lock.

    Raises:
        HatchlockError: What reading this machine raises, if a package is built for processes.
        OSError: The disk is full, or the like.
    """
    from hatchlock.net.registry_errors import ImageProblem
    from hatchlock.resources.build_facts import kept_build
    from hatchlock.resources.dockerfile_result import known_result

    found: dict[str, Record] = {}
    notes: list[str] = []
    for key, build in _packages(project, manifest, lock, platforms).items():
        if record := kept_build(build, project.home):
            found[key] = record
    for spec in dockerfiles_of(lock, platforms):
        if known_result(spec, project.home) is None:
            continue
        try:
            found[spec.key] = result_of(project, manifest, spec)
        except ImageProblem as error:
            notes.append(f"what was built of server:{spec.server} is left out: {error}")
    return Results(
        records={key: asdict(found[key]) for key in sorted(found)},
        digests=tuple(sorted({digest for record in found.values() for digest in record.blobs})),
        notes=tuple(notes),
    )


def result_of(project: Project, manifest: Manifest, spec: DockerfileSpec) -> ImageRecord:
    """Return what was built of a Dockerfile, and make sure that the store has it.

    Raises:
        NotInEngine: Neither the store nor the engine has it.
        ImageUnreachable: The store does not have it, and no engine answers.
        BadImage: What the engine gives out is no image.
        OSError: The disk is full, or the like.
    """
    from hatchlock.resources.dockerfile_result import kept_result

    return kept_result(spec, project.home) or _taken_out(project, manifest, spec)


def _taken_out(project: Project, manifest: Manifest, spec: DockerfileSpec) -> ImageRecord:
    """Take a result out of the engine: its config, and the layers that none of its bases has."""
    from hatchlock.address import ImageReference
    from hatchlock.digest import hex_of
    from hatchlock.files import private_directory
    from hatchlock.realise.builds.image_record import ImageRecord, ImageRecords
    from hatchlock.resources.build_facts import records_of
    from hatchlock.sources.oci_documents import read_manifest
    from hatchlock.store.blobs import Blobs
    from hatchlock.usecases.image_places import open_images

    blobs = Blobs(project.home.blobs)
    reference = ImageReference.parse(f"docker-daemon:{spec.tag(manifest.project.name)}")
    with contextlib.ExitStack() as stack:
        scratch = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(dir=private_directory(project.home.cache), prefix="work-image-")
            )
        )
        images = open_images(project, manifest, offline=True, scratch=lambda: scratch, stack=stack)
        document = read_manifest(images.manifest(reference), reference)
        shared = {layer.diff_id for item in spec.images for layer in item.image.layers}
        own = {item.digest: item.size for item in (document.config, *document.layers) if item.digest not in shared}
        for digest, size in own.items():
            with blobs.add(hex_of(digest), size, what=f"a part of {reference}") as writer:
                images.blob(reference, digest, writer.write)
    record = ImageRecord(
        context=spec.snapshot.digest,
        layers=tuple(layer.digest for layer in document.layers),
        config=hex_of(document.config.digest),
        blobs={hex_of(digest): size for digest, size in sorted(own.items())},
    )
    return ImageRecords(records_of(project.home)).complete(spec.key, record)


def read_record(values: Any) -> Record | None:
    """Return the record that JSON values are, one that names its blobs; None if they are none."""
    from hatchlock.realise.builds.image_record import ImageRecord
    from hatchlock.realise.builds.record import BuildRecord

    if not isinstance(values, dict):
        return None
    found = BuildRecord.read(values) or ImageRecord.read(values)
    return found if found and found.blobs else None


def usable_results(project: Project, lock: Lock, offered: Mapping[str, Record]) -> dict[str, Record]:
    """Return the results of builds that the lock has, each under its input key.

    For processes only those for this machine's interpreters can be told.

    Raises:
        HatchlockError: What reading this machine raises, if a package is built for processes.
    """
    from hatchlock.manifest.load import load_bytes
    from hatchlock.realise.builds.record import BuildRecord

    manifest = load_bytes(project.manifest, project.manifest_bytes, b"").manifest
    packages = _packages(project, manifest, lock, lock.platforms)
    dockerfiles = {spec.key: spec for spec in dockerfiles_of(lock, lock.platforms)}
    found: dict[str, Record] = {}
    for key, record in offered.items():
        if isinstance(record, BuildRecord):
            right = key in packages and packages[key].package == record.package
        else:
            right = key in dockerfiles and _is_of(dockerfiles[key], record)
        if right:
            found[key] = record
    return found


def take_results(project: Project, results: Mapping[str, Record], blobs: Blobs) -> None:
    """Take results over whose blobs are in the store; those that it had already stay, and are compared.

    Raises:
        OSError: The disk is full, or the like.
    """
    from hatchlock.realise.builds.image_record import ImageRecords
    from hatchlock.realise.builds.record import BuildRecord, BuildRecords
    from hatchlock.resources.build_facts import records_of

    root = records_of(project.home)
    for key, record in results.items():
        if isinstance(record, BuildRecord):
            BuildRecords(root).take(key, record, blobs.has)
        else:
            ImageRecords(root).take(key, record, blobs.has)


def _is_of(spec: DockerfileSpec, record: ImageRecord) -> bool:
    shared = {layer.diff_id for item in spec.images for layer in item.image.layers}
    own = {f"sha256:{digest}" for digest in record.blobs}
    return record.context == spec.snapshot.digest and shared | own >= set(record.layers)


def dockerfiles_of(lock: Lock, platforms: Sequence[str]) -> Iterator[DockerfileSpec]:
    """Yield the images that are built from Dockerfiles, for each of some platforms of the lock."""
    from hatchlock.resolve.wanted import container_platforms
    from hatchlock.resources.image_target import dockerfile_image

    for build in lock.builds:
        for platform in container_platforms(platforms) if not build.image else ():
            yield dockerfile_image(lock, build, platform)


def _packages(project: Project, manifest: Manifest, lock: Lock, platforms: Sequence[str]) -> dict[str, UnknownSpec]:
    """Return what is built of packages, by input key."""
    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.wanted import container_platforms
    from hatchlock.resources.image_target import image_of
    from hatchlock.resources.unplaced import FileNotLocked, ProgramNotOffered
    from hatchlock.usecases.plan import read_target

    found: dict[str, UnknownSpec] = {}
    for locked in lock.environments:
        for platform in container_platforms(platforms) if locked.runtime == "container" else ():
            with contextlib.suppress(FileNotLocked, ProgramNotOffered):
                environment = image_of(manifest, lock, locked, platform, name=locked.name).environment
                found |= {build.key: build for build in (environment.unknown if environment else ())}
    # which interpreter builds for processes is this machine's affair
    if host_platform() in platforms and any(locked.runtime == "process" for locked in lock.environments):
        found |= {build.key: build for spec in read_target(project).environments for build in spec.unknown}
    return found
