"""Sources that leave it open what they are: any later version, or whatever a tag names by then. The lock pins them all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement

from hatchlock.address import BadSource, ImageReference, Kind, Transport
from hatchlock.manifest.problem import Finding, KeyPath

__all__ = ["loose_findings"]

_UPPER = {"<", "<=", "==", "===", "~="}
_BLANK = re.compile(r"(?<=[<>=^~])\s+")
_BOUND = re.compile(r"(<=?|~>|[=^~]?)v?\d.*")
"""A comparator that ends somewhere."""


def loose_findings(path: KeyPath, source: str) -> Iterator[Finding]:
    """Yield what the next `lock --upgrade` may make of a source, if that is anything.

    Args:
        path: Where it stands.
        source: `kind:spec`; what is malformed is no matter of ours.
    """
    kind, _, spec = source.partition(":")
    if kind == Kind.PYPI:
        yield from _python(path, spec.strip())
    elif kind == Kind.NPM:
        yield from _npm(path, spec.strip())
    elif kind == Kind.OCI:
        yield from _mutable(path, spec.strip())


def _python(path: KeyPath, spec: str) -> Iterator[Finding]:
    try:
        requirement = Requirement(spec)
    except InvalidRequirement:
        return
    if not requirement.url and not any(bound.operator in _UPPER for bound in requirement.specifier):
        yield _unbounded(path, requirement.name, f"pypi:{requirement.name}>=1.2,<2 or ~=1.2")


def _npm(path: KeyPath, spec: str) -> Iterator[Finding]:
    scope, _, rest = spec.rpartition("/")
    bare, _, wanted = rest.partition("@")
    name = f"{scope}/{bare}" if scope else bare
    if not all(map(_is_bounded, wanted.split("||"))):
        yield _unbounded(path, name, f"npm:{name}@^1.2 or @~1.2")


def _is_bounded(comparators: str) -> bool:
    """Whether a range of npm ends somewhere; a tag, such as `latest`, moves as its publisher likes."""
    if " - " in comparators:
        return True
    return any(_BOUND.fullmatch(word) for word in _BLANK.sub("", comparators).split())


def _unbounded(path: KeyPath, name: str, example: str) -> Finding:
    what = f"{name} has no upper bound, so `lock --upgrade` may bring any later version"
    # which numbers it has is not known here, and whoever copied these would be left without a version
    return Finding(path=path, what=what, advice=f"bound it, with numbers of its own as in {example}", is_locked=True)


def _mutable(path: KeyPath, spec: str) -> Iterator[Finding]:
    try:
        image = ImageReference.parse(spec)
    except BadSource:
        return
    if not image.mutable or image.transport is Transport.LAYOUT:
        return
    if image.reference == "latest":
        what = "the tag `latest` names another image with every release"
        yield Finding(path=path, what=what, advice="name a version; the lock pins its digest", is_locked=True)
        return
    yield Finding(
        path=path,
        what=f"the tag {image.tag!r} is a mutable reference; the lock pins the digest that it has now",
        advice="write @sha256:… to pin it here too",
        is_locked=True,
    )
