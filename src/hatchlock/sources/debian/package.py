"""A version of a Debian package: what its paragraph says, read when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hatchlock.sources.debian.declared import DebBounds
from hatchlock.sources.debian.relations import Group, Provided, Relation, parse_provides, parse_relations
from hatchlock.sources.debian.versions import DebVersion

__all__ = ["INSTALLED_PIN", "USUAL_PIN", "DebPackage", "DebUniverse"]

USUAL_PIN = 500
"""apt's priority of a version in an archive that says nothing else; `NotAutomatic` ones have 1, or 100."""
INSTALLED_PIN = 100
"""apt's priority of an installed version."""

_PRIORITIES = {"required": 1, "important": 2, "standard": 3, "optional": 4, "extra": 5}
_SOURCE = re.compile(r"(\S+)(?:\s*\(([^)]*)\))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class DebPackage:
    """A binary package of one version. Two are equal if name, version and architecture are.

    Attributes:
        name: Its name.
        version: Its version.
        architecture: "amd64", "all".
        fields: Its paragraph, names in lower case.
        suite: The release that lists it, `ReleaseFacts.name`; "" for an installed one.
        pin: apt's priority of its release.
    """

    name: str
    version: DebVersion
    architecture: str
    fields: Mapping[str, str] = field(compare=False, repr=False)
    suite: str = field(default="", compare=False)
    pin: int = field(default=USUAL_PIN, compare=False)

    @classmethod
    def of(cls, fields: Mapping[str, str], *, suite: str = "", pin: int = USUAL_PIN) -> DebPackage:
        """Return the package of a paragraph.

        Raises:
            KeyError: It has no `Package` or no `Version`.
            BadDebVersion: Its version is none.
        """
        return cls(
            name=fields["package"],
            version=DebVersion.parse(fields["version"]),
            architecture=fields.get("architecture", "all"),
            fields=fields,
            suite=suite,
            pin=pin,
        )

    @property
    def depends(self) -> tuple[Group, ...]:
        """What it needs: first Pre-Depends, then Depends."""
        return self._groups("pre-depends") + self._groups("depends")

    @property
    def conflicts(self) -> tuple[Relation, ...]:
        """What it cannot be with: Conflicts, then Breaks."""
        return tuple(relation for key in ("conflicts", "breaks") for group in self._groups(key) for relation in group)

    @property
    def provides(self) -> tuple[Provided, ...]:
        """The names that it stands in for."""
        return parse_provides(self.fields.get("provides", ""))

    @property
    def multi_arch(self) -> str:
        """How it is with other architectures: "no", "same", "foreign" or "allowed"."""
        return self.fields.get("multi-arch", "no")

    @property
    def essential(self) -> bool:
        """Whether every system has it."""
        return self.fields.get("essential") == "yes"

    @property
    def protected(self) -> bool:
        """Whether systems that have it should keep it."""
        return "yes" in (self.fields.get("protected"), self.fields.get("important"))

    @property
    def priority(self) -> int:
        """1 for `required` to 5 for `extra`, as which an unknown one counts."""
        return _PRIORITIES.get(self.fields.get("priority", ""), 5)

    @property
    def source(self) -> tuple[str, str]:
        """The source package's name and version."""
        match = _SOURCE.match(self.fields.get("source", ""))
        return (match[1], match[2] or str(self.version)) if match else (self.name, str(self.version))

    def stands_for(self, relation: Relation, architecture: str) -> bool:
        """Return whether it keeps a relation, by its own name or one that it provides.

        Args:
            relation: Of a package of that architecture, or of an `all` one.
            architecture: The only one that is installed.
        """
        if relation.qualifier == "any" and self.multi_arch != "allowed":
            return False
        if relation.qualifier not in {"", "any", "native", architecture}:
            return False
        if self.name == relation.name and relation.allows(self.version):
            return True
        return any(item.name == relation.name and relation.allows(item.version) for item in self.provides)

    def serves(self, name: str, bounds: DebBounds) -> bool:
        """Return whether it is what somebody asks for who names a package, real or virtual, and bounds of its version."""
        if self.name == name:
            return bounds.contains(self.version)
        versions = [item.version for item in self.provides if item.name == name]
        return any(bounds.contains(version) if version else not bounds.bounds for version in versions)

    def _groups(self, key: str) -> tuple[Group, ...]:
        text = self.fields.get(key)
        return parse_relations(text, self.architecture if self.architecture != "all" else "") if text else ()


class DebUniverse(Protocol):
    """Every version that may be installed on one architecture. Equal questions have equal answers."""

    @property
    def releases(self) -> Sequence[str]:
        """The names of the releases that it consists of."""
        ...

    def named(self, name: str) -> Sequence[DebPackage]:
        """Return the versions of a package, in the order of the releases; none if there is no such package."""
        ...

    def providing(self, name: str) -> Sequence[DebPackage]:
        """Return the versions of packages that provide a name, whether or not a package is called so."""
        ...

    def rank(self, name: str) -> int:
        """Return the place of a package among all names, in the order in which the indexes mention them first."""
        ...
