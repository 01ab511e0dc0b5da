"""What the install scripts of an npm package, or a Node project's build, do to its own directory: kept as a tar file."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

from hatchlock.images.layer import write_layer
from hatchlock.realise.builds.order import BadBuildResult
from hatchlock.realise.npm import NpmPlacement, check_place, unpack_packages
from hatchlock.realise.tree import Entry, FileOnDisk
from hatchlock.realise.unpack import public_directory, unpack
from hatchlock.sources.projects.node_project import BUILDERS

__all__ = ["ScriptInput", "overlay", "script_program", "taken_changes", "write_script_order"]

_LENGTH = 16
_LARGEST_HEAD = 64 << 20
_LARGEST = 1 << 30
_CHUNK = 1 << 20
_PATH = re.compile(r"(?!/)(?!.*(^|/)\.{1,2}(/|\Z))(?!.*//)[^\\\0]+(?<!/)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptInput:
    """What install scripts, or a build, see.

    Attributes:
        package: Id of the package or project: `npm:sharp@0.33.5`.
        path: Where it is in the tree, `node_modules/sharp`; a project is the directory that `node_modules` is in, "".
        tree: Every package of the tree.
        projects: Path -> verified snapshot of each project in the tree.
        entries: Of a project that is built, the files that its build has to make.
    """

    package: str
    path: str
    tree: Sequence[NpmPlacement]
    projects: Mapping[str, Path] = field(default_factory=dict)
    entries: Sequence[str] = ()


def script_program() -> str:
    """Return the program that runs inside, as text for `node -e`."""
    return files("hatchlock.realise.builds").joinpath("scripts.js").read_text()


def write_script_order(wanted: ScriptInput, out: BinaryIO, *, scratch: Path) -> None:
    """Write everything that install scripts get on their stdin.

    Args:
        wanted: Which package, and its tree.
        out: Where to.
        scratch: A directory of ours; nothing stays in it.

    Raises:
        BadArchive, BadCommand, BadPlace: A package of the tree cannot be used.
        OSError: The disk is full, or the like.
    """
    name, _, version = wanted.package.partition(":")[2].rpartition("@")
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        root = Path(directory)
        for path, snapshot in sorted(wanted.projects.items()):
            if path:
                check_place(path, path)
            unpack(snapshot, root / path, name=path or name, place=_own)
        unpack_packages(wanted.tree, root)
        listed = sorted(_below(root, root))
        head = {
            "name": name,
            "version": version,
            "path": wanted.path,
            "builders": [] if wanted.path else BUILDERS,
            "files": [_described(root / path, path) for path in listed],
        }
        text = json.dumps(head).encode()
        out.write(str(len(text)).zfill(_LENGTH).encode() + text)
        for path in listed:
            if not (root / path).is_symlink():
                with (root / path).open("rb") as stream:
                    shutil.copyfileobj(stream, out)


def _own(path: str) -> str:
    """Leave out what a repository has of other packages: the lock says what is there."""
    return "" if path.partition("/")[0] == "node_modules" else path


def _below(directory: Path, root: Path) -> list[str]:
    found: list[str] = []
    for place, folders, names in os.walk(directory):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [(Path(place) / name).relative_to(root).as_posix() for name in (*names, *links)]
    return found


def _described(place: Path, path: str) -> dict[str, Any]:
    if place.is_symlink():
        return {"path": path, "link": str(place.readlink())}
    state = place.stat()
    return {"path": path, "size": state.st_size, "mode": stat.S_IMODE(state.st_mode)}


def taken_changes(stream: BinaryIO, into: Path, *, package: str, scratch: Path, entries: Sequence[str] = ()) -> None:
    """Write what scripts changed, or a build made, as they say it, to a tar file that depends on that alone.

    Args:
        stream: What they wrote to stdout, from its beginning.
        into: The file to write.
        package: For messages.
        scratch: A directory of ours.
        entries: Files that have to be among them.

    Raises:
        BadBuildResult: It is something else, or they are not.
        OSError: The disk is full, or the like.
    """
    try:
        with tempfile.TemporaryDirectory(dir=scratch) as directory, into.open("wb") as out:
            found = _entries(stream, Path(directory))
            if missing := sorted(set(entries) - {item.path for item in found}):
                raise BadBuildResult(package=package, why=f"{missing[0]}, by which it is started, is not in it")
            write_layer(found, out)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise BadBuildResult(package=package, why=f"its scripts left something else than files ({error})") from error


def _entries(stream: BinaryIO, directory: Path) -> list[Entry]:
    size = int(stream.read(_LENGTH))
    if not 0 <= size <= _LARGEST_HEAD:
        raise ValueError(size)
    described = json.loads(stream.read(size))["files"]
    found = [_entry(item, stream, directory / str(number)) for number, item in enumerate(described)]
    if stream.read(1):
        raise ValueError("there is more than it lists")
    return found


def _entry(item: Any, stream: BinaryIO, place: Path) -> Entry:
    path = item["path"]
    # what is installed inside of a package are other packages
    if not _PATH.fullmatch(path) or path.partition("/")[0] == "node_modules":
        raise ValueError(f"{path!r} leads out of it")
    if "link" in item:
        return Entry(path=path, kind="symlink", mode=0o777, target=str(item["link"]))
    left = int(item["size"])
    if not 0 <= left <= _LARGEST:
        raise ValueError(f"{path!r} has {left} bytes")
    entry = Entry(path=path, mode=0o755 if item["mode"] & 0o111 else 0o644, content=FileOnDisk(path=place, size=left))
    with place.open("wb") as out:
        while left and (piece := stream.read(min(left, _CHUNK))):
            out.write(piece)
            left -= len(piece)
    if left:
        raise ValueError(f"{path!r} is cut off")
    return entry


def overlay(changes: Path, directory: Path, *, name: str) -> None:
    """Put what scripts changed over a package; what they deleted stays.

    Args:
        changes: A file of `taken_changes`, verified.
        directory: The package, as its tarball has it.
        name: For messages.

    Raises:
        BadArchive: A link in it leads out of the package.
        OSError: The disk is full, or the like.
    """
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".scripts-") as scratch:
        unpack(changes, Path(scratch), name=name)
        for path in sorted(_below(Path(scratch), Path(scratch))):
            target = directory / path
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            _only_directories(directory, target.parent)
            (Path(scratch) / path).replace(target)


def _only_directories(root: Path, directory: Path) -> None:
    """Make a directory where a file or a link may have been."""
    if directory == root:
        return
    _only_directories(root, directory.parent)
    if directory.is_symlink() or directory.is_file():
        directory.unlink()
    public_directory(directory)
