"""The names of a kind whose packages have versions as text: what a shelf has of them, and directories that take a place.

See `shelves` for the kinds that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from hatchlock.address import Kind
from hatchlock.lock.model import Package
from hatchlock.resolve.direct import Direct, DirectCandidate
from hatchlock.resolve.named import Named
from hatchlock.resolve.provider import Ask, impossible
from hatchlock.sources.base import UnknownPackage

__all__ = ["AtPlace", "NamedBounds", "Released", "ReleasedNames", "Shelf", "Unfit"]

_NEAREST = 3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Released:
    """A version of a package as a candidate; equal only to itself.

    Attributes:
        kind: Of which kind.
        name: Normalised.
        version: As the lock writes it.
        publisher: Whose it is, where a name can be several ones'; "" otherwise.
        release: What the shelf knows of it; its own.
    """

    kind: Kind
    name: str
    version: str
    publisher: str = ""
    release: object = None

    @property
    def id(self) -> str:
        """`kind:name@version`."""
        return f"{self.kind}:{self.name}@{self.version}"

    def __str__(self) -> str:
        return f"{self.kind}:{self.name} {self.version}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfit:
    """Why a candidate cannot be used on a target, as a clause: `needs Python >=3.12, not 3.11`."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedBounds:
    """Bounds of what a shelf has."""

    named: Named

    def contains(self, item: str, /, *, prereleases: bool) -> bool:
        """Return whether a version, as the lock writes it, would do."""
        del prereleases
        return self.named.allows(item)

    def __str__(self) -> str:
        return self.named.bounds + (f" of {self.named.publisher}" if self.named.publisher else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class AtPlace:
    """Bounds of what lies in a directory: it has to be that one, and its version one of those that would do.

    Attributes:
        source: `hatch:./kit`.
        bounds: As somebody would write them.
        allows: Whether a version would do.
    """

    source: str
    bounds: str
    allows: Callable[[str], bool]

    def contains(self, item: str, /, *, prereleases: bool) -> bool:
        """Return whether a version would do."""
        del prereleases
        return self.allows(item)

    def __str__(self) -> str:
        return f"{self.bounds} in {self.source.partition(':')[2]}"


class Shelf(Protocol):
    """What there is of a kind, for one target."""

    kind: Kind

    def releases(self, wanted: Sequence[Named]) -> Iterable[Released]:
        """Return what there is of the one name of these requirements, at least one, the best first.

        It need not satisfy them: they tell where to look.

        Raises:
            UnknownPackage: There is nothing of that name.
            HatchlockError: What asking raises.
        """
        ...

    def needs(self, candidate: Released) -> Sequence[str] | Unfit:
        """Return its requirements, of any kind, or why it cannot be used."""
        ...

    def package(self, candidate: Released) -> Package | None:
        """Return what the lock holds of it; None where that is worked out for all candidates at once."""
        ...


class ReleasedNames:
    """See `provider.Names`: the names of one kind.

    Args:
        shelf: What there is.
        direct: Name -> what lies in a directory. It never stands for a name that the shelf was asked for.
        ask: Turns a requirement of any kind and its requirer into asks.
        preferred: Name -> versions to take if they will do, the first that does.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        direct: Mapping[str, Direct],
        ask: Callable[[str, str], Iterator[Ask]],
        preferred: Mapping[str, Sequence[str]],
    ) -> None:
        self.namespace = shelf.kind
        self._shelf = shelf
        self._ask = ask
        self._preferred = preferred
        self._direct = {
            item.text: DirectCandidate(direct=item, version=item.package.version) for item in direct.values()
        }
        self._known: dict[tuple[str, str, str], Released] = {}

    def candidates(self, name: str, asks: Sequence[Ask]) -> Iterator[Released | DirectCandidate]:
        """Yield what satisfies all asks: the preferred ones, then as the shelf has them."""
        places = [ask.bounds.source for ask in asks if isinstance(ask.bounds, AtPlace)]
        if places:
            own = self._direct[places[0]]
            if all(self.allows(ask, own) for ask in asks):
                yield own
            return
        found = self._releases(asks)
        order = {version: place for place, version in enumerate(self._preferred.get(name, ()))}
        first = sorted((item for item in found if item.version in order), key=lambda item: order[item.version])
        for candidate in (*first, *(item for item in found if item.version not in order)):
            if all(self.allows(ask, candidate) for ask in asks):
                yield candidate

    def allows(self, ask: Ask, candidate: Released | DirectCandidate) -> bool:
        """Return whether it is where it is asked for, in a version that would do."""
        bounds = ask.bounds
        if isinstance(bounds, AtPlace):
            return isinstance(candidate, DirectCandidate) and (
                candidate.direct.text == bounds.source and bounds.allows(candidate.version)
            )
        assert isinstance(bounds, NamedBounds)  # noqa: S101  the namespace's own
        if isinstance(candidate, DirectCandidate):
            return False
        named = bounds.named
        return named.publisher in {"", candidate.publisher} and named.allows(candidate.version)

    def pins(self, ask: Ask) -> bool:
        """Return whether it is in a directory: there is one version there."""
        return isinstance(ask.bounds, AtPlace)

    def needs(self, candidate: Released | DirectCandidate, extra: str) -> Iterator[Ask]:
        """Yield what it needs, of any kind."""
        del extra
        requirer = str(candidate)
        if isinstance(candidate, DirectCandidate):
            texts: Sequence[str] | Unfit = candidate.direct.needs()
        else:
            texts = self._shelf.needs(candidate)
        if isinstance(texts, Unfit):
            yield impossible(requirer, f"{requirer} {texts.why}", self.namespace)
            return
        for text in texts:
            yield from self._ask(text, requirer)

    def usable(self, name: str) -> Iterator[Released | DirectCandidate]:
        """Yield everything of a name."""
        yield from (item for item in self._direct.values() if item.name == name)
        yield from (item for key, item in self._known.items() if key[0] == name)

    def ruled_out(self, ask: Ask) -> Iterator[str]:
        """Yield why what lies in a directory, or is of another repository, does not do."""
        if isinstance(ask.bounds, AtPlace):
            own = self._direct[ask.bounds.source]
            if not ask.bounds.allows(own.version):
                yield f"{own} is {own.name} {own.version}"
            return
        fitting = (item for item in self.usable(ask.name) if isinstance(item, Released))
        for item in islice(fitting, _NEAREST):
            if ask.bounds.contains(item.version, prereleases=True) and item.publisher:
                yield f"{item.name} {item.version} is of {item.publisher}"

    def refusal(self, ask: Ask) -> None:
        """Return None."""
        del ask

    def limit(self, name: str) -> str:
        """Return ""."""
        del name
        return ""

    def _releases(self, asks: Sequence[Ask]) -> list[Released]:
        wanted = [ask.bounds.named for ask in asks if isinstance(ask.bounds, NamedBounds)]
        try:
            found = list(self._shelf.releases(wanted))
        except UnknownPackage as error:
            requirer = asks[0].requirer if asks else ""
            raise UnknownPackage(kind=error.kind, name=error.name, index=error.index, requirer=requirer) from error
        # the same version is the same candidate, however often it is looked up
        return [self._known.setdefault((item.name, item.version, item.publisher), item) for item in found]
