"""How two locks differ, for people who review the newer one: what matters most comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from hatchlock.address import Kind
from hatchlock.lock.images import Image
from hatchlock.lock.model import Archive, Lock, Package
from hatchlock.lock.other_differences import (
    FieldChange,
    build_changes,
    environment_changes,
    plain_text,
    project_changes,
    server_changes,
)
from hatchlock.lock.privileges import new_privileges
from hatchlock.lock.surface_changes import surface_changes
from hatchlock.lock.toml import hyphened

__all__ = ["Entry", "Section", "VersionOrder", "compare_locks"]

_PROJECTS = frozenset({Kind.PATH, Kind.GIT, Kind.HATCH})
VersionOrder = Callable[[Kind, str, str], int]
"""(namespace, version, version) -> negative, 0 or positive, as `<`, `==`, `>` by that namespace's rules; 0 also for unknown."""


class Section(StrEnum):
    """The parts of a difference, in their order."""

    PRIVILEGES = "new privileges"
    TOOLS = "pinned tools"
    ADDED = "new packages"
    REMOVED = "removed packages"
    VERSIONS = "changed versions"
    FILES = "same version with other files"
    LICENCES = "changed licences"
    PUBLISHERS = "changed publishers, authors and origins"
    SIGNATURES = "changed signatures"
    PACKAGES = "other facts about packages"
    ARCHIVES = "archives"
    IMAGES = "images"
    SERVERS = "servers"
    ENVIRONMENTS = "environments"
    PROJECT = "project"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One difference.

    Attributes:
        section: Where it belongs.
        sign: "+" added, "-" removed, "~" changed, "!" changed for the worse, or a new privilege.
        what: `pypi:anyio`, `archive:debian/bookworm`, `oci:python:3.11-slim`, `server:time`, `env:time`, `platforms`. A
            stranger's text.
        field: What of it, where it is not all of it: "licence", "args".
        before: Its value before; "" if there was none. A stranger's text, too.
        after: Its value now; "" if there is none.
        note: "up", "wants to run a script when it is installed", "MIT, by somebody".
    """

    section: Section
    sign: str
    what: str
    field: str = ""
    before: str = ""
    after: str = ""
    note: str = ""


def compare_locks(before: Lock, after: Lock, *, order: VersionOrder) -> tuple[Entry, ...]:
    """Return what changed, section by section, each sorted by name. It is empty only for equal locks.

    Args:
        before: The older one; for a first lock one without anything.
        after: The newer one.
        order: Tells newer versions from older ones.
    """
    entries = [
        *(
            Entry(
                section=Section.PRIVILEGES, sign="!", what=item.what, field=item.field, after=item.value, note=item.note
            )
            for item in new_privileges(before, after)
        ),
        *_others(Section.TOOLS, surface_changes(before, after)),
        *_packages(before, after, order),
        *_archives(before, after),
        *_images(before, after),
        *_others(Section.SERVERS, server_changes(before, after)),
        *_others(Section.SERVERS, build_changes(before, after)),
        *_others(Section.ENVIRONMENTS, environment_changes(before, after)),
        *_others(Section.PROJECT, project_changes(before, after)),
    ]
    if not entries and before != after:
        entries.append(Entry(section=Section.PROJECT, sign="~", what="hatch.lock", note="only the order in it differs"))
    places = list(Section)
    return tuple(sorted(entries, key=lambda item: (places.index(item.section), item.what, item.field, item.before)))


def _packages(before: Lock, after: Lock, order: VersionOrder) -> Iterator[Entry]:
    old, new = _by_name(before.packages), _by_name(after.packages)
    for what in old.keys() | new.keys():
        gone, come = old.get(what, {}), new.get(what, {})
        for version in gone.keys() & come.keys():
            yield from _facts(what, gone[version], come[version])
        left = [gone[version] for version in sorted(gone.keys() - come.keys())]
        arrived = [come[version] for version in sorted(come.keys() - gone.keys())]
        yield from _moved(what, left, arrived, stays=sorted(gone.keys() & come.keys()), order=order)


def _by_name(packages: Iterable[Package]) -> dict[str, dict[str, Package]]:
    found: dict[str, dict[str, Package]] = {}
    for package in packages:
        found.setdefault(f"{package.kind}:{package.name}", {})[package.version] = package
    return found


def _moved(
    what: str, left: list[Package], arrived: list[Package], *, stays: list[str], order: VersionOrder
) -> Iterator[Entry]:
    for old, new in zip(left, arrived, strict=False):
        sign = order(new.namespace, _ordered(new), _ordered(old))
        yield Entry(
            section=Section.VERSIONS,
            sign="!" if sign < 0 else "~",
            what=what,
            before=old.version,
            after=new.version,
            note="up" if sign > 0 else "down" if sign < 0 else "",
        )
        yield from _facts(what, old, new, versions=True)
    for new in arrived[len(left) :]:
        note = ", ".join([_introduction(new), *([f"beside {', '.join(stays)}"] if stays else [])])
        yield Entry(section=Section.ADDED, sign="+", what=what, after=new.version, note=note)
    for old in left[len(arrived) :]:
        note = f"leaves {', '.join(stays)}" if stays else ""
        yield Entry(section=Section.REMOVED, sign="-", what=what, before=old.version, note=note)


def _ordered(package: Package) -> str:
    """Return what of a version has an order: what follows the `+` of a project is the digest of its content."""
    return package.version.partition("+")[0] if package.kind in _PROJECTS else package.version


def _introduction(package: Package) -> str:
    who = package.publisher or package.authors
    words = [package.licence or "no licence", f"by {who}" if who else "", package.signature]
    if package.source_class != "registry":
        words.append(f"from {package.location or package.source or package.source_class}")
    return ", ".join(word for word in words if word)


_TRUST = ("unsigned", "signed", "attested")
_ORIGINS = ("publisher", "authors", "repository", "source_class", "index", "location", "source", "subdirectory")
_OTHER_FACTS = (
    *("dependencies", "scripts", "install_script", "requires_python", "requires_node", "ecosystem", "import_root"),
    *("systems", "processors", "libc", "provides", "contributors", "citations", "provenance"),
    *("command", "args", "env", "needs", "transport"),
)


def _facts(what: str, old: Package, new: Package, *, versions: bool = False) -> Iterator[Entry]:
    """What is said of a package that is in both locks, perhaps in two versions: then its content may well differ."""

    def changed(section: Section, *names: str, sign: str = "~", note: str = "") -> Iterator[Entry]:
        for name in names:
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                yield Entry(
                    section=section,
                    sign=sign,
                    what=what,
                    field=hyphened(name),
                    before=plain_text(before),
                    after=plain_text(after),
                    note=note,
                )

    yield from changed(Section.LICENCES, "licence")
    yield from changed(Section.PUBLISHERS, *_ORIGINS)
    worse = (
        old.signature in _TRUST
        and new.signature in _TRUST
        and _TRUST.index(new.signature) < _TRUST.index(old.signature)
    )
    yield from changed(Section.SIGNATURES, "signature", sign="!" if worse else "~", note="worse" if worse else "")
    if versions:
        return
    for name in ("commit", "tree_hash"):
        yield from changed(Section.FILES, name, sign="!")
    if old.files != new.files:
        yield from _files(what, old, new)
    yield from changed(Section.PACKAGES, *_OTHER_FACTS)


def _files(what: str, old: Package, new: Package) -> Iterator[Entry]:
    before = {(file.name, file.platform): file for file in old.files}
    after = {(file.name, file.platform): file for file in new.files}
    for key in before.keys() | after.keys():
        left, arrived = before.get(key), after.get(key)
        if left == arrived:
            continue
        other = left is not None and arrived is not None
        yield Entry(
            section=Section.FILES,
            sign="!" if other else "+" if arrived else "-",
            what=what,
            field=" ".join(part for part in key if part),
            before=left.digest if left else "",
            after=arrived.digest if arrived else "",
            note=f"version {new.version} has other bytes" if other else "",
        )


def _archives(before: Lock, after: Lock) -> Iterator[Entry]:
    """A newer state of a suite is one line; what else is said of it, and who signs it, are further ones."""
    old = {archive.name: archive for archive in before.archives}
    new = {archive.name: archive for archive in after.archives}
    for name in old.keys() | new.keys():
        left, arrived = old.get(name), new.get(name)
        states = (_state(left), _state(arrived))
        if states[0] != states[1]:
            sign = "~" if left and arrived else "+" if arrived else "-"
            yield Entry(section=Section.ARCHIVES, sign=sign, what=f"archive:{name}", before=states[0], after=states[1])
        if left is None or arrived is None:
            continue
        for field, mark in (("suite", "~"), ("components", "~"), ("snapshot", "~"), ("keys", "!")):
            was, now = getattr(left, field), getattr(arrived, field)
            if was != now:
                yield Entry(
                    section=Section.ARCHIVES,
                    sign=mark,
                    what=f"archive:{name}",
                    field=field,
                    before=plain_text(was),
                    after=plain_text(now),
                )


def _state(archive: Archive | None) -> str:
    return f"{archive.date}, sha256:{archive.sha256}" if archive else ""


def _images(before: Lock, after: Lock) -> Iterator[Entry]:
    old = {image.reference: image for image in before.images}
    new = {image.reference: image for image in after.images}
    for reference in old.keys() | new.keys():
        left, arrived = old.get(reference), new.get(reference)
        if left == arrived:
            continue
        same = left is not None and arrived is not None and left.digest == arrived.digest
        yield Entry(
            section=Section.IMAGES,
            sign="~" if left and arrived else "+" if arrived else "-",
            what=f"oci:{reference}",
            field="platforms" if same else "",
            before=_platforms(left) if same else left.digest if left else "",
            after=_platforms(arrived) if same else arrived.digest if arrived else "",
        )


def _platforms(image: Image | None) -> str:
    return ", ".join(f"{name}@{item.digest}" for name, item in sorted(image.platforms.items())) if image else ""


def _others(section: Section, changes: Iterable[FieldChange]) -> Iterator[Entry]:
    for item in changes:
        yield Entry(
            section=section,
            sign=item.sign,
            what=item.what,
            field=item.field,
            before=item.before,
            after=item.after,
            note=item.note,
        )
