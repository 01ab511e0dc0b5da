"""Projects from git or a directory, laid out in an environment as they are: nothing is built, and nothing is run.

A project's files are `src/DIRECTORY/` below the environment. A Python project comes onto the import path by a `.pth` file (as an
editable install does) and is known to `importlib.metadata` by a small `.dist-info`; a Node project is a link in
`node_modules`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.realise.commands import (
    BadCommand,
    check_commands,
    console_script,
    is_command_name,
    is_inside,
    is_reserved,
    link_to,
    present_commands,
)
from hatchlock.realise.unpack import public_directory, unpack

__all__ = ["BadProject", "install_files", "install_node_project", "install_project", "source_directory"]

_FILE_MODE = 0o644
_PROGRAM_MODE = 0o755
_NAME = re.compile(r"(@[^/\s@]+/)?[^/\s.@][^/\s]*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.!+-]*")
_ENTRY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(kw_only=True, eq=False)
class BadProject(HatchlockError):
    """A project says of itself what cannot be laid out."""

    code: ClassVar[str] = "bad-project"

    name: str
    why: str

    def __str__(self) -> str:
        return f"the project {self.name!r} cannot be installed: {self.why}"

    def _hint(self) -> str:
        return "correct the project's own metadata, and run `hatchlock lock`"


def source_directory(environment: Path, name: str, directory: str = "") -> Path:
    """Return where a project's files are, or would be: `src/DIRECTORY`, or `src/NAME`, for `@scope/name` `src/scope-name`.

    Raises:
        BadProject: The name cannot be that of a directory.
    """
    word = directory or name.removeprefix("@").replace("/", "-")
    if not _NAME.fullmatch(name) or not name.isprintable() or not is_command_name(word):
        raise BadProject(name=name, why="that name cannot be one of a directory")
    return environment / "src" / word


def install_files(environment: Path, *, name: str, snapshot: Path, directory: str = "") -> Path:
    """Lay out plain files that nothing installs.

    Args:
        environment: The environment's directory.
        name: What they are called in it.
        snapshot: Their verified snapshot, a tar file.
        directory: Its directory below `src`, one word; by default its name.

    Returns:
        The directory that they are in.

    Raises:
        BadArchive: The snapshot cannot be used.
        BadProject: The name cannot be that of a directory.
        OSError: The disk is full, or the like.
    """
    place = source_directory(environment, name, directory)
    unpack(snapshot, place, name=name)
    return place


def install_project(
    environment: Path,
    *,
    name: str,
    version: str,
    python: str,
    snapshot: Path,
    import_root: str,
    scripts: Mapping[str, str],
    requires: Sequence[str],
    directory: str = "",
    at: str = "",
) -> Path:
    """Lay out a Python project in a virtual environment.

    Args:
        environment: The virtual environment's directory.
        name: Normalised (PEP 503).
        version: Normalised (PEP 440).
        python: The interpreter's version, `3.11`.
        snapshot: Its verified snapshot, a tar file.
        import_root: The directory that goes on the import path, below the project: `src`, `.`.
        scripts: Console script -> `module:function`. They take the place of scripts that packages have under the same name.
        requires: What it needs, as `Requires-Dist` says it (PEP 508).
        directory: See `install_files`.
        at: Where programs will find the environment, an absolute path; where it is now, if nothing is said.

    Returns:
        The directory that its files are in.

    Raises:
        BadArchive: The snapshot cannot be used.
        BadProject: Its metadata cannot be those of a project.
        BadCommand: A script's name or function is none, or it would take the interpreter's place.
        OSError: The disk is full, or the like.
    """
    if not _VERSION.fullmatch(version):
        raise BadProject(name=name, why=f"{version!r} is no version")
    if odd := next((text for text in requires if not text.isprintable()), ""):
        raise BadProject(name=name, why=f"{odd!r} is no requirement")
    shown = at or str(environment)
    texts = _console_scripts(f"{shown}/bin/python", name, scripts)
    place = install_files(environment, name=name, snapshot=snapshot, directory=directory)
    root = _import_root(place, name, import_root).relative_to(environment)
    packages = environment / "lib" / f"python{python}" / "site-packages"
    escaped = name.replace("-", "_")
    info = f"{escaped}-{version.replace('-', '_')}.dist-info"
    files = {
        f"_hatchlock_{escaped}.pth": f"{shown}/{root}\n".encode(),
        f"{info}/METADATA": _metadata(name, version, requires),
        f"{info}/INSTALLER": b"hatchlock\n",
        f"{info}/entry_points.txt": _entry_points(scripts),
    }
    programs = {os.path.relpath(environment / "bin" / command, packages): text for command, text in texts.items()}
    for path, content in files.items():
        _write(packages / path, content, _FILE_MODE)
    for path, content in programs.items():
        _write(packages / path, content, _PROGRAM_MODE)
    _write(packages / info / "RECORD", _record({**files, **programs}, f"{info}/RECORD"), _FILE_MODE)
    return place


def install_node_project(
    environment: Path, *, name: str, snapshot: Path, commands: Mapping[str, str], directory: str = ""
) -> tuple[str, ...]:
    """Lay out a Node project, as `node_modules/NAME` and with its commands in `bin`.

    Args:
        environment: The environment's directory.
        name: As npm has it, `@scope/name`.
        snapshot: Its verified snapshot, a tar file.
        commands: Command -> file below the project.
        directory: See `install_files`.

    Returns:
        The commands that were linked, sorted. They take the place of what is in `bin` already.

    Raises:
        BadArchive: The snapshot cannot be used.
        BadProject: The name cannot be that of a package, or there is one.
        BadCommand: A command leads out of the project.
        OSError: The disk is full, or the like.
    """
    check_commands(name, commands)
    place = install_files(environment, name=name, snapshot=snapshot, directory=directory)
    module = environment / "node_modules" / name
    if module.is_dir() and not module.is_symlink():
        raise BadProject(name=name, why="the environment has a package of that name")
    link_to(place, at=module)
    public_directory(environment / "bin")
    linked = []
    for command, program in present_commands(place, commands):
        link_to(program, at=environment / "bin" / command)
        linked.append(command)
    return tuple(linked)


def _console_scripts(interpreter: str, name: str, scripts: Mapping[str, str]) -> dict[str, bytes]:
    texts = {}
    for command, entry in sorted(scripts.items()):
        if not is_command_name(command) or is_reserved(command):
            raise BadCommand(package=name, command=command, target=entry, why="that name is none, or already taken")
        if not _ENTRY.fullmatch(entry):
            raise BadCommand(package=name, command=command, target=entry, why="that is not of the form module:function")
        module, _, function = entry.partition(":")
        texts[command] = console_script(interpreter, module, function)
    return texts


def _import_root(directory: Path, name: str, import_root: str) -> Path:
    if not is_inside(import_root):
        raise BadProject(name=name, why=f"its packages are in {import_root!r}, which leads out of it")
    root = directory / import_root  # `.` vanishes
    if not root.is_dir():
        raise BadProject(name=name, why=f"its packages should be in {import_root!r}, which is no directory of it")
    return root


def _metadata(name: str, version: str, requires: Sequence[str]) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires), ""]).encode()


def _entry_points(scripts: Mapping[str, str]) -> bytes:
    lines = ["[console_scripts]", *(f"{command} = {entry}" for command, entry in sorted(scripts.items()))]
    return "\n".join([*lines, ""]).encode()


def _record(files: Mapping[str, bytes], record: str) -> bytes:
    rows = [(path, f"sha256={_encoded(content)}", str(len(content))) for path, content in files.items()]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted([*rows, (record, "", "")]))
    return text.getvalue().encode()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _write(path: Path, content: bytes, mode: int) -> None:
    path = Path(os.path.normpath(path))
    public_directory(path.parent)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
