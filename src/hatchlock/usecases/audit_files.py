"""What `audit` is told of files: who may read and write them, and where secrets lie. Reads only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchlock.resources.target import Target
    from hatchlock.security.audit import facts as known
    from hatchlock.usecases.project import Project

__all__ = ["mode_of", "paths", "secret_files"]

_TREES = {"envs", "conda", "pythons"}
"""Below the store: what servers of other users read, too; the directory above keeps everybody else out."""


def paths(project: Project, target: Target | None) -> Iterator[known.PathFacts]:
    """Yield who may read and write the store and what is in it, a project's files, and those of applications.

    Args:
        project: Whose.
        target: Names the files of applications; None if it is not known what should be.
    """
    home = project.home
    if home.root.exists():
        yield _path(home.root, "store")
        yield from _open_below(home.root)
        yield from (_path(path, "secret") for path in sorted(home.root.glob("secrets.*")))
    for path in (project.manifest, project.overlay, project.lock):
        if path.exists():
            yield _path(path, "project")
    if target:
        files = {entry.file.path for entry in target.entries}
        yield from (_path(Path(name), "client") for name in sorted(files) if Path(name).exists())


def secret_files(project: Project, server: known.ServerFacts) -> Iterator[known.SecretFile]:
    """Yield what is known of the files that a server's secrets are in."""
    from hatchlock.security.audit.facts import SecretFile
    from hatchlock.security.secrets.files import open_to_others, secret_path
    from hatchlock.security.secrets.tracked import not_ignored

    for variable, reference in sorted(server.secrets.items()):
        kind, _, spec = reference.secret.partition(":")
        if kind != "file":
            continue
        # what follows `#` is a name in the file
        path = secret_path(spec.partition("#")[0], environ=project.environ, directory=str(project.directory))
        facts = _stat(path)
        yield SecretFile(
            server=server.name,
            variable=variable,
            path=str(path),
            exists=facts is not None,
            open_to=open_to_others(facts) if facts else "",
            mine=facts is None or facts.st_uid == os.geteuid(),
            committed=not_ignored(path, project=project.directory, environ=project.environ),
            required=reference.required,
        )


def mode_of(path: Path) -> int | None:
    """Return a file's permissions; None if it cannot be looked at."""
    facts = _stat(path)
    return stat.S_IMODE(facts.st_mode) if facts else None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _path(path: Path, role: Any) -> known.PathFacts:
    return _of(path, role, path.stat())


def _of(path: Path, role: Any, facts: os.stat_result) -> known.PathFacts:
    from hatchlock.security.audit.facts import PathFacts

    return PathFacts(path=str(path), role=role, mine=facts.st_uid == os.geteuid(), mode=stat.S_IMODE(facts.st_mode))


def _open_below(root: Path) -> Iterator[known.PathFacts]:
    """Yield what below the store somebody else owns or could write to; links belong to nobody."""
    others = stat.S_IWGRP | stat.S_IWOTH
    for directory, directories, files in os.walk(root):
        here = Path(directory)
        is_kept = here.parent.parent == root / "volumes" or (
            here.parent.name == "volumes" and here.parent.parent.parent == root / "projects"
        )
        if is_kept or (here.parent == root and here.name in _TREES):  # what servers keep is theirs, and is not run
            directories.clear()
            continue
        for name in (*directories, *files):
            path = here / name
            try:
                facts = path.lstat()
            except OSError:
                continue  # somebody deletes it at this moment
            if stat.S_ISLNK(facts.st_mode):
                continue
            if facts.st_uid != os.geteuid() or facts.st_mode & others:
                yield _of(path, "inside", facts)
