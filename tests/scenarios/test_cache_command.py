"""`cache` through the command line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hatchlock.digest import sha256_bytes
from hatchlock.net.cache import Cache
from hatchlock.state.lease import lease
from hatchlock.store.blobs import Blobs
from support.cats import CAT, CatProject, apply, tree


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    made = CatProject(tmp_path, CAT)
    made.store.mkdir(mode=0o700)
    Cache(made.store / "cache" / "pages-2").save("a", b"x" * 3000)
    return made


def blob(project: CatProject, data: bytes, days: float = 0) -> Path:
    blobs, digest = Blobs(project.store / "blobs"), sha256_bytes(data)
    with blobs.add(digest) as writer:
        writer.write(data)
    then = time.time() - days * 86_400
    os.utime(blobs.path(digest), (then, then))
    return blobs.path(digest)


def test_stats_and_path_change_nothing(project: CatProject) -> None:
    blob(project, b"12345")
    before = tree(project.root)
    document = project.ok("cache", "stats", "--json").document
    assert document["format_version"] == 1
    assert document["store"] == {
        "path": str(project.store / "blobs"),
        "kinds": [{"kind": "blobs sha256", "files": 1, "bytes": 5}],
    }
    (pages,) = document["cache"]["kinds"]
    assert (pages["kind"], pages["files"]) == ("python pages", 1)
    assert pages["bytes"] > 3000
    text = project.ok("cache", "stats").out
    assert "python pages" in text
    assert " kB" in text
    assert project.ok("cache", "path").out == f"{project.store / 'cache'}\n"
    assert project.ok("cache", "path", "--json").document["path"] == str(project.store / "cache")
    assert tree(project.root) == before


def test_verify_names_what_it_removed_and_fails(project: CatProject) -> None:
    sound, damaged = blob(project, b"sound"), blob(project, b"damaged")
    assert "2 files are as they should be" in project.ok("cache", "verify").out
    damaged.write_bytes(b"Damaged")
    done = project.fails("cache", "verify")
    assert "1 of 2 files was damaged and is gone" in done.out
    assert "1 file is as it should be" in project.ok("cache", "verify").out
    assert f"- {damaged.name}: its bytes have the digest {sha256_bytes(b'Damaged')}; removed" in done.out
    assert (sound.exists(), damaged.exists()) == (True, False)
    damaged.write_bytes(b"Damaged")
    done = project.run("cache", "verify", "--json")
    assert (done.status, done.document["checked"]) == (1, 2)
    assert [item["digest"] for item in done.document["damaged"]] == [damaged.name]
    assert project.ok("cache", "verify", "--json").document["damaged"] == []


def test_gc_says_what_it_would_do_and_does_it(project: CatProject) -> None:
    apply(project)
    old = blob(project, b"old", days=3)
    document = project.ok("cache", "gc", "--dry-run", "--json").document
    assert document["deleted"] == [{"kind": "blobs sha256", "files": 1, "bytes": 3}]
    assert (document["dry_run"], document["busy"], old.exists()) == (True, [], True)
    assert "would be deleted" in project.ok("cache", "gc", "--dry-run").out
    assert "blobs sha256" in project.ok("cache", "gc").out
    assert not old.exists()
    assert project.ok("cache", "gc").out == "nothing to delete\n"
    document = project.ok("cache", "gc", "--older-than", "0s", "--json").document
    assert "python pages" in [item["kind"] for item in document["deleted"]]
    assert project.ok("plan", "--check").status == 0


def test_clear_empties_the_cache_and_the_next_plan_is_the_same(project: CatProject) -> None:
    apply(project)
    kept = blob(project, b"kept", days=300)
    assert "deleted" in project.ok("cache", "clear").out
    assert [path for path in (project.store / "cache").rglob("*") if path.is_file()] == []
    assert kept.exists()
    project.ok("plan", "--check")


def test_while_an_apply_runs_nothing_is_deleted(project: CatProject) -> None:
    apply(project)
    held = project.store / "projects" / "trial" / "lease.lock"
    with lease(held, what="the project 'trial'", purpose="apply", timeout=0):
        for action in ("gc", "clear"):
            done = project.fails("cache", action, "--lock-timeout", "0")
            assert "is held by `apply`" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["gc", "--older-than", "soon"],
        ["stats", "--older-than", "7d"],
        ["verify", "--dry-run"],
        ["polish"],
        [],
    ],
)
def test_what_makes_no_sense_is_wrong_usage(project: CatProject, words: list[str]) -> None:
    project.fails("cache", *words, status=64)
