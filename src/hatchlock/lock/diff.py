"""How two locks differ, for people who are about to commit the newer one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hatchlock.lock.images import Image
from hatchlock.lock.model import Archive, Environment, Lock, Package
from hatchlock.lock.surface_changes import counted
from hatchlock.lock.surfaces import Surface

__all__ = ["Change", "diff_locks"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Change:
    """One line of the difference.

    Attributes:
        sign: "+" added, "-" removed, "~" changed.
        what: `pypi:anyio`, `oci:python:3.11-slim`, `archive:debian/bookworm`, `server:time`, `pin:time`, `platforms`.
        before: The version, digest or date before; "" if there was none. Platforms, if only they are others.
        after: The same after; "" if there is none.
    """

    what: str
    sign: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        values = " -> ".join(value for value in (self.before, self.after) if value)
        return f"{self.sign} {self.what}" + (f" {values}" if values else "")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_N = TypeVar("_N", bound=_Named)
_T = TypeVar("_T")


def diff_locks(before: Lock | None, after: Lock) -> tuple[Change, ...]:
    """Return what changed, sorted: packages by version, archives by date, images by digest, the rest by content.

    It is empty only for equal locks.
    """
    old = before or Lock(project=after.project, platforms=after.platforms, exclude_newer=after.exclude_newer)
    return tuple(
        sorted(
            [
                *_heads(old, after),
                *_packages(old.packages, after.packages),
                *_archives(old.archives, after.archives),
                *_images(old.images, after.images),
                *_environments(old.environments, after.environments),
                *_named("server", old.servers, after.servers),
                *_pins(old.surfaces, after.surfaces),
            ]
        )
    )


def _heads(before: Lock, after: Lock) -> list[Change]:
    pairs = {
        "project": (before.project, after.project),
        "platforms": (", ".join(before.platforms), ", ".join(after.platforms)),
        "exclude-newer": (before.exclude_newer, after.exclude_newer),
    }
    return [
        Change(sign="~" if old and new else "+" if new else "-", what=what, before=old, after=new)
        for what, (old, new) in pairs.items()
        if old != new
    ]


def _packages(before: Iterable[Package], after: Iterable[Package]) -> list[Change]:
    old = _versions(before)
    new = _versions(after)
    changes = []
    for name in old.keys() | new.keys():
        gone, come = old.get(name, {}), new.get(name, {})
        if set(gone) == set(come):
            changes += [
                Change(sign="~", what=name, after=f"{version} (files or metadata)")
                for version in come
                if come[version] != gone[version]
            ]
            continue
        removed, added = sorted(set(gone) - set(come)), sorted(set(come) - set(gone))
        sign = "~" if removed and added else "+" if added else "-"
        changes.append(Change(sign=sign, what=name, before=", ".join(removed), after=", ".join(added)))
    return changes


def _versions(packages: Iterable[Package]) -> dict[str, dict[str, Package]]:
    versions: dict[str, dict[str, Package]] = {}
    for package in packages:
        versions.setdefault(f"{package.kind}:{package.name}", {})[package.version] = package
    return versions


def _archives(before: Sequence[Archive], after: Sequence[Archive]) -> list[Change]:
    changes = []
    for name, sign, gone, come in _differing(before, after, lambda archive: archive.name):
        dates = (gone.date if gone else "", come.date if come else "")
        if dates[0] == dates[1]:
            dates = ("", f"{dates[1]} (lists or keys)")
        changes.append(Change(sign=sign, what=f"archive:{name}", before=dates[0], after=dates[1]))
    return changes


def _images(before: Sequence[Image], after: Sequence[Image]) -> list[Change]:
    changes = []
    for reference, sign, gone, come in _differing(before, after, lambda image: image.reference):
        said = (gone.digest[:19] if gone else "", come.digest[:19] if come else "")
        if gone and come and gone.digest == come.digest:
            said = _same_image(gone, come)
        changes.append(Change(sign=sign, what=f"oci:{reference}", before=said[0], after=said[1]))
    return changes


def _same_image(before: Image, after: Image) -> tuple[str, str]:
    """Of an image with the same digest other platforms may be locked, or more may be known."""
    old, new = (", ".join(sorted(image.platforms)) for image in (before, after))
    return (old, new) if old != new else ("", f"{after.digest[:19]} (what was read of it)")


def _environments(before: Sequence[Environment], after: Sequence[Environment]) -> set[Change]:
    """A name can have an environment for each runtime."""
    found: set[Change] = set()
    for runtime in ("container", "process"):
        old, new = ([item for item in items if item.runtime == runtime] for items in (before, after))
        found.update(_named("environment", old, new))
    return found


def _named(what: str, before: Sequence[_N], after: Sequence[_N]) -> list[Change]:
    differing = _differing(before, after, lambda item: item.name)
    return [Change(sign=sign, what=f"{what}:{name}") for name, sign, _, _ in differing]


def _pins(before: Sequence[Surface], after: Sequence[Surface]) -> list[Change]:
    changes = []
    for name, sign, gone, come in _differing(before, after, lambda surface: surface.server):
        counts = [counted(item) if item else "" for item in (gone, come)]
        if counts[0] == counts[1]:
            counts[0] = ""
        changes.append(Change(sign=sign, what=f"pin:{name}", before=counts[0], after=counts[1]))
    return changes


def _differing(
    before: Iterable[_T], after: Iterable[_T], name_of: Callable[[_T], str]
) -> Iterator[tuple[str, str, _T | None, _T | None]]:
    """Yield what is not the same in both, by its name: name, sign, what it was, what it is."""
    old, new = ({name_of(item): item for item in items} for items in (before, after))
    for name in old.keys() | new.keys():
        gone, come = old.get(name), new.get(name)
        if gone != come:
            yield name, "+" if gone is None else "-" if come is None else "~", gone, come
