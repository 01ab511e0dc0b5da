"""Archives and programs from an address of their own, laid out in an environment below `programs/NAME`."""

from __future__ import annotations

import shutil
from pathlib import Path

from hatchlock.realise.bundles import install_bundle, is_bundle
from hatchlock.realise.commands import is_command_name
from hatchlock.realise.unpack import BadArchive, public_directory, unpack

__all__ = ["begins_as_program", "install_program", "is_archive"]

_PROGRAM_MODE = 0o755
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".zip", ".mcpb")
_MAGIC = 4
_PROGRAMS = (b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How a script, a program for Linux, and one for macOS (of one processor, of several) begin."""


def is_archive(file_name: str) -> bool:
    """Return whether a file with this name is unpacked; any other one is a program."""
    return file_name.lower().endswith(_ARCHIVES)


def install_program(environment: Path, *, name: str, file: Path, file_name: str, system: str) -> tuple[str, ...]:
    """Lay out a verified archive or program.

    An archive (by its file name: tar, also with gzip, bzip2 or xz, or zip) is unpacked, without the directory that
    everything in it is in, if there is exactly one. Where no file of it may be executed, as in archives made on Windows,
    those that begin as programs do are made executable. An MCP bundle has one command, called `name`. Anything else is one
    program.

    Args:
        environment: The environment's directory.
        name: What it is called there.
        file: The verified file.
        file_name: Its own name.
        system: Where it will run: "linux" or "darwin".

    Returns:
        What can be started, as paths below the environment, sorted: `programs/NAME/bin/tool`.

    Raises:
        BadArchive: The archive cannot be used, or `name` cannot be that of a directory.
        BadBundle: See `install_bundle`.
        OSError: The disk is full, or the like.
    """
    if not is_command_name(name):
        raise BadArchive(archive=file_name, why=f"{name!r} cannot be the name of a directory")
    directory = environment / "programs" / name
    if is_bundle(file_name):
        launcher = install_bundle(directory, name=name, file=file, file_name=file_name, system=system)
        return (str(launcher.relative_to(environment)),)
    if is_archive(file_name):
        unpack(file, directory, name=file_name, strip=None)
    else:
        public_directory(directory)
        shutil.copyfile(file, directory / name)
        (directory / name).chmod(_PROGRAM_MODE)
    found = _executables(directory) or _begin_as_programs(directory)
    return tuple(sorted(str(path.relative_to(environment)) for path in found))


def _executables(directory: Path) -> list[Path]:
    """Links to them as well: archives often offer their programs so."""
    return [path for path in directory.rglob("*") if path.is_file() and path.stat().st_mode & 0o111]


def _begin_as_programs(directory: Path) -> list[Path]:
    found = [path for path in directory.rglob("*") if path.is_file() and begins_as_program(path)]
    for path in found:
        path.chmod(_PROGRAM_MODE)
    return found


def begins_as_program(path: Path) -> bool:
    """Return whether a file's first bytes are those of a program or script."""
    with path.open("rb") as stream:
        return stream.read(_MAGIC).startswith(_PROGRAMS)
