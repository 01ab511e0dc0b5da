"""Parts of a plan: what words of the user name, and all that this needs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import ClassVar

from hatchlock.address import Address, ResourceKind
from hatchlock.errors import HatchlockError
from hatchlock.reconcile.plan import Plan

__all__ = ["Known", "NotReplaceable", "NothingNamed", "Selection", "named_again", "selected"]

_GROUP = "group:"
_REPLACEABLE = frozenset(
    {
        *(ResourceKind.ENV, ResourceKind.IMAGE, ResourceKind.VOLUME),
        *(ResourceKind.SERVER, ResourceKind.ENDPOINT, ResourceKind.CLIENT),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What the user wants of a plan, besides what it would be.

    Attributes:
        only: Words: addresses, patterns of addresses, `group:NAME`, `client:APPLICATION`. Empty for everything.
        again: Addresses of what is to be made anew.
    """

    only: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What a partial plan is about: what is to be made anew is a part of it; empty for everything."""
        return tuple(dict.fromkeys((*self.only, *self.again))) if self.only else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A resource that a word can name.

    Attributes:
        needs: What must be there first.
        server: Whose it is; "" for what is no server's alone.
        is_declared: Whether it should be there.
        is_right: Whether it is there as it should be.
    """

    needs: tuple[Address, ...] = ()
    server: str = ""
    is_declared: bool = False
    is_right: bool = False


@dataclass(kw_only=True, eq=False)
class NothingNamed(HatchlockError):
    """A word names no resource and no group of the project."""

    code: ClassVar[str] = "nothing-named"

    word: str
    close: str = ""

    def __str__(self) -> str:
        what = "no server has that group" if self.word.startswith(_GROUP) else "no resource has such an address"
        return f"{self.word!r} names nothing: {what}"

    def _hint(self) -> str:
        return f"did you mean {self.close!r}?" if self.close else "`hatchlock plan` shows addresses"


@dataclass(kw_only=True, eq=False)
class NotReplaceable(HatchlockError):
    """What is to be made anew is nothing that hatchlock makes whenever it likes."""

    code: ClassVar[str] = "not-replaceable"

    why: str
    advice: str

    def __str__(self) -> str:
        return f"it cannot be made anew: {self.why}"

    def _hint(self) -> str:
        return self.advice


def named_again(words: Iterable[str], known: Mapping[Address, Known]) -> frozenset[Address]:
    """Return what is to be made anew.

    Args:
        words: Addresses.
        known: Every resource of the project.

    Raises:
        NothingNamed: There is no such resource.
        NotReplaceable: It is not declared, or is the host's, or a session's container.
    """
    by_text = {str(address): address for address in known}
    found = set()
    for word in words:
        if word not in by_text:
            raise NothingNamed(word=word, close=_close(word, by_text))
        found.add(_replaceable(by_text[word], known))
    return frozenset(found)


def _replaceable(address: Address, known: Mapping[Address, Known]) -> Address:
    if address.kind is ResourceKind.SYSTEM:
        raise NotReplaceable(
            address=str(address),
            why="packages of the host are only ever added and upgraded",
            advice="run `apt-get install --reinstall` yourself, as root",
        )
    if address.kind not in _REPLACEABLE:
        raise NotReplaceable(
            address=str(address),
            why="a session belongs to the application that started it",
            advice="start the server again in that application",
        )
    if not known[address].is_declared:
        raise NotReplaceable(
            address=str(address), why="it is not declared any more", advice="`hatchlock plan` shows what becomes of it"
        )
    return address


def selected(
    plan: Plan, words: Collection[str], *, known: Mapping[Address, Known], groups: Mapping[str, Collection[str]]
) -> Plan:
    """Return the part of a plan that words name, with all that this needs; without words the plan.

    Steps keep their order. Of deletions it has those that have to come first.

    Args:
        plan: The whole plan.
        words: Addresses, patterns of addresses (`*`, `?`, `[…]`), `group:NAME`: the servers of a group with what is
            theirs, and `client:APPLICATION`: all its entries, in whichever of its files.
        known: Every resource of the project, declared or there.
        groups: Name of a group -> names of its servers.

    Raises:
        NothingNamed: A word names nothing.
    """
    if not words:
        return plan
    steps = {step.address: step for step in plan.steps}

    def needed(address: Address) -> Iterable[Address]:
        own = known[address].needs if address in known else ()
        return (*own, *(steps[address].depends_on if address in steps else ()))

    chosen = _closure({address for word in words for address in _named(word, known, groups)}, needed)
    problems = tuple(problem for problem in plan.problems if problem.address in chosen)
    hindered = {problem.address for problem in problems}
    free = (address for address in chosen if address not in steps and hindered.isdisjoint(_closure({address}, needed)))
    return replace(
        plan,
        steps=tuple(step for step in plan.steps if step.address in chosen),
        problems=problems,
        unchanged=sum(address in known and known[address].is_right for address in free),
        drifted=tuple(item for item in plan.drifted if item.address in chosen),
        only=tuple(words),
    )


def _closure(start: Collection[Address], needed: Callable[[Address], Iterable[Address]]) -> set[Address]:
    reached: set[Address] = set()
    waiting = list(start)
    while waiting:
        address = waiting.pop()
        if address not in reached:
            reached.add(address)
            waiting += needed(address)
    return reached


def _named(word: str, known: Mapping[Address, Known], groups: Mapping[str, Collection[str]]) -> Collection[Address]:
    if word.startswith(_GROUP):
        servers = groups.get(word.removeprefix(_GROUP), ())
        found = [address for address, item in known.items() if item.server in servers]
    else:
        found = [address for address in known if fnmatchcase(str(address), word) or _application(address) == word]
    if not found:
        applications = filter(None, map(_application, known))
        others = (*applications, *(f"{_GROUP}{name}" for name in groups))
        raise NothingNamed(word=word, close=_close(word, [*map(str, known), *others]))
    return found


def _application(address: Address) -> str:
    """Return the word for all entries of an entry's application; "" for what is no entry."""
    return f"{address.kind}:{address.client}" if address.client else ""


def _close(word: str, texts: Iterable[str]) -> str:
    """Return what was probably meant; a bare name is most often a server's."""
    known = sorted(set(texts), key=lambda text: (not text.startswith(f"{ResourceKind.SERVER}:"), text))
    behind: dict[str, str] = {}
    for text in known:
        behind.setdefault(text.partition(":")[2], text)
    if word in behind:
        return behind[word]
    if ":" in word:
        return next(iter(get_close_matches(word, known, n=1)), "")
    # a name that is misspelt is nearer to other names than to any address
    return next((behind[name] for name in get_close_matches(word, behind, n=1)), "")
