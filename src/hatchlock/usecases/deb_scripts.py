"""Which Debian packages want something done when they are installed, and would not get it in an image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.lock.model import Lock, Package
    from hatchlock.realise.debs.script_needs import ScriptNeeds
    from hatchlock.sources.debian.scripts import ScriptReader
    from hatchlock.usecases.sources import Sources

__all__ = ["script_warnings"]

_THREADS = 16


def script_warnings(lock: Lock, previous: Lock | None, sources: Sources, *, cache: Path) -> tuple[str, ...]:
    """Return a sentence for each Debian package of a container environment whose scripts matter, sorted.

    Archives are asked only for what the previous lock did not have, and whose answer is not known yet. What cannot be had
    is not told: it stops no lock.

    Args:
        lock: The lock.
        previous: The one before; None if there was none.
        sources: Where packages come from.
        cache: Where answers are kept.
    """
    packages = [package for package in lock.packages if package.id in _in_images(lock)]
    if not packages:
        return ()
    from hatchlock.sources.debian.scripts import ScriptReader

    reader = ScriptReader(cache, lambda: sources.http)
    had = {package.id for package in previous.packages} if previous else set()

    def needs(package: Package) -> ScriptNeeds | None:
        return reader.known(package.files[0]) or (None if package.id in had else _read(package, lock, sources, reader))

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="scripts") as pool:
        found = list(pool.map(needs, packages))
    return tuple(_sentence(package, item) for package, item in zip(packages, found, strict=True) if item and item.acts)


def _in_images(lock: Lock) -> frozenset[str]:
    """Return the ids of the Debian packages that become part of images."""
    from hatchlock.address import Kind

    containers = (item for item in lock.environments if item.runtime == "container")
    return frozenset(name for item in containers for name in item.everywhere if name.startswith(f"{Kind.DEB}:"))


def _read(package: Package, lock: Lock, sources: Sources, reader: ScriptReader) -> ScriptNeeds | None:
    from hatchlock.errors import HatchlockError
    from hatchlock.usecases.debian import desks_having

    # for all processors the same scripts, as good as always
    file = package.files[0]
    try:
        desk = next(desks_having(package, lock, sources.debian_desk, platform=file.platform))
        return reader.read(file, desk.source.url_of(package, file))
    except HatchlockError:
        return None


def _sentence(package: Package, needs: ScriptNeeds) -> str:
    return (
        f"{package.kind}:{package.name} {package.version}: {needs.acts} when it is installed, and images are made without "
        "that: choose a base that has it, or build one (build = …)"
    )
