"""Directories that a stranger has filled: a server, or a build. However deep they are, and whatever their links say.

Nothing here calls itself, holds more than two descriptors, or follows a link: a tree of a thousand directories within each
other would end whoever does. The stranger may still be at work meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

__all__ = ["delete_tree", "entries_below"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = 0o700


def entries_below(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield everything below a directory, the path relative to it first. What cannot be looked at is passed over."""
    waiting = [""]
    while waiting:
        above = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(root / above) as found:
            for entry in found:
                path = f"{above}/{entry.name}" if above else entry.name
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
                yield path, entry


def delete_tree(root: Path) -> None:
    """Delete a directory with all that is in it, also what its owner, if that is us, has closed to himself.

    What lies within a directory of it is moved up, so that no path gets long.

    Raises:
        OSError: It is no directory, something is not ours to delete, or appears there again and again.
    """
    top = _opened(root)
    try:
        waiting = deque(_emptied_of_files(top))
        number = 0
        while waiting:
            name = waiting.popleft()
            inner = _opened(Path(name), within=top)
            try:
                for below in _emptied_of_files(inner):
                    number += 1
                    moved = f".{os.urandom(8).hex()}-{number}"
                    _moved(below, inner, moved, top)
                    waiting.append(moved)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    root.rmdir()


def _emptied_of_files(directory: int) -> list[str]:
    """Delete what is no directory, and return the names of those that are."""
    with os.scandir(directory) as found:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in names:
        if not is_directory:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
    return [name for name, is_directory in names if is_directory]


def _moved(name: str, source: int, new: str, target: int) -> None:
    try:
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    except PermissionError:  # its `..` changes, so it has to be open too
        os.close(_opened(Path(name), within=source))
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)


def _opened(path: Path, *, within: int | None = None) -> int:
    """Open a directory that is ours, even if it was closed."""
    try:
        descriptor = os.open(path, _DIRECTORY, dir_fd=within)
    except PermissionError:
        _open_up(path, within)
        descriptor = os.open(path, _DIRECTORY, dir_fd=within)
    if os.geteuid() != 0 and stat.S_IMODE(os.fstat(descriptor).st_mode) & _OPEN != _OPEN:
        os.fchmod(descriptor, _OPEN)
    return descriptor


def _open_up(path: Path, within: int | None) -> None:
    """A name may become a link between two calls, so it is held first (Linux)."""
    held = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        Path(f"/proc/self/fd/{held}").chmod(_OPEN)
    finally:
        os.close(held)
