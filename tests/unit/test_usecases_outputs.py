"""`lock --images` leaves out what nobody can know beforehand, and says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.lock.model import Lock
from hatchlock.paths import Home
from hatchlock.usecases.outputs import record_outputs
from hatchlock.usecases.project import Project
from support.locks import EVERYTHING, manifest_of, world


def with_unknown(lock: Lock, **unknown: object) -> Lock:
    return replace(
        lock,
        environments=tuple(
            replace(item, **unknown) if item.runtime == "container" else item  # type: ignore[arg-type]
            for item in lock.environments
        ),
    )


@pytest.mark.parametrize(
    ("unknown", "why"),
    [
        ({"builds": {"pypi:b@1": "x/build/b", "pypi:a@1": "x/build/a"}}, "pypi:a@1, pypi:b@1 are known after build"),
        ({"scripts": ("npm:sharp@1",)}, "npm:sharp@1 is known after build"),
    ],
)
def test_an_image_with_something_built_in_it_is_not_recorded(
    unknown: dict[str, object], why: str, tmp_path: Path
) -> None:
    lock = with_unknown(world().lock(EVERYTHING), **unknown)
    home = Home(root=tmp_path / "store", is_default=False)
    project = Project(
        manifest=tmp_path / "hatchlock.toml",
        home=home,
        environ={},
        manifest_bytes=EVERYTHING.encode(),
        overlay_bytes=b"",
        lock_bytes=None,
    )
    found = record_outputs(project, manifest_of(EVERYTHING), lock, offline=True)
    assert found.lock == lock
    assert found.notes == (f"env:boxed: the lock cannot say what its image is, since {why}",)
