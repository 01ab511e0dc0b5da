"""Permissions of the manifest, to build and to run install scripts, that are for nothing: a slip of the pen mostly. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.utils import canonicalize_name

from hatchlock.address import Kind
from hatchlock.lock.model import Lock, Package
from hatchlock.manifest.model import Manifest
from hatchlock.manifest.problem import did_you_mean
from hatchlock.resolve.entries import entries_of, with_entries
from hatchlock.resolve.wanted import WantedEnvironment, wanted_environments

__all__ = ["idle_permissions"]


def idle_permissions(manifest: Manifest, lock: Lock) -> Iterator[str]:
    """Yield a sentence for each name of `allow-build` and `allow-scripts` that the environment does not have.

    A package that need not be built, or has no install scripts, is no reason for one: its next version may have.

    Args:
        manifest: The manifest.
        lock: One that satisfies it.
    """
    by_name: dict[str, list[WantedEnvironment]] = {}
    for item in wanted_environments(with_entries(manifest, entries_of(lock)), lock):
        by_name.setdefault(item.name, []).append(item)
    by_id = lock.by_id
    for name, wanted in by_name.items():
        # of two runtimes one may need what the other does not
        locked = [lock.environment(name, item.runtime) for item in wanted]
        ids = {package_id for item in locked for package_id in item.everywhere.union(item.tree.values())}
        yield from _idle(name, wanted[0], [by_id[package_id] for package_id in sorted(ids)])


def _idle(name: str, wanted: WantedEnvironment, packages: Iterable[Package]) -> Iterator[str]:
    npm = {package.name for package in packages if package.kind is Kind.NPM}
    built = {
        canonicalize_name(package.name): package.name
        for package in packages
        if package.namespace is Kind.PYPI or (package.source and package.namespace is Kind.NPM)
    }
    for word in wanted.allow_build:
        if word in built:
            continue
        what = f"env:{name}: allow-build names {word!r}, which is nothing in it that could be built"
        yield _with(
            what, "for its install scripts write allow-scripts" if word in npm else did_you_mean(word, built.values())
        )
    for word in wanted.allow_scripts:
        if word not in npm:
            what = f"env:{name}: allow-scripts names {word!r}, which is no npm package in it"
            yield _with(what, did_you_mean(word, npm))


def _with(what: str, advice: str) -> str:
    return f"{what}; {advice}" if advice else what
