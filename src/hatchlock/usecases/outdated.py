"""`outdated`: what is newer than the lock has it, what was yanked or deprecated, and what holds it back. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard

if TYPE_CHECKING:
    from hatchlock.lock.images import Image
    from hatchlock.lock.model import Lock, Package
    from hatchlock.manifest.model import Manifest
    from hatchlock.resolve.outdated import Standing, Use
    from hatchlock.sources.python.targets import PythonTarget
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.sources import Sources

__all__ = ["Outdated", "find_outdated"]

_THREADS = 16
_Found = TypeVar("_Found", bound="Standing | None")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outdated:
    """What was found.

    Attributes:
        standings: What is outdated, yanked, deprecated, gone, moved, or could not be asked about; sorted.
        asked: How many packages and images were looked at.
        notes: What people should know: answers that are older than they should be, what has no newer versions by nature.
    """

    standings: tuple[Standing, ...]
    asked: int
    notes: tuple[str, ...]


def find_outdated(
    project: Project,
    *,
    names: Sequence[str] = (),
    everything: bool = False,
    offline: bool = False,
    refresh: bool = False,
    emit: Sink = discard,
) -> Outdated:
    """Compare a project's lock with what its indexes and registries have.

    Args:
        project: Whose.
        names: What to look at (`anyio`, `pypi:anyio`, `oci:python:3.11-slim`); empty: what the manifest asks for itself.
        everything: Look at all packages instead.
        offline: Know only what is cached.
        refresh: Ask again, even for what is cached.
        emit: Told about progress.

    Raises:
        NotInLock: The lock has nothing of such a name.
        MissingLock, BadLock, NewerLock: There is no lock that can be read.
        ManyErrors: The manifest has mistakes.
    """
    from hatchlock.address import Kind
    from hatchlock.manifest.load import load_bytes
    from hatchlock.manifest.model import moment
    from hatchlock.usecases.locked import read_project_lock
    from hatchlock.usecases.sources import Sources

    manifest = load_bytes(project.manifest, project.manifest_bytes, b"").manifest
    lock = read_project_lock(project)
    packages, images = _chosen(lock, names, everything=everything)
    since = manifest.project.exclude_newer
    limit = moment(since, datetime.now(UTC)) if since else None
    notes = [
        f"{package.id} is what {package.source} names: `hatchlock lock --upgrade {package.name}` looks there again"
        for package in packages
        if package.source and package.kind is not Kind.MCP
    ]
    packages = [package for package in packages if not package.source or package.kind is Kind.MCP]
    emit(Event(name="resolve.start", message=f"{len(packages)} packages"))
    with Sources(project, manifest, offline=offline, refresh=refresh, emit=emit, exclude_newer=limit) as sources:
        standings = [*_packages(packages, lock, manifest, sources), *_images(images, lock, sources)]
    found = sorted((item for item in standings if not item.is_fine), key=lambda item: (item.what, item.current))
    return Outdated(standings=tuple(found), asked=len(standings), notes=tuple(notes))


def _chosen(lock: Lock, names: Sequence[str], *, everything: bool) -> tuple[list[Package], list[Image]]:
    from hatchlock.address import Kind
    from hatchlock.resolve.outdated import direct_names

    if not names:
        direct = direct_names(item for item in lock.environments if not item.makes)
        chosen = [
            item
            for item in lock.packages
            if everything or item.kind is Kind.MCP or direct & {f"{item.kind}:{item.name}", *item.provides}
        ]
        return chosen, list(lock.images)
    packages: dict[str, Package] = {}
    images: dict[str, Image] = {}
    for name in names:
        kinds = [kind for kind in Kind if name.startswith(f"{kind}:")]
        bare = name.partition(":")[2] if kinds else name
        found = [item for item in lock.packages if _is_called(item, bare) and (not kinds or item.kind in kinds)]
        images |= {item.reference: item for item in lock.images if item.reference in {name, bare}}
        packages |= {item.id: item for item in found}
        if not found and name not in images and bare not in images:
            from hatchlock.usecases.inspect import NotInLock

            known = (*(item.name for item in lock.packages), *(item.reference for item in lock.images))
            raise NotInLock(what="package or image", name=name, known=known)
    return list(packages.values()), list(images.values())


def _is_called(package: Package, name: str) -> bool:
    from packaging.utils import canonicalize_name

    from hatchlock.address import Kind

    return package.name == (canonicalize_name(name) if package.namespace is Kind.PYPI else name)


def _packages(packages: Sequence[Package], lock: Lock, manifest: Manifest, sources: Sources) -> list[Standing]:
    from hatchlock.address import Kind
    from hatchlock.resolve.outdated import npm_standing, python_standing
    from hatchlock.usecases.outdated_kinds import OtherKinds

    others = OtherKinds(lock, manifest, sources)
    uses = _uses(lock, manifest)
    for package in packages:
        if package.kind is Kind.PYPI:
            sources.python.page_ahead(package.name)
        elif package.kind is Kind.NPM:
            sources.npm.packument_ahead(package.name)

    def standing(package: Package) -> Standing | None:
        having = uses(package)
        if package.kind is Kind.PYPI:
            return _or_unknown(package.id, lambda: python_standing(package, having, sources.python))
        if package.kind is Kind.NPM:
            return _or_unknown(package.id, lambda: npm_standing(package, having, sources.npm))
        return _or_unknown(package.id, lambda: others(package, having))

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="outdated") as pool:
        return [item for item in pool.map(standing, packages) if item is not None]


def _or_unknown(package_id: str, find: Callable[[], _Found]) -> _Found | Standing:
    """Whoever cannot be asked must not hide what the others said."""
    from hatchlock.resolve.outdated import Standing

    what, _, current = package_id.rpartition("@")
    try:
        return find()
    except HatchlockError as error:
        return Standing(
            what=what, current=current, compatible=current, newest=current, state="unknown", reason=str(error)
        )


def _uses(lock: Lock, manifest: Manifest) -> Callable[[Package], tuple[Use, ...]]:
    from hatchlock.resolve.outdated import Use
    from hatchlock.resolve.targets import environment_target
    from hatchlock.resolve.wanted import container_platforms, wanted_environments

    wanted = {(item.name, item.runtime): item for item in wanted_environments(manifest, lock)}
    images = {image.reference: image for image in lock.images}
    by_id = {package.id: package for package in lock.packages}
    having: dict[str, list[tuple[Use, dict[str, PythonTarget]]]] = {}
    for environment in lock.environments:
        platforms = container_platforms(lock.platforms) if environment.runtime == "container" else lock.platforms
        asked = wanted.get((environment.name, environment.runtime), environment)
        use = Use(
            environment=environment.name,
            requirements=asked.requirements,
            constraints=asked.constraints,
            overrides=asked.overrides,
            packages=tuple(by_id[name] for name in sorted(environment.everywhere)),
        )
        python = platforms if environment.python else ()
        targets = {platform: environment_target(manifest, environment, images, platform) for platform in python}
        for name in environment.everywhere:
            having.setdefault(name, []).append((use, targets))
    on = {
        (environment.name, platform, name)
        for environment in lock.environments
        for platform in (*lock.platforms, *container_platforms(lock.platforms))
        for name in environment.on(platform)
    }

    def uses(package: Package) -> tuple[Use, ...]:
        return tuple(
            replace(
                use,
                targets=tuple(
                    target for platform, target in targets.items() if (use.environment, platform, package.id) in on
                ),
            )
            for use, targets in having.get(package.id, ())
        )

    return uses


def _images(images: Iterable[Image], lock: Lock, sources: Sources) -> list[Standing]:
    from hatchlock.address import ImageReference
    from hatchlock.resolve.outdated import Standing

    def standing(image: Image) -> Standing:
        users = [f"env:{item.name}" for item in lock.environments if item.base == image.reference]
        users += [f"server:{item.name}" for item in lock.servers if item.image == image.reference]
        newest = sources.images.manifest(ImageReference.parse(image.reference)).digest
        return Standing(
            what=f"oci:{image.reference}",
            current=image.digest,
            compatible=newest,
            newest=newest,
            state="moved" if newest != image.digest else "",
            environments=tuple(sorted(set(users))),
        )

    def asked(image: Image) -> Standing:
        return _or_unknown(f"oci:{image.reference}@{image.digest}", lambda: standing(image))

    mutable = [image for image in images if ImageReference.parse(image.reference).mutable]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="outdated") as pool:
        return list(pool.map(asked, mutable))
