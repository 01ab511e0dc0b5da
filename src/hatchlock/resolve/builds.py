"""The environments that packages and projects are built in: made with that of the package, kept with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from packaging.utils import canonicalize_name

from hatchlock.lock.model import BUILD, Environment, Lock, Package
from hatchlock.resolve.basis import Basis
from hatchlock.resolve.request import EnvironmentResult
from hatchlock.resolve.wanted import WantedEnvironment

__all__ = [
    "build_preferences",
    "build_word",
    "builds_of",
    "forbidden_builds",
    "kept_builds",
    "loose_builds",
    "scripts_of",
    "split_packages",
    "with_builds",
]


def build_word(package_id: str, *, is_node: bool) -> str:
    """Return what the environment is called that something is built in, behind `web/build/`; no name of Python has a dot."""
    return f"{_name(package_id)}.node" if is_node else _name(package_id)


def split_packages(packages: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return what is on every platform, and what each has besides, from the ids of each platform; all sorted."""
    sets = {name: set(ids) for name, ids in packages.items()}
    common = set.intersection(*sets.values()) if sets else set()
    extra = {name: tuple(sorted(ids - common)) for name, ids in sorted(sets.items()) if ids - common}
    return tuple(sorted(common)), extra


def with_builds(environment: Environment, result: EnvironmentResult | None) -> tuple[Environment, ...]:
    """Return an environment that was just resolved, and those that packages of it are built in."""
    found = result.builds if result else {}
    names = {package: f"{environment.name}{BUILD}{found[package].word}" for package in sorted(found)}
    built = []
    for package, name in names.items():
        common, extra = split_packages(found[package].packages)
        built.append(
            Environment(
                name=name,
                private=True,
                runtime=environment.runtime,
                python=environment.python,
                managed=environment.managed,
                node=environment.node if found[package].is_node else "",
                base=environment.base,
                requirements=found[package].requirements,
                constraints=environment.constraints,
                overrides=environment.overrides,
                packages=common,
                platform_packages=extra,
                tree=dict(sorted(found[package].tree.items())),
                makes=package,
            )
        )
    return (replace(environment, builds=names), *built)


def builds_of(environment: Environment, lock: Lock) -> tuple[Environment, ...]:
    """Return the environments of a lock that packages of an environment are built in, by name.

    Raises:
        KeyError: The lock lacks one of them.
    """
    return tuple(lock.environment(name, environment.runtime) for name in sorted(environment.builds.values()))


def kept_builds(environment: Environment, wanted: WantedEnvironment, lock: Lock) -> tuple[Environment, ...]:
    """Return those of an environment that is kept, under its bounds as they are written now."""
    return tuple(
        replace(item, constraints=wanted.constraints, overrides=wanted.overrides, keys={})
        for item in builds_of(environment, lock)
    )


def build_preferences(basis: Basis, wanted: WantedEnvironment) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return, for each package that the locks build in an environment, by its word, what they have where it is built."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for lock in basis.known:
        for item in lock.environments:
            owner = item.name.partition(BUILD)[0]
            if item.makes and (owner, item.runtime) == (wanted.name, wanted.runtime):
                found.setdefault(item.name.partition(BUILD)[2], basis.preferred_in(item.name, item.runtime))
    return found


def forbidden_builds(wanted: WantedEnvironment, locked: Environment) -> Iterator[str]:
    """Yield the ids of packages that the lock builds and that the manifest does not allow to be built."""
    allowed = set(wanted.allow_build)
    yield from (package for package in sorted(locked.builds) if canonicalize_name(_name(package)) not in allowed)


def scripts_of(wanted: WantedEnvironment, tree: Iterable[str], packages: Mapping[str, Package]) -> tuple[str, ...]:
    """Return the ids of an npm tree whose install scripts run: those that have some, and that the manifest names."""
    allowed = set(wanted.allow_scripts)
    found = [packages[name] for name in sorted(set(tree))] if allowed else []
    return tuple(package.id for package in found if package.install_script and package.name in allowed)


def loose_builds(lock: Lock) -> Iterator[Environment]:
    """Yield the environments that something would be built in which nobody builds, or which something else is built in."""
    used = {
        (name, item.runtime, package, item.python, item.base)
        for item in lock.environments
        for package, name in item.builds.items()
    }
    for item in lock.environments:
        if item.makes and (item.name, item.runtime, item.makes, item.python, item.base) not in used:
            yield item


def _name(package_id: str) -> str:
    return package_id.partition(":")[2].rpartition("@")[0]
