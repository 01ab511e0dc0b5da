"""Locks that are in somebody's repository stay readable, and are written again as the same bytes."""

from __future__ import annotations

from pathlib import Path

from hatchlock.lock.store import dumps, loads
from hatchlock.resolve.freshness import stale_reasons
from support.locks import EVERYTHING, manifest_of, world
from support.project import TrialProject

V1 = Path(__file__).parents[2] / "fixtures" / "locks" / "v1.lock"


def test_a_lock_of_version_1_is_read_and_written_as_the_same_bytes() -> None:
    data = V1.read_bytes()
    assert dumps(loads(data)).encode() == data


def test_it_means_what_it_meant() -> None:
    assert loads(V1.read_bytes()) == world().lock(EVERYTHING)


def test_it_still_satisfies_its_manifest() -> None:
    assert stale_reasons(manifest_of(EVERYTHING), loads(V1.read_bytes())) == ()


def test_locking_again_leaves_it_alone_and_asks_nobody(tmp_path: Path) -> None:
    project = TrialProject(tmp_path, EVERYTHING)
    project.lock.write_bytes(V1.read_bytes())
    done = project.ok("lock", "--offline")
    assert "hatch.lock unchanged: 5 servers, 3 packages" in done.out
    assert project.lock.read_bytes() == V1.read_bytes()
