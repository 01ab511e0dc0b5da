from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.net.cache import Cache, stale_event


def test_what_was_saved_is_loaded_with_its_time_and_validators(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", clock=lambda: 1000.0)
    cache.save("key", b"line\nline", validators={"etag": '"1"'})
    entry = Cache(tmp_path / "c").load("key")
    assert entry is not None
    assert (entry.body, entry.fetched, entry.validators) == (b"line\nline", 1000.0, {"etag": '"1"'})


def test_an_unknown_key_is_a_miss(tmp_path: Path) -> None:
    assert Cache(tmp_path / "never").load("key") is None


def _only_file(root: Path) -> Path:
    return next(path for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", [b"", b"{", b"{}\n", b"no newline", b"[1]\nbody", b'{"format": 1}\nbody'])
def test_a_damaged_file_is_a_miss(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path / "c")
    cache.save("key", b"body")
    _only_file(tmp_path / "c").write_bytes(damage)
    assert cache.load("key") is None


def test_a_changed_or_shortened_body_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c")
    cache.save("key", b"body")
    file = _only_file(tmp_path / "c")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert cache.load("key") is None
    file.write_bytes(whole[:-1] + b"Y")
    assert cache.load("key") is None


def test_loading_does_not_make_an_entry_younger(tmp_path: Path) -> None:
    now = [1000.0]
    cache = Cache(tmp_path / "c", clock=lambda: now[0])
    cache.save("key", b"body")
    now[0] = 1500.0
    cache.load("key")
    entry = cache.load("key")
    assert entry is not None
    assert cache.age(entry) == 500.0


def test_an_entry_from_the_future_is_old(tmp_path: Path) -> None:
    now = [1000.0]
    cache = Cache(tmp_path / "c", clock=lambda: now[0])
    cache.save("key", b"body")
    now[0] = 10.0
    entry = cache.load("key")
    assert entry is not None
    assert cache.age(entry) == float("inf")


def test_files_are_private(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c")
    cache.save("key", b"body")
    assert _only_file(tmp_path / "c").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("ages", "said", "data"),
    [
        ({"anyio": 200_000.0}, "anyio is out of date, 2 days old", {"answers": 1, "age": 200_000}),
        ({"b": 60.0, "a": 9000.0}, "a and 1 more is out of date, 2 hours old", {"answers": 2, "age": 9000}),
        ({"a": float("inf")}, "a is out of date, nobody knows how old", {"answers": 1}),
        ({"a": 0.5}, "a is out of date, a second old", {"answers": 1, "age": 0}),
    ],
)
def test_what_is_stale_is_told_with_its_age(ages: dict[str, float], said: str, data: dict[str, int]) -> None:
    event = stale_event("pypi", ages)
    assert (event.name, event.address, event.data) == ("cache.stale", "pypi", data)
    assert event.message == f"it could not be asked: what the cache has about {said}"
    unasked = stale_event("pypi", ages, is_asked=False)
    assert unasked.message == f"it was not asked: what the cache has about {said}"
