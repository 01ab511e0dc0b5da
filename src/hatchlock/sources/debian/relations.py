"""What Debian packages say of each other: Depends, Conflicts, Provides and the like, Debian Policy 7.1."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import eq, ge, gt, le, lt
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.sources.debian.versions import BadDebVersion, DebVersion

__all__ = ["OPERATORS", "BadRelation", "Group", "Provided", "Relation", "parse_provides", "parse_relations"]

OPERATORS: Mapping[str, Callable[[DebVersion, DebVersion], bool]] = {"<<": lt, "<=": le, "=": eq, ">=": ge, ">>": gt}
"""How dpkg compares: operator -> what has to hold between a version and the bound."""

# what dpkg takes the signs for that it deprecates
_OLD_SIGNS = {"<": "<=", ">": ">="}
_RELATION = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]*)(?::(?P<qualifier>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<operator><<|<=|<|=|>=|>>|>)\s*(?P<version>[^\s)]+)\s*\))?"
    r"\s*(?:\[(?P<architectures>[^\]]*)\])?"
    r"\s*(?P<profiles>(?:<[^>]*>\s*)*)",
    re.ASCII,
)


@dataclass(kw_only=True, eq=False)
class BadRelation(HatchlockError, ValueError):
    """A relation to another package that Debian's syntax does not know."""

    code: ClassVar[str] = "bad-relation"

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no relation to a Debian package"

    def _hint(self) -> str:
        return "tell whoever keeps the archive that this package is malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """One alternative of a relation.

    Attributes:
        name: The package, real or virtual.
        operator: One of `OPERATORS`, or "" for any version.
        version: The bound, unless there is no operator.
        qualifier: The architecture behind the colon: "any", "native" or a name; "" for none.
    """

    name: str
    operator: str = ""
    version: DebVersion | None = None
    qualifier: str = ""

    def allows(self, version: DebVersion | None) -> bool:
        """Return whether a version will do; None is that of a name which is provided without one."""
        if self.version is None:
            return True
        return version is not None and OPERATORS[self.operator](version, self.version)

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.operator} {self.version})" if self.version else name


Group = tuple[Relation, ...]
"""Alternatives, the preferred one first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provided:
    """A name that a package stands in for, and as which version, if it says."""

    name: str
    version: DebVersion | None = None


@lru_cache(maxsize=65536)
def parse_relations(text: str, architecture: str = "") -> tuple[Group, ...]:
    """Read a field such as `Depends`.

    Args:
        text: `a (>= 1) | b, c:any, d [amd64], e <!nocheck>`.
        architecture: Leave out what is not for this one; "" keeps everything.

    Returns:
        What all has to hold. Build profiles are taken as inactive.

    Raises:
        BadRelation: It is not written that way.
    """
    groups = []
    for part in text.split(","):
        if part.strip():
            read = (_relation(item, architecture) for item in part.split("|"))
            groups.append(tuple(relation for relation in read if relation is not None))
    return tuple(group for group in groups if group)


@lru_cache(maxsize=65536)
def parse_provides(text: str) -> tuple[Provided, ...]:
    """Read the field `Provides`.

    Raises:
        BadRelation: It is no list of names, with at most an exact version each.
    """
    found = []
    for group in parse_relations(text):
        relation = group[0]
        if len(group) > 1 or relation.operator not in {"", "="}:
            raise BadRelation(text=" | ".join(map(str, group)))
        found.append(Provided(name=relation.name, version=relation.version))
    return tuple(found)


def _relation(text: str, architecture: str) -> Relation | None:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise BadRelation(text=text.strip())
    if not _is_for(match["architectures"], architecture) or not _is_active(match["profiles"]):
        return None
    operator = match["operator"] or ""
    try:
        version = DebVersion.parse(match["version"]) if operator else None
    except BadDebVersion as error:
        raise BadRelation(text=text.strip()) from error
    return Relation(
        name=match["name"],
        operator=_OLD_SIGNS.get(operator, operator),
        version=version,
        qualifier=match["qualifier"] or "",
    )


def _is_for(architectures: str | None, architecture: str) -> bool:
    named = (architectures or "").split()
    if not named or not architecture:
        return True
    wildcards = {architecture, "any", "linux-any", f"any-{architecture}"}
    if named[0].startswith("!"):
        return not any(item.removeprefix("!") in wildcards for item in named)
    return any(item in wildcards for item in named)


def _is_active(profiles: str) -> bool:
    """Return whether a list of build profiles holds where none is active: some `<…>` has nothing but negations."""
    lists = re.findall(r"<([^>]*)>", profiles)
    return not lists or any(all(item.startswith("!") for item in one.split()) for one in lists)
