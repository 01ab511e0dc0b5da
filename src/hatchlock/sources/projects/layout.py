"""Where a Python project's code is, and whether it can be used as it lies there."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["Layout", "find_layout", "importers_of", "module_constant"]

_USUAL = ("src", ".", "lib", "python")
_NOT_CODE = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "scripts", "tools"}
    | {"script", "bin", "build", "dist", "ci", "setup", "conftest", "noxfile", "tasks", "fabfile", "hatch_build"}
)
_OPTIONAL = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where the import packages are.

    Attributes:
        import_root: The directory that goes on the import path: "src", "."; "" if there is nothing to import.
        modules: The top-level modules and packages there, sorted.
        missing: A module that a command calls and that is nowhere; "" if none.
    """

    import_root: str
    modules: tuple[str, ...] = ()
    missing: str = ""


def find_layout(
    tree: ProjectTree, *, name: str, roots: Sequence[str] = (), modules: Sequence[str] = (), calls: Sequence[str] = ()
) -> Layout:
    """Find the directory to import from.

    Args:
        tree: The project.
        name: Its normalised name: `my-server` is expected as `my_server`.
        roots: Directories that its build backend is told to take packages from, in order.
        modules: Names of packages and modules that its build backend is told to take.
        calls: The modules that its commands call: the best evidence there is.
    """
    tops = [call.partition(".")[0] for call in calls]
    expected = [*tops, *(module.partition(".")[0] for module in modules), name.replace("-", "_").replace(".", "/")]
    candidates = [*dict.fromkeys([*map(_clean, roots), *_USUAL])]
    if tops:
        best = max(candidates, key=lambda root: sum(_has_module(tree, root, call) for call in calls))
        missing = next((call for call in calls if not _has_module(tree, best, call)), "")
        if _has_module(tree, best, calls[0]) or not missing:
            return Layout(import_root=best, modules=_importable(tree, best), missing=missing)
    for wanted in expected:
        for root in candidates:
            if _has_module(tree, root, wanted.replace("/", ".")):
                return Layout(import_root=root, modules=_importable(tree, root), missing=calls[0] if calls else "")
    for root in candidates:
        if found := _importable(tree, root):
            return Layout(import_root=root, modules=found, missing=calls[0] if calls else "")
    return Layout(import_root="", missing=calls[0] if calls else "")


def _clean(path: str) -> str:
    return posixpath.normpath(path or ".").lstrip("/") or "."


def _under(root: str, path: str) -> str:
    return path if root == "." else f"{root}/{path}"


def _has_module(tree: ProjectTree, root: str, module: str) -> bool:
    path = _under(root, module.replace(".", "/"))
    if f"{path}.py" in tree.files or f"{path}/__init__.py" in tree.files:
        return True
    return path in tree.directories and any(file.startswith(f"{path}/") and file.endswith(".py") for file in tree.files)


def _importable(tree: ProjectTree, root: str) -> tuple[str, ...]:
    prefix = "" if root == "." else f"{root}/"
    found: set[str] = set()
    for path in tree.files:
        if not path.startswith(prefix) or not path.endswith(".py"):
            continue
        top, slash, rest = path[len(prefix) :].partition("/")
        name = top if slash else top.removesuffix(".py")
        is_package = rest == "__init__.py" or (root != "." and slash)
        if name.isidentifier() and name not in _NOT_CODE and (is_package or not slash):
            found.add(name)
    return tuple(sorted(found))


def module_constant(tree: ProjectTree, path: str, name: str) -> str:
    """Return a string that a module binds to a name at its top, by reading it; "" if it does something else."""
    text = tree.text(path) if path in tree.files else None
    if text is None:
        return ""
    for node in _parsed(text).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            value = getattr(node, "value", None)
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
    return ""


def importers_of(tree: ProjectTree, generated: str) -> tuple[str, ...]:
    """Return the files beside a module that import it where its absence is an error, sorted.

    Args:
        tree: The project.
        generated: The module's path, which is not in the tree.
    """
    folder, _, file = generated.rpartition("/")
    stem = file.removesuffix(".py")
    beside = [path for path in tree.files if path.rpartition("/")[0] == folder and path.endswith(".py")]
    return tuple(sorted(path for path in beside if stem in _needed_imports(tree, path, stem)))


def _needed_imports(tree: ProjectTree, path: str, stem: str) -> set[str]:
    text = tree.text(path) or ""
    if not re.search(rf"\b{re.escape(stem)}\b", text):
        return set()
    return set(_imported(_parsed(text)))


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the last names of all modules that are imported without an `except` for their absence."""
    if isinstance(node, ast.Try) and any(_catches(handler) for handler in node.handlers):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name.rpartition(".")[2] for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield (node.module or "").rpartition(".")[2]
        yield from (alias.name for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def _catches(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(getattr(name, "id", "") in _OPTIONAL for name in names)
