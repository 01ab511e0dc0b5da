"""From parsed arguments to what use cases take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import UsageError
from hatchlock.files import check_private
from hatchlock.paths import MANIFEST_NAME, Home

if TYPE_CHECKING:
    import argparse

    from hatchlock.cli.ui import Ui
    from hatchlock.usecases.project import Project

__all__ = [
    "changed_project",
    "directory_of",
    "home_of",
    "opened_home",
    "project_name_of",
    "project_of",
    "project_or_none",
    "working_directory",
]


def home_of(arguments: argparse.Namespace) -> Home:
    """Return the store that a command works with.

    Raises:
        PermissionProblem: Another user owns it or a part of it, or could write to it: what is in it could be theirs.
    """
    return opened_home(arguments.home)


def opened_home(explicit: str | None) -> Home:
    """Return the store at a place that was named, or the usual one, as `home_of` does."""
    home = Home.locate(explicit=explicit, environ=os.environ)
    for directory in (home.root, home.blobs, home.envs, home.images, home.bin, home.cache, home.root / "projects"):
        check_private(directory)
    return home


def working_directory() -> str:
    """Return the directory that we were started in; "/" if it is gone, which no mount may be."""
    try:
        return os.getcwd()  # noqa: PTH109  as text
    except FileNotFoundError:
        return "/"


def directory_of(arguments: argparse.Namespace) -> Path:
    """Return the directory that a command starts in.

    Raises:
        UsageError: `-C` names no directory.
    """
    directory = Path(arguments.directory)
    if directory.is_dir():
        return directory
    if directory.exists():
        raise UsageError(
            what=f"-C {directory}: that is no directory", advice=f"name its directory: -C {directory.parent}"
        )
    raise UsageError(what=f"-C {directory}: there is no such directory", advice=_directory_near(directory))


def _directory_near(missing: Path) -> str:
    from hatchlock.manifest.problem import closest

    there = next(parent for parent in missing.absolute().parents if parent.is_dir())
    if there == missing.absolute().parent:
        with contextlib.suppress(OSError):
            if near := closest(missing.name, (path.name for path in there.iterdir() if path.is_dir())):
                return f"did you mean {missing.with_name(near)}?"
    return f"{there} is there; make the rest with mkdir -p, or name another one"


def project_of(arguments: argparse.Namespace, *, home: Home | None = None) -> Project:
    """Find and read the project that a command is about.

    Its directory has one name, without links and `..`, however the user names it: the project is bound to that.

    Args:
        arguments: The command line.
        home: The store, if it is not to be refused whatever it is like.

    Raises:
        NoManifest: There is none.
        UsageError: `--manifest` names a directory.
        AnotherProject: It is not the one that the command line names.
    """
    from hatchlock.usecases.project import open_project

    found = open_project(
        directory=directory_of(arguments).resolve(),
        manifest=_named_manifest(Path(arguments.manifest)) if arguments.manifest else None,
        use_global=arguments.use_global,
        home=home or home_of(arguments),
        environ=os.environ,
    )
    if arguments.project:
        _check_named(found, arguments.project)
    return found


def _check_named(found: Project, named: str) -> None:
    """A command that goes by the manifest would else do to one project what was said of another."""
    from hatchlock.usecases.named_project import AnotherProject
    from hatchlock.usecases.run import BrokenState, project_name

    try:
        name = project_name(found.manifest, found.manifest_bytes)
    except BrokenState:
        return  # it is told in the command's own words
    if name != named:
        raise AnotherProject(named=named, found=name, manifest=str(found.manifest))


def project_name_of(arguments: argparse.Namespace) -> str:
    """Return the name of the project that a command is about: as it was named, else the manifest's.

    Raises:
        NoManifest: None was named, and there is no manifest.
        BrokenState: The manifest does not give one.
    """
    if arguments.project:
        return str(arguments.project)
    from hatchlock.usecases.run import project_name

    return project_name(project_of(arguments).manifest)


@contextlib.contextmanager
def changed_project(arguments: argparse.Namespace, ui: Ui) -> Iterator[Project]:
    """Find a project whose manifest or lock is to be changed, and hold its manifest's lease while it is.

    Its files are read when nobody else changes them any more.

    Raises:
        NoManifest: There is none.
        LeaseHeld: Another command did not end in time.
    """
    from hatchlock.usecases.leases import manifest_lease
    from hatchlock.usecases.project import reread

    found = project_of(arguments)
    held = manifest_lease(
        found.home, found.manifest, purpose=arguments.command, timeout=arguments.lock_timeout, emit=ui.event
    )
    with held:
        yield reread(found)


def project_or_none(arguments: argparse.Namespace) -> Project:
    """Return the project whose indexes count; outside of any there is an empty one.

    Raises:
        NoManifest: There is none where one was named.
    """
    from hatchlock.usecases.project import NoManifest, Project

    try:
        return project_of(arguments)
    except NoManifest:
        if arguments.manifest or arguments.use_global:
            raise
    return Project(
        manifest=directory_of(arguments).resolve() / MANIFEST_NAME,
        home=home_of(arguments),
        environ=os.environ,
        manifest_bytes=b"",
        overlay_bytes=b"",
        lock_bytes=None,
    )


def _named_manifest(path: Path) -> Path:
    """A manifest that is itself a link keeps its name: what belongs to it lies beside the link."""
    if path.is_dir():
        advice = f"name the file in it, {path / MANIFEST_NAME}, or the directory with -C {path}"
        raise UsageError(what=f"--manifest {path}: it is a directory", advice=advice)
    return path.parent.resolve() / path.name
