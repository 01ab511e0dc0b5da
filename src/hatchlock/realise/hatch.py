"""Hatch packages, laid out in an environment as they are: nothing of them is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hatchlock.realise.commands import BadCommand, first_line, is_command_name, is_inside, is_reserved, make_executable
from hatchlock.realise.projects import BadProject, source_directory
from hatchlock.realise.unpack import public_directory, unpack

__all__ = ["install_hatch_package"]

_SCRIPT = """\
{first}
import runpy
import sys

sys.path[0] = {directory!r}
sys.argv[0] = {file!r}
runpy.run_path({file!r}, run_name="__main__")
"""


def install_hatch_package(
    environment: Path, *, name: str, archive: Path, commands: Mapping[str, str], directory: str = "", at: str = ""
) -> Path:
    """Lay out a Hatch package, and offer commands that run files of it as `python FILE` does.

    Args:
        environment: The virtual environment's directory.
        name: The package's.
        archive: Its verified archive (zip), or the snapshot of its directory (tar). The one directory that everything is in
            is left out.
        commands: Command -> Python file below the package.
        directory: Its directory below `src`, one word; by default its name.
        at: Where programs will find the environment, an absolute path; where it is now, if nothing is said.

    Returns:
        The directory that it is in.

    Raises:
        BadArchive: The archive cannot be used.
        BadProject: The name cannot be that of a directory, or a command's file leads out of the package.
        BadCommand: A command would take the interpreter's place.
        OSError: The disk is full, or the like.
    """
    place = source_directory(environment, name, directory)
    unpack(archive, place, name=name, strip=None)
    public_directory(environment / "bin")
    shown = at or str(environment)
    inside = f"{shown}/{place.relative_to(environment)}"
    for command, file in commands.items():
        if is_reserved(command):
            raise BadCommand(package=name, command=command, target=file, why="that is the name of an interpreter")
        if not is_command_name(command) or not is_inside(file) or not (place / file).is_file():
            raise BadProject(name=name, why=f"its command {command!r} is {file!r}, which is no file of it")
        script = environment / "bin" / command
        script.unlink(missing_ok=True)
        first = first_line(f"{shown}/bin/python")
        script.write_text(_SCRIPT.format(first=first, directory=inside, file=f"{inside}/{file}"))
        make_executable(script)
    return place
