"""Which index a package of the lock is to be taken from, by the manifest alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from fnmatch import fnmatchcase

from hatchlock.address import BadSource, Kind
from hatchlock.lock.model import Archive, Lock, Package
from hatchlock.manifest.model import Manifest
from hatchlock.sources.conda.declared import declared_conda

__all__ = ["is_as_declared", "is_from_its_index", "named_channels", "older_suites", "serving_index"]


def serving_index(manifest: Manifest, package: Package) -> str:
    """Return the name of the one index that may serve a package: the one that claims its name, else the default one."""
    specs = manifest.indexes.get(package.kind, ())
    claiming = [spec for spec in specs if any(_matches(package, pattern) for pattern in spec.packages)]
    found = claiming or [spec for spec in specs if not spec.packages]
    return found[0].name if found else str(package.kind)


def named_channels(manifest: Manifest, packages: Iterable[Package]) -> frozenset[str]:
    """Return the channels of conda that are named where something is required, `conda:CHANNEL::NAME`.

    Args:
        manifest: What is wanted.
        packages: Those of the lock; Hatch packages may name channels, too.
    """
    found = set()
    for text in (
        *_required(manifest),
        *(text for item in packages if item.kind is Kind.HATCH for text in item.dependencies),
    ):
        if text.startswith(f"{Kind.CONDA}:"):
            try:
                found.add(declared_conda(text.partition(":")[2]).channel)
            except BadSource:
                continue  # it names none that could be asked
    return frozenset(found - {""})


def _required(manifest: Manifest) -> Iterator[str]:
    for environment in (*manifest.environments.values(), *(server.private for server in manifest.servers.values())):
        yield from map(str, environment.dependencies)


def is_from_its_index(manifest: Manifest, package: Package, channels: frozenset[str]) -> bool:
    """Return whether the lock took a package from the index that may serve it; what is from no index always is.

    Of conda's channels, and of the suites of a Debian archive, several may serve a name, in their order.

    Args:
        manifest: What is wanted.
        package: From the lock.
        channels: See `named_channels`.
    """
    declared = manifest.indexes.get(package.kind, ())
    match package.kind:
        case Kind.DEB:
            return package.index.partition("/")[0] == (declared[0].name if declared else "debian")
        case Kind.CONDA:
            usual = {spec.name for spec in declared} or {str(Kind.CONDA)}
            return package.index in usual | channels
    return not package.index or package.index == serving_index(manifest, package)


def is_as_declared(manifest: Manifest, archive: Archive) -> bool:
    """Return whether a suite of Debian is one that the manifest allows, in the snapshot that it names.

    What it does not say is the base's affair, or the machine's; with an address of its own it says all of that.
    """
    spec = next(iter(manifest.indexes.get(Kind.DEB, ())), None)
    if spec is None:
        return True
    is_wanted = not (spec.snapshot or spec.url) or archive.snapshot == spec.snapshot
    has_suite = not spec.suite or archive.suite in spec.suite.split()
    return is_wanted and has_suite and (not spec.components or set(archive.components) <= set(spec.components))


def older_suites(previous: Lock, lock: Lock) -> Iterator[str]:
    """Yield what people should see: a suite of Debian that is older now than the previous lock had it.

    A signature is good until `Valid-Until`: until then a mirror can hold back what is newer. Of snapshots nothing is said.
    """
    known = {archive.name: archive for archive in previous.archives if not archive.snapshot}
    for archive in lock.archives:
        before = known.get(archive.name)
        if before and not archive.snapshot and _moment(archive) < _moment(before):
            yield (
                f"{archive.name} is of {archive.date}, and the lock so far has it of {before.date}: "
                "its mirror may be behind, or hold packages back"
            )


def _moment(archive: Archive) -> datetime:
    return datetime.fromisoformat(archive.date)


def _matches(package: Package, pattern: str) -> bool:
    if package.kind is Kind.PYPI:
        # as PEP 503 does it with names; `*` and `?` stay
        pattern = pattern.lower().replace("_", "-").replace(".", "-")
    return fnmatchcase(package.name, pattern)
