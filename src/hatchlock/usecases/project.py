"""Which project a command is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import read_optional
from hatchlock.paths import (
    LOCK_NAME,
    MANIFEST_NAME,
    OVERLAY_NAME,
    Home,
    find_manifest,
    global_manifest,
    placed,
    user_home,
)

__all__ = ["NoManifest", "Project", "open_project", "reread"]


@dataclass(kw_only=True, eq=False)
class NoManifest(HatchlockError):
    """There is no manifest where a command looked for one."""

    code: ClassVar[str] = "no-manifest"

    looked: str
    name: str = MANIFEST_NAME
    command: str = "hatchlock init"

    def __str__(self) -> str:
        return f"there is no {self.name} in {self.looked}"

    def _hint(self) -> str:
        return f"make one with `{self.command}`, or name a directory with -C"


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A manifest and what lies beside it, read once, so that a command works on one state of the files.

    Attributes:
        manifest: Path of the manifest, absolute.
        home: The store.
        environ: The command's environment.
        manifest_bytes: The manifest.
        overlay_bytes: The overlay; empty when there is none.
        lock_bytes: The lock; None when there is none.
    """

    manifest: Path
    home: Home
    environ: Mapping[str, str]
    manifest_bytes: bytes
    overlay_bytes: bytes
    lock_bytes: bytes | None

    @property
    def manifest_text(self) -> str:
        """The manifest as text.

        Raises:
            ManifestProblem: It is not UTF-8.
        """
        try:
            return self.manifest_bytes.decode()
        except UnicodeDecodeError as error:
            from hatchlock.manifest.problem import not_utf8

            raise not_utf8(error, shown=self.manifest.name) from error

    @property
    def directory(self) -> Path:
        """The manifest's directory."""
        return self.manifest.parent

    def place(self, written: str) -> Path:
        """Return where a path that the manifest or the lock has is on this machine; see `paths.placed`."""
        return placed(written, directory=self.directory, home=user_home(self.environ))

    @property
    def lock(self) -> Path:
        """Path of the lock."""
        return self.directory / LOCK_NAME

    @property
    def overlay(self) -> Path:
        """Path of the overlay."""
        return self.directory / OVERLAY_NAME


def reread(project: Project) -> Project:
    """Return a project with its files as they are by now: another command may have changed them while this one waited.

    Raises:
        NoManifest: The manifest is gone.
        PermissionProblem: One of the files may not be read.
    """
    return open_project(
        directory=project.directory,
        manifest=project.manifest,
        use_global=False,
        home=project.home,
        environ=project.environ,
    )


def open_project(
    *, directory: Path, manifest: Path | None, use_global: bool, home: Home, environ: Mapping[str, str]
) -> Project:
    """Find and read a project's files.

    Args:
        directory: Where to start looking, upwards to the root of the repository.
        manifest: The manifest, when it was named.
        use_global: Whether the user's own manifest is meant (`-g`).
        home: The store.
        environ: The environment.

    Raises:
        NoManifest: There is none.
        PermissionProblem: One of the files may not be read.
    """
    path = manifest or (global_manifest(environ) if use_global else find_manifest(directory.absolute()))
    if path is None:
        raise NoManifest(looked=f"{directory.absolute()} or above it")
    data = read_optional(path)
    if data is None:
        command = "hatchlock init -g" if use_global else "hatchlock init"
        raise NoManifest(looked=str(path.absolute().parent), name=path.name, command=command)
    path = path.absolute()
    return Project(
        manifest=path,
        home=home,
        environ=environ,
        manifest_bytes=data,
        overlay_bytes=read_optional(path.with_name(OVERLAY_NAME)) or b"",
        lock_bytes=read_optional(path.with_name(LOCK_NAME)),
    )
