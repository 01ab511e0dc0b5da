"""Interpreters that uv manages (python-build-standalone): unpacked from a verified archive, once for all environments."""

from __future__ import annotations

import re
from pathlib import Path

from hatchlock.process import run
from hatchlock.realise.unpack import BadArchive, unpack
from hatchlock.store.contents import record_contents
from hatchlock.store.receipts import building, finished

__all__ = ["install_interpreter"]

_PROGRAM = re.compile(r"python\d+\.\d+")
_COMPILE_TIMEOUT = 600.0
_COMPILE = """
import compileall, re, sys
without = re.compile(re.escape(sys.argv[1]) + r"/(.*/)?(test|tests|idlelib|lib2to3|site-packages|tkinter|turtledemo)/")
compileall.compile_dir(sys.argv[1], rx=without, quiet=2, workers=0)
"""


def install_interpreter(archive: Path, tree: Path, *, name: str = "") -> Path:
    """Unpack an `install_only` archive, if that was not done before, and return the interpreter's path.

    Its standard library is compiled by itself, in its isolated mode: those who start it later may not write there.

    Args:
        archive: The verified archive, whose only directory holds `bin/python3.11` and so on.
        tree: Where it goes. The caller holds the lock for it.
        name: What to call the archive in messages.

    Raises:
        BadArchive: It cannot be used, or holds no interpreter.
        ProcessFailed: Its interpreter does not run on this machine.
        PermissionProblem: The store cannot be written to.
        OSError: The disk is full, or the like.
    """
    if finished(tree) and (present := _program(tree)):
        return present
    name = name or archive.name
    with building(tree, {"archive": name}):
        unpack(archive, tree, name=name, strip=None)
        program = _program(tree)
        if program is None:
            raise BadArchive(archive=name, why="it has no interpreter in its bin directory")
        compile_all = [str(program), "-I", "-S", "-c", _COMPILE, str(tree / "lib")]
        run(compile_all, env={"PATH": "/usr/bin:/bin"}, timeout=_COMPILE_TIMEOUT)
        record_contents(tree)
    return program


def _program(tree: Path) -> Path | None:
    """The real file, not one of the links to it: an environment's name holds its path."""
    found = [path for path in tree.glob("bin/python*") if _PROGRAM.fullmatch(path.name) and not path.is_symlink()]
    return found[0] if len(found) == 1 else None
