"""Requirements of any kind, as text, to asks of the namespace that answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from hatchlock.address import BadSource, Kind, Source
from hatchlock.resolve.choice import Choice
from hatchlock.resolve.direct import Direct, direct_source, is_direct
from hatchlock.resolve.named import named
from hatchlock.resolve.node import NodeNames
from hatchlock.resolve.npm_requirements import NpmBounds, declared_npm, npm_constraints, npm_limits
from hatchlock.resolve.preferred import preferred_of
from hatchlock.resolve.programs import ANY, DirectNames
from hatchlock.resolve.provider import Ask, Names
from hatchlock.resolve.python import PythonNames
from hatchlock.resolve.released import AtPlace, NamedBounds, ReleasedNames
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.resolve.requirements import declared, holds
from hatchlock.sources.hatch.declared import declared_hatch
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Asker", "node_names", "python_choice", "python_names"]


class Asker:
    """Turns requirements into asks, once its namespaces are there.

    Args:
        directs: What requirements name themselves, by requirement.
    """

    python: PythonNames
    node: NodeNames | None = None
    others: Sequence[DirectNames] = ()

    def __init__(self, directs: Mapping[str, Direct]) -> None:
        self._directs = directs
        self.released: list[ReleasedNames] = []

    @property
    def names(self) -> tuple[Names, ...]:
        """All namespaces."""
        return (self.python, *([self.node] if self.node else []), *self.released, *self.others)

    def asks(self, text: str, requirer: str) -> Iterator[Ask]:
        """Yield what a requirement of any kind asks for; nothing if its marker does not hold.

        Raises:
            BadSource: It is malformed, or of a kind that environments do not take.
            DirectUrl: It is an address that the manifest does not list.
        """
        if is_direct(text) and (direct := self._directs.get(direct_source(text))):
            yield from self._direct(direct, text, requirer)
            return
        source = Source.parse(text)
        if source.kind is Kind.PYPI:
            yield from self.python.asks(declared(text), requirer)
        elif source.kind is Kind.NPM and self.node:
            name, bounds = declared_npm(source.spec)
            yield from self.node.asks(name, bounds, requirer)
        elif found := named(text):
            yield Ask(namespace=found.kind, name=found.name, bounds=NamedBounds(named=found), requirer=requirer)
        else:
            raise BadSource(text=text, why="an environment takes no such thing", advice="see `hatchlock validate`")

    def _direct(self, direct: Direct, text: str, requirer: str) -> Iterator[Ask]:
        package = direct.package
        if package.namespace is Kind.PYPI:
            if text.startswith(f"{Kind.PYPI}:"):
                yield from self.python.asks(declared(text), requirer)
                return
            yield Ask(namespace=Kind.PYPI, name=package.name, bounds=SpecifierSet(), requirer=requirer)
        elif package.namespace is Kind.NPM:
            yield Ask(namespace=Kind.NPM, name=package.name, bounds=NpmBounds(text=""), requirer=requirer)
        elif package.namespace is Kind.HATCH:
            reference = declared_hatch(text.partition(":")[2])
            place = AtPlace(source=direct.text, bounds=str(reference.specifier), allows=reference.allows)
            yield Ask(namespace=Kind.HATCH, name=package.name, bounds=place, requirer=requirer)
        else:
            yield Ask(namespace=package.namespace, name=package.name, bounds=ANY, requirer=requirer)


def python_choice(
    request: EnvironmentRequest,
    target: PythonTarget,
    *,
    preferred: Mapping[str, Sequence[str]],
    chosen: Mapping[tuple[Kind, str], Any],
    own: frozenset[str],
) -> Choice:
    """Return what decides among Python candidates on one target, besides the requirements.

    Args:
        request: For its constraints and overrides.
        target: Where.
        preferred: `pypi:name` -> versions.
        chosen: What earlier platforms took; it comes before what is preferred.
        own: Names that projects of the environment have.
    """
    versions = {name: [*_versions(texts)] for name, texts in preferred_of(Kind.PYPI, preferred, chosen).items()}
    return Choice(
        target=target,
        constraints=_limits(request.constraints, target),
        overrides=_limits(request.overrides, target),
        preferred=versions,
        own=own,
        build=request.allow_build,
    )


def python_names(directs: Iterable[Direct]) -> frozenset[str]:
    """Return the names of Python that projects have: no index is asked for them."""
    return frozenset(item.package.name for item in directs if item.package.namespace is Kind.PYPI)


def _versions(texts: Iterable[str]) -> Iterator[Version]:
    for text in texts:
        try:
            yield Version(text)
        except InvalidVersion:
            continue  # a lock that somebody edited: then there is nothing to prefer


def _limits(texts: Iterable[str], target: PythonTarget) -> dict[str, SpecifierSet]:
    limits: dict[str, SpecifierSet] = {}
    for wanted in [declared(text) for text in sorted(texts) if text.startswith("pypi:") and not is_direct(text)]:
        if holds(wanted.marker, target):
            limits[wanted.name] = limits.get(wanted.name, SpecifierSet()) & wanted.specifier
    return limits


def node_names(
    request: EnvironmentRequest,
    registry: NpmSource,
    own: Mapping[str, Direct],
    ask: Callable[[str, str], Iterator[Ask]],
    *,
    chosen: Mapping[tuple[Kind, str], Any],
    preferred: Mapping[str, Sequence[str]],
) -> NodeNames:
    """Return the names of Node for one target; arguments as in `python_choice` and `NodeNames`."""
    return NodeNames(
        registry=registry,
        constraints=npm_constraints(request.constraints),
        overrides=npm_limits(request.overrides),
        preferred=preferred_of(Kind.NPM, preferred, chosen),
        direct=own,
        ask=ask,
        node=request.node,
    )
