"""The text behind `hatch:`: a package of a registry, or a directory, and which versions of it will do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from hatchlock.address import BadSource, Kind
from hatchlock.paths import normal_path

__all__ = [
    "PACKAGE_NAME",
    "HatchReference",
    "declared_hatch",
    "is_path",
    "satisfies",
    "split_requirement",
    "version_of",
]

PACKAGE_NAME = r"[a-z0-9_]+|[a-zA-Z0-9][a-zA-Z0-9.-]*/[a-zA-Z0-9._-]+"
"""What registries call packages: a word, or since metadata 2.0.0 `namespace/name`."""

_NAMED = re.compile(rf"(?:(?P<repository>[A-Za-z0-9_.-]+):)?(?P<name>{PACKAGE_NAME})")
_OPERATOR = re.compile(r"===|==|!=|~=|<=|>=|<|>")
_CORE = re.compile(r"\d+(?:\.\d+)*")
_FORM = "write hatch:NAME>=1.2, hatch:REPOSITORY:NAME, or hatch:./DIRECTORY"


@dataclass(frozen=True, kw_only=True, slots=True)
class HatchReference:
    """A Hatch package, by its name on a registry or by its directory; never both.

    Attributes:
        name: Its name on a registry; "" if it is a directory.
        repository: The repository of the registry that it has to be in; "" for the only one that has it.
        path: Its directory, with `/`, normalised; a relative one begins with "." and is relative to whoever names it: the
            manifest, or the package that needs it. `~/` is the home of whoever runs the command. "" for a package of a registry.
        specifier: The versions that will do, as in PEP 440.
    """

    name: str = ""
    repository: str = ""
    path: str = ""
    specifier: SpecifierSet = field(default_factory=SpecifierSet)

    @property
    def target(self) -> str:
        """The text without its versions: `repository:name`, or the path."""
        return self.path or (f"{self.repository}:{self.name}" if self.repository else self.name)

    def allows(self, version: str) -> bool:
        """Return whether a version will do; see `satisfies`."""
        return satisfies(version, self.specifier)

    def __str__(self) -> str:
        return f"{self.target}{self.specifier}"


def declared_hatch(spec: str) -> HatchReference:
    """Read the text behind `hatch:`. `str` of what is returned is its normal form.

    It is a path only if it begins with `./`, `../`, `~/` or `/`: a directory that has a package's name never stands for it. The
    versions follow directly or behind a space: `../base_pkg>=1.0.0`, `base_pkg >=1,<2`.

    Raises:
        BadSource: It is something else.
    """
    text, versions = split_requirement(spec)
    try:
        specifier = SpecifierSet(versions)
    except InvalidSpecifier:
        why = f"{versions!r} does not say which versions will do"
        raise BadSource(text=f"{Kind.HATCH}:{spec}", why=why, advice="write >=1.2,<2, or the like") from None
    if is_path(text):
        return HatchReference(path=normal_path(text), specifier=specifier)
    match = _NAMED.fullmatch(text)
    if match is None:
        raise BadSource(text=f"{Kind.HATCH}:{spec}", why=f"{text!r} is no name of a Hatch package", advice=_FORM)
    return HatchReference(name=match["name"], repository=match["repository"] or "", specifier=specifier)


def is_path(text: str) -> bool:
    """Return whether a text is written as a directory, and not as a name."""
    return text in {".", ".."} or text.startswith(("./", "../", "~/", "/"))


def split_requirement(text: str) -> tuple[str, str]:
    """Return what a requirement's text names, and the versions behind that, without blanks around them."""
    operator = _OPERATOR.search(text)
    at = operator.start() if operator else len(text)
    return text[:at].strip(), text[at:].strip()


def version_of(text: str) -> Version:
    """Return a package's version to compare it by.

    Numbers with dots and most semantic versions are versions of PEP 440, too. Other pre-releases count as being before their
    own release; "" and what is no version at all as before everything.
    """
    try:
        return Version(text)
    except InvalidVersion:
        core = _CORE.match(text)
        return Version(f"{core[0] if core else 0}.dev0")


def satisfies(version: str, specifier: SpecifierSet) -> bool:
    """Return whether a version will do; pre-releases count as any other version."""
    return specifier.contains(version_of(version), prereleases=True)
