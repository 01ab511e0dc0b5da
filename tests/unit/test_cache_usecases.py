from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from hatchlock.digest import sha256_bytes
from hatchlock.launch import LaunchRecord
from hatchlock.net.cache import Cache
from hatchlock.paths import Home
from hatchlock.state.fetched import forget_fetched, remember_fetched
from hatchlock.state.lease import LeaseHeld, lease
from hatchlock.state.project import BadState, ProjectState
from hatchlock.store.blobs import Blobs
from hatchlock.usecases.cache import Share, Swept, cache_stats, clear_cache, collect, verify_store

DAY = 86_400


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path / "store", is_default=False)


def add(home: Home, data: bytes, *, days: float = 0) -> str:
    digest = sha256_bytes(data)
    blobs = Blobs(home.blobs)
    with blobs.add(digest) as writer:
        writer.write(data)
    age(blobs.path(digest), days)
    return digest


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def keep(home: Home, kind: str, name: str, *, days: float = 0) -> Path:
    """Put an entry into the cache, and return its file."""
    cache = Cache(home.cache / kind, clock=lambda: 1.0)  # the time is part of the size
    before = files(home)
    cache.save(name, b"x" * 100)
    (path,) = files(home) - before
    age(path, days)
    return path


def files(home: Home) -> set[Path]:
    return {path for path in home.root.rglob("*") if path.is_file() and path.parent.name != "locks"}


def mirror(home: Home, *, days: float) -> Path:
    path = home.cache / "git" / "0123456789"
    (path / "objects").mkdir(parents=True)
    for name in ("HEAD", "objects/pack"):
        (path / name).write_bytes(b"data")
        age(path / name, days)
    return path


def kinds(swept: Swept) -> dict[str, int]:
    return {share.kind: share.files for share in swept.shares}


def test_an_empty_store_has_nothing_and_stays_as_it_is(home: Home) -> None:
    assert cache_stats(home).cache == cache_stats(home).store == ()
    assert verify_store(home).checked == 0
    assert collect(home, dry_run=True).shares == clear_cache(home, dry_run=True).shares == ()
    assert not home.root.exists()


def test_what_there_is_is_counted_by_kind(home: Home) -> None:
    page = keep(home, "pages-2", "a")
    for kind in ("metadata-1", "documents-1", "facts-1", "memo", "something-new"):
        keep(home, kind, "a")
    mirror(home, days=0)
    add(home, b"12345")
    stats = cache_stats(home)
    size = page.stat().st_size
    assert stats.cache == (
        Share(kind="git mirrors", files=2, size=8),
        Share(kind="npm documents", files=1, size=size),
        Share(kind="npm metadata", files=1, size=size),
        Share(kind="other", files=1, size=size),
        Share(kind="plans", files=1, size=size),
        Share(kind="python metadata", files=1, size=size),
        Share(kind="python pages", files=1, size=size),
    )
    assert stats.store == (Share(kind="blobs sha256", files=1, size=5),)


def test_verify_finds_and_removes_what_is_damaged(home: Home) -> None:
    sound, damaged = add(home, b"sound"), add(home, b"damaged")
    Blobs(home.blobs).path(damaged).write_bytes(b"Damaged")
    (home.blobs / "sha256" / "ab").mkdir(exist_ok=True)
    (home.blobs / "sha256" / "ab" / "README").write_bytes(b"not ours")
    found = verify_store(home)
    assert (found.checked, found.size) == (2, 5)
    assert [item.digest for item in found.damaged] == [damaged]
    assert sha256_bytes(b"Damaged") in found.damaged[0].why
    assert list(Blobs(home.blobs).each()) == [sound]
    assert verify_store(home).damaged == ()


def test_gc_deletes_entries_that_were_not_used_for_long(home: Home) -> None:
    old, fresh = keep(home, "pages-2", "old", days=31), keep(home, "pages-2", "fresh", days=29)
    read_lately = keep(home, "metadata-1", "read", days=31)
    os.utime(read_lately, (time.time(), read_lately.stat().st_mtime))
    assert kinds(collect(home, dry_run=True)) == {"python pages": 1}
    assert old.exists()
    assert kinds(collect(home)) == {"python pages": 1}
    assert files(home) == {fresh, read_lately}
    assert kinds(collect(home, older_than=7 * DAY)) == {"python pages": 1}
    assert files(home) == {read_lately}


def test_gc_deletes_mirrors_whole_and_only_when_nobody_uses_them(home: Home) -> None:
    path = mirror(home, days=31)
    with lease(path.with_suffix(".lock"), what="a mirror", purpose="hatchlock", timeout=0):
        swept = collect(home)
        assert (kinds(swept), len(swept.busy)) == ({}, 1)
        assert "a mirror" in swept.busy[0] or "0123456789" in swept.busy[0]
        assert path.exists()
    (path / "FETCH_HEAD").write_bytes(b"just now")
    assert kinds(collect(home)) == {}
    age(path / "FETCH_HEAD", 31)
    assert kinds(collect(home)) == {"git mirrors": 3}
    assert not path.exists()


def test_gc_leaves_what_is_being_written_and_takes_what_was_left(home: Home) -> None:
    digest = add(home, b"x")
    now, old = (Blobs(home.blobs).path(digest).with_name(f".{name}.part") for name in ("now", "old"))
    work, left = (home.cache / name / "file" for name in ("work-1", "work-2"))
    for path in (now, old, work, left):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"partly")
    age(old, 2)
    age(left, 31)
    assert kinds(collect(home)) == {"unfinished": 2}
    assert now.exists()
    assert work.exists()
    assert kinds(clear_cache(home)) == {}
    assert work.exists()


def applied(home: Home, name: str, directory: Path, *locks: bytes, here: bytes = b"") -> ProjectState:
    """A project with a generation for each of these locks, and one lock that lies in its directory now."""
    state = ProjectState(home.project(name))
    directory.mkdir(exist_ok=True)
    state.bind(directory)
    for data in locks:
        state.generations.record(lock=data, manifest=b"", overlay=b"", target={}, facts={"servers": {}})
    if here:
        (directory / "hatch.lock").write_bytes(here)
    return state


def test_gc_keeps_the_blobs_that_any_project_names(home: Home, tmp_path: Path) -> None:
    names = ("rollback", "active", "next", "conflict", "second", "nobody's")
    digests = {name: add(home, name.encode(), days=40) for name in names}

    def lock(*wanted: str) -> bytes:
        return "\n".join(f'sha256 = "{digests[name]}"' for name in wanted).encode()

    conflict = b"<<<<<<< ours\n" + lock("next") + b"\n=======\n" + lock("conflict") + b"\n>>>>>>> theirs\n"
    applied(home, "one", tmp_path / "one", lock("rollback"), lock("active"), here=conflict)
    applied(home, "two", tmp_path / "two", lock("second"))
    assert kinds(collect(home)) == {"blobs sha256": 1}
    assert set(Blobs(home.blobs).each()) == {digests[name] for name in names[:-1]}


def test_gc_keeps_what_was_fetched_for_a_lock_until_it_is_applied_or_its_manifest_is_gone(
    home: Home, tmp_path: Path
) -> None:
    manifest = tmp_path / "hatchlock.toml"
    manifest.write_text("")
    first, second = add(home, b"first", days=40), add(home, b"second", days=40)
    for digest in (first, second):
        remember_fetched(home.root, manifest, f'sha256 = "{digest}"'.encode())
    assert kinds(collect(home, dry_run=True)) == {"blobs sha256": 1}
    assert kinds(collect(home)) == {"blobs sha256": 1}
    assert list(Blobs(home.blobs).each()) == [second]
    manifest.unlink()
    assert kinds(collect(home, dry_run=True)) == {"blobs sha256": 1, "fetched locks": 1}
    assert list(Blobs(home.blobs).each()) == [second]
    assert kinds(collect(home)) == {"blobs sha256": 1, "fetched locks": 1}
    assert kinds(collect(home)) == {}


def test_gc_lets_go_of_what_was_fetched_when_an_apply_has_left_a_generation(home: Home, tmp_path: Path) -> None:
    manifest = tmp_path / "hatchlock.toml"
    manifest.write_text("")
    old = add(home, b"old", days=40)
    remember_fetched(home.root, manifest, f'sha256 = "{old}"'.encode())
    forget_fetched(home.root, manifest)
    assert kinds(collect(home)) == {"blobs sha256": 1}


def test_gc_keeps_what_a_damaged_note_of_a_fetch_names(home: Home) -> None:
    kept = add(home, b"kept", days=40)
    (home.root / "fetched").mkdir()
    (home.root / "fetched" / "1.json").write_text(f'{{"lock": "{kept}')
    assert kinds(collect(home)) == {}
    assert list(Blobs(home.blobs).each()) == [kept]


def test_gc_keeps_the_blobs_of_sha512_and_of_images_too(home: Home, tmp_path: Path) -> None:
    blobs = Blobs(home.blobs)
    npm = hashlib.sha512(b"tarball").hexdigest()
    with blobs.add(npm) as writer:
        writer.write(b"tarball")
    layer = add(home, b"layer", days=40)
    age(blobs.path(npm), 40)
    applied(home, "one", tmp_path / "one", f'sha512 = "{npm}"\nlayers = ["sha256:{layer} 5"]\n'.encode())
    assert kinds(collect(home)) == {}
    applied(home, "one", tmp_path / "one")
    (home.project("one") / "generations" / "1" / "hatch.lock").write_bytes(f'x = "{npm}0"'.encode())
    assert kinds(collect(home)) == {"blobs sha256": 1, "blobs sha512": 1}


def test_gc_leaves_alone_what_was_fetched_today_unless_told_otherwise(home: Home) -> None:
    new, old = add(home, b"new"), add(home, b"old", days=2)
    assert kinds(collect(home)) == {"blobs sha256": 1}
    assert list(Blobs(home.blobs).each()) == [new]
    assert old != new
    assert kinds(collect(home, older_than=0)) == {"blobs sha256": 1}


def test_gc_waits_for_no_apply_and_changes_nothing_then(home: Home, tmp_path: Path) -> None:
    state = applied(home, "one", tmp_path / "one")
    add(home, b"nobody's", days=40)
    keep(home, "pages-2", "old", days=40)
    with lease(state.lease_path, what="the project 'one'", purpose="apply", timeout=0):
        for sweep in (collect, clear_cache):
            with pytest.raises(LeaseHeld, match="the project 'one' is held by `apply`"):
                sweep(home)
    assert kinds(collect(home)) == {"blobs sha256": 1, "python pages": 1}


def test_gc_deletes_nothing_when_a_projects_state_cannot_be_read(home: Home, tmp_path: Path) -> None:
    state = applied(home, "one", tmp_path / "one")
    digest = add(home, b"whose?", days=40)
    (state.root / "binding.json").write_bytes(b"{")
    with pytest.raises(BadState):
        collect(home)
    assert list(Blobs(home.blobs).each()) == [digest]


def test_clear_empties_the_cache_and_nothing_else(home: Home, tmp_path: Path) -> None:
    state = applied(home, "one", tmp_path / "one")
    record = LaunchRecord(project="one", server="x", runtime="process", argv=("/bin/cat",), key="")
    state.activate("x", record)
    digest = add(home, b"blob", days=40)
    cache = Cache(home.cache / "pages-2")
    cache.save("a", b"x")
    mirror(home, days=0)
    assert kinds(clear_cache(home, dry_run=True)) == {"git mirrors": 2, "python pages": 1}
    assert cache.load("a") is not None
    assert kinds(clear_cache(home)) == {"git mirrors": 2, "python pages": 1}
    assert cache_stats(home).cache == ()
    assert list(Blobs(home.blobs).each()) == [digest]
    assert state.active()
    cache.save("a", b"y")
    assert cache.load("a") is not None, "who was writing goes on"
