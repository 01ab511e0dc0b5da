"""Building an environment of the process runtime."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from hatchlock.events import Sink, discard
from hatchlock.paths import Home
from hatchlock.process import run
from hatchlock.realise.interpreter import install_interpreter
from hatchlock.realise.unpack import public_directory
from hatchlock.realise.uv_program import uv_program
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_builds import built_environment, sandbox_of_processes
from hatchlock.resources.env_layout import checked, lay_out_applications, lay_out_modules, minor_version
from hatchlock.resources.env_parts import CondaSpec
from hatchlock.resources.env_receipt import receipt_of
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.state.lease import lease
from hatchlock.store.blobs import Blobs
from hatchlock.store.contents import record_contents
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


def build(spec: EnvSpec, tree: Path, *, home: Home, held: int, logs: Path, emit: Sink = discard) -> None:
    """Make an environment; its receipt comes last.

    Args:
        spec: What goes into it.
        tree: Where it is.
        home: The store.
        held: A descriptor that every program that is started inherits; see `after_orphans`.
        logs: Where what builds of packages say is kept.
        emit: Told for whom it waits.

    Raises:
        BuildFailed, BadBuildResult, BuildNotIsolated: A package cannot be built.
        ProcessFailed: uv could not build it.
        BadArchive: An archive cannot be unpacked.
        CommandTaken: A program of an archive is called like a command of something else.
        WrongHash: A blob of the store is damaged; it is removed.
    """
    blobs = Blobs(home.blobs)
    receipt = receipt_of(spec)
    if spec.interpreter:
        _unpack_interpreter(spec, blobs, home, emit)
    if spec.conda:
        _install_conda(spec.conda, spec, blobs, home, emit)
    scratch_path = tree.with_name(f".build-{spec.key}")
    if spec.unknown:
        spec = built_environment(spec, home=home, logs=logs, sandbox=sandbox_of_processes(spec), emit=emit)
    with building(tree, receipt), _scratch_directory(scratch_path) as scratch:
        if spec.conda and spec.conda.has_python:
            _write_python(spec, tree, blobs)
        elif spec.python:
            _install_python(spec, tree, blobs, scratch, held)
        lay_out_modules(spec, tree, blobs)
        lay_out_applications(spec, tree, blobs, system=sys.platform)
        public_directory(tree)  # all that it has may be packages of the host
        if spec.python:
            _compile(spec, tree, scratch, held)
        record_contents(tree)


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

    wheels = [(wheel.name, checked(wheel, blobs)) for wheel in spec.wheels]
    write_environment(tree, wheels, python=minor_version(spec), interpreter=Path(spec.python))


def _compiler(spec: EnvSpec) -> str:
    """The interpreter that makes bytecode; "" for none. conda's is never started: ours will do if it is of the same version."""
    if not (spec.conda and spec.conda.has_python):
        return spec.python
    return sys.executable if minor_version(spec) == f"{sys.version_info[0]}.{sys.version_info[1]}" else ""


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


def _unpack_interpreter(spec: EnvSpec, blobs: Blobs, home: Home, emit: Sink) -> None:
    assert spec.interpreter is not None  # noqa: S101  the caller looked
    root = Path(spec.interpreter_root)
    path = home.root / "locks" / f"python-{root.name}.lock"
    with lease(path, what=f"interpreter {root.name}", purpose="apply", timeout=_BUILD_TIMEOUT, emit=emit):
        install_interpreter(checked(spec.interpreter, blobs), root, name=spec.interpreter.name)


def _install_conda(conda: CondaSpec, spec: EnvSpec, blobs: Blobs, home: Home, emit: Sink) -> None:
    from hatchlock.realise.conda import install_conda  # noqa: PLC0415  an extra, which few environments need

    root = Path(conda.root)
    path = home.root / "locks" / f"conda-{root.name}.lock"
    with lease(path, what=f"conda packages {root.name}", purpose="apply", timeout=_BUILD_TIMEOUT, emit=emit):
        if finished(root):
            return
        files = [(item.name, checked(item, blobs)) for item in conda.artefacts]
        receipt = {"conda": [item.name for item in conda.artefacts]}
        scratch_path = root.with_name(f".build-{root.name}")
        with building(root, receipt), _scratch_directory(scratch_path) as scratch:
            install_conda(files, root, platform=conda.platform, scratch=scratch)
            if conda.has_python and (compiler := _compiler(spec)):
                compile_all = [compiler, "-I", "-S", "-c", _COMPILE, f"{root}/lib"]
                run(compile_all, env=_environment(scratch), timeout=_BUILD_TIMEOUT)
            record_contents(root)


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
