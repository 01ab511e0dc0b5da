"""Which applications this machine has, of those that a manifest names."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.paths import user_home
from hatchlock.usecases.standing import Note

if TYPE_CHECKING:
    from hatchlock.manifest.model import Manifest
    from hatchlock.resources.target import Target
    from hatchlock.usecases.project import Project

__all__ = ["application_notes", "is_installed", "look_for_applications"]


def look_for_applications(manifest: Manifest, environ: Mapping[str, str]) -> tuple[frozenset[str], list[str]]:
    """Look for the applications that are left out where they are not installed.

    Returns:
        Those that are not there; and the paths that were looked at.
    """
    names = {name for server in manifest.servers.values() for name in server.clients}
    signs = {name: _signs(name, environ) for name in sorted(names) if manifest.client(name).if_installed}
    absent = frozenset(name for name, paths in signs.items() if _is_absent(paths))
    return absent, [str(path) for paths in signs.values() for path in paths]


def application_notes(project: Project, target: Target) -> Iterator[Note]:
    """Yield what people should know of applications that were not found: they may be about to be installed, or misspelt."""
    from hatchlock.clients.catalogue import CLIENTS

    for name in target.left_out:
        what = f"{CLIENTS[name].title} is not installed, and is left out: there is no {_shown(name, project)}"
        yield Note(address=f"client:{name}", what=what)
    files = {entry.file.client: entry.file.path for entry in target.entries if entry.file.scope == "user"}
    for name, file in sorted(files.items()):
        if _is_absent((Path(file), *_signs(name, project.environ))):
            what = f"{CLIENTS[name].title} was not found on this machine: there is no {_shown(name, project)}"
            yield Note(address=f"client:{name}", what=f"{what}; its entries are written all the same")


def is_installed(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether something of an application is on this machine."""
    return not _is_absent(_signs(name, environ))


def _signs(name: str, environ: Mapping[str, str]) -> tuple[Path, ...]:
    from hatchlock.clients.catalogue import CLIENTS

    return CLIENTS[name].signs(user_home(environ), environ, sys.platform)


def _is_absent(signs: tuple[Path, ...]) -> bool:
    return not any(path.exists() for path in signs)


def _shown(name: str, project: Project) -> str:
    return str(_signs(name, project.environ)[0])
