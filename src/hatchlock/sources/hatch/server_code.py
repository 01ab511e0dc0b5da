"""What the Python files of a Hatch package say, without running them: tools, imports, and what wraps what."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.specifiers import SpecifierSet

from hatchlock.address import Kind
from hatchlock.sources.hatch.declared import split_requirement
from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.together import exclude_each_other

__all__ = ["implied_note", "implied_requirements", "server_tools", "wraps"]

_EXTRAS = re.compile(r"\[.*\]")
_GENERATIONS = (
    (frozenset({"mcpserver", "MCPServer"}), ">=2", ">=2", "<2"),
    (frozenset({"fastmcp", "FastMCP"}), ">=1.2,<2", "<2", ">=2"),
)
"""Of the SDK: names that only one generation has, its versions, what bounds them on the other's side, the other's versions."""


def server_tools(source: bytes) -> frozenset[str]:
    """Return the names of the tools that a server's file declares.

    A tool is a function, `async` or not, decorated with `@SERVER.tool` or `@SERVER.tool(…)`, whatever the server is called; or
    one that `SERVER.add_tool` gets. Its name is the function's, unless `name=` or the first argument says another.

    Raises:
        SyntaxError: It is no Python.
        ValueError: It holds a null byte.
    """
    return frozenset(_tools(ast.parse(source)))


def wraps(source: bytes, server_file: str) -> bool:
    """Return whether a wrapper imports `mcp` from the server's file.

    Raises:
        SyntaxError: It is no Python.
        ValueError: It holds a null byte.
    """
    stem = PurePosixPath(server_file).stem
    return any(
        isinstance(node, ast.ImportFrom) and node.module == stem and any(item.name == "mcp" for item in node.names)
        for node in ast.walk(ast.parse(source))
    )


def implied_requirements(facts: HatchFacts, server_source: bytes) -> tuple[str, ...]:
    """Return what a server needs and its metadata does not say, sorted.

    Hatch's own environments bring the MCP SDK along, so packages need not declare it; and their metadata has no way to
    say "below 2", where the SDK's `FastMCP` got another name. So a server that imports `mcp` or `fastmcp` gets the package
    and the versions that have what it imports. A version that the package pins itself is left alone.

    Args:
        facts: What the package says.
        server_source: Its server's file; what is no Python implies nothing.
    """
    try:
        imported = set(_imports(ast.parse(server_source)))
    except (SyntaxError, ValueError):
        return ()
    own = PurePosixPath(facts.server_file).stem
    declared = {_name(text): split_requirement(text)[1] for text in facts.dependencies}
    found = []
    if own != "fastmcp" and any(name.partition(".")[0] == "fastmcp" for name in imported):
        found += [] if _says(declared, "fastmcp") else [f"{Kind.PYPI}:fastmcp"]
    if own != "mcp" and any(name.partition(".")[0] == "mcp" for name in imported):
        found += _sdk(imported, declared)
    return tuple(sorted(found))


def implied_note(facts: HatchFacts, implied: tuple[str, ...]) -> str:
    """Return the sentence that tells of what `implied_requirements` found; "" if that is nothing."""
    if not implied:
        return ""
    return f"{facts.server_file} imports what the package does not declare so: {', '.join(implied)} added"


def _sdk(imported: set[str], declared: dict[str, str]) -> list[str]:
    parts = {part for name in imported if name.startswith("mcp.") for part in name.split(".")}
    whole, bound, others = next((rest for names, *rest in _GENERATIONS if names & parts), ("", "", ""))
    versions = declared.get(f"{Kind.PYPI}:mcp")
    if versions is None:
        return [] if _says(declared, "mcp") else [f"{Kind.PYPI}:mcp{whole}"]
    said = SpecifierSet(versions)
    is_pinned = any(item.operator in {"==", "==="} for item in said)
    if not bound or is_pinned or exclude_each_other([said, SpecifierSet(others)]):
        return []
    return [f"{Kind.PYPI}:mcp{bound}"]


def _says(declared: dict[str, str], name: str) -> bool:
    return f"{Kind.PYPI}:{name}" in declared or f"{Kind.CONDA}:{name}" in declared


def _name(text: str) -> str:
    """`pypi:mcp` of `pypi:mcp[cli]>=1`, `conda:mcp` of `conda:channel::mcp`."""
    kind, _, rest = _EXTRAS.sub("", split_requirement(text)[0]).partition(":")
    return f"{kind}:{rest.rpartition(':')[2] if kind == Kind.CONDA else rest}"


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that are imported: `mcp.server.fastmcp.FastMCP`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{item.name}" for item in node.names)


def _tools(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if _is_attribute(decorator.func if isinstance(decorator, ast.Call) else decorator, "tool"):
                    yield _given_name(decorator, 0) or node.name
        elif isinstance(node, ast.Call) and _is_attribute(node.func, "add_tool") and node.args:
            function = node.args[0]
            given = _given_name(node, 1)
            if given or isinstance(function, ast.Name | ast.Attribute):
                yield given or (
                    function.id if isinstance(function, ast.Name) else ast.unparse(function).rpartition(".")[2]
                )


def _is_attribute(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name


def _given_name(call: ast.expr, position: int) -> str:
    if not isinstance(call, ast.Call):
        return ""
    named = [item.value for item in call.keywords if item.arg == "name"]
    for value in (*named, *call.args[position : position + 1]):
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return ""
