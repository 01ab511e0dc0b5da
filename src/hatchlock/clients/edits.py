"""One edit of one entry in an application's file, with what it puts aside and what it puts back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hatchlock.clients.dialect import Dialect
from hatchlock.clients.originals import Originals
from hatchlock.clients.put_aside import First, Taken
from hatchlock.clients.reversal import How, kept, made_place, put_back, without_place
from hatchlock.errors import HatchlockError

__all__ = ["Change", "Edit", "EntryNotKept", "SecretsOf", "StandsIn", "Taking", "changed"]

SecretsOf = Callable[[Iterable[str]], Mapping[str, str]]
"""Gives the values of secrets by the names under which the store of secrets keeps them, of those that it still has."""


@dataclass(kw_only=True, eq=False)
class EntryNotKept(HatchlockError):
    """An entry of somebody else's could not be put back, if it were replaced now."""

    code: ClassVar[str] = "entry-not-kept"

    path: str
    name: str

    def __str__(self) -> str:
        return (
            f"the entry {self.name!r} in {self.path} holds what looks like a secret that the store of secrets does not"
            " have, so it could not be put back; it is left alone"
        )

    def _hint(self) -> str:
        return "run `hatchlock import` again, which keeps its secrets, or take that entry out yourself"


@dataclass(kw_only=True, eq=False)
class StandsIn(HatchlockError):
    """An entry of ours stands for another one that cannot be put back now."""

    code: ClassVar[str] = "secret-not-kept"

    path: str
    name: str
    secrets: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"the entry {self.name!r} cannot be put back into {self.path}: the store of secrets does not give"
            f" {', '.join(self.secrets)}"
        )

    def _hint(self) -> str:
        return f"`hatchlock secret set {self.secrets[0]}`, and try again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taking:
    """The entry that is edited is somebody else's, and ours shall stand for it.

    Attributes:
        by: The name of ours.
        secrets: The names under which the store of secrets keeps what is secret in it.
        may_lose: Whether somebody has agreed to lose what cannot be kept.
        is_ours: Whether another project of the same store has put it there: ours stands for what that one stood for.
    """

    by: str
    secrets: tuple[str, ...] = ()
    may_lose: bool = False
    is_ours: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """What is to become of an entry.

    Attributes:
        name: Its name.
        value: What it shall be; None to take it out.
        renamed_from: The name that it has until now, if that is another one.
        taking: Whose it is until now, if not ours.
        may_lose: Whether somebody has agreed to lose what stood there before it.
        own: The names of other entries of ours in the file: what stood there before this one waits until they go, if it has
            the name of one.
    """

    name: str
    value: Mapping[str, Any] | None
    renamed_from: str | None = None
    taking: Taking | None = None
    may_lose: bool = False
    own: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What an edit makes of a file.

    Attributes:
        data: The file; None for none.
        originals: What is put aside then.
        put_back: Entries of others that are in it again, and how.
        directories: Those that go with the file, if they are empty, the outermost first.
    """

    data: bytes | None
    originals: Originals
    put_back: tuple[tuple[str, How], ...] = ()
    directories: tuple[str, ...] = ()


def changed(
    before: bytes | None,
    edit: Edit,
    originals: Originals,
    *,
    dialect: Dialect,
    path: str,
    secrets: SecretsOf,
    is_first: bool,
    missing: tuple[str, ...] = (),
) -> Change:
    """Return what an edit makes of a file.

    Args:
        before: The file; None for none.
        edit: What is to become of an entry; it is in the file, unless it is to be added.
        originals: What was put aside before.
        dialect: The form of the file.
        path: The file's name, for messages.
        secrets: Gives the values of secrets; asked only for those that it takes.
        is_first: Whether there are no entries in the file.
        missing: The directories that are to be made for the file.

    Raises:
        EntryNotKept: What is taken out could not be put back.
        StandsIn: What was taken out cannot be put back now.
        Unparsable: The file is not understood.
    """
    data = before or b""
    if edit.taking:
        return _taken_out(data, edit, edit.taking, originals, dialect=dialect, path=path, secrets=secrets)
    if edit.value is None:
        return _without(data, edit, originals, dialect=dialect, path=path, secrets=secrets)
    if edit.renamed_from is not None:
        after = dialect.rename(data, edit.renamed_from, edit.name, edit.value, path=path)
        return Change(data=after, originals=originals.renamed(edit.renamed_from, edit.name))
    after = dialect.set(data, edit.name, edit.value, path=path)
    if is_first:
        made = made_place(before, after, edit.name, dialect=dialect, directories=missing)
        originals = replace(originals, place=made)
    return Change(data=after, originals=originals)


def _taken_out(
    data: bytes,
    edit: Edit,
    taking: Taking,
    originals: Originals,
    *,
    dialect: Dialect,
    path: str,
    secrets: SecretsOf,
) -> Change:
    name = edit.name if edit.renamed_from is None else edit.renamed_from
    if edit.value is None:
        after = dialect.remove(data, name, path=path)
    elif edit.renamed_from is not None:
        after = dialect.rename(data, name, edit.name, edit.value, path=path)
    else:
        after = dialect.set(data, name, edit.value, path=path)
    if taking.is_ours:
        return Change(data=after, originals=originals.renamed(name, taking.by))
    known = secrets(taking.secrets) if taking.secrets else {}
    taken = kept(data, after, name, by=taking.by, is_replaced=edit.value is not None, dialect=dialect, secrets=known)
    if taken is None:
        if not taking.may_lose:
            raise EntryNotKept(path=path, name=name)
        return Change(data=after, originals=originals)
    first = First(name=edit.name, value=edit.value) if edit.value is not None else None
    return Change(data=after, originals=originals.with_taken(taken, first))


def _without(
    data: bytes, edit: Edit, originals: Originals, *, dialect: Dialect, path: str, secrets: SecretsOf
) -> Change:
    name = edit.name
    # one of its own name, which has waited for it, comes back when it is out of the way
    mine = sorted(originals.of(name), key=lambda taken: taken.name == name and not taken.is_replaced)
    needed = sorted(frozenset[str]().union(*(taken.secrets for taken in mine)))
    known = secrets(needed) if needed else {}
    how: list[tuple[str, How]] = []
    waiting: list[Taken] = []
    ours: str | None = name
    if not any(taken.is_replaced for taken in mine):
        data, ours = dialect.remove(data, name, path=path), None
    for taken in mine:
        if missing := sorted(taken.secrets - known.keys()):
            if not edit.may_lose:
                raise StandsIn(path=path, name=taken.name, secrets=tuple(missing))
            how.append((taken.name, "no-secret"))
            continue
        if taken.name != name and taken.name in edit.own and taken.name in dialect.read(data, path=path):
            waiting.append(replace(taken, by=taken.name, is_replaced=False))
            how.append((taken.name, "later"))
            continue
        first = originals.firsts.get(name, First(name=name, value={}))
        back = put_back(data, taken, ours if taken.is_replaced else None, first, dialect=dialect, secrets=known)
        data, ours = back.data, None if taken.is_replaced else ours
        how.append((taken.name, back.how))
    if ours is not None:
        data = dialect.remove(data, name, path=path)
    rest_of, place = originals.without(name), originals.place
    left = replace(rest_of, taken=(*rest_of.taken, *waiting))
    if place is None or dialect.read(data, path=path):
        return Change(data=data, originals=left, put_back=tuple(how))
    rest = without_place(data, place, dialect=dialect)
    directories = place.directories if rest is None else ()
    return Change(data=rest, originals=replace(left, place=None), put_back=tuple(how), directories=directories)
