"""The layout's rules: who may import whom, where the heavy libraries live, what is pure."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter

import pytest

from support.source_tree import ROOT, Import, Module, modules, repository_files

MODULES = modules()

LEVELS: dict[str, int] = {
    **dict.fromkeys(["errors", "address", "place", "digest", "events", "files", "process", "paths"], 0),
    **dict.fromkeys(
        ["manifest", "lock", "state", "store", "net", "launch", "launch_parts", "launch_rare", "surface"], 1
    ),
    **dict.fromkeys(["sources", "realise", "images", "security", "engines", "clients"], 2),
    **dict.fromkeys(["resolve", "resources"], 3),
    **dict.fromkeys(["reconcile", "serve", "migrate"], 4),
    **dict.fromkeys(["usecases"], 5),
    **dict.fromkeys(["cli", "__main__"], 6),
}

HOMES: dict[str, tuple[str, ...]] = {
    "backports": ("realise/zstd.py",),
    "docker": ("engines/",),
    "filelock": ("state/",),
    "installer": ("realise/",),
    "mcp": ("serve/remote/login.py",),
    "networkx": ("resolve/graph.py",),
    "packaging": ("manifest/", "lock/", "sources/", "realise/", "resolve/", "resources/", "migrate/", "usecases/"),
    "pydantic": ("manifest/", "sources/", "migrate/"),
    "pypi_simple": ("sources/",),
    "pysequoia": ("sources/",),
    "rattler": ("sources/conda/", "realise/conda_rattler.py"),
    "requests": ("engines/",),
    "resolvelib": ("resolve/",),
    "rfc8785": ("sources/", "surface.py"),
    "structlog": ("cli/",),
    "tomlkit": ("manifest/", "lock/", "migrate/"),
    "urllib3": ("net/", "engines/"),
    "uv": ("realise/",),
    "uvicorn": ("serve/front/",),
    "yaml": ("clients/yaml_text.py",),
}
"""Every library that the package uses, and the only places that may import it."""

IMPORTED_AS = {"PyYAML": "yaml", "backports.zstd": "backports", "py_rattler": "rattler"}
"""Libraries whose module has another name."""

OF_A_NEWER_PYTHON = {"_sha2", "compression"}
"""Modules of a standard library that is newer than the oldest which we run on."""

COME_WITH = {"requests": "docker", "uvicorn": "mcp"}
"""Libraries that another one brings, and shows in its own interface."""

LONGEST_MODULE = 500


def each_module(*prefixes: str) -> pytest.MarkDecorator:
    chosen = [module for module in MODULES.values() if not prefixes or module.inside.startswith(prefixes)]
    return pytest.mark.parametrize("module", chosen, ids=[module.inside for module in chosen])


def level(name: str) -> int:
    parts = name.split(".")
    return LEVELS[parts[1]] if len(parts) > 1 else 0


def at(module: Module, found: Import) -> str:
    return f"{module.path}:{found.line} imports {found.target}"


def ours(module: Module) -> list[Import]:
    return [found for found in module.imports if found.top == "hatchlock"]


def foreign(module: Module) -> list[Import]:
    return [
        found
        for found in module.imports
        if found.top not in {"hatchlock", *sys.stdlib_module_names, *OF_A_NEWER_PYTHON}
    ]


def test_every_part_has_a_level() -> None:
    parts = {name.split(".")[1] for name in MODULES if "." in name}
    assert parts <= set(LEVELS), f"give it a level: {sorted(parts - set(LEVELS))}"


@each_module()
def test_imports_point_down(module: Module) -> None:
    upward = [at(module, found) for found in ours(module) if level(found.target) > level(module.name)]
    assert upward == []


@each_module()
def test_nothing_private_is_imported_from_another_module(module: Module) -> None:
    private = [
        f"{at(module, found)}: {name}"
        for found in ours(module)
        for name in (*found.target.split("."), *found.names)
        if name.startswith("_") and name != "__version__"
    ]
    assert private == []


def test_no_modules_import_each_other() -> None:
    graph = {
        module.name: {found.target for found in ours(module) if not found.for_types and found.target != module.name}
        for module in MODULES.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle: {' <- '.join(error.args[1])}")


@each_module()
def test_libraries_are_imported_only_where_they_belong(module: Module) -> None:
    astray = [
        at(module, found)
        for found in foreign(module)
        if not found.for_types and not module.inside.startswith(HOMES.get(found.top, ()) or ("nowhere",))
    ]
    assert astray == []


def test_every_library_is_declared_and_every_declared_one_has_its_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    distributions = {re.split(r"[<>=~!\[; ]", text)[0].replace("-", "_") for text in declared}
    names = {IMPORTED_AS.get(name, name) for name in distributions}
    assert names == set(HOMES) - set(COME_WITH)
    assert set(COME_WITH.values()) <= names


@each_module("cli/")
def test_the_command_line_loads_only_the_standard_library(module: Module) -> None:
    loaded = [found for found in module.imports if found.at_import]
    heavy = [at(module, found) for found in loaded if found in foreign(module)]
    below = [
        at(module, found)
        for found in loaded
        if found.top == "hatchlock" and level(found.target) > 0 and not found.target.startswith("hatchlock.cli")
    ]
    assert heavy + below == []


@each_module("usecases/")
def test_use_cases_import_what_they_need_where_they_need_it(module: Module) -> None:
    eager = [
        at(module, found)
        for found in module.imports
        if found.at_import and (found in foreign(module) or (found.top == "hatchlock" and 1 < level(found.target) < 5))
    ]
    assert eager == []


IMPURE = {
    *("os", "io", "sys", "time", "datetime", "random", "secrets", "uuid", "subprocess", "socket", "shutil", "tempfile"),
    *("glob", "pathlib", "platform", "locale", "threading", "asyncio", "urllib", "http", "logging"),
}


@each_module(
    "reconcile/diff.py",
    "reconcile/plan.py",
    "reconcile/select.py",
    "reconcile/stale.py",
    "images/layer.py",
    "images/config.py",
)
def test_deciding_is_pure(module: Module) -> None:
    impure = [
        at(module, found)
        for found in module.imports
        if not found.for_types and found.top in IMPURE - ALLOWED.get(module.inside, set())
    ]
    calls = [
        f"{module.path}:{node.lineno} calls {node.func.id}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    ]
    assert impure + calls == []


# An in-memory stream, and dates that are given: no clock is read.
ALLOWED: dict[str, set[str]] = {"images/layer.py": {"io"}, "images/config.py": {"datetime"}}


@each_module()
def test_no_module_is_long(module: Module) -> None:
    assert module.lines <= LONGEST_MODULE


def _hosts(*names: tuple[str, str]) -> list[str]:
    return [re.escape(".".join(name)) for name in names]


# Spelt in pieces, so that this file passes its own test.
FORBIDDEN = re.compile(
    "|".join(
        [
            *_hosts(("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com")),
            *_hosts(("debian", "org"), ("ubuntu", "com"), ("anaconda", "org"), ("conda", "io")),
            *(rf"(?<![\w./-])/{place}/" for place in ("work/" + "main", "work/" + "shared", "tmp/" + "w")),
        ]
    ).encode()
)


def test_no_file_names_a_registry_or_a_path_of_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group().decode()}"
        for path in repository_files()
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        for match in FORBIDDEN.finditer(line)
    ]
    assert found == []
