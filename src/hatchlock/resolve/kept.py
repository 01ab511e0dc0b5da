"""Which environments of the previous lock still satisfy the manifest, and are taken over as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain

from hatchlock.address import Kind
from hatchlock.lock.images import Image
from hatchlock.lock.model import Environment, Package
from hatchlock.resolve.basis import Basis
from hatchlock.resolve.builds import builds_of, kept_builds
from hatchlock.resolve.direct import Direct, normal_form
from hatchlock.resolve.freshness import environment_reasons, excludes_more
from hatchlock.resolve.serving import is_as_declared, is_from_its_index, named_channels
from hatchlock.resolve.targets import environment_target
from hatchlock.resolve.wanted import WantedEnvironment
from hatchlock.sources.python.wheel_tags import choose_wheel

__all__ = ["kept_environment"]


def kept_environment(
    basis: Basis, wanted: WantedEnvironment, images: Mapping[str, Image]
) -> tuple[Environment, ...] | None:
    """Return the previous lock's environment and its builds', with the requirements as they are now, if they will do.

    Args:
        basis: Says what may move, and reads directories, which may be others by now under the same requirement.
        wanted: The environment as the manifest has it.
        images: The images of the new lock, by reference.

    Raises:
        HatchlockError: What reading a directory raises.
    """
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
