"""What a program that is installed on this machine belongs to, as its installer wrote it down. Nothing is run."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from hatchlock.migrate.values import at_home

__all__ = ["behind_a_shim", "module_source", "past_our_own", "program_places", "program_source"]


def past_our_own(command: str) -> str:
    """Return the program that a name stands for where the first one of that name on PATH is in our own environment.

    Who follows the instructions to install us has that environment on PATH while typing, and no application has: what it starts
    as `python3` is another one.

    Args:
        command: A path, or a name that is looked for on PATH.

    Returns:
        The other program's path; "" where the first one is none of ours, or there is no other.
    """
    own = os.path.realpath(Path(sys.prefix) / "bin")
    if "/" in command or sys.prefix == sys.base_prefix or (place := shutil.which(command)) is None:
        return ""
    if os.path.realpath(Path(place).parent) != own:
        return ""
    others = (path for path in os.get_exec_path() if os.path.realpath(path) != own)
    return shutil.which(command, path=os.pathsep.join(others)) or ""


def behind_a_shim(command: str) -> tuple[str, str]:
    """Return a shim of pyenv, nodenv or their like, and the program that it starts where nothing else is said.

    A shim is a script that needs all of pyenv to find its program.

    Args:
        command: A path, or a name that is looked for on PATH.

    Returns:
        The paths of both; "" and "" where it is no shim, or nothing says what it starts.
    """
    shim = Path(shutil.which(at_home(command)) or "")
    versions = shim.parent.parent / "versions"
    if shim.parent.name != "shims" or not versions.is_dir():
        return "", ""
    try:
        chosen = shim.parent.parent.joinpath("version").read_text().split()
    except (OSError, UnicodeDecodeError):
        chosen = []
    places = (versions / version / "bin" / shim.name for version in chosen)
    others = os.pathsep.join(path for path in os.get_exec_path() if Path(path) != shim.parent)
    found = next((str(path) for path in places if path.is_file()), shutil.which(shim.name, path=others))
    return (str(shim), found) if found else ("", "")


def program_source(command: str) -> str:
    """Return the source of the package whose command a program is, with the version that is installed.

    Args:
        command: A path, or a name that is looked for on PATH.

    Returns:
        `pypi:NAME==VERSION` or `npm:NAME@VERSION`, or where that was installed from a repository or a directory, these; "" if
        nothing says it.
    """
    place = shutil.which(at_home(command))
    if place is None:
        return ""
    real = Path(place).resolve()
    if found := _npm_package(real):
        return found
    for directory in _site_packages(Path(place), real):
        for info in sorted(directory.glob("*.dist-info")):
            if _has_file(info, re.compile(rf"(?:\.\./)+(?:bin|Scripts)/{re.escape(Path(place).name)}(?:\.exe)?")):
                return _distribution(info)
    return ""


def program_places(command: str) -> list[str]:
    """Return what has to be seen for a program of this machine to run; nothing if there is no such program.

    It is the program's file; of a Python its library too, of a virtual environment all of it, and the interpreter that it was made
    from.
    """
    place = shutil.which(at_home(command))
    if place is None:
        return []
    root, base = Path(place).parent.parent, Path(place).resolve().parent.parent
    if not (root / "pyvenv.cfg").is_file():
        return [str(base)] if any(base.glob("lib/python3*/os.py")) else [place]
    return [str(root)] if base.is_relative_to(root) else [str(root), str(base)]


def module_source(interpreter: str, module: str) -> str:
    """Return the source of the package that a module belongs to, in the environment of an interpreter; "" if nothing says it.

    Args:
        interpreter: A path, or a name that is looked for on PATH. Only a virtual environment's is looked at: what a system has
            comes from the system, and may be anything.
        module: What stands behind `-m`.
    """
    place = shutil.which(at_home(interpreter))
    if place is None:
        return ""
    top = re.escape(module.partition(".")[0])
    for directory in _site_packages(Path(place)):
        for info in sorted(directory.glob("*.dist-info")):
            if _has_file(info, re.compile(rf"{top}(?:/__init__)?\.py|{top}/.*|__editable___.*{top}.*|_{top}\.pth")):
                return _distribution(info)
    return ""


def _site_packages(*programs: Path) -> Iterator[Path]:
    """Yield where the virtual environments keep packages in whose `bin` programs are."""
    for root in dict.fromkeys(program.parent.parent for program in programs):
        if (root / "pyvenv.cfg").is_file():
            yield from sorted(root.glob("lib/python3*/site-packages"))


def _has_file(info: Path, pattern: re.Pattern[str]) -> bool:
    record = _text(info / "RECORD")
    return any(pattern.fullmatch(line.partition(",")[0].strip('"')) for line in record.splitlines())


def _distribution(info: Path) -> str:
    metadata = HeaderParser().parsestr(_text(info / "METADATA"), headersonly=True)
    name, version = metadata.get("Name", ""), metadata.get("Version", "")
    origin = _json(info / "direct_url.json")
    url, vcs = str(origin.get("url", "")), origin.get("vcs_info")
    if isinstance(vcs, dict) and vcs.get("vcs") == "git":
        return f"git:{url}@{vcs.get('commit_id', '')}"
    if url.startswith("file://") and "dir_info" in origin:
        return f"path:{url.removeprefix('file://')}"
    return f"pypi:{name}=={version}" if name and version and not url else ""


def _npm_package(program: Path) -> str:
    """A command of a global npm package is a link into `node_modules`."""
    parts = program.parts
    if "node_modules" not in parts:
        return ""
    at = len(parts) - 1 - parts[::-1].index("node_modules")
    depth = 3 if parts[at + 1].startswith("@") else 2
    package = _json(Path(*parts[: at + depth], "package.json"))
    name, version = package.get("name"), package.get("version")
    is_global = len(parts) > at and parts[at - 1] in {"lib", "global", "npm", "5"}
    return f"npm:{name}@{version}" if is_global and name and version else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
