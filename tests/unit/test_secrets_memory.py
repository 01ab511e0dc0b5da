"""Where files with secrets are laid out: in the user's runtime directory, or in /dev/shm where that is on a disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hatchlock.security.secrets.memory import memory_directory, memory_places
from support.unavailable import unavailable

SHARED = Path(f"/dev/shm/hatchlock-secrets-{os.geteuid()}")


def test_the_users_own_runtime_directory_comes_first(memory: Path) -> None:
    found = memory_directory({"XDG_RUNTIME_DIR": str(memory)})
    assert found == memory / "hatchlock-secrets"
    assert found.stat().st_mode & 0o777 == 0o700
    assert memory_places({"XDG_RUNTIME_DIR": str(memory)}) == (found, SHARED)


@pytest.mark.parametrize("runtime", ["", "relative", "/nowhere", "/var/tmp"])
def test_one_that_is_none_or_on_a_disk_is_not_taken(runtime: str) -> None:
    if not SHARED.parent.is_dir():
        unavailable("there is no /dev/shm")
    assert memory_directory({"XDG_RUNTIME_DIR": runtime}) == SHARED
    assert SHARED.stat().st_mode & 0o777 == 0o700
