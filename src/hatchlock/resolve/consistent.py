"""Does a lock agree with itself? A merge without a conflict can give one that neither side had. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from hatchlock.address import Kind
from hatchlock.lock.images import Image
from hatchlock.lock.model import Environment, Lock, Package
from hatchlock.resolve.builds import loose_builds
from hatchlock.resolve.closure import Closure, Edge
from hatchlock.resolve.consistent_tree import NpmTree
from hatchlock.resolve.dockerfiles import wrong_builds
from hatchlock.resolve.interpreters import has_own_python
from hatchlock.resolve.reason import Reason
from hatchlock.resolve.remaining import used_images, used_packages
from hatchlock.resolve.sourced import source_reasons
from hatchlock.resolve.wanted import container_platforms
from hatchlock.sources.python.targets import (
    DEFAULT_GLIBC,
    BadPlatform,
    PythonTarget,
    container_target,
    process_target,
)

__all__ = ["inconsistencies"]


def inconsistencies(lock: Lock) -> tuple[Reason, ...]:
    """Return every way in which a lock cannot be what one resolution gave, sorted; none for what `lock` writes.

    Checked is that everything that is named is there, once, and on each platform that it is needed on; that the versions
    satisfy every requirement, of the environments and of the packages, with its marker and the extras in use (PEP 508; in
    an npm tree by Node's algorithm); that what a requirement names itself is where it says; and that nothing is there
    that nobody needs.
    """
    by_id = lock.by_id
    targets = _Targets({image.reference: image for image in lock.images})
    reasons = [*_twice(lock), *_server_reasons(lock), *_unused(lock), *_image_reasons(lock), *source_reasons(lock)]
    reasons += [*_build_reasons(lock), *wrong_builds(lock)]
    checked = [(item, _Checked(item, lock, by_id, targets)) for item in lock.environments]
    # What one file of a package, or one place in a tree, needs, another need not: if it holds somewhere, it can be so.
    held = frozenset[Edge]().union(*(found.held for _, found in checked))
    for environment, found in checked:
        what = [*found.reasons, *(why for edge, why in found.broken if edge not in held)]
        reasons += [Reason(address=f"env:{environment.name}", what=item) for item in what]
    return tuple(sorted(set(reasons)))


def _twice(lock: Lock) -> Iterator[Reason]:
    names = [
        *(package.id for package in lock.packages),
        *(f"oci:{image.reference}" for image in lock.images),
        *(f"the archive {archive.name}" for archive in lock.archives),
        *(f"env:{item.name} ({item.runtime})" for item in lock.environments),
        *(f"server:{item.name}" for item in lock.servers),
        *(f"the build of server:{item.server}" for item in lock.builds),
    ]
    for name, count in Counter(names).items():
        if count > 1:
            yield Reason(address="project", what=f"has {name} {count} times")


def _server_reasons(lock: Lock) -> Iterator[Reason]:
    environments = {(item.name, item.runtime) for item in lock.environments}
    images = {image.reference for image in lock.images}
    for server in lock.servers:
        address = f"server:{server.name}"
        if server.environment and (server.environment, server.runtime) not in environments:
            what = (
                f"uses the environment {server.environment}, which is not in the lock for the {server.runtime} runtime"
            )
            yield Reason(address=address, what=what)
        if server.image and server.image not in images:
            yield Reason(address=address, what=f"is the image {server.image}, which is not in the lock")
    servers = {(server.environment, server.runtime) for server in lock.servers}
    private = {(item.name, item.runtime) for item in lock.environments if item.private and not item.makes}
    for name, runtime in sorted(private - servers):
        yield Reason(address=f"env:{name}", what=f"is private, and no server of the {runtime} runtime uses it")


def _build_reasons(lock: Lock) -> Iterator[Reason]:
    """What is built is not built in an environment of another place, nor is there one that nothing is built in."""
    known = {(item.name, item.runtime) for item in lock.environments if item.makes}
    for item in lock.environments:
        address = f"env:{item.name}"
        for package, name in item.builds.items():
            if package not in item.everywhere:
                yield Reason(address=address, what=f"builds {package}, which it does not have")
            if (name, item.runtime) not in known:
                yield Reason(address=address, what=f"builds {package} in {name}, which is not in the lock")
    for item in loose_builds(lock):
        yield Reason(
            address=f"env:{item.name}", what=f"is for building {item.makes}, which no environment of its kind does"
        )


def _unused(lock: Lock) -> Iterator[Reason]:
    packages = used_packages(lock)
    for package in lock.packages:
        if package.id not in packages:
            yield Reason(address="project", what=f"has {package.id}, which nothing uses")
    sources = {package.source for package in lock.packages}
    for server in lock.servers:
        if server.source.startswith(f"{Kind.MCP}:") and server.source not in sources:
            what = f"is {server.source}, which is not among the packages"
            yield Reason(address=f"server:{server.name}", what=what)
    used = {package.index for package in lock.packages if package.kind is Kind.DEB}
    known = {archive.name for archive in lock.archives}
    for name in sorted(used ^ known):
        what = (
            f"has packages of {name}, which is not among the archives"
            if name in used
            else f"has {name}, of which nothing is"
        )
        yield Reason(address="project", what=what)


def _image_reasons(lock: Lock) -> Iterator[Reason]:
    images = used_images(lock)
    for image in lock.images:
        if image.reference not in images:
            yield Reason(address="project", what=f"has the image {image.reference}, which nothing uses")
        _, _, digest = image.reference.partition("@")
        if digest and digest != image.digest:
            yield Reason(address="project", what=f"has the image {image.reference} as {image.digest}")
    needed = set(container_platforms(lock.platforms))
    for image in lock.images:
        missing = sorted(needed - set(image.platforms))
        if missing:
            yield Reason(address="project", what=f"has the image {image.reference}, but not for {', '.join(missing)}")


class _Checked:
    """An environment on all its platforms.

    Attributes:
        reasons: What is wrong in any case.
        broken: What is wrong if the edge holds nowhere in the lock.
        held: The edges that hold.
    """

    def __init__(self, environment: Environment, lock: Lock, by_id: Mapping[str, Package], targets: _Targets) -> None:
        self.reasons: list[str] = []
        self.broken: list[tuple[Edge, str]] = []
        self.held: set[Edge] = set()
        self._environment = environment
        self._by_id = by_id
        self._platforms = container_platforms(lock.platforms) if environment.runtime == "container" else lock.platforms
        for platform in sorted(set(environment.platform_packages) - set(self._platforms)):
            self.reasons.append(f"has packages for {platform}, which the lock is not for")
        if not targets.has(environment.base):
            self.reasons.append(f"is based on {environment.base}, which is not in the lock")
        elif missing := sorted(environment.everywhere.union(environment.tree.values()) - by_id.keys()):
            self.reasons += [f"has {name}, which is not among the packages" for name in missing]
        else:
            self._check(targets)

    def _check(self, targets: _Targets) -> None:
        closures: dict[str, Closure] = {}
        for platform in self._platforms:
            try:
                target = targets.of(self._environment, platform)
            except BadPlatform as error:
                self.reasons.append(f"cannot be for {platform}: {error}")
            except KeyError:
                self.reasons.append(f"lacks its base for {platform}")
            else:
                packages = [self._by_id[name] for name in self._environment.on(platform)]
                closures[platform] = Closure(
                    self._environment,
                    packages,
                    target,
                    is_linux=platform.startswith("linux/"),
                    base=targets.debian(self._environment, platform),
                )
        found = {platform: [*closure.reasons] for platform, closure in closures.items()}
        roots = {root: None for closure in closures.values() for root in closure.npm_roots}
        if self._environment.tree or roots:
            tree = NpmTree(self._environment, self._by_id, roots)
            self.reasons += tree.reasons
            self.broken += tree.broken.items()
            self.held |= tree.held
            for platform, reasons in found.items():
                reasons.extend(tree.platform_reasons(platform))
        self.reasons += self._with_platforms(found)
        for closure in closures.values():
            self.broken += closure.broken.items()
            self.held |= closure.held

    def _with_platforms(self, found: Mapping[str, Iterable[str]]) -> Iterator[str]:
        where: dict[str, list[str]] = {}
        for platform, reasons in found.items():
            for what in reasons:
                where.setdefault(what, []).append(platform)
        for what, platforms in where.items():
            yield what if platforms == list(self._platforms) else f"{what} (on {', '.join(platforms)})"


class _Targets:
    """Where environments run."""

    def __init__(self, images: Mapping[str, Image]) -> None:
        self._images = images

    def has(self, base: str) -> bool:
        """Return whether a base, if there is one, is in the lock."""
        return not base or base in self._images

    def of(self, environment: Environment, platform: str) -> PythonTarget | None:
        """Return the target of an environment's Python packages, or None if it has no Python.

        Raises:
            BadPlatform: There is no such platform.
            KeyError: Its base is not there for the platform.
        """
        if not environment.python:
            return None
        if not environment.base:
            return _process_target(platform, environment.python)
        base = self._images[environment.base].platforms[platform]
        python = environment.python if has_own_python(environment.requirements) else base.python or environment.python
        return _container_target(platform, python, base.libc or f"glibc {DEFAULT_GLIBC}")

    def debian(self, environment: Environment, platform: str) -> Mapping[str, str]:
        """Return what the environment's base has of Debian, name -> version."""
        base = self._images[environment.base].platforms.get(platform) if environment.base else None
        texts = (text.removeprefix(f"{Kind.DEB}:").partition("@") for text in (base.packages if base else ()))
        return {name: version for name, _, version in texts}


@cache
def _process_target(platform: str, python: str) -> PythonTarget:
    return process_target(platform, python)


@cache
def _container_target(platform: str, python: str, libc: str) -> PythonTarget:
    return container_target(platform, python, libc=libc)
