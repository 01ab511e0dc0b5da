"""From an environment of the lock to the environment as it should be on this machine. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hatchlock.address import Kind
from hatchlock.digest import key_of
from hatchlock.lock.model import Environment, Lock, Package
from hatchlock.paths import Home
from hatchlock.realise.builds.record import build_key, project_key, scripts_key
from hatchlock.realise.commands import CommandTaken, is_reserved
from hatchlock.realise.programs import is_archive
from hatchlock.resolve.npm_requirements import declared_npm
from hatchlock.resolve.requirements import declared
from hatchlock.resources.base import Artefact
from hatchlock.resources.build_spec import BuildSpec, ProjectBuildSpec, ScriptSpec
from hatchlock.resources.env_parts import CondaSpec, ModuleSpec, NodeSpec, ProgramSpec, ProjectSpec, directory_name
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.unplaced import FileNotLocked, ProgramNotOffered
from hatchlock.sources.npm.placement import placements
from hatchlock.sources.python.targets import PythonTarget
from hatchlock.sources.python.wheel_tags import choose_wheel

__all__ = ["InterpreterFacts", "check_command", "environment_spec", "for_platform", "wheels_of"]

_PROJECTS = (Kind.PATH, Kind.GIT, Kind.HATCH)
_CONDA_RULE = "conda:1"


@dataclass(frozen=True, kw_only=True, slots=True)
class InterpreterFacts:
    """A Python or Node of this machine: its real path, full version, and the directories that it needs."""

    path: str
    version: str
    prefixes: tuple[str, ...]


def wheels_of(lock: Lock, environment: Environment, target: PythonTarget, platform: str) -> tuple[Artefact, ...]:
    """Return the wheels of an environment on a platform, sorted by file name; what is built there is not among them.

    Raises:
        FileNotLocked: No locked file of a package runs there.
    """
    wheels = []
    for package in lock.packages_of(environment, platform):
        if package.kind is not Kind.PYPI:
            continue
        file = choose_wheel(package.files, target)
        if file is None and package.id in environment.builds:
            continue
        if file is None:
            raise FileNotLocked(package=package.id, platform=platform)
        wheels.append(Artefact(package=package.id, name=file.name, digest=file.digest, size=file.size))
    return tuple(sorted(wheels, key=lambda wheel: wheel.name))


def _builds(
    lock: Lock, environment: Environment, target: PythonTarget, platform: str, python: str
) -> Iterator[BuildSpec]:
    base = lock.image(environment.base).platforms[platform].digest if environment.base else ""
    for package in lock.packages_of(environment, platform):
        if package.id not in environment.builds or package.namespace is not Kind.PYPI:
            continue
        if package.kind is Kind.PYPI and choose_wheel(package.files, target):
            continue
        file = next((file for file in package.files if not file.name.endswith(".whl")), None)
        if file is None:
            raise FileNotLocked(package=package.id, platform=platform)
        archive = Artefact(package=package.id, name=file.name, digest=file.digest, size=file.size)
        own = lock.environment(environment.builds[package.id], environment.runtime)
        wheels = wheels_of(lock, own, target, platform)
        key = build_key(
            package=package.id,
            archive=archive.digest,
            wheels=[wheel.digest for wheel in wheels],
            platform=platform,
            python=python,
            base=base,
        )
        yield BuildSpec(package=package.id, archive=archive, wheels=wheels, key=key)


def check_command(lock: Lock, environment: Environment, platform: str, command: str) -> None:
    """Refuse to start a command by a name that several packages of the environment have.

    Packages count that were asked for by name, and projects and programs: their commands take the place of those that
    other packages bring along.

    Args:
        lock: The lock.
        environment: One of its environments.
        platform: Where it runs.
        command: What a server starts; a path, and the name of an interpreter, is nobody's.

    Raises:
        CommandTaken: Two or more have it.
    """
    if "/" in command or is_reserved(command):
        return
    by_id = lock.by_id
    owners = [package.id for package in _owners(environment, by_id, platform, command)]
    if len(owners) > 1:
        raise CommandTaken(environment=environment.name, command=command, owners=tuple(sorted(owners)))


def _owners(environment: Environment, by_id: Mapping[str, Package], platform: str, command: str) -> Iterator[Package]:
    here = [by_id[item] for item in environment.on(platform)]
    modules = [by_id[item.artefact.package] for item in _modules(environment, by_id, platform) if item.offered]
    projects = [package for package in here if package.kind in _PROJECTS]
    yield from (package for package in (*modules, *projects) if command in package.scripts)
    yield from (
        package for package in here if package.kind is Kind.URL and command in _program_names(package, platform)
    )
    named = {declared(text).name for text in environment.requirements if text.startswith("pypi:")}
    wheels = [package for package in here if package.kind is Kind.PYPI and command in package.scripts]
    if any(package.name in named for package in wheels):
        # of two wheels whoever is installed last has the name, so the others count as well; the same function is no matter
        yield from {package.scripts[command]: package for package in wheels}.values()


def _program_names(package: Package, platform: str) -> tuple[str, ...]:
    files = [file for file in package.files if file.platform in {"", platform}]
    return tuple(directory_name(package.name) for file in files if not is_archive(file.name))


def environment_spec(
    lock: Lock,
    environment: Environment,
    platform: str,
    *,
    home: Home,
    python: Callable[[str], InterpreterFacts],
    node: Callable[[str], InterpreterFacts],
    target: PythonTarget | None,
) -> tuple[EnvSpec, tuple[str, ...]]:
    """Return the environment, and the directories besides it that its programs need.

    Args:
        lock: The lock.
        environment: One of its process environments.
        platform: This machine's.
        home: The store.
        python: Version -> this machine's interpreter; called only if one is needed.
        node: Version -> this machine's Node; called only if one is needed.
        target: Where its Python packages run; None if it has no Python.

    Raises:
        FileNotLocked: No locked file of a package runs here.
        ProgramNotOffered: A source has no address for this platform.
        HatchlockError: What `python` and `node` raise.
    """
    spec = EnvSpec(name=environment.name)
    prefixes: tuple[str, ...] = ()
    by_id = lock.by_id
    own = [by_id[item] for item in environment.on(platform)]
    conda = _conda(own, platform, home)
    if conda:
        spec = replace(spec, conda=conda)
        prefixes = (conda.root,)
    if target is not None:
        facts, archive = (
            (_conda_python(own, conda), None)
            if conda and conda.has_python
            else _interpreter(environment, platform, home, python)
        )
        wheels = wheels_of(lock, environment, target, platform)
        builds = tuple(_builds(lock, environment, target, platform, facts.version)) if environment.builds else ()
        spec = replace(spec, python=facts.path, python_version=facts.version, interpreter=archive, wheels=wheels)
        spec = replace(spec, builds=builds)
        prefixes = (*prefixes, *facts.prefixes)
    if environment.node:
        facts = node(environment.node)
        spec = replace(spec, node=NodeSpec(path=facts.path, version=facts.version))
        prefixes = (*prefixes, *facts.prefixes)
    modules = tuple(_modules(environment, by_id, platform))
    base = lock.image(environment.base).platforms[platform].digest if environment.base else ""
    spec = replace(
        spec,
        modules=modules,
        scripts=tuple(_scripts(environment, modules, platform, node=spec.node, base=base)),
        projects=tuple(_project(package) for package in own if _is_laid_out(package, environment)),
        project_builds=tuple(_project_builds(lock, environment, platform, node=spec.node, base=base)),
        programs=tuple(_program(package, platform) for package in own if package.kind is Kind.URL),
    )
    return spec, tuple(dict.fromkeys(prefixes))


def _interpreter(
    environment: Environment, platform: str, home: Home, find: Callable[[str], InterpreterFacts]
) -> tuple[InterpreterFacts, Artefact | None]:
    if not environment.managed:
        return find(environment.python), None
    file = environment.managed.get(platform)
    if file is None:
        raise FileNotLocked(package=f"python@{environment.python}", platform=platform)
    if not file.digest:
        raise FileNotLocked(package=f"python@{environment.python}", platform=platform)
    root = home.root / "pythons" / file.digest[:20]
    # cpython-3.11.9+20240814-x86_64-…: the part in front of the plus
    version = file.name.partition("-")[2].partition("+")[0]
    minor = ".".join(version.split(".")[:2])
    facts = InterpreterFacts(path=f"{root}/bin/python{minor}", version=version, prefixes=(str(root),))
    artefact = Artefact(package=f"python@{version}", name=file.name, digest=file.digest, size=file.size)
    return facts, artefact


def _conda(packages: Sequence[Package], platform: str, home: Home) -> CondaSpec | None:
    own = [package for package in packages if package.kind is Kind.CONDA]
    if not own:
        return None
    artefacts = tuple(for_platform(package, platform) for package in own)
    key = key_of(_CONDA_RULE, [platform, *(f"{item.name} {item.digest}" for item in artefacts)])
    root = home.root / "conda" / key[:20]
    has_python = any(package.name == "python" for package in own)
    return CondaSpec(root=str(root), platform=platform, artefacts=artefacts, has_python=has_python)


def _conda_python(packages: Sequence[Package], conda: CondaSpec) -> InterpreterFacts:
    found = next(package for package in packages if package.kind is Kind.CONDA and package.name == "python")
    version = found.version.partition("=")[0]
    minor = ".".join(version.split(".")[:2])
    return InterpreterFacts(path=f"{conda.root}/bin/python{minor}", version=version, prefixes=())


def for_platform(package: Package, platform: str) -> Artefact:
    """Return the file of a package that has one for each platform.

    Raises:
        FileNotLocked: It has none for this one.
    """
    for file in package.files:
        if file.platform in {"", platform}:
            return Artefact(package=package.id, name=file.name, digest=file.digest, size=file.size)
    raise FileNotLocked(package=package.id, platform=platform)


def _modules(environment: Environment, by_id: Mapping[str, Package], platform: str) -> Iterator[ModuleSpec]:
    asked = {declared_npm(text.removeprefix("npm:"))[0] for text in environment.requirements if text.startswith("npm:")}
    for path, package_id in placements(environment.tree, by_id, platform):
        package = by_id[package_id]
        yield ModuleSpec(
            path=path,
            artefact=_artefact(package),
            commands=package.scripts,
            offered=path.removeprefix("node_modules/") in asked,
        )


def _scripts(
    environment: Environment, modules: Sequence[ModuleSpec], platform: str, *, node: NodeSpec | None, base: str
) -> Iterator[ScriptSpec]:
    tree = [f"{module.path} {module.artefact.digest}" for module in modules] if environment.scripts else []
    for module in modules:
        if node and module.artefact.package in environment.scripts:
            key = scripts_key(
                package=module.artefact.package,
                path=module.path,
                tree=tree,
                platform=platform,
                node=node.version,
                base=base,
            )
            yield ScriptSpec(package=module.artefact.package, path=module.path, key=key)


def _is_laid_out(package: Package, environment: Environment) -> bool:
    """Whether a package is a project; one of Python that is built is installed as a wheel."""
    is_wheel = package.id in environment.builds and package.namespace is Kind.PYPI
    return package.kind in _PROJECTS and not is_wheel


def _project_builds(
    lock: Lock, environment: Environment, platform: str, *, node: NodeSpec | None, base: str
) -> Iterator[ProjectBuildSpec]:
    by_id = lock.by_id
    for package_id in environment.on(platform) if node and environment.builds else ():
        package = by_id[package_id]
        if package_id not in environment.builds or package.namespace is not Kind.NPM:
            continue
        own = lock.environment(environment.builds[package_id], environment.runtime)
        modules = tuple(_modules(own, by_id, platform))
        found = [by_id[name] for name in own.on(platform)]
        siblings = tuple(_project(item) for item in found if item.kind in _PROJECTS)
        inputs = [f"{module.path} {module.artefact.digest}" for module in modules]
        inputs += [f"{sibling.name} {sibling.artefact.digest}" for sibling in siblings]
        archive = _artefact(package)
        key = project_key(
            package=package_id,
            archive=archive.digest,
            inputs=inputs,
            platform=platform,
            node=node.version if node else "",
            base=base,
        )
        yield ProjectBuildSpec(
            package=package_id,
            archive=archive,
            entries=tuple(sorted(set(package.scripts.values()))),
            modules=modules,
            siblings=siblings,
            key=key,
        )


def _project(package: Package) -> ProjectSpec:
    python = package.ecosystem == "python"
    return ProjectSpec(
        name=package.name,
        version=package.version,
        ecosystem="hatch" if package.kind is Kind.HATCH else package.ecosystem,
        artefact=_artefact(package),
        import_root=package.import_root,
        commands=package.scripts,
        requires=tuple(item.removeprefix("pypi:") for item in package.dependencies if item.startswith("pypi:"))
        if python
        else (),
        about=_about(package) if package.kind is Kind.HATCH else "",
    )


def _about(package: Package) -> str:
    said = {
        "licence": package.licence,
        "by": package.authors,
        "with": ", ".join(package.contributors),
        "from": package.publisher,
        "source": package.repository,
        "cite": "; ".join(package.citations),
        "made": "; ".join(package.provenance),
    }
    return ", ".join(f"{word} {text}" for word, text in said.items() if text) or "it says nothing of itself"


def _program(package: Package, platform: str) -> ProgramSpec:
    for file in package.files:
        if file.platform in {"", platform}:
            artefact = Artefact(package=package.id, name=file.name, digest=file.digest, size=file.size)
            return ProgramSpec(name=package.name, artefact=artefact)
    raise ProgramNotOffered(
        package=package.id, platform=platform, offered=tuple(file.platform for file in package.files)
    )


def _artefact(package: Package) -> Artefact:
    (file,) = package.files
    return Artefact(package=package.id, name=file.name, digest=file.digest, size=file.size)
