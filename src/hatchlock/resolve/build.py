"""Manifest -> lock. What the previous lock has and still satisfies the manifest is kept as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hatchlock.address import Kind
from hatchlock.errors import about
from hatchlock.lock.images import Image
from hatchlock.lock.model import Archive, Environment, File, Lock, Package, Server
from hatchlock.manifest.model import Manifest, moment
from hatchlock.resolve.basis import Answers, Basis, Upgrade
from hatchlock.resolve.builds import build_preferences, scripts_of, split_packages, with_builds
from hatchlock.resolve.command import resolve_command
from hatchlock.resolve.direct import SameIdentity, direct_source, is_on_this_machine
from hatchlock.resolve.dockerfiles import locked_builds, read_builds
from hatchlock.resolve.entries import check_variables, entries_of, suits_runtime, wanted_entries, with_entries
from hatchlock.resolve.freshness import excludes_more
from hatchlock.resolve.images import image_of, images_of_packages, named_images
from hatchlock.resolve.interpreters import check_interpreters
from hatchlock.resolve.kept import kept_environment
from hatchlock.resolve.request import EnvironmentRequest, EnvironmentResult
from hatchlock.resolve.targets import environment_target, glibc_of
from hatchlock.resolve.wanted import (
    WantedEnvironment,
    container_platforms,
    launch_of,
    wanted_environments,
)

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
    _read_directories(basis, wanted)
    to_build = read_builds(basis)
    images = named_images(basis, wanted)
    found = _environments(basis, wanted, images)
    packages = found.packages | {entry.id: entry for entry in entries.values()}
    images |= images_of_packages(basis, packages.values(), images)
    builds, named = locked_builds(
        basis, to_build, lambda reference, user: image_of(basis, reference, user, facts=False)
    )
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


def _read_directories(basis: Basis, wanted: Iterable[WantedEnvironment]) -> None:
    """Read what environments name in directories, once for all: what is wrong there is told before a registry is asked."""
    locked = {source for source, package in basis.pinned.items() if package.commit}
    for item in wanted:
        for text in item.requirements:
            with about(f"env:{item.name}"):
                # a commit that is locked may be in the cache, and its repository gone
                if is_on_this_machine(text) and direct_source(text) not in locked:
                    basis.answers.load(direct_source(text), None)


def _archives(basis: Basis, new: Iterable[Archive], packages: Iterable[Package]) -> tuple[Archive, ...]:
    """Return the suites that packages are from; of one that was not asked again what the previous lock says."""
    known = {archive.name: archive for archive in (basis.kept.archives if basis.kept else ())}
    known |= {archive.name: archive for archive in new}
    return tuple(known[name] for name in sorted({package.index for package in packages} & known.keys()))


def _comparable(previous: Lock | None, manifest: Manifest, platforms: tuple[str, ...]) -> Lock | None:
    """Return the part of the previous lock that can be taken over: nothing when it is for other platforms."""
    if previous is None or previous.platforms != platforms:
        return None
    if bool(manifest.project.exclude_newer) != bool(previous.exclude_newer):
        return None
    return previous


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """The environments, the packages by id, the suites that were asked, and after which moment releases were ignored."""

    environments: list[Environment]
    packages: dict[str, Package]
    archives: tuple[Archive, ...]
    excluded: str


def _environments(basis: Basis, wanted: Sequence[WantedEnvironment], images: Mapping[str, Image]) -> _Found:
    kept = {item: locked for item in wanted if (locked := kept_environment(basis, item, images))}
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
