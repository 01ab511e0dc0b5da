"""`tree` and `why`: reading the lock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.lock.model import Environment, Lock
    from hatchlock.resolve.graph import Reasons, Tree

__all__ = ["NotInLock", "image_platforms", "platform_of", "reasons_of", "trees_of"]


_FEW = 8
"""So many names are a hint; more of them would be a list."""


@dataclass(kw_only=True, eq=False)
class NotInLock(HatchlockError):
    """The lock has nothing of that name."""

    code: ClassVar[str] = "not-in-lock"

    what: str
    name: str
    known: tuple[str, ...]
    bases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the lock has no {self.what} {self.name!r}"

    def _hint(self) -> str:
        if self.bases:
            return f"it comes with {' and '.join(self.bases)}, over which Debian's packages are chosen"
        from difflib import get_close_matches

        bare = self.name.partition(":")[2]  # as addresses are written: env:NAME
        close = [bare] if bare in self.known else get_close_matches(self.name, self.known, n=1)
        if close:
            return f"did you mean {close[0]!r}?"
        return f"it has {', '.join(sorted(set(self.known)))}" if 0 < len(set(self.known)) <= _FEW else ""


def _bases_with(lock: Lock, name: str) -> tuple[str, ...]:
    """Return the images that have a Debian package, as the lock read them."""
    return tuple(
        f"the base {image.reference}"
        for image in lock.images
        if any(item.startswith(f"deb:{name}@") for found in image.platforms.values() for item in found.packages)
    )


def trees_of(lock: Lock, *, name: str | None, platform: str | None) -> tuple[Tree, ...]:
    """Return the packages of environments, each below what requires it.

    Args:
        lock: The lock.
        name: An environment, or a server; None for all.
        platform: A locked platform; None for this machine's, else the first.

    Raises:
        NotInLock: There is no such environment, server or platform.
    """
    from hatchlock.resolve.graph import tree

    chosen = [item for item in lock.environments if name is None or _is_called(item, name, lock)]
    if name is not None and not chosen:
        known = (*(item.name for item in lock.environments), *(item.name for item in lock.servers))
        raise NotInLock(what="environment or server", name=name, known=known)
    return tuple(tree(lock, item, platform_of(item, platform, lock)) for item in chosen)


def _is_called(environment: Environment, name: str, lock: Lock) -> bool:
    used = {(item.environment, item.runtime) for item in lock.servers if item.name == name}
    return environment.name == name or (environment.name, environment.runtime) in used


def platform_of(environment: Environment, platform: str | None, lock: Lock) -> str:
    """Return the platform that is meant: the named one, else this machine's, else the lock's first.

    Raises:
        NotInLock: The environment is not locked for the named one.
    """
    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.wanted import container_platforms

    locked = container_platforms(lock.platforms) if environment.runtime == "container" else lock.platforms
    if platform is not None and platform not in locked:
        raise NotInLock(what="platform", name=platform, known=locked)
    usual = host_platform() if environment.runtime == "process" else container_platforms([host_platform()])[0]
    return platform or (usual if usual in locked else locked[0])


def image_platforms(lock: Lock, platforms: Iterable[str]) -> tuple[str, ...]:
    """Return the platforms of images that are meant: the named ones, else this machine's, else the lock's first.

    Raises:
        NotInLock: The lock is not for containers of a named one.
    """
    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.wanted import container_platforms

    locked = container_platforms(lock.platforms)
    wanted = container_platforms(platforms)
    for platform in wanted:
        if platform not in locked:
            raise NotInLock(what="platform", name=platform, known=locked)
    (usual,) = container_platforms([host_platform()])
    return wanted or (usual if usual in locked else locked[0],)


def reasons_of(lock: Lock, package: str) -> tuple[Reasons, ...]:
    """Return every way from the manifest to a package, for each environment that has it.

    Args:
        lock: The lock.
        package: Its name, with or without its kind: `deb:git`.

    Raises:
        NotInLock: None has it.
    """
    from packaging.utils import canonicalize_name

    from hatchlock.address import Kind
    from hatchlock.resolve.graph import why

    head, _, rest = package.partition(":")
    kind, name = (Kind(head), rest) if head in set(Kind) and rest else (None, package)
    reasons = why(lock, name, kind=kind) or why(lock, canonicalize_name(name), kind=kind)
    if not reasons:
        known = tuple(item.name for item in lock.packages if kind in {None, item.kind})
        raise NotInLock(what="package", name=package, known=known, bases=_bases_with(lock, name))
    return reasons
