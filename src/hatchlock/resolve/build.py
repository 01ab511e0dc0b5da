"""Manifest -> lock. What the previous lock has and still satisfies the manifest is kept as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.images.key import input_key
from hatchlock.lock.model import ASSEMBLER, Environment, File, Image, Lock, Package, Server
from hatchlock.manifest.model import Manifest, moment
from hatchlock.resolve.basis import Answers, Basis, Upgrade
from hatchlock.resolve.command import resolve_command
from hatchlock.resolve.direct import Direct, SameIdentity, normal_form
from hatchlock.resolve.freshness import environment_reasons, excludes_more, image_reasons
from hatchlock.resolve.request import EnvironmentRequest, EnvironmentResult
from hatchlock.resolve.serving import is_from_its_index
from hatchlock.resolve.wanted import (
    WantedEnvironment,
    container_platforms,
    launch_of,
    wanted_environments,
    wanted_images,
)
from hatchlock.sources.python.targets import (
    DEFAULT_GLIBC,
    DEFAULT_MACOS,
    PythonTarget,
    container_target,
    process_target,
)
from hatchlock.sources.python.wheel_tags import choose_wheel

__all__ = ["BaseWithoutPython", "build_lock", "environment_target"]

_WITH_NODE = tuple(f"{kind}:" for kind in (Kind.NPM, Kind.GIT, Kind.PATH))


@dataclass(kw_only=True, eq=False)
class BaseWithoutPython(HatchlockError):
    """A base image does not have the interpreter that an environment needs."""

    code: ClassVar[str] = "base-without-python"

    base: str
    platform: str
    wanted: str
    found: str

    def __str__(self) -> str:
        has = f"Python {self.found}" if self.found else "no Python"
        return f"the base {self.base} has {has} for {self.platform}, the environment wants Python {self.wanted}"

    def _hint(self) -> str:
        if self.found:
            return f'set python = "{".".join(self.found.split(".")[:2])}", or choose another base'
        return 'choose a base with Python in it, for example base = "oci:python:3.11-slim"'


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
    """Return the lock for a manifest.

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
        BaseWithoutPython: A base does not fit its environment.
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
    wanted = wanted_environments(manifest, previous)
    images = _images(basis, wanted)
    resolved, packages, excluded = _environments(basis, wanted, images)
    environments = tuple(_with_keys(manifest, item, images, packages) for item in resolved)
    lock = Lock(
        project=manifest.project.name,
        platforms=platforms,
        exclude_newer=excluded,
        packages=tuple(packages[name] for name in sorted(packages)),
        images=tuple(images[reference] for reference in sorted(images)),
        environments=environments,
    )
    return replace(lock, servers=tuple(_launches(manifest, lock)))


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
    images = {}
    for reference, user in sorted(users.items()):
        try:
            found = _kept_image(basis, reference) or _find_image(basis, reference, facts=reference in bases)
        except HatchlockError as error:
            error.address = error.address or user
            raise
        images[reference] = found
    return images


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


def _environments(
    basis: Basis,
    wanted: Sequence[WantedEnvironment],
    images: Mapping[str, Image],
) -> tuple[list[Environment], dict[str, Package], str]:
    """Return the environments, the packages by id, and the moment after which releases were ignored."""
    kept = {item: locked for item in wanted if (locked := _kept_environment(basis, item, images))}
    stale = [item for item in wanted if item not in kept and item.requirements]
    since = basis.manifest.project.exclude_newer
    limit = moment(since, basis.now) if since and stale else None
    requests = [_request(basis, item, images) for item in stale]
    resolution = basis.answers.resolve(requests, exclude_newer=limit) if requests else None
    results = dict(zip(stale, resolution.environments, strict=True)) if resolution else {}
    new = {package.id: package for package in resolution.packages} if resolution else {}
    environments = [kept.get(item) or _resolved(basis, item, results.get(item), new) for item in wanted]
    # what is known of the others is what an earlier resolution needed of them
    held = {name for locked in kept.values() for name in _named(locked)}
    known = [package for package in (basis.kept.packages if basis.kept else ()) if package.id in held]
    # what was read anew comes last: of a project it replaces what was known
    sources = [*known, *new.values()]
    return environments, _union(sources, environments), _excluded(basis, limit)


def _excluded(basis: Basis, limit: datetime | None) -> str:
    since = basis.manifest.project.exclude_newer
    if limit is None and basis.kept and basis.kept.exclude_newer and not excludes_more(since, basis.kept):
        return basis.kept.exclude_newer
    return moment(since, basis.now).astimezone(UTC).isoformat(timespec="seconds") if since else ""


def _kept_environment(basis: Basis, wanted: WantedEnvironment, images: Mapping[str, Image]) -> Environment | None:
    """Return the previous lock's environment, with the requirements as they are written now, if it will still do."""
    kept = basis.kept
    if kept is None or basis.upgrade is None or list(environment_reasons(wanted, kept)):
        return None
    if wanted.requirements and excludes_more(basis.manifest.project.exclude_newer, kept):
        return None
    if wanted.base and images[wanted.base] not in kept.images:
        return None
    locked = kept.environment(wanted.name, wanted.runtime)
    packages = [package for package in kept.packages if package.id in locked.everywhere]
    if not all(_may_stay(package, basis) for package in packages) or not _fits(basis, locked, images):
        return None
    return replace(
        locked,
        trust=wanted.trust,
        requirements=wanted.requirements,
        constraints=wanted.constraints,
        overrides=wanted.overrides,
        keys={},
    )


def _may_stay(package: Package, basis: Basis) -> bool:
    if not basis.may_keep(package) or not is_from_its_index(basis.manifest, package):
        return False
    # only a directory can be another one under the same requirement
    return package.kind is not Kind.PATH or _is_the_same(package, basis.answers.load(package.source, package))


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
        if not all(choose_wheel(package.files, target) for package in wheels):
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
        node=wanted.node or (basis.answers.host_node() if _may_need_node(wanted) else ""),
        pinned=basis.pinned,
    )


def _may_need_node(wanted: WantedEnvironment) -> bool:
    return any(text.startswith(_WITH_NODE) for text in wanted.requirements)


def environment_target(
    manifest: Manifest, wanted: WantedEnvironment | Environment, images: Mapping[str, Image], platform: str
) -> PythonTarget:
    """Return where an environment's packages are to run on one platform.

    Raises:
        BaseWithoutPython: Its base has another Python, or none.
    """
    if wanted.runtime == "process":
        project = manifest.project
        return process_target(
            platform,
            wanted.python,
            min_glibc=project.min_glibc or DEFAULT_GLIBC,
            min_macos=project.min_macos or DEFAULT_MACOS,
        )
    base = images[wanted.base].platforms[platform]
    if base.python.split(".")[:2] != wanted.python.split(".")[:2]:
        raise BaseWithoutPython(
            address=f"env:{wanted.name}", base=wanted.base, platform=platform, wanted=wanted.python, found=base.python
        )
    return container_target(platform, base.python, libc=base.libc)


def _resolved(
    basis: Basis, wanted: WantedEnvironment, result: EnvironmentResult | None, packages: Mapping[str, Package]
) -> Environment:
    per_platform = {name: set(ids) for name, ids in result.packages.items()} if result else {}
    common = set.intersection(*per_platform.values()) if per_platform else set()
    extra = {name: tuple(sorted(ids - common)) for name, ids in sorted(per_platform.items()) if ids - common}
    namespaces = {packages[name].namespace for ids in per_platform.values() for name in ids}
    has_python = Kind.PYPI in namespaces or wanted.python_declared or wanted.runtime == "container"
    has_node = Kind.NPM in namespaces or wanted.node_declared
    managed = has_python and wanted.managed
    return Environment(
        name=wanted.name,
        private=wanted.private,
        runtime=wanted.runtime,
        python=wanted.python if has_python else "",
        managed=_interpreters(basis, wanted) if managed else {},
        node=(wanted.node or basis.answers.host_node()) if has_node else "",
        tree=dict(sorted(result.tree.items())) if result else {},
        base=wanted.base,
        trust=wanted.trust,
        requirements=wanted.requirements,
        constraints=wanted.constraints,
        overrides=wanted.overrides,
        packages=tuple(sorted(common)),
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


def _with_keys(
    manifest: Manifest, environment: Environment, images: Mapping[str, Image], packages: Mapping[str, Package]
) -> Environment:
    if environment.runtime != "container":
        return environment
    keys = {}
    for platform, base in sorted(images[environment.base].platforms.items()):
        target = environment_target(manifest, environment, images, platform)
        files = [choose_wheel(packages[name].files, target) for name in environment.on(platform)]
        keys[platform] = input_key(base.digest, [file for file in files if file], rule=ASSEMBLER)
    return replace(environment, keys=keys)


def _launches(manifest: Manifest, lock: Lock) -> Iterable[Server]:
    for name in sorted(manifest.servers):
        server = manifest.servers[name]
        plain = launch_of(server, command=server.command, choices=())
        command, choices = resolve_command(server, plain, lock)
        yield launch_of(server, command=command, choices=choices)
