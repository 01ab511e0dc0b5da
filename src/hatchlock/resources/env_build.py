"""Building an environment of the process runtime."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from hatchlock.paths import Home
from hatchlock.process import run
from hatchlock.realise.commands import CommandTaken, is_reserved, link_to
from hatchlock.realise.hatch import install_hatch_package
from hatchlock.realise.interpreter import install_interpreter
from hatchlock.realise.npm import NpmPlacement, link_commands, unpack_packages
from hatchlock.realise.programs import begins_as_program, install_program
from hatchlock.realise.projects import install_files, install_node_project, install_project
from hatchlock.realise.unpack import public_directory
from hatchlock.realise.uv_program import uv_program
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_spec import CondaSpec, EnvSpec, ModuleSpec, ProgramSpec, ProjectSpec, directory_name
from hatchlock.state.lease import lease
from hatchlock.store.blobs import Blobs
from hatchlock.store.receipts import building, finished

__all__ = ["after_orphans", "build"]

_BUILD_TIMEOUT = 600.0
_COMPILE = "import compileall, sys; [compileall.compile_dir(path, quiet=2, workers=0) for path in sys.argv[1:]]"


@contextlib.contextmanager
def after_orphans(path: Path) -> Iterator[int]:
    """Wait for the uv of a killed apply, which works on without it, and yield the lock that our own uv inherits.

    The lease ends with our process; this lock ends with the last process that has its descriptor.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def build(spec: EnvSpec, tree: Path, *, home: Home, held: int) -> None:
    """Make an environment; its receipt comes last.

    Args:
        spec: What goes into it.
        tree: Where it is.
        home: The store.
        held: A descriptor that every program that is started inherits; see `after_orphans`.

    Raises:
        ProcessFailed: uv could not build it.
        BadArchive: An archive cannot be unpacked.
        CommandTaken: A program of an archive is called like a command of something else.
        WrongHash: A blob of the store is damaged; it is removed.
    """
    blobs = Blobs(home.blobs)
    receipt = {"python": spec.python, "python_version": spec.python_version, "files": [a.name for a in spec.artefacts]}
    if spec.interpreter:
        _unpack_interpreter(spec, blobs, home)
    if spec.conda:
        _install_conda(spec.conda, spec, blobs, home)
    with building(tree, receipt), _scratch_directory(tree.with_name(f".build-{spec.key}")) as scratch:
        if spec.conda and spec.conda.has_python:
            _write_python(spec, tree, blobs)
        elif spec.python:
            _install_python(spec, tree, blobs, scratch, held)
        _install_modules(spec, tree, blobs)
        for project in spec.projects:
            _install_project(project, spec, tree, blobs)
        _link_commands(spec, tree, blobs)
        for program in spec.programs:
            _install_program(program, spec, tree, blobs)
        if spec.conda:
            _link_conda(Path(spec.conda.root), tree)
        public_directory(tree)  # all that it has may be packages of the host
        if spec.python:
            _compile(spec, tree, scratch, held)


def _install_python(spec: EnvSpec, tree: Path, blobs: Blobs, scratch: Path, held: int) -> None:
    program = uv_program()
    env = _environment(scratch)
    wheels = [_named_copy(wheel, blobs, scratch) for wheel in spec.wheels]
    create = [program, "venv", "--quiet", "--python", spec.python, str(tree)]
    run(create, env=env, timeout=_BUILD_TIMEOUT, keep_open=[held])
    if not wheels:
        return
    # uv may hard-link out of its cache: that cache is this build's own and is deleted with it, so no two
    # environments share a file.
    install = [program, "pip", "install", "--quiet", "--python", str(tree / "bin" / "python")]
    options = ["--no-deps", "--no-index", "--no-build", "--link-mode", "hardlink"]
    run([*install, *options, *map(str, wheels)], env=env, timeout=_BUILD_TIMEOUT, keep_open=[held])


def _write_python(spec: EnvSpec, tree: Path, blobs: Blobs) -> None:
    """Not by uv, which starts the interpreter: one of a channel, with whatever is installed beside it, outside of any sandbox."""
    from hatchlock.realise.venv import write_environment  # noqa: PLC0415  few environments need it

    wheels = [(wheel.name, _checked(wheel, blobs)) for wheel in spec.wheels]
    write_environment(tree, wheels, python=_minor(spec), interpreter=Path(spec.python))


def _minor(spec: EnvSpec) -> str:
    return ".".join(spec.python_version.split(".")[:2])


def _compiler(spec: EnvSpec) -> str:
    """The interpreter that makes bytecode; "" for none. conda's is never started: ours will do if it is of the same version."""
    if not (spec.conda and spec.conda.has_python):
        return spec.python
    return sys.executable if _minor(spec) == f"{sys.version_info[0]}.{sys.version_info[1]}" else ""


def _compile(spec: EnvSpec, tree: Path, scratch: Path, held: int) -> None:
    # Not by uv, which starts the environment's own interpreter: that runs the `.pth` files of what was installed,
    # as us and outside of any sandbox. Without `site` nothing of it is run.
    directories = [str(tree / "lib"), *(str(tree / item.path) for item in spec.projects if item.ecosystem == "python")]
    if (spec.wheels or spec.projects) and (compiler := _compiler(spec)):
        compile_all = [compiler, "-I", "-S", "-c", _COMPILE, *directories]
        run(compile_all, env=_environment(scratch), timeout=_BUILD_TIMEOUT, keep_open=[held])


def _environment(scratch: Path) -> dict[str, str]:
    return {
        "HOME": str(scratch),
        "PATH": "/usr/bin:/bin",
        "UV_CACHE_DIR": f"{scratch}/cache",
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def _unpack_interpreter(spec: EnvSpec, blobs: Blobs, home: Home) -> None:
    assert spec.interpreter is not None  # noqa: S101  the caller looked
    root = Path(spec.interpreter_root)
    path = home.root / "locks" / f"python-{root.name}.lock"
    with lease(path, what=f"interpreter {root.name}", purpose="apply", timeout=_BUILD_TIMEOUT):
        install_interpreter(_checked(spec.interpreter, blobs), root, name=spec.interpreter.name)


def _install_conda(conda: CondaSpec, spec: EnvSpec, blobs: Blobs, home: Home) -> None:
    from hatchlock.realise.conda import install_conda  # noqa: PLC0415  an extra, which few environments need

    root = Path(conda.root)
    path = home.root / "locks" / f"conda-{root.name}.lock"
    with lease(path, what=f"conda packages {root.name}", purpose="apply", timeout=_BUILD_TIMEOUT):
        if finished(root):
            return
        files = [(item.name, _checked(item, blobs)) for item in conda.artefacts]
        receipt = {"conda": [item.name for item in conda.artefacts]}
        scratch_path = root.with_name(f".build-{root.name}")
        with building(root, receipt), _scratch_directory(scratch_path) as scratch:
            install_conda(files, root, platform=conda.platform, scratch=scratch)
            if conda.has_python and (compiler := _compiler(spec)):
                compile_all = [compiler, "-I", "-S", "-c", _COMPILE, f"{root}/lib"]
                run(compile_all, env=_environment(scratch), timeout=_BUILD_TIMEOUT)


def _link_conda(root: Path, tree: Path) -> None:
    """Offer conda's programs, unless something else has that name: packages of conda are there for others."""
    public_directory(tree / "bin")
    for program in sorted((root / "bin").iterdir()) if (root / "bin").is_dir() else ():
        command = tree / "bin" / program.name
        if not is_reserved(program.name) and not os.path.lexists(command) and os.access(program, os.X_OK):
            command.symlink_to(program)


def _install_modules(spec: EnvSpec, tree: Path, blobs: Blobs) -> None:
    for module in spec.modules:
        blobs.verify(module.artefact.digest)
    if spec.modules:
        unpack_packages(_placements(spec.modules, blobs), tree)


def _install_project(project: ProjectSpec, spec: EnvSpec, tree: Path, blobs: Blobs) -> None:
    snapshot = _checked(project.artefact, blobs)
    directory = Path(project.path).name
    match project.ecosystem:
        case "python":
            install_project(
                tree,
                name=project.name,
                version=project.version,
                python=_minor(spec),
                snapshot=snapshot,
                import_root=project.import_root,
                scripts=project.commands,
                requires=project.requires,
                directory=directory,
            )
        case "node":
            install_node_project(
                tree, name=project.name, snapshot=snapshot, commands=project.commands, directory=directory
            )
        case "hatch":
            install_hatch_package(
                tree, name=project.name, archive=snapshot, commands=project.commands, directory=directory
            )
        case _:
            install_files(tree, name=project.name, snapshot=snapshot, directory=directory)


def _install_program(program: ProgramSpec, spec: EnvSpec, tree: Path, blobs: Blobs) -> None:
    file = _checked(program.artefact, blobs)
    name = directory_name(program.name)
    public_directory(tree / "bin")
    for found in install_program(tree, name=name, file=file, file_name=program.artefact.name):
        command = tree / "bin" / Path(found).name
        if is_reserved(command.name):
            continue
        if not os.path.lexists(command):
            link_to(tree / found, at=command)
            continue
        owner = os.path.relpath(command.resolve(), tree.resolve())
        # in many archives everything may be executed, and everybody has a README
        if not owner.startswith(f"{program.path}/") and begins_as_program(tree / found):
            raise CommandTaken(environment=spec.name, command=command.name, owners=(owner, found))


def _link_commands(spec: EnvSpec, tree: Path, blobs: Blobs) -> None:
    if spec.node:
        offered = [item for item in spec.modules if item.offered]
        link_commands(tree, _placements(offered, blobs), node=Path(spec.node.path))


def _placements(modules: Iterable[ModuleSpec], blobs: Blobs) -> list[NpmPlacement]:
    return [
        NpmPlacement(
            path=item.path,
            blob=blobs.path(item.artefact.digest),
            name=item.artefact.package.partition(":")[2],
            commands=item.commands,
        )
        for item in modules
    ]


def _checked(artefact: Artefact, blobs: Blobs) -> Path:
    blobs.verify(artefact.digest)
    return blobs.path(artefact.digest)


@contextlib.contextmanager
def _scratch_directory(path: Path) -> Iterator[Path]:
    """Under a name that does not change, so that what a killed build left is found, and cleared away, by the next one."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _named_copy(wheel: Artefact, blobs: Blobs, scratch: Path) -> Path:
    """Give a checked blob the name that says which wheel it is."""
    blobs.verify(wheel.digest)
    named = scratch / wheel.name
    shutil.copyfile(blobs.path(wheel.digest), named)
    return named
