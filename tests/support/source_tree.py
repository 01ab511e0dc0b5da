"""The package's own source as data: which module imports what, and where."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Import", "Module", "modules", "repository_files"]

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One imported module.

    Attributes:
        target: Its dotted name; of `from a import b`, `a.b` where that is a module of ours, else `a`.
        names: What is taken from it by `from … import`.
        line: Where.
        at_import: Whether it is loaded when the importing module is (not in a function, not for types only).
        for_types: Whether it is for type checkers only.
    """

    target: str
    names: tuple[str, ...]
    line: int
    at_import: bool
    for_types: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A module of the package.

    Attributes:
        name: Its dotted name.
        path: Relative to the repository.
        tree: Its syntax.
        lines: How many it has.
        imports: All that it imports, wherever it does.
    """

    name: str
    path: Path
    tree: ast.Module
    lines: int
    imports: tuple[Import, ...]

    @property
    def inside(self) -> str:
        """The path below the package: `net/http.py`."""
        return self.path.relative_to("src/hatchlock").as_posix()


def modules() -> dict[str, Module]:
    """Return every module of the package by its name."""
    paths = sorted((SOURCE / "hatchlock").rglob("*.py"))
    names = {_name(path) for path in paths}
    return {_name(path): _module(path, names) for path in paths}


def repository_files() -> list[Path]:
    """Return the files that git would commit, or all of them where there is no git."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module(path: Path, names: set[str]) -> Module:
    text = path.read_text()
    tree = ast.parse(text, filename=str(path))
    return Module(
        name=_name(path),
        path=path.relative_to(ROOT),
        tree=tree,
        lines=text.count("\n"),
        imports=tuple(_imports(tree, names, at_import=True, for_types=False)),
    )


def _imports(node: ast.AST, names: set[str], *, at_import: bool, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import():
                for alias in child.names:
                    yield _import(alias.name, (), child.lineno, at_import, for_types)
            case ast.ImportFrom():
                yield from _from(child, names, at_import, for_types)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from _imports(child, names, at_import=False, for_types=for_types)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for statement in child.body:
                    yield from _imports(ast.Module([statement], []), names, at_import=False, for_types=True)
                for statement in child.orelse:
                    yield from _imports(ast.Module([statement], []), names, at_import=at_import, for_types=for_types)
            case _:
                yield from _imports(child, names, at_import=at_import, for_types=for_types)


def _from(node: ast.ImportFrom, names: set[str], at_import: bool, for_types: bool) -> Iterator[Import]:
    assert node.level == 0, f"relative import in line {node.lineno}"
    base = node.module or ""
    taken = [alias.name for alias in node.names]
    for name in taken:
        if f"{base}.{name}" in names:
            yield _import(f"{base}.{name}", (), node.lineno, at_import, for_types)
    rest = tuple(name for name in taken if f"{base}.{name}" not in names)
    if rest:
        yield _import(base, rest, node.lineno, at_import, for_types)


def _import(target: str, names: tuple[str, ...], line: int, at_import: bool, for_types: bool) -> Import:
    return Import(target=target, names=names, line=line, at_import=at_import, for_types=for_types)
