"""What `bin` directories hold: links to the programs of packages, and Python's console scripts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.realise.unpack import public_directory

__all__ = [
    "BadCommand",
    "CommandTaken",
    "check_commands",
    "console_script",
    "first_line",
    "is_command_name",
    "is_inside",
    "is_of_python",
    "is_reserved",
    "link_to",
    "make_executable",
    "present_commands",
]

_PROGRAM_MODE = 0o755
_PYTHON = re.compile(r"python[\d.]*t?(\.exe)?|(de)?activate(\.\w+)?|activate_this\.py")
_NODE = re.compile(r"node(js)?(\.exe)?")
_SHEBANG_WITH_CRLF = re.compile(rb"#![^\n]+\r\n")
_FIRST_LINE = 2048
_LONGEST_SHEBANG = 127
_SCRIPT = """\
{first}
import sys

from {module} import {name}

if __name__ == "__main__":
    sys.exit({function}())
"""


@dataclass(kw_only=True, eq=False)
class BadCommand(HatchlockError):
    """A package declares a command that cannot be offered."""

    code: ClassVar[str] = "bad-command"

    package: str
    command: str
    target: str
    why: str

    def __str__(self) -> str:
        return f"{self.package} declares the command {self.command!r} as {self.target!r}: {self.why}"

    def _hint(self) -> str:
        return "choose another version of this package, and run `hatchlock lock`"


@dataclass(kw_only=True, eq=False)
class CommandTaken(HatchlockError):
    """Several packages of one environment have a command of one name, so nobody can say which one is meant."""

    code: ClassVar[str] = "command-taken"

    environment: str
    command: str
    owners: tuple[str, ...]

    def __str__(self) -> str:
        owners = " and ".join(self.owners)
        return f"{owners} both have a command {self.command!r}, and share the environment {self.environment!r}"

    def _hint(self) -> str:
        return "give the server an environment of its own, or name another of its programs: command = …"


def check_commands(package: str, commands: Mapping[str, str]) -> None:
    """Refuse commands whose name is none, or whose file is outside of the package.

    Args:
        package: What to call it in messages.
        commands: Command -> file in the package.

    Raises:
        BadCommand: The first one that cannot be.
    """
    for command, target in sorted(commands.items()):
        if not is_command_name(command):
            raise BadCommand(package=package, command=command, target=target, why="that is no name for a file")
        if not is_inside(target):
            raise BadCommand(package=package, command=command, target=target, why="that leads out of the package")


def is_command_name(text: str) -> bool:
    """Return whether `text` can be the name of one file in a directory."""
    return text not in {"", ".", ".."} and text.isprintable() and not {"/", "\\"} & set(text)


def is_reserved(command: str) -> bool:
    """Return whether a name in `bin` is that of an interpreter, or of what switches to one: no package may have it."""
    return is_of_python(command) or _NODE.fullmatch(command.lower()) is not None


def is_of_python(command: str) -> bool:
    """Return whether a name in `bin` belongs to the virtual environment itself: no wheel may have it either."""
    return _PYTHON.fullmatch(command.lower()) is not None


def is_inside(path: str) -> bool:
    """Return whether a path, as it is written, stays below where it begins."""
    return bool(path) and path.isprintable() and not path.startswith("/") and ".." not in path.split("/")


def present_commands(directory: Path, commands: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Return command and program of those commands whose file is there, sorted, and make the programs executable.

    Reserved names are left out.

    A first line that ends as on Windows is mended, as npm does: the system would look for an interpreter of that name.
    """
    found = []
    for command, target in sorted(commands.items()):
        program = directory / target
        if not is_reserved(command) and program.is_file():
            make_executable(program)
            found.append((command, program))
    return found


def make_executable(program: Path) -> None:
    """Give a program mode 0755 and its first line the line ending that the system wants."""
    with program.open("rb") as stream:
        mend = _SHEBANG_WITH_CRLF.match(stream.read(_FIRST_LINE))
    if mend:
        program.write_bytes(program.read_bytes().replace(b"\r\n", b"\n", 1))
    program.chmod(_PROGRAM_MODE)


def link_to(program: Path, *, at: Path) -> None:
    """Put a relative symlink to a program at a path, in place of what is there."""
    public_directory(at.parent)
    at.unlink(missing_ok=True)
    at.symlink_to(os.path.relpath(program, at.parent))


def console_script(interpreter: str, module: str, function: str) -> bytes:
    """Return the text of a Python console script.

    Args:
        interpreter: The environment's own, an absolute path. One that is too long for a first line, or has a space, is
            started by way of the shell.
        module: What it imports.
        function: What it calls, `main` or `App.main`.
    """
    name = function.partition(".")[0]
    return _SCRIPT.format(first=first_line(interpreter), module=module, name=name, function=function).encode()


def first_line(interpreter: str) -> str:
    """Return what a Python script begins with, so that an interpreter runs it; see `console_script`."""
    first = f"#!{interpreter}"
    if len(first) > _LONGEST_SHEBANG or " " in interpreter:
        quoted = interpreter.replace("'", "'\"'\"'")
        first = f"#!/bin/sh\n'''exec' '{quoted}' \"$0\" \"$@\"\n' '''"
    return first
