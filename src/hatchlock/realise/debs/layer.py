"""The layer of an image's Debian packages, made without dpkg, without their scripts, and without running anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hatchlock.realise.base_tree import BaseTree
from hatchlock.realise.debs.contents import DebFile, UnpackedDeb, unpacked_deb
from hatchlock.realise.debs.database import Owners, read_database
from hatchlock.realise.debs.linker import linked
from hatchlock.realise.debs.placing import Placed, place, taken_over
from hatchlock.realise.debs.records import old_records, records
from hatchlock.realise.debs.removals import gone_of, topmost
from hatchlock.realise.debs.trust import CERTIFICATES, TRUST_SETTINGS, trust_of
from hatchlock.realise.tree import Entry, FileOnDisk, chunks

__all__ = ["WANTED_OF_BASE", "DebFile", "deb_tree"]

WANTED_OF_BASE = re.compile(
    r"var/lib/dpkg/(status|diversions|status\.d/[^/]+|info/[^/]+\.(list|md5sums)|triggers/[^/]+)"
    r"|etc/ld\.so\.(cache|conf|conf\.d/[^/]+)"
    rf"|{re.escape(TRUST_SETTINGS)}|{CERTIFICATES.pattern}"
)
"""Whole paths of what a base has to be read for, as `BaseTree.files`."""

# decompressing takes no lock of the interpreter
_THREADS = 4
_CERTIFIED = "ca-certificates"


def deb_tree(debs: Sequence[DebFile], *, base: BaseTree, scratch: Path) -> tuple[Entry, ...]:
    """Return what a layer with these packages has, and what it takes away of the base; sorted, without whole parents.

    Files go where dpkg would put them; what an upgraded package no longer has goes away, and configuration files are the
    new ones, for nobody edits an image. dpkg's records name the packages, so that dpkg-query and scanners see them. Of what
    maintainer scripts do, this is done: certificates are trusted, libraries get the links and the cache of ldconfig. Owners
    are root, setuid and setgid bits are dropped. Equal packages over an equal base give equal entries, in whatever order
    they come.

    Args:
        debs: The packages, each name once.
        base: What lies below, with the content of its `WANTED_OF_BASE`.
        scratch: An empty directory that stays until the entries are written.

    Raises:
        BadArchive: A package is damaged.
        BaseOverwritten: One would overwrite what it does not say it replaces.
        DebsClash: Two would have the same file.
        OSError: The disk is full, or the like.
    """
    ordered = sorted(debs, key=lambda item: item.name)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="debs") as pool:
        unpacked = list(pool.map(lambda deb: unpacked_deb(deb, scratch / f"{deb.name}.tar"), ordered))
    database = read_database(base.files)
    tree, placed = place(unpacked, base, database)
    owners = Owners(database, tree)
    taken = taken_over(placed, base, owners)
    entries = {path: _entry(item) for path, item in taken.placed.items()}
    entries |= {entry.path: entry for entry in records(unpacked, database, taken, base.files)}
    dropped = [*owners.only_of({deb.name for deb in unpacked}), *old_records(unpacked, base.paths)]
    gone = gone_of(dropped, kept=entries.keys(), paths=base.paths)
    entries |= {entry.path: entry for entry in linked(entries, tree=tree, gone=gone, files=base.files)}
    if _is_about_trust(unpacked, entries, gone):
        trust = trust_of(
            _certificates(entries, base.files, gone), settings=base.files.get(TRUST_SETTINGS), paths=base.paths
        )
        entries |= {entry.path: entry for entry in trust.entries}
        gone |= trust.gone
    away = (Entry(path=path, kind="whiteout") for path in topmost(gone - entries.keys()))
    return tuple(sorted((*entries.values(), *away), key=lambda entry: entry.path.split("/")))


def _entry(placed: Placed) -> Entry:
    item = placed.item
    return Entry(path=placed.path, kind=item.kind, mode=item.mode, target=item.target, content=item.content or b"")


def _is_about_trust(debs: Iterable[UnpackedDeb], entries: Iterable[str], gone: Iterable[str]) -> bool:
    return any(deb.name == _CERTIFIED for deb in debs) or any(
        CERTIFICATES.fullmatch(path) for path in (*entries, *gone)
    )


def _certificates(entries: Mapping[str, Entry], files: Mapping[str, bytes], gone: frozenset[str]) -> dict[str, bytes]:
    found = {path: content for path, content in files.items() if CERTIFICATES.fullmatch(path) and path not in gone}
    for path, entry in entries.items():
        if CERTIFICATES.fullmatch(path) and isinstance(entry.content, FileOnDisk):
            found[path] = b"".join(chunks(entry))
    return found
