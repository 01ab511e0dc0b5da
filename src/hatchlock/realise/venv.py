"""A virtual environment on an interpreter that somebody else made: written, without starting that interpreter."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hatchlock.realise.tree import Entry, chunks
from hatchlock.realise.unpack import public_directory
from hatchlock.realise.wheels import BadWheel, wheel_tree

__all__ = ["write_environment"]

_CONFIG = "pyvenv.cfg"


def write_environment(environment: Path, wheels: Sequence[tuple[str, Path]], *, python: str, interpreter: Path) -> None:
    """Write a virtual environment (PEP 405) with wheels in it, which also sees what is installed beside its interpreter.

    Nothing is run: to start an interpreter is to run what is installed beside it, `.pth` files to begin with. There is no
    bytecode.

    Args:
        environment: Its directory, absolute; missing or empty. It stays where it is.
        wheels: File name (PEP 427) and the verified file, in any order.
        python: The interpreter's version, `3.11`.
        interpreter: The interpreter, an absolute path.

    Raises:
        BadWheel: A wheel is damaged, or a path in it leads out of its directory.
        OSError: The disk is full, or the like.
    """
    entries = wheel_tree(wheels, python=python, python_path=str(interpreter), root=str(environment), symlinks={})
    public_directory(environment)
    inside = str(environment).strip("/") + "/"
    try:
        for entry in entries:
            path = entry.path.removeprefix(inside)
            if path != entry.path:
                _write(_beside(entry) if path == _CONFIG else entry, environment / path)
    except (zipfile.BadZipFile, FileExistsError, NotADirectoryError) as error:
        raise BadWheel(wheel="one of them", why=str(error)) from error


def _beside(entry: Entry) -> Entry:
    assert isinstance(entry.content, bytes)  # noqa: S101  it is written by us, and short
    return replace(entry, content=entry.content.replace(b"site-packages = false", b"site-packages = true"))


def _write(entry: Entry, path: Path) -> None:
    match entry.kind:
        case "directory":
            public_directory(path)
        case "symlink":
            path.symlink_to(entry.target)
        case "file":
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, entry.mode)
            with open(handle, "wb") as stream:  # noqa: PTH123  of a descriptor
                stream.writelines(chunks(entry))
            path.chmod(entry.mode)
