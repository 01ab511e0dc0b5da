"""Whether a Hatch package is right: its metadata, its files, its tools, and the packages in directories that it needs.

Nothing is run, and nothing is fetched: what only a registry could tell is found out by `lock`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import SpecifierSet

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.manifest.problem import did_you_mean
from hatchlock.place import Place
from hatchlock.sources.hatch.declared import HatchReference, declared_hatch, split_requirement, version_of
from hatchlock.sources.hatch.local import HatchDirectory, NoHatchPackage, read_directory
from hatchlock.sources.hatch.problems import BadHatchMetadata, BadHatchPackage
from hatchlock.sources.hatch.server_code import server_tools, wraps
from hatchlock.sources.hatch.together import Wish, conflicts, way_text

__all__ = ["Validation", "validate"]

_TOOLS_COUNT_FROM = (1, 2, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """What came of looking at a package.

    Attributes:
        package: The package.
        local: The packages in directories that it needs, also through others, as `NAME VERSION`, sorted.
        undeclared: Tools that its server has and its metadata does not name, sorted.
        problems: What is wrong, in the order of the parts: files, tools, dependencies.
        notes: What works, and people should see.
    """

    package: HatchDirectory
    local: tuple[str, ...]
    undeclared: tuple[str, ...]
    problems: tuple[HatchlockError, ...]
    notes: tuple[str, ...]


def validate(directory: Path, *, shown: str = "") -> Validation:
    """Look at the package in a directory.

    Args:
        directory: Where its `hatch_metadata.json` is.
        shown: The directory's name for people; the path if not said.

    Raises:
        NoHatchPackage: There is no such directory, or it has no metadata.
        BadHatchMetadata: Its metadata cannot be read, or names files that are not there: the one mistake.
        ManyErrors: All of several.
    """
    package = read_directory(directory, shown=shown)
    walk = _Walk()
    walk.visit(package, directory.resolve(), (package.facts.name,))
    code = _Code(package)
    undeclared = tuple(sorted(code.tools - {name for name, _ in package.facts.tools}))
    notes = list(package.notes)
    if undeclared:
        notes.append(f"{package.facts.server_file} has tools that the metadata does not name: {', '.join(undeclared)}")
    return Validation(
        package=package,
        local=tuple(sorted(f"{item.facts.name} {item.facts.version}" for item in walk.local())),
        undeclared=undeclared,
        problems=(*code.problems, *walk.problems, *conflicts(walk.between), *conflicts(walk.wishes)),
        notes=(*notes, *code.notes),
    )


class _Code:
    """What the Python files say."""

    def __init__(self, package: HatchDirectory) -> None:
        self.problems: list[HatchlockError] = []
        self.notes: list[str] = []
        self.tools: frozenset[str] = frozenset()
        self._package = package
        self._facts = package.facts
        if self._facts.wrapper_file:
            self._read_wrapper()
        try:
            self.tools = server_tools(package.server_source)
        except (SyntaxError, ValueError) as error:
            self.problems.append(self._no_python(self._facts.server_file, error))
        else:
            self._compare_tools()

    def _read_wrapper(self) -> None:
        wrapper, server = self._facts.wrapper_file, self._facts.server_file
        try:
            is_right = wraps(self._package.wrapper_source, server)
        except (SyntaxError, ValueError) as error:
            self.problems.append(self._no_python(wrapper, error))
            return
        if not is_right:
            stem = server.removesuffix(".py")
            what = f"{wrapper} does not import `mcp` from {server}"
            path = ("entry_point", "hatch_mcp_server")
            self.problems.append(self._package.document.problem(path, what, f"write `from {stem} import mcp` into it"))

    def _no_python(self, file: str, error: SyntaxError | ValueError) -> HatchlockError:
        line = (error.lineno or 0) if isinstance(error, SyntaxError) else 0
        shown = self._package.document.file.rpartition("/")[0]
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        place = Place(file=f"{shown}/{file}", line=line)
        return BadHatchMetadata(place=place, what=f"it is no Python: {why}", advice="mend the file")

    def _compare_tools(self) -> None:
        counts = tuple(map(int, self._facts.schema_version.split("."))) >= _TOOLS_COUNT_FROM
        for number, (name, _) in enumerate(self._facts.tools):
            if name in self.tools:
                continue
            what = f"{self._facts.server_file} has no tool {name!r}"
            known = f"its tools are {', '.join(sorted(self.tools))}" if self.tools else "decorate it with @mcp.tool()"
            path = ("tools", number, "name")
            if counts:
                self.problems.append(self._package.document.problem(path, what, did_you_mean(name, self.tools, known)))
            else:
                self.notes.append(what)


@dataclass(kw_only=True, slots=True)
class _Walk:
    """Everything that a package needs from directories, and what all of them want."""

    problems: list[HatchlockError] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    between: list[Wish] = field(default_factory=list)  # of directories alone, which have the version that they have
    _read: dict[Path, HatchDirectory | None] = field(default_factory=dict)
    _above: list[Path] = field(default_factory=list)
    _root: Path | None = None

    def local(self) -> Iterator[HatchDirectory]:
        """Yield the packages in directories, without the one where it began."""
        yield from (found for path, found in self._read.items() if found and path != self._root)

    def visit(self, package: HatchDirectory, directory: Path, way: tuple[str, ...]) -> None:
        """Follow a package's requirements.

        Args:
            package: Which.
            directory: Where it is, without links.
            way: The names of the packages that lead to it, itself last.
        """
        self._root = self._root or directory
        self._read[directory] = package
        self._above.append(directory)
        for text in package.facts.dependencies:
            kind, _, spec = text.partition(":")
            reference = declared_hatch(spec) if kind == Kind.HATCH else HatchReference()
            if reference.path:
                self._follow(package, directory, way, text, reference)
            elif wish := _wish(text, reference, way):
                self.wishes.append(wish)
        self._above.pop()

    def _follow(
        self, package: HatchDirectory, directory: Path, way: tuple[str, ...], text: str, reference: HatchReference
    ) -> None:
        target = (directory / reference.path).resolve()
        if target in self._above:
            names = [found.facts.name for path in self._above if (found := self._read[path])]
            circle = (*names[self._above.index(target) :], names[self._above.index(target)])
            self._wrong(package, text, f"it leads in a circle: {way_text(circle)}", "remove one of these dependencies")
            return
        is_new = target not in self._read
        found = self._load(package, text, target, reference) if is_new else self._read[target]
        if found is None:
            return
        name, version = found.facts.name, found.facts.version
        if not reference.allows(version):
            what = f"{reference.path} is {name} {version}, and {reference.specifier} is wanted"
            self._wrong(package, text, what, "change the constraint, or name another directory")
        thing = f"{Kind.HATCH}:{name}"
        self.between.append(Wish(thing=thing, specifier=reference.specifier, way=(*way, text)))
        exactly = SpecifierSet(f"=={version_of(version)}")
        self.wishes.append(Wish(thing=thing, specifier=exactly, way=(*way, f"{text} ({version})")))
        if is_new:
            self._check_name(found, target)
            self.visit(found, target, (*way, name))

    def _load(
        self, package: HatchDirectory, text: str, target: Path, reference: HatchReference
    ) -> HatchDirectory | None:
        base = package.document.file.rpartition("/")[0]
        self._read[target] = None
        try:
            return read_directory(target, shown=posixpath.normpath(posixpath.join(base, reference.path)))
        except NoHatchPackage as error:
            advice = "a path begins at the package that names it; what comes from a registry is a name without /"
            what = f"{reference.path} has no metadata" if error.exists else f"there is no directory {reference.path}"
            self._wrong(package, text, what, advice)
        except ManyErrors as errors:
            self.problems += errors.errors
        except BadHatchMetadata as error:
            self.problems.append(error)
        return None

    def _check_name(self, found: HatchDirectory, target: Path) -> None:
        for path, other in self._read.items():
            if other and path != target and other.facts.name == found.facts.name:
                why = f"{other.document.file} is of a package of that name, too"
                advice = "one environment holds one package of a name: name the same directory everywhere"
                name = f"{found.facts.name} in {found.document.file.rpartition('/')[0]}"
                self.problems.append(BadHatchPackage(package=name, why=why, advice=advice))

    def _wrong(self, package: HatchDirectory, text: str, what: str, advice: str) -> None:
        path = package.document.written.get(text, ())
        self.problems.append(package.document.problem(path, what, advice))


def _wish(text: str, reference: HatchReference, way: tuple[str, ...]) -> Wish | None:
    """Return what a requirement wants, if it is about versions."""
    named, versions = split_requirement(text)
    if "@" in named or named.startswith(f"{Kind.PATH}:"):
        return None
    thing = f"{Kind.HATCH}:{reference.name}" if reference.name else named.partition("[")[0]
    return Wish(thing=thing, specifier=SpecifierSet(versions), way=(*way, text))
