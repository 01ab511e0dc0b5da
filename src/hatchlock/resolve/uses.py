"""Which packages a resolution uses, over all environments and platforms, and what the lock says of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from packaging.version import Version

from hatchlock.address import Kind
from hatchlock.lock.model import File, Package
from hatchlock.resolve.direct import DirectCandidate, SameIdentity
from hatchlock.resolve.provider import Pin
from hatchlock.resolve.requirements import holds, parse
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.pypi import PypiSource, WheelCandidate
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Uses"]

_PYTHON = f"{Kind.PYPI}:"


@dataclass(slots=True)
class _Wheels:
    """A version in use somewhere: its wheels by file name, and what of its dependencies holds."""

    candidate: WheelCandidate
    files: dict[str, WheelCandidate] = field(default_factory=dict)
    dependencies: set[str] = field(default_factory=set)


class Uses:
    """Collects pins, and makes packages of them."""

    def __init__(self) -> None:
        self._wheels: dict[tuple[str, Version], _Wheels] = {}
        self._directs: dict[str, tuple[DirectCandidate, set[str]]] = {}
        self._others: dict[str, Package] = {}

    def note(self, pin: Pin, target: PythonTarget, index: PypiSource) -> None:
        """Remember a pin of one target."""
        candidate = pin.candidate
        if isinstance(candidate, WheelCandidate):
            use = self._wheels.setdefault((candidate.name, candidate.version), _Wheels(candidate=candidate))
            use.files[candidate.file.name] = candidate
            texts = [f"{_PYTHON}{text}" for text in index.dependencies(candidate)]
            use.dependencies |= set(_held(texts, target, pin.extra))
        elif isinstance(candidate, DirectCandidate):
            first, dependencies = self._directs.setdefault(candidate.id, (candidate, set()))
            if first.direct.text != candidate.direct.text:
                raise SameIdentity(id=candidate.id, sources=(first.direct.text, candidate.direct.text))
            dependencies |= set(_held(candidate.direct.needs(pin.extra), target, pin.extra))

    def add(self, packages: Iterable[Package]) -> None:
        """Remember packages that are complete, as solvers of their own kind give them."""
        for package in packages:
            known = self._others.get(package.id, package)
            # what is optional, or a peer, is an edge only where it is there; a file may be for one platform
            edges = tuple(sorted({*known.dependencies, *package.dependencies}))
            files = tuple(sorted({*known.files, *package.files}))
            self._others[package.id] = replace(package, dependencies=edges, files=files)

    def add_edges(self, project: str, texts: Iterable[str]) -> None:
        """Remember further dependencies of a project that was noted, by its id."""
        self._directs[project][1].update(texts)

    def packages(self, index: PypiSource, *, with_scripts: Collection[str]) -> tuple[Package, ...]:
        """Return every package; the scripts of Python packages only for the names given."""
        for (name, _), use in self._wheels.items():
            if name in with_scripts:
                index.scripts_ahead(use.files[min(use.files)].file)
        wheels = [
            _python_package(use, index, with_scripts=name in with_scripts) for (name, _), use in self._wheels.items()
        ]
        directs = [
            replace(candidate.direct.package, dependencies=tuple(sorted(dependencies)))
            for candidate, dependencies in self._directs.values()
        ]
        known = {package.id for package in wheels}
        for package in directs:
            if package.id in known:
                raise SameIdentity(id=package.id, sources=(package.source, f"the package of the index {package.name}"))
        return (*wheels, *directs, *self._others.values())


def _held(texts: Iterable[str], target: PythonTarget, extra: str) -> Iterator[str]:
    """Yield the requirements that hold, Python's in one spelling."""
    for text in texts:
        if not text.startswith(_PYTHON):
            yield text
            continue
        wanted = parse(text.removeprefix(_PYTHON))
        if holds(wanted.marker, target, extra):
            yield f"{_PYTHON}{wanted.with_marker}"


def _python_package(use: _Wheels, index: PypiSource, *, with_scripts: bool) -> Package:
    # metadata may differ between wheels of a version; the first by name speaks for it
    files = [use.files[name].file for name in sorted(use.files)]
    metadata: WheelMetadata = (index.metadata_with_scripts if with_scripts else index.metadata)(files[0])
    return Package(
        kind=Kind.PYPI,
        name=use.candidate.name,
        version=str(use.candidate.version),
        index=index.index_name(use.candidate.name),
        files=tuple(File(name=file.name, sha256=file.sha256, size=file.size) for file in files),
        dependencies=tuple(sorted(use.dependencies)),
        scripts=dict(metadata.scripts or {}) if with_scripts else {},
        requires_python=metadata.requires_python or files[0].requires_python,
        licence=metadata.licence,
        authors=metadata.authors,
        repository=metadata.repository,
        signature=files[0].signature,
    )
