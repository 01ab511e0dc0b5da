"""`export --to`: the image of a server or environment, out of hatchlock: a layout, an archive, a registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from hatchlock.address import BadSource, ImageReference, Kind, Source, Transport
from hatchlock.digest import hex_of, oci_digest, sha256_bytes
from hatchlock.errors import HatchlockError, UsageError
from hatchlock.events import Sink
from hatchlock.usecases.inspect import NotInLock, image_platforms

if TYPE_CHECKING:
    from hatchlock.images.assemble import Composed
    from hatchlock.images.packed import Packed, PlatformImage
    from hatchlock.lock.model import Lock, Package
    from hatchlock.manifest.model import Manifest
    from hatchlock.realise.builds.image_record import ImageRecord
    from hatchlock.resources.base import Artefact
    from hatchlock.resources.dockerfile_spec import DockerfileSpec
    from hatchlock.resources.image_spec import ImageSpec
    from hatchlock.usecases.project import Project

__all__ = ["ExportedImage", "ImageTarget", "NoImage", "export_image", "image_target"]

Form = Literal["oci", "oci-archive", "docker-archive", "docker"]

_TARGET = re.compile(rf"(?P<form>{'|'.join(get_args(Form))}):(?P<rest>.+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_SHOWN_DIGITS = 12


@dataclass(kw_only=True, eq=False)
class NoImage(HatchlockError):
    """Something that is to be exported as an image runs as a process, or its image was not built here."""

    code: ClassVar[str] = "no-image"

    name: str
    is_built: bool = False

    def __str__(self) -> str:
        if self.is_built:
            return f"the image of {self.name!r} is built from a Dockerfile, and neither the store nor the engine has it"
        return f"{self.name!r} runs as a process in the lock, so it has no image"

    def _hint(self) -> str:
        if self.is_built:
            return "run `hatchlock apply` on a machine of that platform first, or take a bundle of one with `hatchlock fetch --from`"
        return 'give it runtime = "container", and lock'


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTarget:
    """Where an image is to be written.

    Attributes:
        text: As the user writes it.
        form: By the words of containers-transports(5).
        path: The directory or file; None of a registry.
        name: What the image is called there; "" if that is not said.
        tag: Of a docker-archive, which has names as engines have them: the tag behind its name; "" if that is not said.
        reference: The repository of a registry, and the tag; None of a path.
    """

    text: str
    form: Form
    path: Path | None = None
    name: str = ""
    tag: str = ""
    reference: ImageReference | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedImage:
    """What `export_image` made.

    Attributes:
        target: As the user wrote it.
        reference: What names exactly this image: in a registry `HOST/REPOSITORY@sha256:…`, else its digest.
        digest: `sha256:…` of the index, or of the manifest where there is one platform; of a docker-archive, which has
            none, of the config.
        platforms: Those that it is for.
        sent: To a registry: how many blobs, their bytes, how many manifests and tags; zeros if all was there.
    """

    target: str
    reference: str
    digest: str
    platforms: tuple[str, ...]
    sent: Mapping[str, int]


def image_target(text: str) -> ImageTarget:
    """Read a target, in one of the forms of containers-transports(5).

    They are `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME[:TAG]]`, `docker://HOST/REPO[:TAG]`.

    Raises:
        UsageError: It is none.
    """
    match = _TARGET.fullmatch(text)
    form: Form | None = next((form for form in get_args(Form) if match and match["form"] == form), None)
    if match is None or form is None:
        known = "oci:DIR, oci-archive:FILE, docker-archive:FILE or docker://HOST/REPO:TAG"
        raise UsageError(what=f"--to {text}: an image cannot be written there", advice=f"write {known}")
    rest = match["rest"]
    if form == "docker":
        reference = _engine_reference(rest.removeprefix("//")) if rest.startswith("//") else None
        if reference is None:
            raise UsageError(what=f"--to {text}: that is no repository", advice="write docker://HOST/REPO[:TAG]")
        return ImageTarget(text=text, form=form, reference=reference)
    path, _, name = rest.partition(":")
    if path and name and form == "docker-archive":
        reference = _engine_reference(name)
        if reference is None:
            raise UsageError(what=f"--to {text}: that is no path and name", advice=f"write {form}:FILE[:NAME[:TAG]]")
        named = str(replace(reference, tag=""))
        return ImageTarget(text=text, form=form, path=Path(path), name=named, tag=reference.tag)
    if not path or (name and not _NAME.fullmatch(name)):
        raise UsageError(what=f"--to {text}: that is no path and name", advice=f"write {form}:PATH[:NAME]")
    return ImageTarget(text=text, form=form, path=Path(path), name=name)


def _engine_reference(text: str) -> ImageReference | None:
    """Read a name that an image can get, so without a digest."""
    try:
        reference = ImageReference.parse(text)
    except BadSource:
        return None
    return reference if reference.transport is Transport.REGISTRY and not reference.digest else None


def export_image(
    project: Project,
    name: str,
    target: ImageTarget,
    *,
    platforms: Sequence[str] = (),
    offline: bool = False,
    emit: Sink,
) -> ExportedImage:
    """Put the image of a server or environment together, and write it with a statement of what it is made from.

    What the store lacks for that is fetched. An image that was built from a Dockerfile is written as it was built, and
    taken out of the engine, if the store does not have it.

    The same lock gives the same digest, wherever and however often it is exported, but for what is built.

    Args:
        project: Whose lock.
        name: A server or environment of the container runtime.
        target: Where the image goes.
        platforms: Of the lock; this machine's if none is named.
        offline: Fetch nothing; a registry that is a target is asked all the same.
        emit: Told about progress.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        NotInLock: It has no such server, environment or platform.
        NoImage: It runs as a process, or is to be built and was not.
        NotBuilt: A package of it is to be built and was not.
        UsageError: The target cannot hold the image, or its directory does not exist.
        NoPlaceForLayout, PermissionProblem: It cannot be written.
        LoginNeeded, WrongLogin, NoAccess, PushRefused, ImageUnreachable: A registry does not take it.
        HatchlockError: What fetching and assembling raise.
        OSError: The disk is full, or the like.
    """
    from hatchlock.images.packed import pack
    from hatchlock.resources.dockerfile_result import result_image
    from hatchlock.resources.dockerfile_spec import DockerfileSpec
    from hatchlock.resources.image_build import check_outputs, composed
    from hatchlock.store.blobs import Blobs
    from hatchlock.usecases.fetch import fetch
    from hatchlock.usecases.locked import satisfied_lock

    manifest, lock = satisfied_lock(project)
    specs = _specs(manifest, lock, name, platforms)
    _check(target, specs)
    annotations = _annotations(lock, name)
    built = _built(project, manifest, specs)
    needed = (item for spec in specs for item in _artefacts(spec, built))
    fetch(project, needed, offline=offline, emit=emit)
    with ExitStack() as stack:
        images: list[PlatformImage] = []
        for spec in specs:
            if isinstance(spec, DockerfileSpec):
                image = result_image(spec, built[spec.key], Blobs(project.home.blobs))
                images.append(_built_image(spec, image, annotations))
                continue
            image = stack.enter_context(composed(spec, home=project.home))
            check_outputs(spec, image)
            images.append(_platform_image(spec, image, annotations, _statement(project, lock, spec, image)))
        packed = pack(images)
        sent = _write(project, manifest, target, packed, images, name=target.name or name, emit=emit)
    digest = packed.top.digest
    if target.form == "docker-archive":
        digest = oci_digest(images[0].config)
    reference = replace(target.reference, tag="", digest=digest) if target.reference else digest
    return ExportedImage(
        target=target.text,
        reference=str(reference),
        digest=digest,
        platforms=tuple(spec.platform for spec in specs),
        sent=sent,
    )


def _statement(project: Project, lock: Lock, spec: ImageSpec, image: Composed) -> bytes:
    from hatchlock.resources.provenance import provenance

    if not spec.is_assembled:
        return b""
    digest = sha256_bytes(project.lock_bytes or b"")
    return provenance(spec, project=lock.project, lock_digest=digest, image=image)


def _built(
    project: Project, manifest: Manifest, specs: Iterable[ImageSpec | DockerfileSpec]
) -> Mapping[str, ImageRecord]:
    """Return what was built of Dockerfiles, by input key; the store has it then."""
    from hatchlock.resources.dockerfile_spec import DockerfileSpec
    from hatchlock.sources.oci_engine import NotInEngine
    from hatchlock.usecases.build_results import result_of

    found = {}
    for spec in specs:
        if isinstance(spec, DockerfileSpec):
            try:
                found[spec.key] = result_of(project, manifest, spec)
            except NotInEngine as error:
                raise NoImage(name=spec.server, is_built=True) from error
    return found


def _artefacts(spec: ImageSpec | DockerfileSpec, built: Mapping[str, ImageRecord]) -> Sequence[Artefact]:
    from hatchlock.resources.dockerfile_result import shared_artefacts
    from hatchlock.resources.dockerfile_spec import DockerfileSpec

    return shared_artefacts(spec, built[spec.key]) if isinstance(spec, DockerfileSpec) else spec.artefacts


def _specs(manifest: Manifest, lock: Lock, name: str, platforms: Iterable[str]) -> Sequence[ImageSpec | DockerfileSpec]:
    from hatchlock.engines.process import host_platform
    from hatchlock.resources.image_target import dockerfile_image, locked_image, unchanged_image

    wanted = image_platforms(lock, platforms or [host_platform()])
    servers = {server.name: server for server in lock.servers}
    server = servers.get(name)
    if build := lock.build(name):
        if build.image:
            return [unchanged_image(lock, build.image, platform, name=name) for platform in wanted]
        return [dockerfile_image(lock, build, platform) for platform in wanted]
    if server and server.runtime == "container" and server.image:
        return [unchanged_image(lock, server.image, platform, name=name) for platform in wanted]
    environments = [item for item in lock.environments if item.name == (server.environment if server else name)]
    container = [item for item in environments if item.runtime == "container"]
    if server and server.runtime != "container":
        container = []
    if container:
        return [locked_image(manifest, lock, container[0], platform, name=name) for platform in wanted]
    if server or environments:
        raise NoImage(name=name)
    raise NotInLock(
        what="server or environment", name=name, known=(*servers, *(item.name for item in lock.environments))
    )


def _check(target: ImageTarget, specs: Sequence[ImageSpec | DockerfileSpec]) -> None:
    if target.form == "docker-archive" and len(specs) > 1:
        raise UsageError(
            what=f"--to {target.text}: a docker-archive holds one platform",
            advice="write one for each, or oci-archive:FILE",
        )
    if target.path is not None and not target.path.absolute().parent.is_dir():
        raise UsageError(what=f"--to {target.text}: there is no such directory", advice="make it first")
    if target.path is not None and target.form != "oci" and target.path.is_dir():
        raise UsageError(what=f"--to {target.text}: that is a directory", advice="name a file, or write oci:DIR")


def _platform_image(
    spec: ImageSpec, image: Composed, annotations: Mapping[str, str], statement: bytes
) -> PlatformImage:
    from hatchlock.images.config import KEY_LABEL
    from hatchlock.images.packed import PlatformImage

    based = {
        "org.opencontainers.image.base.digest": spec.base.digest,
        "org.opencontainers.image.base.name": spec.reference,
    }
    own = _said({"title": spec.server, **_image_facts(spec)}) if not spec.is_assembled else based
    return PlatformImage(
        config=image.config,
        layers=(*image.below, *image.above),
        annotations={**annotations, **own, KEY_LABEL: spec.key},
        provenance=statement,
    )


def _built_image(spec: DockerfileSpec, image: Composed, annotations: Mapping[str, str]) -> PlatformImage:
    from hatchlock.images.config import KEY_LABEL
    from hatchlock.images.packed import PlatformImage

    return PlatformImage(config=image.config, layers=image.below, annotations={**annotations, KEY_LABEL: spec.key})


def _image_facts(spec: ImageSpec) -> Mapping[str, str]:
    base = spec.base
    return {"version": base.version, "licenses": base.licence, "source": base.repository}


def _annotations(lock: Lock, name: str) -> Mapping[str, str]:
    """Return what the lock knows of the package that a server is; of an environment there is only its name."""
    package = _main_package(lock, name)
    if package is None:
        return _said({"title": name})
    facts = {
        "title": package.name,
        "version": package.version,
        "licenses": package.licence,
        "source": package.location if package.kind is Kind.GIT else package.repository,
        "revision": package.commit,
    }
    return _said(facts)


def _said(facts: Mapping[str, str]) -> Mapping[str, str]:
    return {f"org.opencontainers.image.{name}": value for name, value in facts.items() if value}


def _main_package(lock: Lock, name: str) -> Package | None:
    from hatchlock.resolve.command import main_package
    from hatchlock.resolve.entries import entries_of

    server = next((item for item in lock.servers if item.name == name), None)
    if server is None or server.image or not server.source:
        return None
    entry = entries_of(lock).get(server.source)
    source = Source.parse(entry.dependencies[0] if entry else server.source)
    return main_package(source, lock.environment(server.environment, server.runtime), lock)


def _write(
    project: Project,
    manifest: Manifest,
    target: ImageTarget,
    packed: Packed,
    images: Sequence[PlatformImage],
    *,
    name: str,
    emit: Sink,
) -> Mapping[str, int]:
    from hatchlock.images.layout import layout_chunks, write_chunks, write_layout

    if target.path is None:
        return _push(project, manifest, target, packed, emit=emit)
    if target.form == "oci":
        write_layout(packed, target.path.absolute(), name=name)
        return {}
    if target.form == "oci-archive":
        write_chunks(target.path, layout_chunks(packed, name=name))
        return {}
    write_chunks(target.path, _docker_archive(images[0], name=name.lower(), tag=target.tag))
    return {}


def _docker_archive(image: PlatformImage, *, name: str, tag: str) -> Iterator[bytes]:
    """Without a tag of ours, for whoever loads it is not hatchlock; the digest's digits never take another one's place."""
    from hatchlock.images.archive import archive_chunks

    named = tag or hex_of(oci_digest(image.config))[:_SHOWN_DIGITS]
    return archive_chunks(config=image.config, layers=image.layers, tag=f"{name}:{named}")


def _push(
    project: Project, manifest: Manifest, target: ImageTarget, packed: Packed, *, emit: Sink
) -> Mapping[str, int]:
    from hatchlock.images.pushing import push_image
    from hatchlock.usecases.image_places import open_pusher

    assert target.reference is not None  # noqa: S101  a target without path has one
    with closing(open_pusher(project, manifest)) as pusher:
        pushed = push_image(packed, target.reference, pusher=pusher, emit=emit)
    return {"blobs": pushed.blobs, "bytes": pushed.size, "documents": pushed.documents}
