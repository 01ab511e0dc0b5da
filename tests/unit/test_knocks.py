"""Those who come without the right token are counted, and a flood of them is no flood of writes."""

from __future__ import annotations

import time
from pathlib import Path

from hatchlock.serve.knocks import Knocks
from hatchlock.state.counts import counts_path, read_counts


def test_the_first_is_written_at_once_and_the_others_in_one(tmp_path: Path) -> None:
    knocks = Knocks(tmp_path, (("web", "a" * 64), ("other", "b" * 64)))
    path = counts_path(tmp_path, "web")
    began = time.monotonic()
    knocks.knock()
    assert read_counts(path, "a" * 64).unauthorized == 1
    before = path.stat().st_ino
    for _ in range(1000):
        knocks.knock()
    if time.monotonic() - began < 0.9:
        assert path.stat().st_ino == before, "it was written again"
    knocks.write()
    knocks.write()
    assert [
        read_counts(counts_path(tmp_path, name), digest * 64).unauthorized
        for name, digest in (("web", "a"), ("other", "b"))
    ] == [
        *(1001, 1001),
    ]


def test_a_state_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "counts").write_text("a file")
    Knocks(tmp_path, (("web", "a" * 64),)).knock()
