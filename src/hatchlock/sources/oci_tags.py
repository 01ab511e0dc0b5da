"""Images as requirements: a name, and bounds on the version that a tag is.

A tag is a version if it consists of numbers and dots, with or without a `v` in front (`1.25.3`, `v2`), and a suffix that was
asked for (`1.25.3-alpine`). Versions are ordered as in PEP 440. Two sorts of them are passed over:

* one that moves: `1.25` beside `1.25.3` means whatever is newest of 1.25, and is the same image as one of them;
* a day, build or commit: a first number of six digits or more, unless the bounds speak of such numbers.

A bound `==TEXT` whose text is a tag means this tag, whatever sort it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from hatchlock.address import BadSource, ImageReference, Transport
from hatchlock.net.registry_errors import ImageProblem, UnknownImage
from hatchlock.net.registry_places import normal_reference

if TYPE_CHECKING:
    from hatchlock.sources.oci_places import ImageSource  # and with it the HTTP library, which a plan does not load

__all__ = [
    "OciRequirement",
    "UnknownTag",
    "choose_tag",
    "declared_oci",
    "fitting_tags",
    "image_text",
    "tags_near",
]

_SPEC = re.compile(r"(?P<name>(?:~/)?[^\s<>=!~,]+)\s*(?P<bounds>.*)", re.DOTALL)
_BOUND = re.compile(
    r"(?P<operator>==|!=|<=|>=|<|>|~=)\s*(?P<version>v?\d{1,30}(?:\.\d{1,30})*(?:\.\*)?)(?:-(?P<suffix>[A-Za-z0-9_.-]+))?"
)
_VERSION_TAG = re.compile(r"v?(?P<numbers>\d{1,30}(?:\.\d{1,30})*)(?:-(?P<suffix>.+))?")
_LONGEST_FIRST_NUMBER = 5
_DOCKER = ("", "docker.io", "index.docker.io")
_NEAR = 3
_ADVICE = "write oci:NAME>=1.2,<2, oci:NAME:SUFFIX>=1.2 for tags such as 1.2-SUFFIX, or oci:NAME:TAG"


@dataclass(kw_only=True, eq=False)
class UnknownTag(UnknownImage):
    """An image that a registry has, but not with the tag, or none with a version, that was asked for.

    Attributes:
        near: Tags that come close, the lowest version first; without any, some that there are. Never empty.
    """

    code: ClassVar[str] = "unknown-tag"

    near: tuple[str, ...]

    def _hint(self) -> str:
        return f"tags that it has: {', '.join(self.near)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OciRequirement:
    """An image that something asks for.

    Attributes:
        reference: The image; with bounds it has neither tag nor digest.
        bounds: As in PEP 440, normalised: `>=1.25,!=1.27`; "" when the reference says which image.
        suffix: What follows the version in its tags: "alpine" of `1.25.3-alpine`; "" for plain versions.
    """

    reference: ImageReference
    bounds: str = ""
    suffix: str = ""

    @property
    def name(self) -> str:
        """The image without tag and digest, as short as it can be written."""
        return str(_short(replace(self.reference, tag="", digest="")))

    @property
    def version(self) -> str:
        """What says which image it is, `1.2`, `sha256:…` or `1.2@sha256:…`; "" if bounds leave a choice."""
        if self.bounds:
            return ""
        tag, digest = self.reference.tag, self.reference.digest
        return f"{tag}@{digest}" if tag and digest else self.reference.reference

    def allows(self, version: str) -> bool:
        """Return whether a tag, or what `version` gives, will do."""
        if not self.bounds:
            return version == self.version
        if not _VERSION_TAG.fullmatch(version):
            return False
        tag = _Tag.of(version)
        return tag.suffix == self.suffix and SpecifierSet(self.bounds).contains(tag.version)

    def __str__(self) -> str:
        suffix = f":{self.suffix}" if self.suffix else ""
        return f"{_short(self.reference)}{suffix}{self.bounds}"


def declared_oci(spec: str) -> OciRequirement:
    """Read what follows `oci:` of a requirement.

    Args:
        spec: A reference (`ghcr.io/team/app:1.2`, `nginx@sha256:…`), or one with bounds on its version: `nginx>=1.25,!=1.27.0`.
            With bounds, a tag is the suffix of the tags to choose from: `nginx:alpine>=1.25`, also written `nginx>=1.25-alpine`.

    Raises:
        BadSource: It is neither.
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise _bad(spec, "it names no image")
    reference = ImageReference.parse(match["name"])
    if reference.transport is Transport.LAYOUT and not (reference.tag or reference.digest):
        raise _bad(spec, "as a dependency, an image of an OCI layout needs its tag")
    if match["bounds"] and reference.transport is not Transport.REGISTRY:
        raise _bad(spec, "bounds choose among the tags of a registry, and this is none")
    if not match["bounds"]:
        return OciRequirement(reference=reference)
    if reference.digest:
        raise _bad(spec, "a digest is one image, which bounds cannot change")
    if reference.tag == "latest" or _VERSION_TAG.fullmatch(reference.tag):
        raise _bad(spec, f"it asks for the tag {reference.tag} and for bounds at once")
    bounds = [_bound(spec, text.strip()) for text in match["bounds"].split(",")]
    suffixes = {bound["suffix"] for bound in bounds if bound["suffix"]} | ({reference.tag} if reference.tag else set())
    if len(suffixes) > 1:
        raise _bad(spec, f"its bounds have several suffixes: {', '.join(sorted(suffixes))}")
    texts = [bound["operator"] + bound["version"].removeprefix("v") for bound in bounds]
    try:
        specifier = SpecifierSet(",".join(texts))
    except InvalidSpecifier as error:
        raise _bad(spec, f"{', '.join(texts)} are no bounds as in PEP 440") from error
    return OciRequirement(
        reference=replace(reference, tag=""),
        bounds=str(specifier),
        suffix=next(iter(suffixes), ""),
    )


def image_text(name: str, version: str) -> str:
    """Return the reference of an image from the name and the version that `OciRequirement` has."""
    return f"{name}@{version}" if version.startswith("sha256:") else f"{name}:{version}"


def fitting_tags(requirement: OciRequirement, tags: Sequence[str]) -> tuple[str, ...]:
    """Return the tags that a requirement with bounds may mean, the one that `choose_tag` takes first."""
    allowed = SpecifierSet(requirement.bounds)
    exact = set(_literal(requirement))
    literal = sorted(tag for tag in tags if tag in exact and allowed.contains(_Tag.of(tag).version))
    settled = [item for item in _settled(requirement, tags) if allowed.contains(item.version)]
    ordered = [item.text for item in sorted(settled, key=_Tag.rank, reverse=True)]
    return tuple(dict.fromkeys((*literal, *ordered)))


def choose_tag(requirement: OciRequirement, tags: Sequence[str], *, registry: str) -> str:
    """Return the tag that a requirement means; the order of the tags does not matter.

    Args:
        requirement: With bounds the highest version that they allow; without, its own tag, or `latest`.
        tags: Those that there are, at least one.
        registry: Whose, for messages.

    Raises:
        UnknownTag: None of them will do.
    """
    if not requirement.bounds:
        wanted = requirement.reference.tag or "latest"
        if wanted in tags:
            return wanted
        raise _unknown(str(requirement), registry, _near(wanted, tags))
    fitting = fitting_tags(requirement, tags)
    if not fitting:
        raise _unknown(str(requirement), registry, _near(_first_version(requirement), tags))
    return fitting[0]


def tags_near(reference: ImageReference, error: UnknownImage, registry: ImageSource) -> UnknownImage:
    """Return the error for an image that does not exist, with what is known of its tags.

    Args:
        reference: What was asked for.
        error: What the registry said.
        registry: Is asked for the tags.

    Returns:
        `UnknownTag`, if the registry has others of this name.
    """
    if reference.digest or error.whole:
        return error
    try:
        tags = registry.tags(reference)
    except UnknownImage as gone:
        return replace(error, whole=gone.whole)
    except ImageProblem:
        return error
    near = _near(reference.reference, tags)
    return UnknownTag(image=error.image, registry=error.registry, tried=error.tried, near=near)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tag:
    """A tag that is a version."""

    text: str
    numbers: tuple[int, ...]
    suffix: str

    @classmethod
    def of(cls, text: str) -> _Tag:
        match = _VERSION_TAG.fullmatch(text)
        if match is None:
            raise ValueError(text)
        numbers = tuple(map(int, match["numbers"].split(".")))
        return cls(text=text, numbers=numbers, suffix=match["suffix"] or "")

    @property
    def version(self) -> Version:
        return Version(".".join(map(str, self.numbers)))

    @property
    def is_no_release(self) -> bool:
        """Whether its first number is so long that it is a day, a build or a commit."""
        return _is_long(str(self.numbers[0]))

    def rank(self) -> tuple[Version, int, bool, str]:
        """Return what orders tags: of equal versions the one that says most, and that without a `v`."""
        return self.version, len(self.numbers), not self.text.startswith("v"), self.text


def _settled(requirement: OciRequirement, tags: Sequence[str]) -> list[_Tag]:
    """Return the version tags with the right suffix that do not move, in no order."""
    found = [item for item in _versions(tags) if item.suffix == requirement.suffix]
    if not any(_is_long(bound.version.partition(".")[0]) for bound in SpecifierSet(requirement.bounds)):
        found = [item for item in found if not item.is_no_release]
    moving = {item.numbers[:length] for item in found for length in range(1, len(item.numbers))}
    return [item for item in found if item.numbers not in moving]


def _is_long(number: str) -> bool:
    return len(number) > _LONGEST_FIRST_NUMBER


def _versions(tags: Sequence[str]) -> Iterator[_Tag]:
    for text in tags:
        if _VERSION_TAG.fullmatch(text):
            yield _Tag.of(text)


def _short(reference: ImageReference) -> ImageReference:
    """Return the shortest spelling of an image's name: `nginx` for `library/nginx` of the engines' default registry."""
    if reference.transport is not Transport.REGISTRY:
        return reference
    if reference.registry and "docker" not in reference.registry.lower():
        return replace(reference, registry=reference.registry.lower())
    if reference.registry:
        from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST  # noqa: PLC0415  0.2 s, which most names do not need

        if normal_reference(reference, default_host=DEFAULT_REGISTRY_HOST).registry not in DEFAULT_REGISTRY_HOST:
            return replace(reference, registry=reference.registry.lower())
    first, _, rest = reference.repository.partition("/")
    official = first == "library" and "/" not in rest
    return replace(reference, registry="", repository=rest if official and rest else reference.repository)


def _literal(requirement: OciRequirement) -> Iterator[str]:
    end = f"-{requirement.suffix}" if requirement.suffix else ""
    for bound in SpecifierSet(requirement.bounds):
        if bound.operator == "==":
            yield from (f"{bound.version}{end}", f"v{bound.version}{end}")


def _first_version(requirement: OciRequirement) -> str:
    lowest = min((item.version.removesuffix(".*") for item in SpecifierSet(requirement.bounds)), key=Version)
    return f"{lowest}-{requirement.suffix}" if requirement.suffix else lowest


def _near(wanted: str, tags: Sequence[str]) -> tuple[str, ...]:
    """Return the tags around a version, or those that are spelt like a name."""
    if _VERSION_TAG.fullmatch(wanted):
        middle = _Tag.of(wanted)
        same = (item for item in _versions(tags) if item.suffix == middle.suffix)
        alike = sorted((item for item in same if item.is_no_release <= middle.is_no_release), key=_Tag.rank)
        below = [item.text for item in alike if item.rank() < middle.rank()]
        above = [item.text for item in alike if item.rank() >= middle.rank()]
        if alike:
            return (*below[-_NEAR:], *above[:_NEAR])
    return tuple(difflib.get_close_matches(wanted, sorted(tags), n=_NEAR, cutoff=0.5) or sorted(tags)[:_NEAR])


def _bound(spec: str, text: str) -> re.Match[str]:
    match = _BOUND.fullmatch(text)
    if match is None:
        raise _bad(spec, f"{text!r} is no bound on its version" if text else "one of its bounds is empty")
    return match


def _bad(spec: str, why: str) -> BadSource:
    return BadSource(text=f"oci:{spec}", why=why, advice=_ADVICE)


def _unknown(image: str, registry: str, near: tuple[str, ...]) -> UnknownTag:
    return UnknownTag(image=image, registry=registry, near=near)
