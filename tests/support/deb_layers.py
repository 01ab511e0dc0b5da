"""Layers of Debian packages: bases as values or directories, packages on disk, and layers laid over a directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hatchlock.realise.base_tree import BasePath, BaseTree
from hatchlock.realise.debs.contents import DebFile
from hatchlock.realise.debs.layer import WANTED_OF_BASE, deb_tree
from hatchlock.realise.tree import Entry, chunks
from support.debian_archive import Deb, Link, status_of

__all__ = ["base_of", "base_on_disk", "content_of", "installed", "lay_over", "layer_of", "on_disk"]


def base_of(files: Mapping[str, bytes | str | Link | None] | None = None, *debs: Deb) -> BaseTree:
    """Return a base with these files (None: a directory), and packages installed as dpkg does it."""
    found = {**installed(*debs), **(files or {})}
    paths: dict[str, BasePath] = {}
    for path, content in found.items():
        for parent in Path(path).parents:
            if str(parent) != ".":
                paths.setdefault(str(parent), BasePath(kind="directory"))
        if isinstance(content, Link):
            paths[path] = BasePath(kind="symlink", target=content.target)
        else:
            paths[path] = BasePath(kind="directory" if content is None else "file")
    contents = {path: item.encode() if isinstance(item, str) else item for path, item in found.items()}
    return BaseTree(
        paths=paths,
        files={
            path: item for path, item in contents.items() if isinstance(item, bytes) and WANTED_OF_BASE.fullmatch(path)
        },
    )


def installed(*debs: Deb) -> dict[str, bytes | str | Link | None]:
    """Return the files of installed packages, and dpkg's records of them."""
    found: dict[str, bytes | str | Link | None] = {"var/lib/dpkg/status": status_of(*debs)}
    for deb in debs:
        name = f"{deb.name}:{deb.architecture}" if deb.fields.get("Multi-Arch") == "same" else deb.name
        parents = {str(parent) for path in deb.files for parent in Path(path).parents if str(parent) != "."}
        listed = sorted({*deb.files, *parents})
        found[f"var/lib/dpkg/info/{name}.list"] = "/.\n" + "".join(f"/{path}\n" for path in listed)
        found |= deb.files
    return found


def on_disk(directory: Path, *debs: Deb) -> list[DebFile]:
    """Write packages into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    for deb in debs:
        path = directory / f"{deb.name}.deb"
        path.write_bytes(deb.data)
        found.append(DebFile(name=deb.name, version=deb.version, file_name=deb.file_name, path=path))
    return found


def layer_of(directory: Path, base: BaseTree, *debs: Deb) -> dict[str, Entry]:
    """Return what a layer with these packages has, by path."""
    scratch = directory / f"scratch-{len(list(directory.iterdir()))}"
    scratch.mkdir()
    entries = deb_tree(on_disk(directory / "debs", *debs), base=base, scratch=scratch)
    assert len({entry.path for entry in entries}) == len(entries)
    return {entry.path: entry for entry in entries}


def content_of(entry: Entry) -> bytes:
    return b"".join(chunks(entry))


def base_on_disk(root: Path) -> BaseTree:
    """Return a directory as a base."""
    paths: dict[str, BasePath] = {}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory, name)
            inside = str(path.relative_to(root))
            if path.is_symlink():
                paths[inside] = BasePath(kind="symlink", target=str(path.readlink()))
            elif path.is_dir():
                paths[inside] = BasePath(kind="directory")
            else:
                paths[inside] = BasePath(kind="file" if path.is_file() else "other")
    wanted = (path for path, item in paths.items() if item.kind == "file" and WANTED_OF_BASE.fullmatch(path))
    return BaseTree(paths=paths, files={path: (root / path).read_bytes() for path in wanted})


def lay_over(root: Path, entries: Sequence[Entry]) -> None:
    """Do with a directory what an engine does with a layer; files are replaced and not changed in place."""
    for entry in entries:
        path = root / entry.path
        if entry.kind == "directory":
            path.mkdir(exist_ok=True, parents=True)
            path.chmod(entry.mode)
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True, parents=True)
        if entry.kind == "symlink":
            path.symlink_to(entry.target)
        elif entry.kind == "file":
            path.write_bytes(content_of(entry))
            path.chmod(entry.mode)
