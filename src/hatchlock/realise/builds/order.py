"""What a build is told, and what it says at its end: the two streams of `inside`."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, ClassVar

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.images.layer import write_layer
from hatchlock.realise.wheels import wheel_tree
from hatchlock.sources.python.sdists import BuildSystem

__all__ = ["BadBuildResult", "BuildInput", "build_environment", "program", "taken_wheel", "write_order"]

_ROOT = "/tmp/hatchlock/environment"  # noqa: S108  inside of the sandbox
_VERSION_VARIABLES = ("SETUPTOOLS_SCM_PRETEND_VERSION", "PDM_BUILD_SCM_VERSION", "POETRY_DYNAMIC_VERSIONING_BYPASS")
"""What setuptools-scm (and hatch-vcs by it), pdm and poetry-dynamic-versioning take a version from."""
_LARGEST_HEAD = 1 << 16
_LARGEST_WHEEL = 1 << 30


@dataclass(kw_only=True, eq=False)
class BadBuildResult(HatchlockError):
    """What came out of a build is not what should have."""

    code: ClassVar[str] = "bad-build-result"

    package: str
    why: str

    def __str__(self) -> str:
        return f"what was built of {self.package} cannot be used: {self.why}"

    def _hint(self) -> str:
        if self.package.startswith((f"{Kind.PATH}:", f"{Kind.GIT}:")):
            return "mend the project or its build, and run `hatchlock lock`; `hatchlock logs --build` says what its build said"
        return "constrain it to a version that has wheels, or to another version, and run `hatchlock lock`"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildInput:
    """What goes into a build.

    Attributes:
        package: Id of the package, `pypi:docopt@0.6.2`, or of a project, `path:weather@1.0+s0a1b2c3d4e5f`.
        archive: Its source distribution or snapshot, verified.
        system: How it is built.
        wheels: File name and verified file of each wheel of its build environment.
        python: The version of the interpreter, `3.11`.
        python_path: The interpreter, where it is in the sandbox.
        is_project: Whether the archive is a snapshot, which has the source tree itself and not a directory with it.
    """

    package: str
    archive: Path
    system: BuildSystem
    wheels: Sequence[tuple[str, Path]]
    python: str
    python_path: str
    is_project: bool = False


def program() -> str:
    """Return the program that runs inside, as text for `python -c`."""
    return files("hatchlock.realise.builds").joinpath("inside.py").read_text()


def build_environment() -> dict[str, str]:
    """Return the variables of a build: nothing of ours, and nothing that differs from day to day."""
    return {
        "HOME": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{_ROOT}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "SOURCE_DATE_EPOCH": "315532800",  # 1980-01-01, the earliest time that a zip file can hold
        "TMPDIR": "/tmp",  # noqa: S108
        "TZ": "UTC",
        "USER": "hatchlock",
    }


def write_order(build: BuildInput, out: BinaryIO) -> None:
    """Write everything that a build gets on its stdin.

    Raises:
        BadWheel: A wheel of its environment is damaged.
        OSError: The disk is full, or the like.
    """
    entries = wheel_tree(build.wheels, python=build.python, python_path=build.python_path, root=_ROOT, symlinks={})
    inside = f"{_ROOT}/".lstrip("/")
    own = (replace(entry, path=entry.path.removeprefix(inside)) for entry in entries if entry.path.startswith(inside))
    with tempfile.TemporaryFile() as tree:
        write_layer(own, tree)
        head = {
            "environment": tree.tell(),
            "size": build.archive.stat().st_size,
            "program": program(),
            "backend": build.system.backend,
            "backend_path": build.system.backend_path,
            "is_project": build.is_project,
            "variables": _variables(build) if build.is_project else {},
        }
        out.write(json.dumps(head).encode() + b"\n")
        tree.seek(0)
        shutil.copyfileobj(tree, out)
    with build.archive.open("rb") as archive:
        shutil.copyfileobj(archive, out)


def _variables(build: BuildInput) -> dict[str, str]:
    """Tell a backend that asks version control, of which there is nothing inside, the version that the lock has."""
    version = build.package.rpartition("@")[2]
    return dict.fromkeys(_VERSION_VARIABLES, version)


def taken_wheel(stream: BinaryIO, into: Path, *, package: str) -> str:
    """Take the wheel out of what a build wrote to its stdout, and return the name that it gave.

    Args:
        stream: From its beginning.
        into: The file to write.
        package: For messages.

    Raises:
        BadBuildResult: It is something else.
    """
    line = stream.readline(_LARGEST_HEAD)
    try:
        head = json.loads(line)
        name, size = str(head["name"]), int(head["size"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise BadBuildResult(package=package, why="it is no wheel with its name") from error
    if not 0 < size <= _LARGEST_WHEEL:
        raise BadBuildResult(package=package, why=f"it has {size} bytes")
    with into.open("wb") as out:
        left = size
        while left and (piece := stream.read(min(left, io.DEFAULT_BUFFER_SIZE * 128))):
            out.write(piece)
            left -= len(piece)
    if left or stream.read(1):
        raise BadBuildResult(package=package, why="it has other bytes than it says")
    return name
