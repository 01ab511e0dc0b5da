"""What an earlier hatchlock left, put where a test wants it: `fixtures/state`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hatchlock.digest import sha256_bytes
from hatchlock.security.sandbox import private_uid
from support.cats import CatProject

__all__ = ["STATES", "OldProject", "put_state"]

STATES = Path(__file__).parents[2] / "fixtures" / "state"
_USER = 10001


class OldProject(CatProject):
    """A project that an earlier hatchlock applied."""

    @property
    def state(self) -> Path:
        return self.store / "projects" / self.name


def put_state(number: int, root: Path) -> OldProject:
    """Put the state of a format below a directory, as if it had been made there by whoever runs the test."""
    source, is_root = STATES / str(number), os.geteuid() == 0
    users = {name: private_uid("trial", name.lower()) if is_root else _USER for name in ("CAT", "NOTES")}
    values = {"@ROOT@": str(root), **{f"@{name}@": str(uid) for name, uid in users.items()}}
    texts = {path.relative_to(source): _filled(path, values) for path in sorted(source.rglob("*")) if path.is_file()}
    renamed = {path.stem: sha256_bytes(text.encode()) for path, text in texts.items() if path.parent.name == "launch"}
    project = OldProject(root, NOTES_TOKEN="not a secret")
    shutil.rmtree(project.directory)
    for path, text in texts.items():
        place = root / _renamed(str(path), renamed)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_renamed(text, renamed))
    for place in (project.store, *project.store.rglob("*")):
        place.chmod(0o700 if place.is_dir() else 0o600)
    (kept,) = project.state.glob("volumes/notes/*")
    if is_root:
        for place in (kept, *kept.iterdir()):
            os.chown(place, users["NOTES"], users["NOTES"])
    return project


def _filled(path: Path, values: dict[str, str]) -> str:
    return _renamed(path.read_text(), values)


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text
