"""What every kind of source must do, asked of each behind one protocol; where a law says nothing about a kind, why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.digest import algorithm_of
from hatchlock.errors import HatchlockError
from hatchlock.sources.base import FileGone, MissingHash
from hatchlock.store.blobs import WrongHash
from support.source_desk import Desk, Law, Locked, Place, Subject, accepts, desk
from support.source_kinds import SUBJECTS

OLD, NEW = "1.0.0", "2.0.0"
EVERYTHING = [("thing", OLD), ("other", NEW), ("thing", NEW)]


def _name(subject: Subject) -> str:
    return str(subject.kind)


def _having(law: Law) -> pytest.MarkDecorator:
    """The kinds that a law speaks about. The others are not collected here, but in `test_an_exemption_is_true`."""
    return pytest.mark.parametrize("subject", [item for item in SUBJECTS if law not in item.exempt], ids=_name)


EVERY_KIND = pytest.mark.parametrize("subject", SUBJECTS, ids=_name)
EXEMPTIONS = [
    pytest.param(subject, law, id=f"{subject.kind} has not got {law}: {exempt.why}")
    for subject in SUBJECTS
    for law, exempt in subject.exempt.items()
]


def _directory(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir()
    return path


def _fill(place: Place, content: str = "") -> None:
    for name in ("thing", "other"):
        for version in (OLD, NEW):
            place.put(name, version, content)


@pytest.fixture
def place(subject: Subject, tmp_path: Path) -> Iterator[Place]:
    """Two things in two versions, served to the end of the test."""
    with subject.serve(_directory(tmp_path, "served")) as served:
        _fill(served)
        yield served


@pytest.fixture
def gone(subject: Subject, tmp_path: Path) -> Place:
    """Where nobody answers any more."""
    with subject.serve(_directory(tmp_path, "gone")) as served:
        _fill(served)
    return served


def _lock_all(found: Desk, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Locked]:
    return {(name, version): found.lock(name, version) for name, version in wanted}


def _digests(locked: Locked) -> list[str]:
    return [file.digest for file in locked.files]


def _stored(found: Desk, locked: Locked) -> list[str]:
    return [found.stored(file) for file in locked.files]


# every kind


def test_every_kind_that_a_manifest_may_name_is_here() -> None:
    special = {
        Kind.GIT: "https://example.com/x/y",
        Kind.PATH: "./x",
        Kind.URL: f"https://example.com/x#sha256={'0' * 64}",
        Kind.OCI: "example.com/x:1",
    }
    known = {
        kind
        for kind in Kind
        if accepts(f'[servers.x]\nruntime = "process"\nsource = "{kind}:{special.get(kind, "x")}"\n')
    }
    known |= {kind for kind in Kind if accepts(f'[servers.x]\nsource = "{kind}:{special.get(kind, "x")}"\n')}
    assert known == {subject.kind for subject in SUBJECTS}


@pytest.mark.parametrize(("subject", "law"), EXEMPTIONS)
def test_an_exemption_is_true(subject: Subject, law: Law, tmp_path: Path) -> None:
    assert subject.exempt[law].holds(subject, tmp_path)


@EVERY_KIND
def test_an_answer_is_the_same_twice_and_whatever_was_asked_before(
    subject: Subject, place: Place, tmp_path: Path
) -> None:
    with desk(subject, tmp_path / "a", place) as first, desk(subject, tmp_path / "b", place) as second:
        found = _lock_all(first, EVERYTHING)
        assert _lock_all(first, EVERYTHING) == found
        assert _lock_all(second, EVERYTHING[::-1]) == found
    with desk(subject, tmp_path / "a", place) as again:
        assert _lock_all(again, EVERYTHING[1:] + EVERYTHING[:1]) == found
    assert len(set(map(str, found.values()))) == len(EVERYTHING)


@EVERY_KIND
def test_what_is_locked_has_strong_hashes_and_its_files_have_them(
    subject: Subject, place: Place, tmp_path: Path
) -> None:
    with desk(subject, tmp_path / "run", place) as found:
        locked = found.lock("thing", OLD)
        assert locked.files
        assert {algorithm_of(digest) for digest in _digests(locked)} <= {"sha256", "sha512"}
        found.obtain(locked)
        assert _stored(found, locked) == _digests(locked)


@EVERY_KIND
def test_an_unknown_name_is_named(subject: Subject, place: Place, tmp_path: Path) -> None:
    with desk(subject, tmp_path / "run", place) as found, pytest.raises(HatchlockError) as caught:
        found.lock("nothing-of-that-name", OLD)
    assert "nothing-of-that-name" in str(caught.value)
    assert place.address in str(caught.value)
    assert caught.value.hint
    assert "the network" not in caught.value.hint


@EVERY_KIND
def test_other_bytes_than_the_locked_ones_are_refused_and_not_kept(
    subject: Subject, place: Place, tmp_path: Path
) -> None:
    with desk(subject, tmp_path / "run", place) as found:
        locked = found.lock("thing", OLD)
    place.swap("thing", OLD)
    with desk(subject, tmp_path / "other", place) as found:
        with pytest.raises(HatchlockError) as caught:
            found.obtain(locked)
        stored = [(file.digest, found.stored(file)) for file in locked.files]
        assert "" in dict(stored).values()
        assert all(actual in {"", wanted} for wanted, actual in stored)
    assert "thing" in str(caught.value)
    assert caught.value.hint


@EVERY_KIND
def test_what_is_in_the_store_is_fetched_from_nowhere(subject: Subject, place: Place, tmp_path: Path) -> None:
    with desk(subject, tmp_path / "run", place) as found:
        locked = found.lock("thing", OLD)
        found.obtain(locked)
        asked = len(place.asked)
        assert found.fetch(locked, offline=False) == 0
        assert found.fetch(locked, offline=True) == 0
    assert len(place.asked) == asked


# those that have an order, hashes told by others, a cache, somebody to reach


@_having(Law.ORDER)
def test_candidates_are_sorted_newest_first_by_the_rule_of_the_kind(subject: Subject, tmp_path: Path) -> None:
    newest_first = subject.newest_first
    assert list(newest_first) not in (sorted(newest_first), sorted(newest_first, reverse=True))
    orders = [newest_first, newest_first[::-1], *list(permutations(newest_first))[7:40:11]]
    for number, order in enumerate(orders):
        with subject.serve(_directory(tmp_path, f"served-{number}")) as served:
            for version in order:
                served.put("thing", version)
            for _ in range(2):  # from the index, then from the cache
                with desk(subject, tmp_path / f"run-{number}", served) as found:
                    assert found.versions("thing") == list(newest_first)


@_having(Law.MISSING_HASH)
def test_a_file_without_a_hash_is_refused_by_name(subject: Subject, place: Place, tmp_path: Path) -> None:
    place.put_unhashed("thing", OLD)
    with desk(subject, tmp_path / "run", place) as found, pytest.raises(HatchlockError, match="thing") as caught:
        found.lock("thing", OLD)
    assert isinstance(caught.value, MissingHash) or "no valid layers.0.digest" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@_having(Law.CACHE)
def test_offline_the_cache_answers_and_what_is_not_in_it_is_named(subject: Subject, tmp_path: Path) -> None:
    with subject.serve(_directory(tmp_path, "served")) as served:
        _fill(served)
        with desk(subject, tmp_path / "run", served) as found:
            before = found.lock("thing", OLD)
        asked = len(served.asked)
        with desk(subject, tmp_path / "run", served, offline=True) as found:
            assert found.lock("thing", OLD) == before
            with pytest.raises(HatchlockError, match="nothing-of-that-name") as caught:
                found.lock("nothing-of-that-name", OLD)
        assert len(served.asked) == asked
    assert caught.value.hint


@_having(Law.UNREACHABLE)
def test_who_does_not_answer_is_named(subject: Subject, gone: Place, tmp_path: Path) -> None:
    with desk(subject, tmp_path / "run", gone) as found, pytest.raises(HatchlockError) as caught:
        found.lock("thing", OLD)
    assert gone.address.removeprefix("http://").partition("/")[0] in str(caught.value)
    assert "reach" in f"{caught.value} {caught.value.hint}" or "connect" in str(caught.value)
    assert caught.value.hint


# those that have mirrors and several indexes


@_having(Law.MIRRORS)
def test_a_mirror_takes_the_place_of_who_does_not_answer(
    subject: Subject, place: Place, gone: Place, tmp_path: Path
) -> None:
    with desk(subject, tmp_path / "direct", place) as found:
        direct = found.lock("thing", OLD)
    with desk(subject, tmp_path / "run", gone, mirrors=[place]) as found:
        assert found.lock("thing", OLD) == direct
        found.obtain(direct)
        assert _stored(found, direct) == _digests(direct)


@_having(Law.MIRRORS)
def test_a_mirror_is_not_asked_while_the_index_answers(subject: Subject, place: Place, tmp_path: Path) -> None:
    with subject.serve(_directory(tmp_path, "mirror")) as mirror:
        mirror.put("only-here", OLD)
        with desk(subject, tmp_path / "run", place, mirrors=[mirror]) as found:
            found.obtain(found.lock("thing", OLD))
            with pytest.raises(HatchlockError, match="only-here"):
                found.lock("only-here", OLD)
        assert mirror.asked == []


@pytest.mark.parametrize("lies", [False, True], ids=["it says so", "it claims the same"])
@_having(Law.MIRRORS)
def test_a_mirror_with_other_bytes_is_refused(
    subject: Subject, place: Place, gone: Place, tmp_path: Path, *, lies: bool
) -> None:
    with desk(subject, tmp_path / "direct", place) as found:
        locked = found.lock("thing", OLD)
    if lies:
        place.swap("thing", OLD)
    else:
        place.put("thing", OLD, "something else")
    with desk(subject, tmp_path / "run", gone, mirrors=[place]) as found:
        # who is told no hashes sees it only by the bytes
        sees_bytes = lies or Law.MISSING_HASH in subject.exempt
        with pytest.raises(WrongHash if sees_bytes else FileGone, match="thing"):
            found.obtain(locked)
        assert not any(_stored(found, locked))
        if not lies:
            assert _digests(found.lock("thing", OLD)) != _digests(locked)


@_having(Law.CLAIMS)
def test_a_name_that_two_indexes_claim_is_refused_before_anybody_is_asked(
    subject: Subject, place: Place, tmp_path: Path
) -> None:
    tables = "".join(
        f'[[indexes.{subject.kind}]]\nname = "{name}"\nurl = "{place.address}"\npackages = ["{pattern}"]\n'
        for name, pattern in (("ours", "thing"), ("theirs", "th*"))
    )
    with (
        desk(subject, tmp_path / "run", place, tables=tables) as found,
        pytest.raises(HatchlockError) as caught,
    ):
        found.lock("thing", OLD)
    assert caught.value.code == "claimed-twice"
    assert all(word in str(caught.value) for word in ("thing", "ours", "theirs"))
    assert place.asked == []


@_having(Law.CLAIMS)
def test_a_claimed_name_is_looked_for_nowhere_else(subject: Subject, place: Place, gone: Place, tmp_path: Path) -> None:
    with subject.serve(_directory(tmp_path, "ours")) as ours:
        ours.put("mine", OLD)
        tables = subject.tables(place, ()).replace(f"[indexes.{subject.kind}]", f"[[indexes.{subject.kind}]]")
        tables += f'[[indexes.{subject.kind}]]\nname = "ours"\nurl = "{ours.address}"\npackages = ["mine", "thing"]\n'
        with desk(subject, tmp_path / "run", place, tables=tables) as found:
            assert found.lock("mine", OLD).lock.packages[0].index == "ours"
            with pytest.raises(HatchlockError, match="thing"):
                found.lock("thing", OLD)
    assert place.asked == []
