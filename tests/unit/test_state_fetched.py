from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.state.fetched import forget_fetched, remember_fetched


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_a_kill_has_left_goes_with_the_next_command_of_that_project(tmp_path: Path, *, is_kept: bool) -> None:
    manifest, other = tmp_path / "hatchlock.toml", tmp_path / "other" / "hatchlock.toml"
    for each in (manifest, other):
        remember_fetched(tmp_path, each, b"lock")
    mine, _ = sorted((tmp_path / "fetched").iterdir(), key=lambda path: str(other) in path.read_text())
    left = mine.with_name(f".{mine.name}.0123456789ab.tmp")
    left.write_text("{")
    if is_kept:
        remember_fetched(tmp_path, manifest, b"lock")
    else:
        forget_fetched(tmp_path, manifest)
    assert not left.exists()
    assert len(list((tmp_path / "fetched").iterdir())) == 1 + is_kept
