"""Poetry's own tables: its words for versions, translated into PEP 440 and PEP 508."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from hatchlock.sources.projects.loose import Document, rows, string, strings, table
from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.requirements import (
    Requirement,
    both,
    git_location,
    path_location,
    without_credentials,
)
from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["PoetryNeeds", "poetry_needs", "poetry_packages", "poetry_specifier", "python_marker"]

_CLAUSE = re.compile(r"(?P<operator>\^|~=|~|===|==|=|!=|<=|>=|<|>)?\s*(?P<version>[^\s,<>=!~^]+)\s*,?\s*")
_MINOR = 2
_LOWEST = Version("0.dev0")
_FILE = "pyproject.toml"


@dataclass(kw_only=True, slots=True)
class PoetryNeeds:
    """What `[tool.poetry]` requires.

    Attributes:
        requirements: Those of its main group that are not optional.
        extras: Extra -> its requirements.
        requires_python: A PEP 440 specifier, or "".
        notes: What could not be translated exactly.
    """

    requirements: list[Requirement] = field(default_factory=list)
    extras: dict[str, list[Requirement]] = field(default_factory=dict)
    requires_python: str = ""
    notes: list[str] = field(default_factory=list)


def poetry_needs(tree: ProjectTree, settings: Document) -> PoetryNeeds:
    """Read `[tool.poetry]`; its groups are for development, and are not read.

    Raises:
        BadProjectFile: A constraint or marker has no meaning.
    """
    needs = PoetryNeeds()
    optional: dict[str, list[Requirement]] = {}
    for name, wanted in table(settings, "dependencies").items():
        if name.lower() == "python":
            needs.requires_python = _specifier(string(wanted), name, needs)
            continue
        for one in wanted if isinstance(wanted, list) else [wanted]:
            requirement = _requirement(tree, name, one, needs)
            if isinstance(one, dict) and one.get("optional") is True:
                optional.setdefault(requirement.name, []).append(requirement)
            else:
                needs.requirements.append(requirement)
    for extra, names in table(settings, "extras").items():
        wanted_names = [canonicalize_name(re.split(r"[\[ <>=!~;@]", name)[0]) for name in strings(names)]
        needs.extras[extra] = [one for name in wanted_names for one in optional.get(name, ())]
    return needs


def _requirement(tree: ProjectTree, name: str, wanted: object, needs: PoetryNeeds) -> Requirement:
    facts = wanted if isinstance(wanted, dict) else {}
    constraint = string(facts.get("version")) if facts else string(wanted)
    platforms = [word for word in re.split(r"\s*\|\|?\s*", string(facts.get("platform"))) if word]
    marker = string(facts.get("markers"))
    try:
        marker = str(Marker(marker)) if marker else ""
        if versions := string(facts.get("python")):
            marker = both(marker, python_marker(versions))
        if platforms:
            marker = both(marker, " or ".join(f'sys_platform == "{word}"' for word in platforms))
    except (InvalidMarker, InvalidSpecifier, InvalidVersion, ValueError) as error:
        raise BadProjectFile(file=_FILE, why=f"the condition of {name} has no meaning: {error}") from error
    return Requirement(
        name=canonicalize_name(name),
        extras=tuple(sorted(canonicalize_name(extra) for extra in strings(facts.get("extras")))),
        specifier=_specifier(constraint, name, needs),
        marker=marker,
        location=_location(tree, facts),
    )


def _location(tree: ProjectTree, facts: Document) -> str:
    if url := string(facts.get("git")):
        reference = string(facts.get("rev")) or string(facts.get("tag")) or string(facts.get("branch"))
        return git_location(url, reference=reference, subdirectory=string(facts.get("subdirectory")))
    if path := string(facts.get("path")) or string(facts.get("file")):
        return path_location(path, tree=tree, file=_FILE)
    return without_credentials(string(facts.get("url")))


def _specifier(constraint: str, name: str, needs: PoetryNeeds) -> str:
    try:
        specifier, exact = poetry_specifier(constraint)
    except (InvalidSpecifier, InvalidVersion, ValueError) as error:
        raise BadProjectFile(file=_FILE, why=f"the version {constraint!r} of {name} has no meaning: {error}") from error
    if not exact:
        needs.notes.append(f"{name} {constraint} is wider in the lock, {specifier or 'any version'}: it has gaps")
    return specifier


def poetry_specifier(constraint: str) -> tuple[str, bool]:
    """Translate a constraint (`^1.2`, `~1.2`, `1.*`, `>=1 <2`, `^1 || ^2`) to PEP 440, and say whether it is exact.

    Alternatives that do not touch each other cannot be said: the result then also takes what lies between them.

    Raises:
        ValueError: It has no meaning. So do packaging's InvalidSpecifier and InvalidVersion, which are such errors.
    """
    alternatives = [list(_clauses(text)) for text in re.split(r"\|\|?", constraint)]
    if len(alternatives) == 1:
        return _joined(alternatives[0]), True
    return _hull(alternatives)


def _joined(clauses: Iterable[tuple[str, str]]) -> str:
    return str(SpecifierSet(",".join(operator + version for operator, version in clauses)))


def _clauses(text: str) -> Iterator[tuple[str, str]]:
    text = text.strip()
    position = 0
    while position < len(text):
        match = _CLAUSE.match(text, position)
        if match is None:
            raise ValueError(text[position:])
        position = match.end()
        yield from _clause(match["operator"] or "", match["version"].removeprefix("v"))


def _clause(operator: str, version: str) -> Iterator[tuple[str, str]]:
    if version in {"*", "x", "X"}:
        return
    if operator in {"^", "~"}:
        yield ">=", version
        yield "<", _caret(version) if operator == "^" else _tilde(version)
        return
    yield {"": "==", "=": "=="}.get(operator, operator), re.sub(r"\.[xX]\b", ".*", version)


def _caret(version: str) -> str:
    release = Version(version).release
    significant = next((place for place, number in enumerate(release) if number), len(release) - 1)
    return _bumped(release, significant)


def _tilde(version: str) -> str:
    release = Version(version).release
    return _bumped(release, 0 if len(release) == 1 else 1)


def _bumped(release: tuple[int, ...], place: int) -> str:
    numbers = [*release[:place], release[place] + 1, *(0 for _ in release[place + 1 :])]
    return ".".join(map(str, numbers))


@dataclass(frozen=True, slots=True)
class _Span:
    low: Version | None
    high: Version | None
    low_text: str
    high_text: str


def _hull(alternatives: list[list[tuple[str, str]]]) -> tuple[str, bool]:
    if not all(alternatives):
        return "", True
    spans = [_span(clauses) for clauses in alternatives]
    if not all(spans):
        return "", False
    ordered = sorted((span for span in spans if span), key=lambda span: span.low or _LOWEST)
    reach, exact = ordered[0], True
    for span in ordered[1:]:
        if reach.high is None:
            break
        exact = exact and (span.low is None or span.low <= reach.high)
        if span.high is None or span.high > reach.high:
            reach = span
    return str(SpecifierSet(",".join(text for text in (ordered[0].low_text, reach.high_text) if text))), exact


def _span(clauses: list[tuple[str, str]]) -> _Span | None:
    low: tuple[Version | None, str] = (None, "")
    high: tuple[Version | None, str] = (None, "")
    for operator, version in clauses:
        if operator == "==" and version.endswith(".*"):
            release = Version(version.removesuffix(".*")).release
            low = (Version(version.removesuffix(".*")), f">={version.removesuffix('.*')}")
            upper = _bumped(release, len(release) - 1)
            high = (Version(upper), f"<{upper}")
        elif operator in {">=", ">"}:
            low = (Version(version), operator + version)
        elif operator in {"<", "<="}:
            high = (Version(version), operator + version)
        elif operator == "==":
            low, high = (Version(version), f">={version}"), (Version(version), f"<={version}")
        else:
            return None
    return _Span(low[0], high[0], low[1], high[1])


def python_marker(constraint: str) -> str:
    """Translate poetry's condition on the interpreter (`<3.12`, `^3.8 || 3.12.*`) to a marker.

    Raises:
        ValueError: It has no meaning.
    """
    alternatives = [list(_clauses(text)) for text in re.split(r"\|\|?", constraint)]
    if not all(alternatives):
        return ""
    said = [" and ".join(_python_condition(*clause) for clause in clauses) for clauses in alternatives]
    return str(Marker(" or ".join(f"({text})" for text in said)))


def _python_condition(operator: str, version: str) -> str:
    plain = version.removesuffix(".*")
    of_minor = len(Version(plain).release) <= _MINOR and (operator in {">=", "<"} or version.endswith(".*"))
    return f'{"python_version" if of_minor else "python_full_version"} {operator} "{plain}"'


def poetry_packages(settings: Document) -> tuple[tuple[str, str], ...]:
    """Return what `packages` declares: (name, the directory it is taken from), in order."""
    return tuple(
        (string(row.get("include")), string(row.get("from")) or ".")
        for row in rows(settings.get("packages"))
        if string(row.get("include"))
    )
