"""What there is of Hatch packages, images, Debian packages and conda packages, for `released.ReleasedNames`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from packaging.specifiers import SpecifierSet

from hatchlock.address import ImageReference, Kind
from hatchlock.lock.model import Archive, Package
from hatchlock.resolve.direct import is_direct
from hatchlock.resolve.named import Named
from hatchlock.resolve.released import Released, Unfit
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.debian.package import DebPackage, DebUniverse
from hatchlock.sources.hatch.index import HatchRelease
from hatchlock.sources.oci_tags import choose_tag, declared_oci, fitting_tags, image_text
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["CondaShelf", "DebDesk", "DebShelf", "HatchArchives", "HatchShelf", "ImageShelf", "ImageTags"]


class HatchArchives(Protocol):
    """The Hatch registries."""

    def versions(self, name: str, repository: str = "") -> Sequence[HatchRelease]:
        """Return the versions of a name, newest first.

        Raises:
            UnknownPackage: There are none.
        """
        ...

    def locked(self, release: HatchRelease) -> Package:
        """Return what the lock holds of a version; its archive is fetched and read, once."""
        ...


class ImageTags(Protocol):
    """The image registries."""

    def tags(self, reference: ImageReference) -> Sequence[str]:
        """Return the tags of a repository."""
        ...

    def normal(self, reference: ImageReference) -> ImageReference:
        """Return a reference with its registry."""
        ...


class DebDesk(Protocol):
    """What there is for one base and platform."""

    @property
    def universe(self) -> DebUniverse:
        """What the archives have."""
        ...

    @property
    def installed(self) -> Sequence[DebPackage]:
        """What the base has."""
        ...

    @property
    def architecture(self) -> str:
        """Debian's word for the platform's processor: `amd64`."""
        ...

    @property
    def archives(self) -> Sequence[Archive]:
        """The suites that were asked."""
        ...


@dataclass(frozen=True, slots=True)
class HatchShelf:
    """Hatch packages of registries, on all targets of an environment; `on` gives the shelf of one.

    Attributes:
        open: Opens the registries.
    """

    open: Callable[[], HatchArchives]

    def on(self, target: PythonTarget) -> _HatchShelf:
        """Return what there is on one target."""
        return _HatchShelf(self, target)

    def package(self, candidate: Released) -> Package:
        """Return what the lock holds of a candidate."""
        assert isinstance(candidate.release, HatchRelease)  # noqa: S101  made below
        return self.open().locked(candidate.release)


@dataclass(frozen=True, slots=True)
class _HatchShelf:
    whole: HatchShelf
    target: PythonTarget
    kind = Kind.HATCH

    def releases(self, wanted: Sequence[Named]) -> Iterator[Released]:
        """Yield the versions, newest first."""
        publishers = {item.publisher for item in wanted} - {""}
        publisher = publishers.pop() if len(publishers) == 1 else ""
        for release in self.whole.open().versions(wanted[0].name, publisher):
            yield Released(
                kind=self.kind,
                name=release.name,
                version=release.version,
                publisher=release.repository,
                release=release,
            )

    def needs(self, candidate: Released) -> Sequence[str] | Unfit:
        """Return what its own metadata says, which the index may have in other words."""
        package = self.package(candidate)
        wants = package.requires_python
        if wants and not SpecifierSet(wants).contains(self.target.full_python, prereleases=True):
            return Unfit(why=f"needs Python {wants}, not {self.target.python}")
        outside = [text for text in package.dependencies if is_direct(text)]
        if outside:
            return Unfit(why=f"requires {outside[0]}, which leads out of its archive")
        return package.dependencies

    def package(self, candidate: Released) -> Package:
        """Return what the lock holds of it."""
        return self.whole.package(candidate)


@dataclass(slots=True)
class ImageShelf:
    """Images that others depend on."""

    open: Callable[[], ImageTags]
    kind = Kind.OCI

    def releases(self, wanted: Sequence[Named]) -> Iterator[Released]:
        """Yield what is named exactly, else the tags that are such versions, the highest first."""
        exact = sorted({item.exact for item in wanted if item.exact})
        name = wanted[0].name
        for version in exact or self._tags(wanted):
            yield Released(kind=self.kind, name=name, version=version)

    def _tags(self, wanted: Sequence[Named]) -> Iterable[str]:
        requirements = [declared_oci(item.text) for item in wanted]
        reference = requirements[0].reference
        tags = self.open().tags(reference)
        fitting = dict.fromkeys(tag for item in requirements for tag in fitting_tags(item, tags))
        if not fitting:
            registry = self.open().normal(reference).registry
            choose_tag(requirements[0], tags, registry=registry)  # says which there are
        return fitting

    def needs(self, candidate: Released) -> Sequence[str]:
        """Return nothing: an image is whole."""
        del candidate
        return ()

    def package(self, candidate: Released) -> Package:
        """Return what the lock holds of it; the image itself stands among the lock's images."""
        reference = image_text(candidate.name, candidate.version)
        return Package(kind=self.kind, name=candidate.name, version=candidate.version, location=reference)


@dataclass(slots=True)
class DebShelf:
    """Debian packages that are asked for by name. What stands below them is chosen as apt would; see `deb_layer`."""

    open: Callable[[], DebDesk]
    kind = Kind.DEB

    def releases(self, wanted: Sequence[Named]) -> Iterator[Released]:
        """Yield the versions of archives and base, newest first; of a name that others provide one without version."""
        name = wanted[0].name
        desk = self.open()
        found = {item.version for item in desk.universe.named(name)}
        found |= {item.version for item in desk.installed if item.name == name}
        for version in sorted(found, reverse=True):
            yield Released(kind=self.kind, name=name, version=str(version))
        if found:
            return
        if not desk.universe.providing(name):
            raise UnknownPackage(kind=self.kind, name=name, index=", ".join(desk.universe.releases))
        yield Released(kind=self.kind, name=name, version="")

    def needs(self, candidate: Released) -> Sequence[str]:
        """Return nothing; see the class."""
        del candidate
        return ()

    def package(self, candidate: Released) -> None:
        """Return None; see the class."""
        del candidate


class CondaShelf:
    """Conda packages that are asked for by name: which version it is, is the affair of conda's own solver."""

    kind = Kind.CONDA

    def releases(self, wanted: Sequence[Named]) -> Iterator[Released]:
        """Yield one without version."""
        yield Released(kind=self.kind, name=wanted[0].name, version="")

    def needs(self, candidate: Released) -> Sequence[str]:
        """Return nothing; see the class."""
        del candidate
        return ()

    def package(self, candidate: Released) -> None:
        """Return None; see the class."""
        del candidate
