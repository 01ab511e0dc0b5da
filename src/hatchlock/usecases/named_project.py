"""A project by its name alone: for taking away what is left of one whose directory may be gone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.paths import MANIFEST_NAME, Home
from hatchlock.state.project import ProjectState
from hatchlock.usecases.project import Project, open_project
from hatchlock.usecases.run import NoSuchProject, is_name, known_projects, project_name_in

__all__ = ["AnotherProject", "open_named"]


@dataclass(kw_only=True, eq=False)
class AnotherProject(HatchlockError):
    """A project was named, and the manifest that counts here is that of another one."""

    code: ClassVar[str] = "another-project"
    exit_status: ClassVar[int] = 64

    named: str
    found: str
    manifest: str

    def __str__(self) -> str:
        return f"--project {self.named}: the manifest here is that of {self.found} ({self.manifest}); nothing was done"

    def _hint(self) -> str:
        return f"name the directory of {self.named} with -C, or leave out --project"


def open_named(name: str, *, home: Home, environ: Mapping[str, str]) -> Project:
    """Read the project of a name, from the directory that the store knows it to be in.

    Where no manifest in there has that name any more, one that has nothing but the name stands for it.

    Args:
        name: The project's name.
        home: The store.
        environ: The environment.

    Raises:
        NoSuchProject: The store knows of none.
        PermissionProblem: One of its files may not be read.
    """
    bound = ProjectState(home.project(name)).bound_to() if is_name(name) else None
    if bound is None:
        raise NoSuchProject(project=name, store=str(home.root), known=known_projects(home))
    directory = Path(bound)
    for manifest in sorted(directory.glob("*.toml"), key=lambda path: (path.name != MANIFEST_NAME, path.name)):
        if _gives(manifest, name):
            return open_project(directory=directory, manifest=manifest, use_global=False, home=home, environ=environ)
    return Project(
        manifest=directory / MANIFEST_NAME,
        home=home,
        environ=environ,
        manifest_bytes=f"[project]\nname = {json.dumps(name)}\n".encode(),
        overlay_bytes=b"",
        lock_bytes=None,
    )


def _gives(manifest: Path, name: str) -> bool:
    try:
        return manifest.is_file() and project_name_in(manifest.read_text(encoding="utf-8")) == name
    except (ValueError, KeyError, TypeError):
        return False
