"""npm requirements as environments and packages write them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hatchlock.address import BadSource
from hatchlock.sources.npm.ranges import NpmRange, NpmVersion

__all__ = ["NpmBounds", "declared_npm", "is_exact", "npm_constraints", "npm_limits"]

_ALIAS = "npm:"


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmBounds:
    """What stands behind a name: a range, a dist-tag, or another package that goes by this name.

    Attributes:
        text: The range or tag as written; "" for any version.
        real: The package that is meant, if it is not called like this; "" otherwise.
    """

    text: str
    real: str = ""

    @property
    def range(self) -> NpmRange | None:
        """The range; None for a dist-tag."""
        try:
            return NpmRange.parse(self.text)
        except ValueError:
            return None

    def contains(self, item: NpmVersion, /, *, prereleases: bool) -> bool:
        """Return whether a version would do; a tag moves, so any version may have been it."""
        found = self.range
        return found is None or found.contains(item, prereleases=prereleases)

    def __str__(self) -> str:
        return f"{_ALIAS}{self.real}@{self.text}" if self.real else self.text


def declared_npm(spec: str) -> tuple[str, NpmBounds]:
    """Read what stands behind `npm:`: `@scope/name@^1.2`, `name`, `alias@npm:name@^1`.

    Raises:
        BadSource: It is none of these.
    """
    name, bounds = _split(spec)
    real = ""
    if bounds.startswith(_ALIAS):
        real, bounds = _split(bounds.removeprefix(_ALIAS))
    unscoped = name.startswith("@") and "/" not in name
    if not name or unscoped or name.startswith((".", "_")) or any(character.isspace() for character in name):
        raise BadSource(
            text=f"npm:{spec}", why="it names no package", advice="write npm:NAME@RANGE, or npm:@SCOPE/NAME@RANGE"
        )
    return name, NpmBounds(text="" if bounds == "*" else bounds, real=real)


def _split(spec: str) -> tuple[str, str]:
    name, at, bounds = spec.strip().removeprefix("@").partition("@")
    return (f"@{name}" if spec.strip().startswith("@") else name).strip(), bounds.strip() if at else ""


def is_exact(text: str) -> bool:
    """Return whether a range names one version."""
    try:
        NpmVersion.parse(text)
    except ValueError:
        return False
    return True


def npm_constraints(texts: Iterable[str]) -> dict[str, tuple[NpmBounds, ...]]:
    """Return the npm ones among constraints, all of each package's.

    Raises:
        BadSource: One is malformed, or for an alias: what goes by one is constrained by its own name.
    """
    found: dict[str, tuple[NpmBounds, ...]] = {}
    for text in sorted(texts):
        if not text.startswith(_ALIAS):
            continue
        name, bounds = declared_npm(text.removeprefix(_ALIAS))
        if bounds.real:
            advice = f"write npm:{bounds.real}@{bounds.text or '*'}"
            raise BadSource(text=text, why="a constraint is on a package, not on an alias", advice=advice)
        found[name] = (*found.get(name, ()), bounds)
    return found


def npm_limits(texts: Iterable[str]) -> dict[str, NpmBounds]:
    """Return the npm ones among overrides, by name."""
    return dict(declared_npm(text.removeprefix(_ALIAS)) for text in sorted(texts) if text.startswith(_ALIAS))
