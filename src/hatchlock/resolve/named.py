"""Requirements on names of the kinds whose versions compare simply: Debian, Hatch, conda packages, and images. Pure.

Python and npm have modules of their own (`requirements`, `npm_requirements`); what names itself what it means is `direct`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hatchlock.address import BadSource, Kind, Source
from hatchlock.lock.model import Package
from hatchlock.resolve.direct import is_direct
from hatchlock.sources.conda.declared import declared_conda
from hatchlock.sources.debian.declared import DebBounds, declared_deb
from hatchlock.sources.debian.versions import BadDebVersion, DebVersion
from hatchlock.sources.hatch.declared import declared_hatch
from hatchlock.sources.oci_tags import declared_oci

__all__ = ["Named", "name_of", "named"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A requirement on a name.

    Attributes:
        kind: Of which kind.
        name: Normalised.
        bounds: As somebody would write them behind the name.
        allows: Whether a version, as the lock writes it, would do. Of conda nothing is known here: any does.
        publisher: Whose it has to be: a repository of a Hatch registry; "" for anybody's.
        channel: The channel of conda that it has to come from; "" for any.
        exact: Of an image the tag or digest, if it is named by that.
        text: The requirement in its normal form, without its kind.
    """

    kind: Kind
    name: str
    bounds: str
    allows: Callable[[str], bool]
    publisher: str = ""
    channel: str = ""
    exact: str = ""
    text: str

    def suits(self, package: Package) -> bool:
        """Return whether a package of that kind and name would do."""
        is_of = self.publisher in {"", package.publisher} and self.channel in {"", package.index}
        return is_of and self.allows(package.version)


@cache
def named(text: str) -> Named | None:
    """Read a requirement; None if it is of Python or npm, or names itself what it means.

    Raises:
        BadSource: It is malformed.
    """
    if is_direct(text):
        return None
    source = Source.parse(text)
    match source.kind:
        case Kind.DEB:
            name, bounds = declared_deb(source.spec)
            return Named(
                kind=source.kind,
                name=name,
                bounds=str(bounds),
                # a name that others provide has no version
                allows=lambda version: not bounds.bounds or _has(version, bounds),
                text=f"{name}{bounds}",
            )
        case Kind.HATCH:
            reference = declared_hatch(source.spec)
            return Named(
                kind=source.kind,
                name=reference.name,
                bounds=str(reference.specifier),
                allows=reference.allows,
                publisher=reference.repository,
                text=str(reference),
            )
        case Kind.CONDA:
            conda = declared_conda(source.spec)
            return Named(
                kind=source.kind,
                name=conda.name,
                bounds=conda.version,
                allows=lambda _: True,
                channel=conda.channel,
                text=str(conda),
            )
        case Kind.OCI:
            image = declared_oci(source.spec)
            return Named(
                kind=source.kind,
                name=image.name,
                bounds=image.bounds or f":{image.version}",
                allows=image.allows,
                exact=image.version,
                text=str(image),
            )
    return None


def name_of(text: str) -> str:
    """Return the name that a requirement is on, with its kind: `deb:git`; "" if `named` does not read it."""
    try:
        found = named(text)
    except BadSource:
        return ""
    return f"{found.kind}:{found.name}" if found else ""


def _has(version: str, bounds: DebBounds) -> bool:
    try:
        return bounds.contains(DebVersion.parse(version), prereleases=True)
    except BadDebVersion:
        return False
