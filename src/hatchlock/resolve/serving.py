"""Which index a package of the lock is to be taken from, by the manifest alone. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hatchlock.address import Kind
from hatchlock.lock.model import Package
from hatchlock.manifest.model import Manifest

__all__ = ["is_from_its_index", "serving_index"]


def serving_index(manifest: Manifest, package: Package) -> str:
    """Return the name of the one index that may serve a package: the one that claims its name, else the default one."""
    specs = manifest.indexes.get(package.kind, ())
    claiming = [spec for spec in specs if any(_matches(package, pattern) for pattern in spec.packages)]
    found = claiming or [spec for spec in specs if not spec.packages]
    return found[0].name if found else str(package.kind)


def is_from_its_index(manifest: Manifest, package: Package) -> bool:
    """Return whether the lock took a package from the index that may serve it; what is from no index always is.

    Of conda's channels, and of the suites of a Debian archive, several may serve a name, in their order.
    """
    declared = manifest.indexes.get(package.kind, ())
    match package.kind:
        case Kind.DEB:
            return package.index.partition("/")[0] == (declared[0].name if declared else "debian")
        case Kind.CONDA:
            return not declared or package.index in {spec.name for spec in declared}
    return not package.index or package.index == serving_index(manifest, package)


def _matches(package: Package, pattern: str) -> bool:
    if package.kind is Kind.PYPI:
        # as PEP 503 does it with names; `*` and `?` stay
        pattern = pattern.lower().replace("_", "-").replace(".", "-")
    return fnmatchcase(package.name, pattern)
