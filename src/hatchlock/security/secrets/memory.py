"""Directories in memory for secrets that a server gets as files, where the sandbox itself makes none: containers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory
from hatchlock.launch import LaunchRecord

__all__ = ["NoMemory", "check_secret_files", "lay_out", "memory_directory", "memory_places", "remove_directory"]

_IN_MEMORY = {"tmpfs", "ramfs"}


@dataclass(kw_only=True, eq=False)
class NoMemory(HatchlockError):
    """There is no place for secret files that is not a disk."""

    code: ClassVar[str] = "no-memory-for-secrets"

    why: str

    def __str__(self) -> str:
        return f'secrets with as = "file" cannot be given to this server: {self.why}'

    def _hint(self) -> str:
        return 'give them as variables (as = "variable"), or use runtime = "process"'


def check_secret_files(record: LaunchRecord) -> None:
    """Refuse secrets as files for a container whose engine cannot show it this machine's memory.

    Raises:
        NoMemory: There is one.
    """
    from hatchlock.engines.connect import engine_is_local  # noqa: PLC0415  processes do without

    files = any(reference.as_ == "file" for reference in record.secrets.values())
    if files and record.runtime == "container" and not engine_is_local(record.engine):
        raise NoMemory(
            why=f"the engine at {record.engine} is on another machine, which would have to keep them on a disk"
        )


def memory_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory below which sessions put secret files: only we can enter it, and it is no disk.

    It is made in `$XDG_RUNTIME_DIR`, or in /dev/shm where that is none or on a disk.

    Raises:
        NoMemory: Neither is memory.
        PermissionProblem: Somebody else could write to it.
    """
    for directory in memory_places(environ):
        place = directory.parent
        if place.is_dir() and _file_system(str(place)) in _IN_MEMORY:
            return private_directory(directory)
    raise NoMemory(why="this machine has neither an XDG_RUNTIME_DIR nor a /dev/shm that is memory")


def memory_places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where `memory_directory` may be, the better place first."""
    runtime = Path(environ.get("XDG_RUNTIME_DIR", ""))
    own = (runtime / "hatchlock-secrets",) if runtime.is_absolute() else ()
    return (*own, Path("/dev/shm") / f"hatchlock-secrets-{os.geteuid()}")  # noqa: S108


def lay_out(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write secrets, by name, into a new directory that a server's own uid can read: nobody else gets past the one above.

    Args:
        directory: A new one, directly below `memory_directory`.
        files: Name -> content.
    """
    directory.mkdir(mode=0o700)
    for name, content in sorted(files.items()):
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchmod(descriptor, 0o444)
    directory.chmod(0o555)


def remove_directory(directory: Path) -> None:
    """Remove what `lay_out` made, if it is there."""
    import shutil  # noqa: PLC0415  few servers have any

    with contextlib.suppress(OSError):
        directory.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _file_system(place: str) -> str:
    """Return the kind of file system that a directory is on, "" where this system does not say it."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real = PurePosixPath(os.path.realpath(place))
    found = ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ")
        # of two at one place the later one is on top
        if (point == str(real) or PurePosixPath(point) in real.parents) and len(point) >= len(found[0]):
            found = (point, after.split()[0])
    return found[1]
