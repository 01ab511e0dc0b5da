"""Which versions of a package there are for us, and which of them npm would take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from hatchlock.sources import ages
from hatchlock.sources.npm.names import Wanted
from hatchlock.sources.npm.packument import Packument
from hatchlock.sources.npm.ranges import BadNpmRange, BadNpmVersion, NpmRange, NpmVersion

__all__ = ["Offer", "node_allows", "offer", "too_new"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The part of a document that counts.

    Attributes:
        document: The registry's.
        versions: Newest first.
        tags: Dist-tag -> version. A tag whose version does not count stands for what npm would take in its place: the best
            one that is not newer.
    """

    document: Packument
    versions: tuple[NpmVersion, ...]
    tags: Mapping[str, NpmVersion]

    def ranked(self, wanted: Wanted, *, node: str = "") -> Iterator[NpmVersion]:
        """Yield the versions that would do, in npm's order of preference.

        That is the one tagged `latest` unless it is deprecated or needs another Node; then the newest first, but those for
        another Node behind, and deprecated ones behind their equals.

        Args:
            wanted: A range or a tag.
            node: The Node that the packages are for, "22" or "22.4.1"; "" if that is not to count.
        """
        if wanted.form == "tag":
            if wanted.spec in self.tags:
                yield self.tags[wanted.spec]
            return
        latest = self.tags.get("latest")
        allowed = NpmRange.parse(wanted.spec)
        if latest and (wanted.spec == "*" or allowed.contains(latest)) and self._faults(latest, node) == (False, False):
            yield latest
        else:
            latest = None
        yield from sorted(
            (version for version in self.versions if version != latest and allowed.contains(version)),
            key=lambda version: self._faults(version, node),
        )

    def _faults(self, version: NpmVersion, node: str) -> tuple[bool, bool]:
        release = self.document.release(self.document.spelling(version) or "")
        return not node_allows(release.node, node), bool(release.deprecated)


def offer(
    document: Packument,
    *,
    exclude_newer: datetime | None = None,
    allowed: Collection[str] | None = None,
    within: Collection[NpmRange] = (),
) -> Offer:
    """Return the part of a document that counts.

    Args:
        document: The registry's.
        exclude_newer: What was uploaded at this moment or later does not count; nor does what has no time.
        allowed: The versions to choose from, if some of them are there; else any.
        within: Ranges, all of which a version has to be in.
    """
    usable = [
        version
        for version in document.versions
        if not too_new(document, version, exclude_newer) and all(limit.contains(version) for limit in within)
    ]
    if allowed is not None:
        usable = [version for version in usable if document.spelling(version) in allowed] or usable
    plain = Offer(document=document, versions=tuple(usable), tags={})
    tags = {tag: found for tag, text in sorted(document.tags.items()) if (found := _tagged(plain, text)) is not None}
    return Offer(document=document, versions=plain.versions, tags=tags)


def too_new(document: Packument, version: NpmVersion, limit: datetime | None) -> bool:
    """Return whether a version was uploaded at a moment or later, or may have been."""
    return limit is not None and ages.too_new(document.release(document.spelling(version) or "").uploaded, limit)


def node_allows(engines: str, node: str) -> bool:
    """Return whether a Node may run a package.

    Args:
        engines: The package's `engines.node`; what is no range allows any.
        node: "22.4.1", or "22" for the newest of that line; "" for any.
    """
    if not engines or not node:
        return True
    numbers = [*node.split("."), *["9999"] * 2][:3]
    try:
        return NpmRange.parse(engines).contains(NpmVersion.parse(".".join(numbers)), prereleases=True)
    except (BadNpmRange, BadNpmVersion):
        return True


def _tagged(plain: Offer, text: str) -> NpmVersion | None:
    try:
        tagged = NpmVersion.parse(text)
    except BadNpmVersion:
        return None
    if tagged in plain.versions:
        return tagged
    return next(plain.ranked(Wanted(name=plain.document.name, spec=f"<={tagged}", form="range")), None)
