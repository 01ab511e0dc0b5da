"""The names of Python: an index's packages, and the projects and files that take a name's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from hatchlock.address import Kind
from hatchlock.resolve.choice import Choice, is_pin
from hatchlock.resolve.direct import Direct, DirectCandidate
from hatchlock.resolve.prefetch import Prefetch
from hatchlock.resolve.provider import Ask, impossible
from hatchlock.resolve.requirements import DirectUrl, Wanted, holds, of_another_extra, parse
from hatchlock.sources.base import BadAnswer, UnknownPackage
from hatchlock.sources.python.pypi import PypiSource, WheelCandidate
from hatchlock.sources.python.sdists import MetadataNotTold, SourceOnly
from hatchlock.sources.python.targets import PythonTarget
from hatchlock.sources.python.wheel_tags import choose_wheel

__all__ = ["OwnedCandidate", "PythonNames"]

_NEAREST = 3
_PREFIX = f"{Kind.PYPI}:"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OwnedCandidate:
    """What conda has of a name of Python's index; its own solver sees to what it needs."""

    name: str
    version: Version

    @property
    def id(self) -> str:
        """A word for people: the lock has it as conda's package."""
        return f"{Kind.CONDA}:{self.name}@{self.version}"

    def __str__(self) -> str:
        return f"conda's {self.name} {self.version}"


_Candidate = WheelCandidate | DirectCandidate | OwnedCandidate


class PythonNames:
    """See `provider.Names`.

    Args:
        index: Where packages come from.
        choice: What decides among them.
        prefetch: Fetches ahead what will probably be asked for.
        direct: Projects and files that stand for a name; the index is not asked for it.
        owned: Names that conda's packages have, and their versions; the index is not asked for them.
        ask: Turns a requirement of any kind (`npm:zod@^4`) and its requirer into asks.
    """

    namespace = Kind.PYPI

    def __init__(
        self,
        *,
        index: PypiSource,
        choice: Choice,
        prefetch: Prefetch,
        direct: Mapping[str, Direct],
        owned: Mapping[str, Version],
        ask: Callable[[str, str], Iterator[Ask]],
    ) -> None:
        self._index = index
        self._choice = choice
        self._prefetch = prefetch
        self._ask = ask
        self._direct = {
            name: DirectCandidate(direct=item, version=Version(item.package.version)) for name, item in direct.items()
        }
        self._owned = {name: OwnedCandidate(name=name, version=version) for name, version in owned.items()}

    def candidates(self, name: str, asks: Sequence[Ask]) -> Iterator[_Candidate]:
        """Yield what satisfies all asks; see `Choice.candidates`."""
        specifiers = list({str(ask.bounds): _specifier(ask) for ask in asks}.values())
        if name in self._owned:
            if all(item.contains(self._owned[name].version, prereleases=True) for item in specifiers):
                yield self._owned[name]
            return
        if name in self._direct:
            own = self._direct[name]
            if self._runs_here(own) and all(self._suits(item, own) for item in specifiers):
                yield own
            return
        self._page_exists(name, asks)
        yield from self._choice.candidates(self._index, name, specifiers)

    def allows(self, ask: Ask, candidate: _Candidate) -> bool:
        """Return whether the version is one of those asked for."""
        if isinstance(candidate, DirectCandidate):
            return self._suits(_specifier(ask), candidate)
        return _specifier(ask).contains(candidate.version, prereleases=True)

    def pins(self, ask: Ask) -> bool:
        """Return whether it is `==VERSION`."""
        return ask.name in self._direct or ask.name in self._owned or any(is_pin(spec) for spec in _specifier(ask))

    def needs(self, candidate: _Candidate, extra: str) -> Iterator[Ask]:
        """Yield what the metadata says, as far as it holds on the target."""
        requirer = str(candidate)
        if isinstance(candidate, OwnedCandidate):
            return
        if isinstance(candidate, DirectCandidate):
            requires_python = candidate.package.requires_python
            texts = [text for text in candidate.direct.needs(extra) if self._holds(text, extra)]
        else:
            try:
                metadata = self._index.metadata(candidate.file)
                texts = self._held(metadata.requires_dist, extra)
            except MetadataNotTold as error:
                yield impossible(requirer, f"{error}: {error.hint}", self.namespace)
                return
            except (BadAnswer, InvalidRequirement) as error:
                why = f"{requirer} has unreadable metadata ({str(error).partition(chr(10))[0]})"
                yield impossible(requirer, why, self.namespace)
                return
            requires_python = metadata.requires_python
        target = self._choice.target
        if not _runs_on(requires_python, target.full_python):
            why = f"{requirer} needs Python {requires_python}, not {target.python}"
            yield impossible(requirer, why, self.namespace)
            return
        if extra:
            exactly = SpecifierSet(f"=={candidate.version}", prereleases=True)
            yield Ask(namespace=self.namespace, name=candidate.name, bounds=exactly, requirer=requirer)
        # all first, so that their pages are fetched at once
        for text in texts:
            self._fetch_ahead(text)
        for text in texts:
            yield from self._ask(text, requirer)

    def asks(self, wanted: Wanted, requirer: str) -> Iterator[Ask]:
        """Yield the nodes that a requirement speaks of, if it holds on the target: the package, and one for each extra.

        Raises:
            DirectUrl: It is an address.
        """
        # whether a marker with an extra holds was decided by whoever has that extra
        if "extra" not in wanted.marker and not holds(wanted.marker, self._choice.target):
            return
        if wanted.name in self._choice.overrides:
            wanted = replace(wanted, specifier=self._choice.overrides[wanted.name], url="")
        if wanted.url and not self._is_direct(wanted):
            raise DirectUrl(requirer=requirer, text=str(wanted))
        for extra in ("", *wanted.extras):
            yield Ask(
                namespace=self.namespace, name=wanted.name, extra=extra, bounds=wanted.specifier, requirer=requirer
            )

    def usable(self, name: str) -> Iterator[_Candidate]:
        """Yield every candidate that the target and the constraints allow."""
        if own := self._owned.get(name) or self._direct.get(name):
            yield own
            return
        yield from self._choice.candidates(self._index, name, [SpecifierSet()])

    def ruled_out(self, ask: Ask) -> Iterator[str]:
        """Yield why the newest fitting versions have no wheel for the target."""
        if ask.name in self._owned:
            yield f"conda brings {ask.name} {self._owned[ask.name].version}"
            return
        if ask.name in self._direct:
            own = self._direct[ask.name]
            if not self._runs_here(own):
                yield f"{ask.name} has no wheel for {self._choice.target.platform} at that address"
            elif not self._suits(_specifier(ask), own):
                yield f"{own}, which stands for that name, is {own.version}"
            return
        for version in islice(self._fitting(ask), _NEAREST):
            why = self._index.why_not(ask.name, version, self._choice.target) or _not_by_itself(version)
            yield f"{ask.name} {version} {why}"

    def refusal(self, ask: Ask) -> SourceOnly | None:
        """Return that the newest fitting version would have to be built, if it is so."""
        if ask.name in self._direct or ask.name in self._owned:
            return None
        newest = next(self._fitting(ask), None)
        return self._index.source_only(ask.name, newest, ask.requirer) if newest else None

    def limit(self, name: str) -> str:
        """Return the constraint as text."""
        return str(self._choice.constraints.get(name, ""))

    def _is_direct(self, wanted: Wanted) -> bool:
        direct = self._direct.get(wanted.name)
        return direct is not None and direct.package.location == wanted.url.partition("#")[0]

    def _fitting(self, ask: Ask) -> Iterator[Version]:
        limits = (_specifier(ask), self._choice.constraints.get(ask.name, SpecifierSet()))
        for version in self._index.versions(ask.name):
            if all(limit.contains(version, prereleases=True) for limit in limits):
                yield version

    def _runs_here(self, candidate: DirectCandidate) -> bool:
        package = candidate.package
        return package.kind is not Kind.PYPI or choose_wheel(package.files, self._choice.target) is not None

    def _suits(self, specifier: SpecifierSet, candidate: DirectCandidate) -> bool:
        # a version that could not be read without running the project rules nothing out
        return not candidate.direct.says_version or specifier.contains(candidate.version, prereleases=True)

    def _page_exists(self, name: str, asks: Sequence[Ask]) -> None:
        try:
            self._index.page(name)
        except UnknownPackage as error:
            raise UnknownPackage(
                kind=error.kind, name=name, index=error.index, requirer=asks[0].requirer if asks else ""
            ) from error

    def _held(self, requires_dist: Sequence[str], extra: str) -> list[str]:
        wanted = [parse(text) for text in requires_dist if not of_another_extra(text, extra)]
        return [f"{Kind.PYPI}:{item.with_marker}" for item in wanted if _needed(item, self._choice.target, extra)]

    def _holds(self, text: str, extra: str) -> bool:
        if not text.startswith(_PREFIX):
            return True
        return _holds_with(parse(text.removeprefix(_PREFIX)), self._choice.target, extra)

    def _fetch_ahead(self, text: str) -> None:
        if text.startswith(_PREFIX):
            wanted = parse(text.removeprefix(_PREFIX))
            if wanted.name not in self._direct and wanted.name not in self._owned:
                self._prefetch.want(wanted, self._choice)


def _specifier(ask: Ask) -> SpecifierSet:
    assert isinstance(ask.bounds, SpecifierSet)  # noqa: S101  the namespace's own
    return ask.bounds


def _holds_with(item: Wanted, target: PythonTarget, extra: str) -> bool:
    # an extra of a wheel is in its markers, that of a project is not
    return _needed(item, target, extra) if "extra" in item.marker else holds(item.marker, target)


def _needed(item: Wanted, target: PythonTarget, extra: str) -> bool:
    if not extra:
        return holds(item.marker, target)
    return holds(item.marker, target, extra) and not holds(item.marker, target)


def _not_by_itself(version: Version) -> str:
    return "is a pre-release, which only a requirement that names one allows" if version.is_prerelease else "was yanked"


def _runs_on(requires_python: str, python: str) -> bool:
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True
