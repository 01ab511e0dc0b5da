"""What ldconfig(8) would do after packages came: links by soname, and the cache in which the dynamic linker looks."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hatchlock.realise.base_tree import BasePath, BaseTree
from hatchlock.realise.debs.elf import Library, library
from hatchlock.realise.debs.library_cache import BadCache, CachedLibrary, read_cache, version_key, written_cache
from hatchlock.realise.tree import Entry, FileOnDisk, chunks

__all__ = ["CACHE", "linked"]

CACHE = "etc/ld.so.cache"
_SETTINGS = "etc/ld.so.conf"
_BELOW = "glibc-hwcaps"
# It becomes the name of a link, which must not lead elsewhere, or be a whiteout.
_SONAME = re.compile(r"(?!\.)[!-.0-~]{1,255}")
_LINKS_AT_MOST = 16
_LIBC6 = 3
# `e_machine` and whether it is of 64 bits -> the usual directories and what glibc marks such libraries with
_PROCESSORS: Mapping[tuple[int, bool], int] = {
    (62, True): 0x300 | _LIBC6,  # x86-64
    (3, False): _LIBC6,  # i386
    (183, True): 0xA00 | _LIBC6,  # AArch64
}
_USUAL = ("/lib", "/usr/lib")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """A library under one of its names."""

    file: str
    soname: str
    flags: int
    is_link: bool


def linked(
    entries: Mapping[str, Entry], *, tree: BaseTree, gone: Iterable[str], files: Mapping[str, bytes]
) -> list[Entry]:
    """Return the links and the cache that a layer needs, or nothing if no directory of libraries is touched.

    The base's libraries are those of its cache; a library of it that its own ldconfig never saw is not found by name.

    Args:
        entries: What the layer has, by path.
        tree: The base, with the symlinks of the layer.
        gone: What of the base goes away.
        files: The content of the base's cache and settings.

    Raises:
        OSError: A file cannot be read.
    """
    searched = _Searched(entries, tree, files)
    away = frozenset(gone)
    known = [item for item in _cached(files.get(CACHE, b"")) if searched.path_of(item.path) not in away]
    found: list[Entry] = []
    new: dict[tuple[str, str, int], CachedLibrary] = {}
    for directory in searched.touched():
        for item in _libraries(searched, directory, known):
            name = item.file if directory.below else item.soname
            path = f"{directory.name}/{name}"
            new[item.soname, path, item.flags] = CachedLibrary(
                name=item.soname, path=path, flags=item.flags, subdirectory=directory.below
            )
            if not directory.below and not item.is_link and item.file != item.soname:
                found += searched.link(f"{directory.real}/{item.soname}", item.file)
    if not new and not away:
        return []
    kept = [item for item in known if (item.name, item.path, item.flags) not in new]
    order = searched.order
    libraries = sorted((*kept, *new.values()), key=lambda item: order.get(_directory(item), len(order)))
    return [*found, Entry(path=CACHE, content=written_cache(libraries))]


def _cached(data: bytes) -> tuple[CachedLibrary, ...]:
    try:
        return read_cache(data) if data else ()
    except BadCache:
        # the linker does not use such a one either
        return ()


def _directory(item: CachedLibrary) -> str:
    directory = posixpath.dirname(item.path)
    return directory.partition(f"/{_BELOW}/")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Directory:
    """A directory that the linker searches: as it is named, as it really is, and for which processors alone."""

    name: str
    real: str
    below: str = ""


class _Searched:
    """The layer and its base, as ldconfig sees them."""

    def __init__(self, entries: Mapping[str, Entry], tree: BaseTree, files: Mapping[str, bytes]) -> None:
        self._entries = entries
        self._tree = tree
        self._inside: defaultdict[str, list[Entry]] = defaultdict(list)
        for path, entry in sorted(entries.items()):
            self._inside[posixpath.dirname(path)].append(entry)
        self._directories = self._unique(_directories(entries, files))
        self.order = {item.name: number for number, item in enumerate(self._directories)}

    def path_of(self, path: str) -> str:
        """Return where a path is, its own last part not followed."""
        return self._tree.resolve(path)

    def touched(self) -> Iterator[_Directory]:
        """Yield the directories that the layer has something in that may be a library."""
        for item in self._directories:
            if any(_is_library_name(entry.path) for entry in self.inside(item.real)):
                yield item
            head = f"{item.real}/{_BELOW}/"
            for real in sorted(path for path in self._inside if path.startswith(head)):
                below = real.removeprefix(head)
                if "/" not in below:
                    yield _Directory(name=f"{item.name}/{_BELOW}/{below}", real=real, below=below)

    def inside(self, real: str) -> Sequence[Entry]:
        """Return what the layer has directly in a directory."""
        return self._inside.get(real, ())

    def library_of(self, entry: Entry) -> Library | None:
        """Return the library that a file or link of the layer is, if it is one of the layer."""
        found = self._entries.get(self.end_of(entry.path))
        if found is None or not isinstance(found.content, FileOnDisk):
            return None
        return library(found.content)

    def end_of(self, path: str) -> str:
        """Return where a path leads to, links of layer and base followed; a circle ends somewhere in it."""
        for _ in range(_LINKS_AT_MOST):
            path = self._tree.resolve(path)
            own, there = self._entries.get(path), self._tree.paths.get(path)
            if there is None or there.kind != "symlink" or (own and own.kind != "symlink"):
                break
            path = posixpath.join("/", posixpath.dirname(path), there.target)
        return path

    def link(self, path: str, target: str) -> list[Entry]:
        """Return the link from a soname to its file, if neither layer nor base has one that is as good."""
        there: BasePath | None = self._tree.paths.get(path)
        if path in self._entries or (there is not None and not _is_older(there, target)):
            return []
        return [Entry(path=path, kind="symlink", mode=0o777, target=target)]

    def _unique(self, names: Iterable[str]) -> list[_Directory]:
        """What is one directory counts once, under its first name."""
        found: dict[str, _Directory] = {}
        for name in names:
            real = self._tree.resolve(f"{name}/x").removesuffix("/x")
            found.setdefault(real, _Directory(name=name, real=real))
        return list(found.values())


def _is_older(there: BasePath, target: str) -> bool:
    return there.kind == "symlink" and version_key(posixpath.basename(there.target)) < version_key(target)


def _directories(entries: Mapping[str, Entry], files: Mapping[str, bytes]) -> Iterator[str]:
    texts = {
        **files,
        **{
            path: b"".join(chunks(entry))
            for path, entry in entries.items()
            if path.startswith(_SETTINGS) and isinstance(entry.content, FileOnDisk)
        },
    }
    yield from _named(_SETTINGS, texts, set())
    yield from _USUAL


def _named(path: str, texts: Mapping[str, bytes], seen: set[str]) -> Iterator[str]:
    """Yield the directories of a settings file and of those that it includes, each file once."""
    seen.add(path)
    for line in texts.get(path, b"").decode(errors="replace").splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] == "include":
            patterns = [word.lstrip("/") if word.startswith("/") else f"etc/{word}" for word in words[1:]]
            for other in sorted(item for item in texts if _matches(item, patterns)):
                if other not in seen:
                    yield from _named(other, texts, seen)
        elif line.lstrip().startswith("/"):
            yield words[0].partition("=")[0].rstrip("/")


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(
        posixpath.dirname(path) == posixpath.dirname(pattern)
        and fnmatch.fnmatchcase(posixpath.basename(path), posixpath.basename(pattern))
        for pattern in patterns
    )


def _libraries(searched: _Searched, directory: _Directory, known: Sequence[CachedLibrary]) -> Iterator[_Found]:
    """Yield the libraries of a directory: of those with one soname the newest, and files rather than links."""
    chosen: dict[tuple[str, int], _Found] = {}
    for entry in searched.inside(directory.real):
        name = posixpath.basename(entry.path)
        item = _found(entry, name, searched, known) if _is_library_name(name) else None
        if item is None:
            continue
        other = chosen.get((item.soname, item.flags))
        if other is None or _counts_more(item, other):
            chosen[item.soname, item.flags] = item
    yield from chosen.values()


def _found(entry: Entry, name: str, searched: _Searched, known: Sequence[CachedLibrary]) -> _Found | None:
    is_link = entry.kind == "symlink"
    what = searched.library_of(entry)
    if what is None:
        return _to_base(entry, name, searched, known) if is_link else None
    flags = _PROCESSORS.get((what.machine, what.is_64))
    if flags is None:
        return None
    soname = what.soname or name
    if not _SONAME.fullmatch(soname):
        return None
    # a link by another name than the soname's is one for compilers, `libz.so`, or counts as the library itself
    is_link = is_link and (name == soname or (name.endswith(".so") and soname.startswith(name)))
    return _Found(file=name, soname=name if is_link else soname, flags=flags, is_link=is_link)


def _to_base(entry: Entry, name: str, searched: _Searched, known: Sequence[CachedLibrary]) -> _Found | None:
    """A link for compilers to a library of the base, which its cache knows."""
    end = searched.end_of(entry.path)
    for item in known:
        if name.endswith(".so") and item.name.startswith(name) and searched.end_of(item.path) == end:
            return _Found(file=name, soname=name, flags=item.flags, is_link=True)
    return None


def _counts_more(item: _Found, other: _Found) -> bool:
    if item.is_link != other.is_link:
        return other.is_link
    return version_key(item.file) > version_key(other.file)


def _is_library_name(path: str) -> bool:
    name = posixpath.basename(path)
    return name.startswith(("lib", "ld-")) and ".so" in name
