"""What a Python build backend would do with a project: where it takes code from, and what it makes that is not there."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from hatchlock.sources.projects.layout import importers_of
from hatchlock.sources.projects.loose import Document, rows, string, strings, table
from hatchlock.sources.projects.poetry import poetry_packages
from hatchlock.sources.projects.setup_files import SetupFacts
from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["Plan", "plan_of"]

_BACKENDS = {
    "hatchling": "hatchling",
    "poetry": "poetry",
    "poetry_dynamic_versioning": "poetry",
    "setuptools": "setuptools",
    "flit_core": "flit",
    "flit": "flit",
    "pdm": "pdm",
    "uv_build": "uv",
    "maturin": "maturin",
    "scikit_build_core": "scikit-build-core",
    "mesonpy": "meson-python",
    "whey": "whey",
    "jupyter_packaging": "jupyter-packaging",
}
_COMPILERS = {"maturin", "scikit-build-core", "meson-python"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the backend is told.

    Attributes:
        backend: Its short name, or "".
        roots: Directories that packages are taken from, in order.
        modules: The top-level packages and modules that are taken.
        needs_build: Why the tree alone is not enough, as in `ProjectFacts`.
        notes: What else people should know.
    """

    backend: str = ""
    roots: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    needs_build: str = ""
    notes: tuple[str, ...] = ()


def plan_of(tree: ProjectTree, document: Document, setup: SetupFacts | None) -> Plan:
    """Read the settings of whichever backend builds a project.

    Args:
        tree: The project.
        document: Its pyproject.toml.
        setup: What setup.cfg and setup.py declare.

    Raises:
        BadProjectFile: A file that matters cannot be read.
    """
    backend = _backend(document, setup)
    taken = [*dict.fromkeys(_taken(tree, document, setup, backend))]
    roots = tuple(dict.fromkeys(root for root, _ in taken))
    notes = []
    declared_roots = tuple(dict.fromkeys(root for root, module in taken if module))
    if len(declared_roots) > 1:
        notes.append(f"its packages are in {', '.join(declared_roots)}: only one of them is on the import path")
    hooks = sorted(set(table(document, "tool", "hatch", "build", "hooks")) - {"vcs", "version"})
    if hooks:
        notes.append(f"its build hook {', '.join(hooks)} is not run")
    return Plan(
        backend=backend,
        roots=roots,
        modules=tuple(dict.fromkeys(module for _, module in taken if module)),
        needs_build=_compiled(tree, document, setup, backend) or _generated(tree, document),
        notes=tuple(notes),
    )


def _backend(document: Document, setup: SetupFacts | None) -> str:
    named = string(table(document, "build-system").get("build-backend"))
    if not named:
        return "setuptools" if setup is not None or "build-system" in document else ""
    return _BACKENDS.get(named.partition(".")[0], named)


def _taken(tree: ProjectTree, document: Document, setup: SetupFacts | None, backend: str) -> Iterator[tuple[str, str]]:
    """Yield (directory, module) of what the backend takes; a module of "" where it looks for them itself."""
    tool = table(document, "tool")
    yield from _taken_by_hatch(table(tool, "hatch", "build"))
    yield from ((root, name.partition("/")[0]) for name, root in poetry_packages(table(tool, "poetry")))
    yield from _taken_by_setuptools(table(tool, "setuptools"))
    if setup is not None:
        yield from _taken_by_setup(setup)
    if directory := string(table(tool, "pdm", "build").get("package-dir")):
        yield directory, ""
    if backend == "flit" and (module := string(table(tool, "flit", "module").get("name"))):
        yield ("src" if f"src/{module}" in tree.directories else "."), module
    if backend == "uv":
        settings = table(tool, "uv", "build-backend")
        name = settings.get("module-name")
        root = settings.get("module-root")
        for module in strings(name) or (string(name),):
            yield (root if isinstance(root, str) else "src") or ".", module
    if source := string(table(tool, "maturin").get("python-source")):
        yield source, ""


def _taken_by_hatch(build: Document) -> Iterator[tuple[str, str]]:
    wheel = table(build, "targets", "wheel")
    for key in ("packages", "only-include"):
        for path in strings(wheel.get(key)) or strings(build.get(key)):
            clean = posixpath.normpath(path)
            folder, _, module = clean.rpartition("/")
            yield folder or ".", module.removesuffix(".py")
    for source in strings(wheel.get("sources")) or tuple(table(wheel, "sources")):
        if not source.startswith(".."):
            yield source, ""


def _taken_by_setuptools(settings: Document) -> Iterator[tuple[str, str]]:
    root = string(table(settings, "package-dir").get("")) or "."
    for place in strings(table(settings, "packages", "find").get("where")):
        yield place, ""
    for module in (*strings(settings.get("packages")), *strings(settings.get("py-modules"))):
        yield root, module.partition(".")[0]
    if root != ".":
        yield root, ""


def _taken_by_setup(setup: SetupFacts) -> Iterator[tuple[str, str]]:
    root = setup.package_dir.get("", "") or setup.find_in or "."
    for module in setup.packages:
        yield root, module.partition(".")[0]
    if root != ".":
        yield root, ""


def _compiled(tree: ProjectTree, document: Document, setup: SetupFacts | None, backend: str) -> str:
    tool = table(document, "tool")
    if backend in _COMPILERS:
        return f"it has an extension module that {backend} compiles"
    if setup is not None and setup.compiled:
        return f"it has extension modules ({setup.compiled} of its setup file), which setuptools compiles"
    if rows(table(tool, "setuptools").get("ext-modules")) or table(tool, "setuptools-rust"):
        return "it has extension modules, which setuptools compiles"
    if script := string(table(tool, "poetry").get("build")) or string(table(tool, "poetry", "build").get("script")):
        return f"poetry runs its {script} to build it"
    cython = any(path.endswith(".pyx") for path in tree.files)
    requires = " ".join(strings(table(document, "build-system").get("requires"))).lower()
    if cython and ("cython" in requires or "setup.py" in tree.files):
        return "it has an extension module that Cython compiles"
    moved = [name for name, path in _renamed(tool, setup) if not path.endswith(name.replace(".", "/"))]
    return f"its build puts {moved[0]} together from a directory of another name" if moved else ""


def _renamed(tool: Document, setup: SetupFacts | None) -> Iterator[tuple[str, str]]:
    mapped = {**table(tool, "setuptools", "package-dir"), **(setup.package_dir if setup is not None else {})}
    yield from ((name, string(path).rstrip("/")) for name, path in mapped.items() if name)


def _generated(tree: ProjectTree, document: Document) -> str:
    """A module that the build writes and that the code cannot do without."""
    tool = table(document, "tool")
    settings = table(tool, "setuptools_scm") or table(tool, "setuptools-scm")
    places = [
        string(table(tool, "hatch", "build", "hooks", "vcs").get("version-file")),
        string(table(tool, "hatch", "build", "hooks", "version").get("path")),
        string(settings.get("version_file")) or string(settings.get("write_to")),
        string(table(tool, "pdm", "version").get("write_to")),
    ]
    for place in places:
        for path in (place, f"src/{place}") if place else ():
            importers = () if place in tree.files or path in tree.files else importers_of(tree, path)
            if importers:
                return f"{importers[0]} imports {path.rpartition('/')[2]}, which only its build makes"
    return ""
