"""The archives that packages come from: those of a base's apt, or the declared one, each with the keys that sign it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar
from urllib.parse import urlsplit

from hatchlock.errors import HatchlockError
from hatchlock.sources.debian.apt_sources import AptSource

__all__ = ["SNAPSHOT_ID", "DebArchive", "NoArchive", "archives_for"]

SNAPSHOT_ID = "@SNAPSHOTID@"
"""What stands for the snapshot's id in an address."""

_DEFAULT_COMPONENTS = ("main",)


@dataclass(kw_only=True, eq=False)
class NoArchive(HatchlockError):
    """Nothing says where Debian packages would come from, or with which keys that is signed."""

    code: ClassVar[str] = "no-archive"

    why: str

    def __str__(self) -> str:
        return f"no archive of Debian packages can be used: {self.why}"

    def _hint(self) -> str:
        return (
            "declare url, suite, components and keyring below [indexes.debian], or choose a base that has apt's sources"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DebArchive:
    """One suite of an archive.

    Attributes:
        name: What the lock calls it, as the index of its packages: `debian/bookworm-updates`.
        url: Its address, without a slash at its end; may contain `@SNAPSHOTID@`.
        suite: Suite or codename; it ends in `/` if it is the directory of a flat archive.
        components: Empty for a flat archive.
        keyrings: Name and content of each file of keys of which one has to sign it.
        fingerprints: The only keys that may; empty for any of the keyrings.
        snapshot: The id of the snapshot to use; "" for what is there now.
        checks_age: Whether `Valid-Until` counts.
    """

    name: str
    url: str
    suite: str
    components: tuple[str, ...] = _DEFAULT_COMPONENTS
    keyrings: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    fingerprints: tuple[str, ...] = ()
    snapshot: str = ""
    checks_age: bool = True


def archives_for(
    sources: Sequence[AptSource],
    keyrings: Mapping[str, bytes],
    *,
    name: str = "debian",
    url: str = "",
    suite: str = "",
    components: Sequence[str] = (),
    snapshot: str = "",
    keyring: bytes | None = None,
    architecture: str = "",
) -> tuple[DebArchive, ...]:
    """Return the suites to take packages from, in the order in which apt would read them.

    Args:
        sources: Of the base or machine: what is used where `url` is not given.
        keyrings: Of the base or machine, path -> content.
        name: The declared index's name.
        url: The declared address: then it alone is used. May contain `@SNAPSHOTID@`.
        suite: The declared suites, blanks between them. Without `url`: only those of the base's sources.
        components: The declared components; without `url`, only those.
        snapshot: The id of the snapshot to use instead of what is there now: `20260701T000000Z`.
        keyring: The declared keys, which alone count.
        architecture: Leave out sources that are limited to others.

    Raises:
        NoArchive: There is none, or no key for one.
    """
    declared = ((_DECLARED, keyring),) if keyring is not None else ()
    if url:
        chosen = _declared_sources(sources, url, suite, components)
        trusted = declared or _trusted(sources, keyrings)
    else:
        chosen = _sources_of_base(sources, suite, components, architecture)
        trusted = declared or _trusted((), keyrings)
    found: dict[tuple[str, str], DebArchive] = {}
    for source in chosen:
        keys = declared or _named_keys(source, keyrings) or trusted
        if not keys:
            raise NoArchive(why=f"no key is known that signs {source.suite} at {source.url}")
        known = found.get((source.url, source.suite))
        added = known.components if known else ()
        found[source.url, source.suite] = DebArchive(
            name=known.name if known else _free_name(f"{name}/{source.suite.strip('/') or 'flat'}", found),
            url=source.url,
            suite=source.suite,
            components=tuple(dict.fromkeys([*added, *source.components])),
            keyrings=keys,
            fingerprints=() if declared else source.fingerprints,
            snapshot=snapshot or source.snapshot,
            checks_age=source.checks_age,
        )
    return tuple(found.values())


_DECLARED = "of [indexes.debian]"


def _declared_sources(sources: Sequence[AptSource], url: str, suite: str, components: Sequence[str]) -> list[AptSource]:
    suites = suite.split() or list(dict.fromkeys(source.suite for source in sources if source.components))[:1]
    if not suites:
        raise NoArchive(why="no suite is declared, and the base names none")
    flat = [item.endswith("/") for item in suites]
    plain = tuple(components) or _DEFAULT_COMPONENTS
    return [
        AptSource(url=url.rstrip("/"), suite=item, components=() if is_flat else plain)
        for item, is_flat in zip(suites, flat, strict=True)
    ]


def _sources_of_base(
    sources: Sequence[AptSource], suite: str, components: Sequence[str], architecture: str
) -> list[AptSource]:
    suites = suite.split()
    found = [
        replace(source, components=tuple(item for item in source.components if not components or item in components))
        for source in sources
        if (not suites or source.suite in suites)
        and (not architecture or not source.architectures or architecture in source.architectures)
    ]
    fetched = [item for item in found if _is_web(item.url)]
    usable = [item for item in fetched if item.components or item.suite.endswith("/")]
    if usable:
        return usable
    if not sources:
        raise NoArchive(why="apt has no sources in the base")
    wanted = " ".join([*suites, *components])
    what = (
        f"no source of apt in the base has {wanted}" if wanted else "apt's sources in the base are no http(s) addresses"
    )
    raise NoArchive(why=what)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def _named_keys(source: AptSource, keyrings: Mapping[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    if source.key:
        return ((f"in the apt source of {source.suite}", source.key.encode()),)
    if not source.keyrings:
        return ()
    missing = [path for path in source.keyrings if path not in keyrings]
    if missing:
        raise NoArchive(why=f"the apt source of {source.suite} is signed by {missing[0]}, which the base does not have")
    return tuple((path, keyrings[path]) for path in source.keyrings)


def _trusted(named_by: Sequence[AptSource], keyrings: Mapping[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    """Return apt's general keys, and those that some sources name; if there are none, the distribution's own."""
    named = {path for source in named_by for path in source.keyrings}
    general = [
        (path, content)
        for path, content in sorted(keyrings.items())
        if path.startswith("/etc/apt/trusted.gpg") or path in named
    ]
    return tuple(general or sorted(item for item in keyrings.items() if item[0].startswith("/usr/share/keyrings/")))


def _free_name(name: str, taken: Mapping[tuple[str, str], DebArchive]) -> str:
    names = {item.name for item in taken.values()}
    number = 2
    free = name
    while free in names:
        free = f"{name}.{number}"
        number += 1
    return free
