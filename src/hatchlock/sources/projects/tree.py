"""The files of a project as they are read to learn what it is: only its own, and those of its workspace above it."""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hatchlock.files import reporting_permission
from hatchlock.sources.projects.ignore import repository_root
from hatchlock.sources.projects.loose import Document
from hatchlock.sources.projects.problems import BadProjectFile, LeadsOut, MissingProject
from hatchlock.sources.projects.snapshot import list_files

__all__ = ["ProjectTree"]

_LARGEST = 64 << 20
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_BOM = "\ufeff"


@dataclass(frozen=True, kw_only=True)
class ProjectTree:
    """A project's directory and the names of its files.

    Attributes:
        root: Without symlinks in its path.
        boundary: `root` or a directory above it; nothing outside of it is read.
        committed: See `ignore.walk`.
    """

    root: Path
    boundary: Path
    committed: bool = False

    @classmethod
    def open(cls, root: Path, *, workspace_root: Path | None = None, committed: bool = False) -> ProjectTree:
        """Look at a directory.

        Args:
            root: The project.
            workspace_root: The directory above which nothing is looked at; None: that with `.git`, else `root` itself.
            committed: See `ignore.walk`.

        Raises:
            MissingProject: `root` is no directory.
        """
        real = root.resolve()
        if not real.is_dir():
            raise MissingProject(root=str(root), is_file=real.exists())
        boundary = workspace_root.resolve() if workspace_root else repository_root(real) or real
        return cls(root=real, boundary=boundary if real.is_relative_to(boundary) else real, committed=committed)

    @cached_property
    def files(self) -> frozenset[str]:
        """The paths of what belongs to the project.

        Raises:
            LeadsOut, BadEntry, PermissionProblem: As for `list_files`.
        """
        return frozenset(file.path for file in list_files(self.root, committed=self.committed))

    @cached_property
    def directories(self) -> frozenset[str]:
        """The paths of the directories that hold some of its files; "" for its root."""
        found = {""}
        for path in self.files:
            while path := path.rpartition("/")[0]:
                found.add(path)
        return frozenset(found)

    @property
    def above(self) -> tuple[Path, ...]:
        """The directories above the project that may hold its workspace, nearest first."""
        return tuple(parent for parent in self.root.parents if parent.is_relative_to(self.boundary))

    def at(self, directory: Path) -> ProjectTree:
        """Return the tree of another directory of the same workspace."""
        return ProjectTree(root=directory, boundary=self.boundary, committed=self.committed)

    def relative(self, directory: Path) -> str:
        """Return the path of another directory of the workspace as the project would write it: `../core`."""
        return Path(os.path.relpath(directory, self.root)).as_posix()

    def bytes_of(self, name: str) -> bytes | None:
        """Return the bytes of one of the project's files; None if there is none of that name.

        Raises:
            LeadsOut: It is reached through a symlink that leads out of the project.
            BadProjectFile: It is too large to be what it should be.
        """
        return self._read(self.root / name) if name in self.files else None

    def text(self, name: str) -> str | None:
        """Return a file as text.

        Raises:
            BadProjectFile: It is no UTF-8, or too large.
        """
        data = self.bytes_of(name)
        return None if data is None else self._decoded(self.root / name, data)

    def toml(self, name: str) -> Document:
        """Return a TOML file; an empty table if there is none of that name.

        Raises:
            BadProjectFile: It is no TOML.
        """
        return self._toml(self.root / name, self.bytes_of(name))

    def json(self, name: str) -> Document:
        """Return a JSON file that holds an object; an empty one if there is none of that name.

        Raises:
            BadProjectFile: It is no JSON object.
        """
        return self._json(self.root / name, self.bytes_of(name))

    def outer_text(self, path: Path) -> str | None:
        """Return a file of the workspace as text, whether or not it is ignored; None if there is none."""
        data = self._read(path)
        return None if data is None else self._decoded(path, data)

    def outer_toml(self, path: Path) -> Document:
        """Return a TOML file of the workspace; an empty table if there is none."""
        return self._toml(path, self._read(path))

    def outer_json(self, path: Path) -> Document:
        """Return a JSON file of the workspace; an empty object if there is none."""
        return self._json(path, self._read(path))

    def is_outside(self, relative: str) -> bool:
        """Return whether a path, relative to the project, is above or beside the boundary."""
        return not Path(os.path.normpath(self.root / relative)).is_relative_to(self.boundary)

    def _shown(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()

    def _read(self, path: Path) -> bytes | None:
        with reporting_permission(path):
            try:
                real = Path(os.path.realpath(path, strict=True))
            except OSError as error:
                if error.errno in _ABSENT:
                    return None
                raise
            status = real.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            if not real.is_relative_to(self.boundary):
                raise LeadsOut(path=self._shown(path))
            if status.st_size > _LARGEST:
                raise BadProjectFile(file=self._shown(path), why=f"it has more than {_LARGEST >> 20} MiB")
            return real.read_bytes()

    def _decoded(self, path: Path, data: bytes) -> str:
        try:
            return data.decode().removeprefix(_BOM)
        except UnicodeDecodeError as error:
            raise BadProjectFile(file=self._shown(path), why=f"it is no UTF-8 (byte {error.start})") from error

    def _toml(self, path: Path, data: bytes | None) -> Document:
        if data is None:
            return {}
        try:
            return tomllib.loads(self._decoded(path, data))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise BadProjectFile(file=self._shown(path), why=f"it is no TOML: {error}") from error

    def _json(self, path: Path, data: bytes | None) -> Document:
        if data is None:
            return {}
        try:
            value = json.loads(self._decoded(path, data))
        except (ValueError, RecursionError) as error:
            raise BadProjectFile(file=self._shown(path), why=f"it is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadProjectFile(file=self._shown(path), why="it holds no JSON object")
        return value
