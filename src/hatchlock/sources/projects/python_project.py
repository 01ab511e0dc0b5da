"""Python projects: pyproject.toml of any backend, setup.cfg, setup.py, requirements.txt, Pipfile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from hatchlock.sources.projects.building import Plan, plan_of
from hatchlock.sources.projects.layout import find_layout
from hatchlock.sources.projects.loose import Document, rows, string, strings, table
from hatchlock.sources.projects.model import ProjectFacts
from hatchlock.sources.projects.pins import requirement_pins
from hatchlock.sources.projects.pipfile import pipfile_needs
from hatchlock.sources.projects.poetry import poetry_needs
from hatchlock.sources.projects.requirements import Requirement, edges, parse_requirement
from hatchlock.sources.projects.requirements_txt import read_requirements_file
from hatchlock.sources.projects.setup_files import SetupFacts, console_scripts, read_setup, read_setup_cfg
from hatchlock.sources.projects.static_version import normalised, static_version, version_from
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.projects.uv_sources import relocated
from hatchlock.sources.python.metadata import WheelMetadata

__all__ = ["python_files", "read_python"]

_PYPROJECT = "pyproject.toml"
_REQUIREMENTS = "requirements.txt"
_MAIN = re.compile(r"^if __name__ == ['\"]__main__['\"]", re.MULTILINE)


def python_files(tree: ProjectTree) -> tuple[str, ...]:
    """Return the files of a tree that make it a Python project, the most telling first.

    Raises:
        BadProjectFile: pyproject.toml is no TOML.
    """
    found = [name for name in ("setup.py", "setup.cfg", _REQUIREMENTS, "Pipfile") if name in tree.files]
    if "setup.cfg" in found and read_setup_cfg(tree) is None:
        found.remove("setup.cfg")
    document = tree.toml(_PYPROJECT)
    says = table(document, "project") or table(document, "tool", "poetry") or document.get("build-system")
    return (_PYPROJECT, *found) if says else tuple(found)


@dataclass(kw_only=True, slots=True)
class _Declared:
    """What was declared so far, in the words of core metadata."""

    name: str = ""
    version: str = ""
    requires_python: str = ""
    requirements: list[Requirement] = field(default_factory=list)
    extras: dict[str, list[Requirement]] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    authors: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)
    classifiers: Sequence[str] = ()
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unreadable: str = ""
    used: list[str] = field(default_factory=list)


def read_python(tree: ProjectTree) -> ProjectFacts:
    """Read a Python project from its static metadata; one without any has only code.

    Raises:
        BadProjectFile: A file is not what it must be, or a requirement cannot be locked.
    """
    document = tree.toml(_PYPROJECT)
    setup = read_setup(tree)
    declared = _Declared()
    if table(document, "project"):
        _from_project(tree, document, setup, declared)
    elif table(document, "tool", "poetry"):
        _from_poetry(tree, table(document, "tool", "poetry"), declared)
    elif setup is not None and (setup.name or setup.packages or setup.find_in or setup.requirements):
        _from_setup(tree, setup, declared)
    elif _REQUIREMENTS in tree.files:
        _from_requirements(tree, declared)
    elif "Pipfile" in tree.files:
        _from_pipfile(tree, declared)
    return _facts(tree, document, setup, declared)


def _facts(tree: ProjectTree, document: Document, setup: SetupFacts | None, declared: _Declared) -> ProjectFacts:
    name = _name(tree, declared)
    plan = plan_of(tree, document, setup)
    calls = [target.partition(":")[0] for target in declared.scripts.values()]
    layout = find_layout(tree, name=name, roots=plan.roots, modules=plan.modules, calls=calls)
    version = declared.version or static_version(tree, document, modules=layout.modules)
    metadata = _core_metadata(declared)
    if not declared.scripts:
        declared.notes.append(_no_command(tree, layout.import_root, layout.modules))
    needs_build = declared.unreadable or plan.needs_build
    if not needs_build and layout.missing:
        needs_build = f"its command calls the module {layout.missing}, which is not there"
    if not needs_build and not layout.import_root and not _is_virtual(document, declared):
        needs_build = "there is no package or module in it that could be imported"
    return ProjectFacts(
        ecosystem="python",
        layout=", ".join(_layout(declared, plan)) or "Python files",
        name=name,
        version=version or "0",
        requirements=edges(declared.requirements),
        extras={extra: edges(wanted) for extra, wanted in sorted(declared.extras.items())},
        requires_python=_requires_python(declared),
        scripts=dict(sorted(declared.scripts.items())),
        import_root=layout.import_root,
        pins=declared.pins,
        needs_build=needs_build,
        licence=metadata.licence,
        authors=metadata.authors,
        repository=metadata.repository,
        notes=tuple(dict.fromkeys((*declared.notes, *plan.notes))),
    )


def _layout(declared: _Declared, plan: Plan) -> list[str]:
    return [f"{file} ({plan.backend})" if file == _PYPROJECT and plan.backend else file for file in declared.used]


def _is_virtual(document: Document, declared: _Declared) -> bool:
    """Whether it only lists requirements: nothing of it is meant to be imported."""
    return table(document, "tool", "uv").get("package") is False or _PYPROJECT not in declared.used


def _name(tree: ProjectTree, declared: _Declared) -> str:
    for candidate in (declared.name, tree.root.name):
        try:
            return canonicalize_name(candidate, validate=True)
        except InvalidName:
            continue
    return re.sub(r"[^a-z0-9]+", "-", tree.root.name.lower()).strip("-") or "project"


def _requires_python(declared: _Declared) -> str:
    try:
        return str(SpecifierSet(declared.requires_python))
    except InvalidSpecifier:
        declared.notes.append(f"its requires-python {declared.requires_python!r} has no meaning, and is not used")
        return ""


def _no_command(tree: ProjectTree, root: str, modules: Iterable[str]) -> str:
    folder = "" if root in {"", "."} else f"{root}/"
    runnable = [name for name in modules if f"{folder}{name}/__main__.py" in tree.files]
    runnable += [
        name for name in modules if (path := f"{folder}{name}.py") in tree.files and _MAIN.search(tree.text(path) or "")
    ]
    if not runnable:
        return "it declares no command"
    said = " or ".join(f'["python", "-m", "{name}"]' for name in runnable[:3])
    return f"it declares no command; it can be started with command = {said}"


def _core_metadata(declared: _Declared) -> WheelMetadata:
    """Say it as a wheel would, so that licence, authors and repository follow the same rules everywhere."""
    lines = [
        "Name: x",
        f"License: {_one_line(declared.licence)}",
        f"Author: {_one_line(declared.authors)}",
        *(f"Classifier: {_one_line(line)}" for line in declared.classifiers),
        *(f"Project-URL: {_one_line(label)}, {_one_line(url)}" for label, url in declared.urls.items()),
    ]
    return WheelMetadata.parse("\n".join(lines).encode())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _from_project(tree: ProjectTree, document: Document, setup: SetupFacts | None, declared: _Declared) -> None:
    project = table(document, "project")
    poetry = table(document, "tool", "poetry")
    dynamic = set(strings(project.get("dynamic")))
    declared.used.append(_PYPROJECT)
    declared.name = string(project.get("name"))
    declared.version = normalised(string(project.get("version")) or string(poetry.get("version")))
    if not declared.version and "version" in dynamic and setup is not None:
        declared.version = _setup_version(tree, setup)
    declared.requires_python = string(project.get("requires-python"))
    declared.scripts = {
        name: string(target).partition("[")[0].strip() for name, target in table(project, "scripts").items()
    }
    declared.licence = string(project.get("license")) or string(table(project, "license").get("text"))
    people = rows(project.get("authors")) or rows(project.get("maintainers"))
    declared.authors = ", ".join(filter(None, (string(one.get("name")) or string(one.get("email")) for one in people)))
    declared.classifiers = strings(project.get("classifiers"))
    declared.urls = {label: string(url) for label, url in table(project, "urls").items()}
    declared.requirements = _parsed(tree, strings(project.get("dependencies")), _PYPROJECT)
    declared.extras = {
        canonicalize_name(extra): _parsed(tree, strings(lines), _PYPROJECT)
        for extra, lines in table(project, "optional-dependencies").items()
    }
    if "dependencies" in dynamic:
        _dynamic_requirements(tree, document, setup, declared)
    if "scripts" in dynamic or "entry-points" in dynamic:
        _dynamic_scripts(tree, document, setup, declared)
    if "requires-python" in dynamic and setup is not None:
        declared.requires_python = setup.requires_python
    relocated(tree, document, declared.requirements, declared.extras, declared.notes)


def _parsed(tree: ProjectTree, lines: Iterable[str], file: str) -> list[Requirement]:
    return [parse_requirement(line, tree=tree, file=file) for line in lines]


def _dynamic_requirements(tree: ProjectTree, document: Document, setup: SetupFacts | None, declared: _Declared) -> None:
    tool = table(document, "tool")
    listed = table(tool, "setuptools", "dynamic", "dependencies").get("file")
    hooked = table(tool, "hatch", "metadata", "hooks", "requirements_txt").get("files")
    files = strings(listed) or strings(hooked) or tuple(filter(None, (string(listed),)))
    if files:
        for file in files:
            _add_requirements(tree, file, declared)
    elif table(tool, "poetry", "dependencies"):
        _add_poetry(tree, table(tool, "poetry"), declared)
    elif setup is not None and (setup.requirements or setup.requirement_files):
        _add_setup_requirements(tree, setup, declared)
    else:
        _guess_requirements(tree, declared, f"the dependencies that {_PYPROJECT} calls dynamic")
    for extra, source in table(tool, "setuptools", "dynamic", "optional-dependencies").items():
        named = table(source).get("file")
        found = [read_requirements_file(tree, file) for file in strings(named) or (string(named),) if file]
        declared.extras[canonicalize_name(extra)] = [one for file in found for one in file.requirements]


def _guess_requirements(tree: ProjectTree, declared: _Declared, what: str) -> None:
    """Requirements that are computed are nearly always those of requirements.txt."""
    if _REQUIREMENTS in tree.files:
        _add_requirements(tree, _REQUIREMENTS, declared)
        declared.notes.append(f"{what} are computed, and could not be read; {_REQUIREMENTS} is taken for them")
    else:
        declared.unreadable = f"{what} are computed, and are known only when it is built"


def _dynamic_scripts(tree: ProjectTree, document: Document, setup: SetupFacts | None, declared: _Declared) -> None:
    named = table(document, "tool", "setuptools", "dynamic", "entry-points").get("file")
    for file in strings(named) or tuple(filter(None, (string(named),))):
        section = (
            (tree.text(file) or "").partition("[console_scripts]")[2].partition("\n[")[0] if file in tree.files else ""
        )
        declared.scripts |= console_scripts(section.splitlines())
    declared.scripts |= _poetry_scripts(table(document, "tool", "poetry"))
    if setup is not None:
        declared.scripts |= setup.scripts


def _from_poetry(tree: ProjectTree, settings: Document, declared: _Declared) -> None:
    declared.used.append(_PYPROJECT)
    declared.name = string(settings.get("name"))
    declared.version = normalised(string(settings.get("version")))
    declared.licence = string(settings.get("license"))
    people = strings(settings.get("authors")) or strings(settings.get("maintainers"))
    declared.authors = ", ".join(person.partition("<")[0].strip() or person for person in people)
    declared.classifiers = strings(settings.get("classifiers"))
    urls = {label: string(settings.get(label)) for label in ("repository", "homepage")}
    declared.urls = urls | {label: string(url) for label, url in table(settings, "urls").items()}
    declared.scripts = _poetry_scripts(settings)
    _add_poetry(tree, settings, declared)


def _add_poetry(tree: ProjectTree, settings: Document, declared: _Declared) -> None:
    needs = poetry_needs(tree, settings)
    declared.requirements += needs.requirements
    for extra, wanted in needs.extras.items():
        declared.extras.setdefault(canonicalize_name(extra), []).extend(wanted)
    declared.requires_python = declared.requires_python or needs.requires_python
    declared.notes += needs.notes


def _poetry_scripts(settings: Document) -> dict[str, str]:
    declared = table(settings, "scripts").items()
    targets = {name: string(target) or string(table(target).get("callable")) for name, target in declared}
    return {name: target.partition("[")[0].strip() for name, target in targets.items() if ":" in target}


def _from_setup(tree: ProjectTree, setup: SetupFacts, declared: _Declared) -> None:
    declared.used += [name for name in ("setup.py", "setup.cfg") if name in tree.files]
    declared.name = setup.name
    declared.version = _setup_version(tree, setup)
    declared.requires_python = setup.requires_python
    declared.scripts = dict(setup.scripts)
    declared.licence = setup.licence
    declared.authors = setup.authors
    declared.urls = setup.urls
    declared.classifiers = setup.classifiers
    computed = [word for word in setup.computed if word in {"name", "entry_points", "extras_require", "**"}]
    if computed:
        declared.notes.append(f"setup.py computes {', '.join(computed)}: what that gives could not be read")
    _add_setup_requirements(tree, setup, declared)


def _add_setup_requirements(tree: ProjectTree, setup: SetupFacts, declared: _Declared) -> None:
    if setup.requirements is None:
        _guess_requirements(tree, declared, "the install_requires of setup.py")
        return
    file = "setup.py" if "setup.py" in tree.files else "setup.cfg"
    declared.requirements += _parsed(tree, setup.requirements, file)
    for name in setup.requirement_files:
        _add_requirements(tree, name, declared)
    for extra, lines in setup.extras.items():
        declared.extras[canonicalize_name(extra.partition(":")[0])] = _parsed(tree, lines, file)


def _setup_version(tree: ProjectTree, setup: SetupFacts) -> str:
    return normalised(setup.version) or (version_from(tree, setup.version_from) if setup.version_from else "")


def _from_requirements(tree: ProjectTree, declared: _Declared) -> None:
    declared.used.append(_REQUIREMENTS)
    _add_requirements(tree, _REQUIREMENTS, declared)


def _add_requirements(tree: ProjectTree, file: str, declared: _Declared) -> None:
    found = read_requirements_file(tree, file)
    declared.requirements += found.requirements
    declared.pins = requirement_pins([*found.requirements, *found.constraints])
    declared.notes += found.notes
    bounds = [one for one in found.constraints if one.specifier and not one.specifier.startswith("==")]
    if bounds:
        declared.notes.append("the ranges of its constraints files are not taken: write them as `constraints`")


def _from_pipfile(tree: ProjectTree, declared: _Declared) -> None:
    declared.used.append("Pipfile")
    declared.requirements, declared.requires_python = pipfile_needs(tree)
