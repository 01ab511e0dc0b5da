"""What stands behind `deb:` in a manifest: a package's name, and which of its versions will do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hatchlock.address import BadSource
from hatchlock.sources.debian.relations import OPERATORS
from hatchlock.sources.debian.versions import BadDebVersion, DebVersion

__all__ = ["DebBound", "DebBounds", "declared_deb"]

_FORM = "write deb:NAME, deb:NAME>=1:2.30, deb:NAME>=1,<<2, deb:NAME=1.2-3 or deb:NAME==1.2"
_SPEC = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)\s*(?P<bounds>[<>=!].*)?", re.ASCII)
_BOUND = re.compile(r"\s*(?P<operator><<|<=|<|==|=|!=|>=|>>|>)\s*(?P<version>[^\s<>=!]\S*)\s*", re.ASCII)
_SYNONYMS = {"<": "<<", ">": ">>"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DebBound:
    """One bound.

    Attributes:
        operator: `=` (that version), `==` (that upstream version), `!=`, `<<`, `<=`, `>=` or `>>`.
        version: What to compare with.
    """

    operator: str
    version: DebVersion

    def allows(self, item: DebVersion) -> bool:
        """Return whether a version keeps it."""
        if self.operator == "==":
            return _is_same_upstream(item, self.version)
        if self.operator == "!=":
            return item != self.version
        return OPERATORS[self.operator](item, self.version)

    def __str__(self) -> str:
        return f"{self.operator}{self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DebBounds:
    """Which versions of a Debian package will do; `str` is how that is written behind its name.

    Attributes:
        bounds: What all has to hold; empty for any version.
    """

    bounds: tuple[DebBound, ...] = ()

    def contains(self, item: DebVersion, /, *, prereleases: bool = True) -> bool:
        """Return whether a version will do.

        Args:
            item: The version.
            prereleases: Without meaning here: what archives hold is released, and `~` is part of the order.
        """
        del prereleases
        return all(bound.allows(item) for bound in self.bounds)

    def __str__(self) -> str:
        return ",".join(map(str, self.bounds))


def declared_deb(spec: str) -> tuple[str, DebBounds]:
    """Read what stands behind `deb:`: `git`, `git>=1:2.30,<<1:3`, `git=1:2.39.5-0+deb12u2`, `curl==7.88.1`.

    `==` compares what the authors call the version; its epoch and revision count only if they are written. All other
    operators compare as dpkg does, so a version without epoch is below every one with an epoch. `<` and `>` are `<<` and
    `>>`.

    Returns:
        The package's name, real or virtual, and the bounds.

    Raises:
        BadSource: It is written in another way.
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise BadSource(text=f"deb:{spec}", why=_why_not_a_name(spec), advice=_FORM)
    texts = match["bounds"].split(",") if match["bounds"] else []
    return match["name"], DebBounds(bounds=tuple(_bound(text, spec) for text in texts))


def _bound(text: str, spec: str) -> DebBound:
    match = _BOUND.fullmatch(text)
    if match is None:
        raise BadSource(text=f"deb:{spec}", why=f"{text.strip()!r} is no bound on a version", advice=_FORM)
    operator = match["operator"]
    try:
        version = DebVersion.parse(match["version"])
    except BadDebVersion as error:
        raise BadSource(text=f"deb:{spec}", why=str(error), advice=_FORM) from error
    return DebBound(operator=_SYNONYMS.get(operator, operator), version=version)


def _is_same_upstream(item: DebVersion, wanted: DebVersion) -> bool:
    has_epoch = ":" in wanted.text
    if has_epoch and item.epoch != wanted.epoch:
        return False
    if wanted.revision and item.key[2] != wanted.key[2]:
        return False
    return item.key[1] == wanted.key[1]


def _why_not_a_name(spec: str) -> str:
    name = re.split(r"[<>=!\s]", spec.strip(), maxsplit=1)[0]
    if ":" in name:
        return "the architecture is that of the platform, and is not written"
    if name != name.lower():
        return f"names of Debian packages are in lower case: {name.lower()}"
    return f"{name!r} is no name of a Debian package"
