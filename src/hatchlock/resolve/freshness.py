"""Does the lock still satisfy the manifest? Answered from the two alone, with reasons. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import ClassVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from hatchlock.address import Kind, Source
from hatchlock.errors import HatchlockError
from hatchlock.lock.images import Image
from hatchlock.lock.model import Environment, Lock, Package, Server
from hatchlock.manifest.model import Manifest, moment
from hatchlock.resolve.builds import builds_of, forbidden_builds, scripts_of
from hatchlock.resolve.command import resolve_command
from hatchlock.resolve.direct import direct_source, is_direct
from hatchlock.resolve.dockerfiles import build_reasons
from hatchlock.resolve.entries import entries_of, with_entries
from hatchlock.resolve.named import Named, name_of, named
from hatchlock.resolve.npm_requirements import NpmBounds, declared_npm, npm_constraints, npm_limits
from hatchlock.resolve.reason import Reason
from hatchlock.resolve.requirements import holds
from hatchlock.resolve.serving import is_as_declared, is_from_its_index, named_channels, serving_index
from hatchlock.resolve.versions import python_version
from hatchlock.resolve.wanted import (
    WantedEnvironment,
    container_platforms,
    launch_of,
    wanted_environments,
    wanted_images,
)
from hatchlock.sources.hatch.declared import declared_hatch
from hatchlock.sources.npm.ranges import NpmVersion
from hatchlock.sources.python.targets import process_target

__all__ = [
    "Reason",
    "StaleLock",
    "environment_reasons",
    "excludes_more",
    "image_reasons",
    "stale_reasons",
]

_UNREAD = "0"


@dataclass(kw_only=True, eq=False)
class StaleLock(HatchlockError):
    """The lock does not satisfy the manifest any more."""

    code: ClassVar[str] = "stale-lock"

    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return "hatch.lock does not satisfy hatchlock.toml:" + "".join(f"\n  {reason}" for reason in self.reasons)

    def _hint(self) -> str:
        return "run `hatchlock lock`"


def stale_reasons(manifest: Manifest, lock: Lock) -> tuple[Reason, ...]:
    """Return every way in which the lock does not satisfy the manifest, sorted; empty when it is fresh.

    A changed requirement that the locked version still satisfies is no reason.
    """
    reasons = [*_project_reasons(manifest, lock), *_index_reasons(manifest, lock)]
    manifest = with_entries(manifest, entries_of(lock))
    reasons += _entry_reasons(manifest)
    wanted = wanted_environments(manifest, lock)
    for environment in wanted:
        reasons += environment_reasons(environment, lock)
    bases = {item.base: f"env:{item.name}" for item in wanted if item.base}
    for reference, user in {**wanted_images(manifest), **bases}.items():
        reasons += image_reasons(reference, user, lock)
    reasons += _surplus(wanted, manifest, lock)
    reasons += build_reasons(manifest, lock)
    if not reasons:
        reasons += _label_reasons(wanted, lock)
        reasons += _server_reasons(manifest, lock)
    return tuple(sorted(set(reasons)))


def _project_reasons(manifest: Manifest, lock: Lock) -> Iterator[Reason]:
    project = manifest.project
    if project.name != lock.project:
        yield Reason(address="project", what=f"is called {project.name!r}, in the lock {lock.project!r}")
    if project.platforms and project.platforms != lock.platforms:
        named = ", ".join(project.platforms)
        yield Reason(address="project", what=f"is for {named}, the lock for {', '.join(lock.platforms)}")
    if bool(project.exclude_newer) != bool(lock.exclude_newer):
        state = "excludes newer releases" if project.exclude_newer else "does not exclude newer releases any more"
        yield Reason(address="project", what=state)
    elif excludes_more(project.exclude_newer, lock):
        what = f"excludes what is newer than {project.exclude_newer}, the lock what is newer than {lock.exclude_newer}"
        yield Reason(address="project", what=what)


def _entry_reasons(manifest: Manifest) -> Iterator[Reason]:
    for server in manifest.servers.values():
        if server.source is not None and server.source.kind is Kind.MCP:
            yield Reason(address=f"server:{server.name}", what=f"is {server.source}, which is not in the lock")
        elif server.runtime == "process" and server.entry and server.source and server.source.kind is Kind.OCI:
            yield Reason(
                address=f"server:{server.name}", what="runs as a process now, and its entry was taken as an image"
            )


def _index_reasons(manifest: Manifest, lock: Lock) -> Iterator[Reason]:
    channels = named_channels(manifest, lock.packages)
    for package in lock.packages:
        if not is_from_its_index(manifest, package, channels):
            what = f"is served by the index {serving_index(manifest, package)}, the lock took it from {package.index}"
            yield Reason(address=f"{package.kind}:{package.name}", what=what)

    for archive in lock.archives:
        if not is_as_declared(manifest, archive):
            what = "is locked from another suite, component or snapshot than [indexes.debian] declares"
            yield Reason(address=archive.name, what=what)


def excludes_more(since: str | None, lock: Lock) -> bool:
    """Return whether `exclude-newer` names an earlier moment than the lock's; a duration goes with the time and never does."""
    if not since or not lock.exclude_newer:
        return False
    return moment(since, datetime.max.replace(tzinfo=UTC)) < datetime.fromisoformat(lock.exclude_newer)


def environment_reasons(wanted: WantedEnvironment, lock: Lock) -> Iterator[Reason]:
    """Yield why the lock's environment does not do for a wanted one."""
    address = f"env:{wanted.name}"
    try:
        locked = lock.environment(wanted.name, wanted.runtime)
    except KeyError:
        yield Reason(address=address, what=f"is not in the lock for the {wanted.runtime} runtime")
        return
    if locked.python != wanted.python and (locked.python or wanted.python_declared):
        yield Reason(address=address, what=f"wants Python {wanted.python}, the lock has {locked.python or 'none'}")
    elif locked.python and bool(locked.managed) != wanted.managed:
        yield Reason(address=address, what=f"wants {'one of uv' if wanted.managed else 'this machine'}'s own Python")
    if wanted.node_declared and locked.node != wanted.node:
        yield Reason(address=address, what=f"wants Node {wanted.node}, the lock has {locked.node or 'none'}")
    if locked.base != wanted.base:
        yield Reason(address=address, what=f"is based on {wanted.base}, in the lock on {locked.base}")
    if wanted.overrides != locked.overrides:
        yield Reason(address=address, what="overrides changed")
    for package in forbidden_builds(wanted, locked):
        yield Reason(address=address, what=f"builds {package}, which allow-build does not name any more")
    try:
        builds_of(locked, lock)
        by_id = lock.by_id
        if scripts_of(wanted, locked.tree.values(), by_id) != locked.scripts:
            yield Reason(address=address, what="allow-scripts names other packages than the lock runs scripts of")
        yield from _requirement_reasons(address, wanted, locked, lock)
    except KeyError as error:
        yield Reason(address=address, what=f"needs {error.args[0]}, which the lock lacks")


def _requirement_reasons(address: str, wanted: WantedEnvironment, locked: Environment, lock: Lock) -> Iterator[Reason]:
    platforms = container_platforms(lock.platforms) if wanted.runtime == "container" else lock.platforms
    for platform in platforms:
        here = list(lock.packages_of(locked, platform))
        packages = {name: item for item in here if item.kind is Kind.CONDA for name in _python_names(item)}
        packages |= {item.name: item for item in here if item.namespace is Kind.PYPI}
        yield from _unsatisfied(address, _only_python(wanted), locked, packages, platform)
    yield from _other_reasons(address, wanted, locked, lock)
    names = set(map(_identity, wanted.requirements))
    for text in locked.requirements:
        if _identity(text) not in names:
            yield Reason(address=address, what=f"does not require {_identity(text)[1]} any more")


def _python_names(package: Package) -> Iterator[str]:
    prefix = f"{Kind.PYPI}:"
    return (text.removeprefix(prefix) for text in package.provides if text.startswith(prefix))


def _only_python(wanted: WantedEnvironment) -> WantedEnvironment:
    return replace(
        wanted,
        requirements=tuple(filter(_is_python, wanted.requirements)),
        constraints=tuple(filter(_is_python, wanted.constraints)),
        overrides=tuple(filter(_is_python, wanted.overrides)),
    )


def _is_python(text: str) -> bool:
    return text.startswith(f"{Kind.PYPI}:") and not is_direct(text)


def _identity(text: str) -> tuple[str, str]:
    """Return what stays the same of a requirement when only its bounds move."""
    if is_direct(text):
        return "", direct_source(text)
    if found := named(text):
        return found.kind, f"{found.name} {found.exact}".strip()
    if text.startswith(f"{Kind.NPM}:"):
        name, bounds = declared_npm(text.removeprefix(f"{Kind.NPM}:"))
        return Kind.NPM, f"{name} {bounds.real}".strip()
    return Kind.PYPI, _requirement(text).name


def _other_reasons(address: str, wanted: WantedEnvironment, locked: Environment, lock: Lock) -> Iterator[Reason]:
    by_id = lock.by_id
    by_source = {by_id[item].source: by_id[item] for item in locked.everywhere}
    overrides = npm_limits(wanted.overrides)
    for text in wanted.requirements:
        if is_direct(text):
            yield from _direct_reasons(address, text, by_source)
        elif wanted_name := named(text):
            yield from _named_reasons(address, text, wanted_name, locked, by_id)
        elif text.startswith(f"{Kind.NPM}:"):
            yield from _npm_reasons(address, text, overrides, locked, by_id)
    limits = npm_constraints(wanted.constraints)
    for package in map(by_id.__getitem__, sorted(set(locked.tree.values()))):
        for bounds in limits.get(package.name, ()):
            if not bounds.contains(NpmVersion.parse(package.version), prereleases=False):
                yield Reason(
                    address=address, what=f"is constrained to {package.name}@{bounds}, the lock has {package.id}"
                )


def _direct_reasons(address: str, text: str, by_source: Mapping[str, Package]) -> Iterator[Reason]:
    package = by_source.get(direct_source(text))
    if package is None:
        yield Reason(address=address, what=f"requires {text}, which is not in the lock")
    elif package.kind is Kind.HATCH and not declared_hatch(text.partition(":")[2]).allows(package.version):
        yield Reason(address=address, what=f"requires {text}, the lock has {package.version}")


def _named_reasons(
    address: str, text: str, wanted: Named, locked: Environment, by_id: Mapping[str, Package]
) -> Iterator[Reason]:
    """What the base has already is not in the lock as a package: that it still is asked for tells enough."""
    here = [by_id[item] for item in sorted(locked.everywhere) if by_id[item].kind is wanted.kind]
    # what lies in a directory never stands for a name
    found = [item for item in here if item.name == wanted.name and not item.source]
    bad = [item for item in found if not wanted.suits(item)]
    known = {name_of(item) for item in locked.requirements}
    if bad:
        yield Reason(address=address, what=f"requires {text}, the lock has {bad[0].version}")
    elif not found and f"{wanted.kind}:{wanted.name}" not in known:
        yield Reason(address=address, what=f"requires {text}, which is not in the lock")
    elif wanted.kind is Kind.CONDA and text not in locked.requirements:
        # conda's own solver alone knows what its bounds allow
        yield Reason(address=address, what=f"requires {text}, the lock was made for another requirement")


def _npm_reasons(
    address: str, text: str, overrides: Mapping[str, NpmBounds], locked: Environment, by_id: Mapping[str, Package]
) -> Iterator[Reason]:
    name, bounds = declared_npm(text.removeprefix(f"{Kind.NPM}:"))
    bounds = overrides.get(name, bounds)
    found = locked.tree.get(f"node_modules/{name}") or _project(name, locked, by_id)
    if found is None:
        yield Reason(address=address, what=f"requires {text}, which is not in the lock")
        return
    package = by_id[found]
    if package.name != (bounds.real or name) or not _npm_suits(bounds, package):
        yield Reason(address=address, what=f"requires {text}, the lock has {package.id}")


def _project(name: str, locked: Environment, by_id: Mapping[str, Package]) -> str | None:
    """The id of the Node project that stands for a name."""
    own = (by_id[item] for item in sorted(locked.everywhere))
    return next((item.id for item in own if item.source and item.namespace is Kind.NPM and item.name == name), None)


def _npm_suits(bounds: NpmBounds, package: Package) -> bool:
    if package.source and package.version.partition("+")[0] == _UNREAD:
        return True
    return bounds.contains(NpmVersion.parse(package.version), prereleases=bool(package.source))


def _unsatisfied(
    address: str, wanted: WantedEnvironment, locked: Environment, packages: Mapping[str, Package], platform: str
) -> Iterator[Reason]:
    known: dict[str, list[Requirement]] = {}
    for before in map(_requirement, filter(_is_python, locked.requirements)):
        known.setdefault(before.name, []).append(before)
    overridden = {item.name for item in map(_requirement, wanted.overrides) if _holds(item, platform, wanted.python)}
    for text in (*wanted.requirements, *wanted.constraints):
        requirement = _requirement(text)
        package = packages.get(requirement.name)
        is_constraint = text not in wanted.requirements
        # an override counts instead of what requires, and is itself compared with the lock's
        is_moot = bool(package and package.source) if is_constraint else requirement.name in overridden
        if (
            package
            and not is_moot
            and not _suits(requirement, package)
            and _holds(requirement, platform, wanted.python)
        ):
            yield Reason(address=address, what=f"requires {requirement}, the lock has {package.version}")
        if is_constraint:
            continue
        same = known.get(requirement.name, [])
        if not same:
            yield Reason(address=address, what=f"requires {requirement}, which is not in the lock")
        elif _scope(requirement) not in map(_scope, same):
            yield Reason(address=address, what=f"requires {requirement}, the lock was made for {same[0]}")


def _suits(requirement: Requirement, package: Package) -> bool:
    # a version that could not be read without running the project rules nothing out
    is_unread = bool(package.source) and package.version.partition("+")[0] == _UNREAD
    version = python_version(package) if package.kind is Kind.CONDA else Version(package.version)
    return is_unread or requirement.specifier.contains(version, prereleases=True)


def _holds(requirement: Requirement, platform: str, python: str) -> bool:
    return requirement.marker is None or holds(str(requirement.marker), process_target(platform, python))


def _scope(requirement: Requirement) -> tuple[set[str], str]:
    return requirement.extras, str(requirement.marker)


def _requirement(text: str) -> Requirement:
    requirement = Requirement(Source.parse(text).spec)
    requirement.name = canonicalize_name(requirement.name)
    return requirement


def image_reasons(reference: str, user: str, lock: Lock) -> Iterator[Reason]:
    """Yield why the lock's image does not do for a reference."""
    try:
        image: Image = lock.image(reference)
    except KeyError:
        yield Reason(address=user, what=f"needs the image {reference}, which is not in the lock")
        return
    missing = sorted(set(container_platforms(lock.platforms)) - set(image.platforms))
    if missing:
        yield Reason(address=user, what=f"needs the image {reference} for {', '.join(missing)}, which the lock lacks")


def _label_reasons(wanted: Iterable[WantedEnvironment], lock: Lock) -> Iterator[Reason]:
    for item in wanted:
        if lock.environment(item.name, item.runtime).trust != item.trust:
            yield Reason(address=f"env:{item.name}", what="trust changed since it was locked")


def _surplus(wanted: Iterable[WantedEnvironment], manifest: Manifest, lock: Lock) -> Iterator[Reason]:
    names = {(item.name, item.runtime) for item in wanted}
    for environment in lock.environments:
        if environment.makes:  # goes with the environment that it is for
            continue
        if (environment.name, environment.runtime) not in names and environment.name not in manifest.servers:
            yield Reason(address=f"env:{environment.name}", what="is in the lock and not declared any more")
    for server in lock.servers:
        if server.name not in manifest.servers:
            yield Reason(address=f"server:{server.name}", what="is in the lock and not declared any more")


def _server_reasons(manifest: Manifest, lock: Lock) -> Iterator[Reason]:
    for declared in manifest.servers.values():
        address = f"server:{declared.name}"
        plain = launch_of(declared, command=declared.command, choices=())
        command, choices = resolve_command(declared, plain, lock)
        try:
            locked = lock.server(declared.name)
        except KeyError:
            yield Reason(address=address, what="is not in the lock")
            continue
        expected = launch_of(declared, command=command, choices=choices)
        # what a file of the project holds is nothing that the manifest says
        profile = locked.sandbox.seccomp_sha256
        expected = replace(expected, sandbox=replace(expected.sandbox, seccomp_sha256=profile))
        for item in fields(Server):
            before, after = getattr(locked, item.name), getattr(expected, item.name)
            if before == after or _is_satisfied_source(item.name, before, after):
                continue
            if item.name == "command" and not after and not choices:
                # a lock that is cut off has lost what says so; the manifest may be as it was
                words = " ".join(before)
                what = f"is started by `{words}`, which neither hatchlock.toml nor its package in the lock has"
                yield Reason(address=address, what=what)
            else:
                yield Reason(address=address, what=f"{item.name.replace('_', '-')} changed since it was locked")


def _is_satisfied_source(name: str, before: str, after: str) -> bool:
    """A source whose bounds moved around the locked version is still satisfied; the requirement was checked above."""
    if name != "source" or not before or not after:
        return False
    return _identity(before)[0] != "" and _identity(before) == _identity(after)
