"""Manifest -> lock. What the previous lock has and still satisfies the manifest is kept as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain

from hatchlock.address import Kind
from hatchlock.errors import about
from hatchlock.lock.images import Image
from hatchlock.lock.model import Archive, Environment, File, Lock, Package, Server
from hatchlock.manifest.model import Manifest, moment
from hatchlock.resolve.basis import Answers, Basis, Upgrade
from hatchlock.resolve.builds import build_preferences, builds_of, kept_builds, scripts_of, split_packages, with_builds
from hatchlock.resolve.command import resolve_command
from hatchlock.resolve.direct import Direct, SameIdentity, normal_form
from hatchlock.resolve.dockerfiles import locked_builds
from hatchlock.resolve.entries import check_variables, entries_of, suits_runtime, wanted_entries, with_entries
from hatchlock.resolve.freshness import environment_reasons, excludes_more, image_reasons
from hatchlock.resolve.interpreters import check_interpreters
from hatchlock.resolve.request import EnvironmentRequest, EnvironmentResult
from hatchlock.resolve.serving import is_as_declared, is_from_its_index, named_channels
from hatchlock.resolve.targets import environment_target, glibc_of
from hatchlock.resolve.wanted import (
    WantedEnvironment,
    container_platforms,
    launch_of,
    wanted_environments,
    wanted_images,
)
from hatchlock.sources.python.wheel_tags import choose_wheel

__all__ = ["build_lock"]

_WITH_NODE = tuple(f"{kind}:" for kind in (Kind.NPM, Kind.GIT, Kind.PATH))


def build_lock(
    manifest: Manifest,
    previous: Lock | None,
    *,
    now: datetime,
    host_platform: str,
    upgrade: Upgrade,
    answers: Answers,
    others: Sequence[Lock] = (),
    keep: bool = True,
) -> Lock:
    """Return the lock for a manifest, but for the input keys of images (`resources.image_target.with_image_keys`).

    Args:
        manifest: What is wanted.
        previous: The lock so far; its pins are preferred, and what of it is fresh is taken over without a question.
        now: An aware date-time, for `exclude-newer` durations.
        host_platform: The platform that is recorded when neither manifest nor previous lock names any.
        upgrade: What may move.
        answers: Asked only for images that the previous lock does not have, for environments that are not fresh (all at
            once), and for what lies in directories.
        others: Further locks whose pins are preferred, after those of the previous one: the other side of a merge.
        keep: Whether what of the previous lock is fresh is taken over; else only its pins are preferred.

    Raises:
        BaseWithoutPython, BaseWithoutNode: A base does not fit its environment.
        UnsetVariables: A server lacks what its entry of the MCP registry needs.
        HatchlockError: What the sources raise.
    """
    recorded = next((lock.platforms for lock in (previous, *others) if lock), (host_platform,))
    platforms = manifest.project.platforms or recorded
    basis = Basis(
        manifest=manifest,
        platforms=platforms,
        containers=container_platforms(platforms),
        previous=previous,
        kept=_comparable(previous, manifest, platforms) if keep else None,
        others=tuple(others),
        upgrade=upgrade,
        now=now,
        answers=answers,
    )
    entries = _entries(basis)
    manifest = with_entries(manifest, entries)
    check_variables(manifest, entries.values())
    basis = replace(basis, manifest=manifest)
    wanted = wanted_environments(manifest, previous)
    images = _images(basis, wanted)
    found = _environments(basis, wanted, images)
    packages = found.packages | {entry.id: entry for entry in entries.values()}
    images |= _dependencies(basis, packages.values(), images)
    builds, named = locked_builds(basis, lambda reference, user: _image(basis, reference, user, facts=False))
    images = named | images
    lock = Lock(
        project=manifest.project.name,
        platforms=platforms,
        exclude_newer=found.excluded,
        packages=tuple(packages[name] for name in sorted(packages)),
        archives=_archives(basis, found.archives, packages.values()),
        images=tuple(images[reference] for reference in sorted(images)),
        builds=builds,
        environments=tuple(sorted(found.environments, key=lambda item: (item.name, item.runtime))),
    )
    return replace(lock, servers=tuple(_launches(manifest, lock)))


def _entries(basis: Basis) -> dict[str, Package]:
    """Return the entries of the MCP registry that servers are, by source; those of the previous lock as far as they do."""
    found = {}
    known = entries_of(basis.previous) if basis.previous else {}
    for text, runtime in wanted_entries(basis.manifest).items():
        pinned = known.get(text)
        pinned = pinned if pinned and basis.may_keep(pinned) else None
        if pinned and basis.kept and suits_runtime(pinned, runtime):
            found[text] = pinned
            continue
        with about(text):
            found[text] = basis.answers.entry(text, runtime, basis.platforms, pinned)
    return found


def _archives(basis: Basis, new: Iterable[Archive], packages: Iterable[Package]) -> tuple[Archive, ...]:
    """Return the suites that packages are from; of one that was not asked again what the previous lock says."""
    known = {archive.name: archive for archive in (basis.kept.archives if basis.kept else ())}
    known |= {archive.name: archive for archive in new}
    return tuple(known[name] for name in sorted({package.index for package in packages} & known.keys()))


def _dependencies(basis: Basis, packages: Iterable[Package], known: Mapping[str, Image]) -> dict[str, Image]:
    """Return the images that others depend on."""
    wanted = {package.location: package.id for package in packages if package.kind is Kind.OCI}
    return {
        reference: _image(basis, reference, user, facts=False)
        for reference, user in sorted(wanted.items())
        if reference not in known
    }


def _comparable(previous: Lock | None, manifest: Manifest, platforms: tuple[str, ...]) -> Lock | None:
    """Return the part of the previous lock that can be taken over: nothing when it is for other platforms."""
    if previous is None or previous.platforms != platforms:
        return None
    if bool(manifest.project.exclude_newer) != bool(previous.exclude_newer):
        return None
    return previous


def _images(basis: Basis, wanted: Iterable[WantedEnvironment]) -> dict[str, Image]:
    bases = {item.base: f"env:{item.name}" for item in wanted if item.base}
    users = {**wanted_images(basis.manifest), **bases}
    return {
        reference: _image(basis, reference, user, facts=reference in bases) for reference, user in sorted(users.items())
    }


def _image(basis: Basis, reference: str, user: str, *, facts: bool) -> Image:
    with about(user):
        return _kept_image(basis, reference) or _find_image(basis, reference, facts=facts)


def _kept_image(basis: Basis, reference: str) -> Image | None:
    if basis.kept is None or basis.upgrade is None or reference in basis.upgrade:
        return None
    return None if list(image_reasons(reference, "", basis.kept)) else basis.kept.image(reference)


def _find_image(basis: Basis, reference: str, *, facts: bool) -> Image:
    """Look an image up: what the previous lock pins, as long as the registry has it and nothing was to move."""
    from hatchlock.net.registry import UnknownImage  # noqa: PLC0415  a plan, which compiles, asks no registry

    pinned = {image.reference: image.digest for lock in basis.known for image in lock.images}
    look_up = basis.answers.look_up_image
    may_move = basis.upgrade is None or reference in basis.upgrade
    if reference in pinned and not may_move and "@" not in reference:
        with contextlib.suppress(UnknownImage):
            found = look_up(f"{reference}@{pinned[reference]}", basis.containers, facts=facts)
            return replace(found, reference=reference)
    return look_up(reference, basis.containers, facts=facts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """The environments, the packages by id, the suites that were asked, and after which moment releases were ignored."""

    environments: list[Environment]
    packages: dict[str, Package]
    archives: tuple[Archive, ...]
    excluded: str


def _environments(basis: Basis, wanted: Sequence[WantedEnvironment], images: Mapping[str, Image]) -> _Found:
    kept = {item: locked for item in wanted if (locked := _kept_environment(basis, item, images))}
    stale = [item for item in wanted if item not in kept and item.requirements]
    since = basis.manifest.project.exclude_newer
    limit = moment(since, basis.now) if since and stale else None
    requests = [_request(basis, item, images) for item in stale]
    resolution = basis.answers.resolve(requests, exclude_newer=limit) if requests else None
    results = dict(zip(stale, resolution.environments, strict=True)) if resolution else {}
    new = {package.id: package for package in resolution.packages} if resolution else {}
    environments = [
        environment
        for item in wanted
        for environment in kept.get(item)
        or with_builds(_resolved(basis, item, results.get(item), new, images), results.get(item))
    ]
    for environment in environments:
        check_interpreters(environment, images, new)
    # what is known of the others is what an earlier resolution needed of them
    held = {name for found in kept.values() for locked in found for name in _named(locked)}
    known = [package for package in (basis.kept.packages if basis.kept else ()) if package.id in held]
    # what was read anew comes last: of a project it replaces what was known
    sources = [*known, *new.values()]
    return _Found(
        environments=environments,
        packages=_union(sources, environments),
        archives=resolution.archives if resolution else (),
        excluded=_excluded(basis, limit),
    )


def _excluded(basis: Basis, limit: datetime | None) -> str:
    since = basis.manifest.project.exclude_newer
    if limit is None and basis.kept and basis.kept.exclude_newer and not excludes_more(since, basis.kept):
        return basis.kept.exclude_newer
    return moment(since, basis.now).astimezone(UTC).isoformat(timespec="seconds") if since else ""


def _kept_environment(
    basis: Basis, wanted: WantedEnvironment, images: Mapping[str, Image]
) -> tuple[Environment, ...] | None:
    """Return the previous lock's environment and its builds', with the requirements as they are now, if they will do."""
    kept = basis.kept
    if kept is None or basis.upgrade is None or list(environment_reasons(wanted, kept)):
        return None
    if wanted.requirements and excludes_more(basis.manifest.project.exclude_newer, kept):
        return None
    if wanted.base and images[wanted.base] not in kept.images:
        return None
    locked = kept.environment(wanted.name, wanted.runtime)
    builds = builds_of(locked, kept)
    here = locked.everywhere.union(*(item.everywhere for item in builds))
    packages = [package for package in kept.packages if package.id in here]
    channels = named_channels(basis.manifest, packages)
    used = {package.index for package in packages}
    if not all(is_as_declared(basis.manifest, archive) for archive in kept.archives if archive.name in used):
        return None
    stay = chain(
        (_may_stay(package, basis, channels) for package in packages),
        (_fits(basis, item, images) for item in (locked, *builds)),
        (_needs_the_same(item, packages, basis) for item in builds),
    )
    if not all(stay):
        return None
    current = replace(
        locked,
        trust=wanted.trust,
        requirements=wanted.requirements,
        constraints=wanted.constraints,
        overrides=wanted.overrides,
        keys={},
    )
    return (current, *kept_builds(locked, wanted, kept))


def _may_stay(package: Package, basis: Basis, channels: frozenset[str]) -> bool:
    if not basis.may_keep(package) or not is_from_its_index(basis.manifest, package, channels):
        return False
    # only a directory can be another one under the same requirement
    in_directory = package.kind is Kind.PATH or (package.kind is Kind.HATCH and package.location)
    return not in_directory or _is_the_same(package, basis.answers.load(package.source, package))


def _needs_the_same(building: Environment, packages: Iterable[Package], basis: Basis) -> bool:
    """Whether the build of a directory needs what it did: that, too, may be decided above it."""
    made = next((item for item in packages if item.id == building.makes and item.kind is Kind.PATH), None)
    return made is None or basis.answers.load(made.source, made).build == building.requirements


def _is_the_same(package: Package, direct: Direct) -> bool:
    """Whether a directory is as it was locked. What lies above it, in its workspace, decides on what it needs, too."""
    needs = {normal_form(text) for text in direct.everything}
    always = {normal_form(text) for text in direct.package.dependencies if ";" not in text}
    locked = set(package.dependencies)
    return direct.package.files == package.files and always <= locked <= needs


def _fits(basis: Basis, locked: Environment, images: Mapping[str, Image]) -> bool:
    """Whether every package has a file for each platform, under the bounds that the manifest sets on platforms now."""
    if basis.kept is None or not locked.python:
        return True
    for platform in basis.containers if locked.runtime == "container" else basis.platforms:
        target = environment_target(basis.manifest, locked, images, platform)
        wheels = (package for package in basis.kept.packages_of(locked, platform) if package.kind is Kind.PYPI)
        if not all(choose_wheel(package.files, target) or package.id in locked.builds for package in wheels):
            return False
    return True


def _request(basis: Basis, wanted: WantedEnvironment, images: Mapping[str, Image]) -> EnvironmentRequest:
    platforms = basis.containers if wanted.runtime == "container" else basis.platforms
    return EnvironmentRequest(
        name=wanted.name,
        platforms={name: environment_target(basis.manifest, wanted, images, name) for name in platforms},
        requirements=wanted.requirements,
        constraints=wanted.constraints,
        overrides=wanted.overrides,
        preferred=basis.preferred(wanted),
        node=_node(basis, wanted, images) if wanted.node or _may_need_node(wanted) else "",
        pinned=basis.pinned,
        base=wanted.base,
        bases=images[wanted.base].platforms if wanted.base else {},
        glibc={name: glibc_of(basis.manifest, wanted, images, name) for name in platforms},
        min_macos=basis.manifest.project.min_macos,
        allow_build=frozenset(wanted.allow_build),
        allow_scripts=frozenset(wanted.allow_scripts),
        build_preferred=build_preferences(basis, wanted) if wanted.allow_build else {},
    )


def _node(basis: Basis, wanted: WantedEnvironment, images: Mapping[str, Image]) -> str:
    """Return the Node that packages are chosen for: the declared or recorded one, else the base's, else this machine's."""
    bases = images[wanted.base].platforms.values() if wanted.base else ()
    in_base = next((found.node.partition(".")[0] for found in bases if found.node), "")
    return wanted.node or in_base or basis.answers.host_node()


def _may_need_node(wanted: WantedEnvironment) -> bool:
    return any(text.startswith(_WITH_NODE) for text in wanted.requirements)


def _resolved(
    basis: Basis,
    wanted: WantedEnvironment,
    result: EnvironmentResult | None,
    packages: Mapping[str, Package],
    images: Mapping[str, Image],
) -> Environment:
    per_platform = result.packages if result else {}
    common, extra = split_packages(per_platform)
    namespaces = {packages[name].namespace for ids in per_platform.values() for name in ids}
    python = (result.python if result else "") or wanted.python
    in_base = wanted.base and any(found.python for found in images[wanted.base].platforms.values())
    needs_python = Kind.PYPI in namespaces or Kind.HATCH in namespaces or wanted.python_declared
    has_python = needs_python or bool(in_base) or bool(result and result.python)
    has_node = Kind.NPM in namespaces or wanted.node_declared
    managed = has_python and wanted.managed and not (result and result.python)
    return Environment(
        name=wanted.name,
        private=wanted.private,
        runtime=wanted.runtime,
        python=python if has_python else "",
        managed=_interpreters(basis, wanted) if managed else {},
        node=_node(basis, wanted, images) if has_node else "",
        tree=dict(sorted(result.tree.items())) if result else {},
        base=wanted.base,
        trust=wanted.trust,
        requirements=wanted.requirements,
        constraints=wanted.constraints,
        overrides=wanted.overrides,
        scripts=scripts_of(wanted, result.tree.values() if result else (), packages),
        packages=common,
        platform_packages=extra,
    )


def _interpreters(basis: Basis, wanted: WantedEnvironment) -> Mapping[str, File]:
    """Return the archives that the previous lock has, as long as nothing was to move; else the newest."""
    for lock in basis.known if basis.upgrade is not None else ():
        with contextlib.suppress(KeyError):
            locked = lock.environment(wanted.name, wanted.runtime)
            if locked.python == wanted.python and set(locked.managed) == set(basis.platforms):
                return locked.managed
    return dict(sorted(basis.answers.interpreters(wanted.python, basis.platforms).items()))


def _named(environment: Environment) -> frozenset[str]:
    """Return what an environment names; an npm tree also has what is for platforms that nobody declared."""
    return environment.everywhere.union(environment.tree.values())


def _union(packages: Iterable[Package], environments: Iterable[Environment]) -> dict[str, Package]:
    """Merge what is said of one package in several places, and keep those that an environment uses."""
    used = {package_id for item in environments for package_id in _named(item)}
    merged: dict[str, Package] = {}
    for package in packages:
        if package.id not in used:
            continue
        known = merged.get(package.id, package)
        if known.source != package.source:
            sources = (known.source or f"that of an index, {known.id},", package.source or "that of an index")
            raise SameIdentity(id=package.id, sources=sources)
        merged[package.id] = replace(
            package,
            files=tuple(sorted({*known.files, *package.files})),
            dependencies=tuple(sorted({*known.dependencies, *package.dependencies})),
            # known only of packages that some environment asks for by name
            scripts=known.scripts or package.scripts,
        )
    return merged


def _launches(manifest: Manifest, lock: Lock) -> Iterable[Server]:
    for name in sorted(manifest.servers):
        server = manifest.servers[name]
        plain = launch_of(server, command=server.command, choices=())
        command, choices = resolve_command(server, plain, lock)
        yield launch_of(server, command=command, choices=choices)
