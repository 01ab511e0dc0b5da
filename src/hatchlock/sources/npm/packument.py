"""A registry's document about a package, read only as far as somebody asks.

Documents can hold a thousand versions. So each version is kept as an undecoded line, in the cache and in memory: facts that
every choice needs, the manifest without what only readers need, and that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from hatchlock.sources.base import BadAnswer
from hatchlock.sources.npm.facts import install_script, normal_commands
from hatchlock.sources.npm.names import parse_wanted
from hatchlock.sources.npm.ranges import BadNpmVersion, NpmVersion

__all__ = ["DEPENDENCIES", "Packument", "Release"]

DEPENDENCIES = ("dependencies", "optionalDependencies", "peerDependencies")
"""Where a manifest says what it needs to run."""

_MANIFEST = (
    *("name", "version", "os", "cpu", "libc", "peerDependenciesMeta", "bundleDependencies", "bundledDependencies"),
    *("deprecated", "_hasShrinkwrap"),
)
_ABOUT = ("license", "licenses", "author", "maintainers", "contributors", "_npmUser", "repository")


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A version of a package, as its registry lists it.

    Attributes:
        version: As the registry writes it.
        uploaded: RFC 3339, or "" if the registry does not say.
        deprecated: Its author's message; "" if it is not deprecated.
        node: `engines.node`, or "".
        tarball: Where its file is; absolute.
        integrity: Subresource integrity of the file (`sha512-…`), or "" if there is only a SHA-1.
        signature: "unsigned", "signed" or "attested", as the registry offers.
        packed: Whether its tree is known only from inside its file: it bundles packages, or a shrinkwrap.
        foreign: Whether something that it needs is not from a registry.
    """

    version: str
    uploaded: str
    deprecated: str
    node: str
    tarball: str
    integrity: str
    signature: str
    packed: bool
    foreign: bool


class Packument:
    """A package's document.

    Args:
        name: The package.
        tags: Dist-tag -> version.
        full: Whether the registry was asked for everything: upload times, authors, …
        lines: Version -> release, manifest and what is for readers: JSON each, separated by tabs.
    """

    def __init__(self, name: str, tags: Mapping[str, str], lines: Mapping[str, bytes], *, full: bool) -> None:
        self.name = name
        self.tags = tags
        self.full = full
        self._lines = lines
        self._releases: dict[str, Release] = {}

    @classmethod
    def from_json(cls, data: bytes, *, name: str, url: str, full: bool = False) -> Self:
        """Read a registry's answer, of the full or the abbreviated form.

        Args:
            data: The body.
            name: Who was asked for.
            url: Where it came from.
            full: Whether everything was asked for; a registry may also give more than that.

        Raises:
            BadAnswer: It is no such document, or of another package.
        """
        try:
            document = json.loads(data)
            tags, versions = dict(document.get("dist-tags") or {}), dict(document.get("versions") or {})
            times = dict(document.get("time") or {})
            lines = {version: _line(item, str(times.get(version) or "")) for version, item in versions.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadAnswer(what=url, why=f"it is no document of an npm registry ({error!r})") from error
        if document.get("name") != name:
            raise BadAnswer(what=url, why=f"it is about {document.get('name')!r}, not about {name!r}")
        return cls(name, {str(tag): str(version) for tag, version in tags.items()}, lines, full=full or bool(times))

    @classmethod
    def from_cache(cls, body: bytes) -> Self:
        """Read what `to_cache` wrote."""
        head, *rest = body.split(b"\n")
        name, tags, full = json.loads(head)
        pairs = (line.partition(b"\t") for line in rest if line)
        return cls(name, tags, {version.decode(): facts for version, _, facts in pairs}, full=full)

    def to_cache(self) -> bytes:
        """Return the document as lines."""
        lines = (version.encode() + b"\t" + facts for version, facts in self._lines.items())
        return b"\n".join([_json([self.name, self.tags, self.full]), *lines])

    @cached_property
    def versions(self) -> tuple[NpmVersion, ...]:
        """Every version, newest first by npm's order; what is no version is left out."""
        return tuple(sorted(self._spellings, reverse=True))

    def spelling(self, version: NpmVersion) -> str | None:
        """Return how the registry writes a version, or None if it has no such version."""
        return self._spellings.get(version)

    def release(self, spelling: str) -> Release:
        """Return the facts of a version.

        Raises:
            KeyError: There is no such version.
        """
        known = self._releases.get(spelling)
        if known is None:
            version, uploaded, deprecated, node, tarball, integrity, signature, packed, foreign = json.loads(
                self._part(spelling, 0)
            )
            known = self._releases[spelling] = Release(
                version=version,
                uploaded=uploaded,
                deprecated=deprecated,
                node=node,
                tarball=tarball,
                integrity=integrity,
                signature=signature,
                packed=packed,
                foreign=foreign,
            )
        return known

    def manifest_bytes(self, spelling: str) -> bytes:
        """Return a version's manifest as a JSON object, without `dist` and `engines`, which `release` has."""
        return self._part(spelling, 1)

    def manifest(self, spelling: str) -> Mapping[str, Any]:
        """Return the same, decoded."""
        return dict(json.loads(self._part(spelling, 1)))

    def about(self, spelling: str) -> Mapping[str, Any]:
        """Return what is for readers: licence, people, repository, as the registry writes it; {} if `full` is not set."""
        return dict(json.loads(self._part(spelling, 2)))

    def _part(self, spelling: str, index: int) -> bytes:
        return self._lines[spelling].split(b"\t")[index]

    @cached_property
    def _spellings(self) -> Mapping[NpmVersion, str]:
        found: dict[NpmVersion, str] = {}
        for spelling in sorted(self._lines):
            try:
                found.setdefault(NpmVersion.parse(spelling), spelling)
            except BadNpmVersion:
                continue
        return found


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _line(manifest: Mapping[str, Any], uploaded: str) -> bytes:
    dist = manifest.get("dist") or {}
    engines = manifest.get("engines")
    needs = {field: found for field in DEPENDENCIES if isinstance(found := manifest.get(field), dict)}
    bundled = manifest.get("bundleDependencies") or manifest.get("bundledDependencies")
    release = (
        manifest["version"],
        uploaded,
        _deprecation(manifest.get("deprecated")),
        _text(engines.get("node")) if isinstance(engines, dict) else "",
        _text(dist.get("tarball")),
        _text(dist.get("integrity")),
        "attested" if dist.get("attestations") else "signed" if dist.get("signatures") else "unsigned",
        bool(bundled or manifest.get("_hasShrinkwrap")),
        _any_foreign(needs.values()),
    )
    short = {key: manifest[key] for key in _MANIFEST if manifest.get(key)} | needs
    if commands := normal_commands(str(manifest.get("name")), manifest.get("bin")):
        short["bin"] = commands
    if install_script(manifest):
        short["hasInstallScript"] = True
    about = {key: manifest[key] for key in _ABOUT if manifest.get(key)}
    return b"\t".join((_json(release), _json(short), _json(about)))


def _any_foreign(needs: Iterable[Mapping[str, Any]]) -> bool:
    return any(
        not isinstance(spec, str) or parse_wanted(name, spec) is None for group in needs for name, spec in group.items()
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _deprecation(value: Any) -> str:
    # some registries write false, or true without a message
    return value if isinstance(value, str) else "deprecated" if value else ""
