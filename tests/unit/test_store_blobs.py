from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hatchlock.digest import sha256_bytes
from hatchlock.store.blobs import Blobs, TooLong, WrongHash
from hatchlock.store.receipts import RECEIPT_NAME, building, finished, read_receipt

DATA = b"some bytes" * 100
NAME = sha256_bytes(DATA)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "store" / "blobs")


def put(blobs: Blobs, data: bytes = DATA, name: str = NAME, size: int | None = None) -> None:
    with blobs.add(name, size, what="a-1.0.whl", where="index pypi") as writer:
        for start in range(0, len(data), 64):
            writer.write(data[start : start + 64])


def files(blobs: Blobs) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


def test_a_blob_appears_under_its_digest(blobs: Blobs) -> None:
    assert not blobs.has(NAME)
    put(blobs, size=len(DATA))
    assert blobs.has(NAME)
    assert blobs.path(NAME).read_bytes() == DATA
    assert blobs.path(NAME).relative_to(blobs.root).parts == ("sha256", NAME[:2], NAME)
    blobs.verify(NAME)


def test_blobs_are_for_their_owner_only(blobs: Blobs) -> None:
    put(blobs)
    assert stat.S_IMODE(blobs.path(NAME).stat().st_mode) == 0o600
    for directory in (blobs.root, *blobs.path(NAME).parents[:2]):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_other_bytes_are_refused_and_nothing_is_kept(blobs: Blobs) -> None:
    with pytest.raises(WrongHash) as caught:
        put(blobs, DATA + b"!")
    assert str(caught.value) == (
        f"a-1.0.whl from index pypi has sha256 {sha256_bytes(DATA + b'!')}, the lock wants {NAME}"
    )
    assert "do not use it" in caught.value.hint
    assert not blobs.has(NAME)
    assert files(blobs) == []


def test_another_size_is_refused(blobs: Blobs) -> None:
    with pytest.raises(WrongHash):
        put(blobs, size=len(DATA) + 1)
    assert files(blobs) == []


def test_bytes_without_end_are_given_up_as_soon_as_there_are_too_many(blobs: Blobs) -> None:
    given: list[bytes] = []

    def fetch_without_end() -> None:
        with blobs.add(NAME, len(DATA), what="a-1.0.whl", where="index pypi") as writer:
            while True:
                given.append(DATA[:300])
                writer.write(given[-1])

    with pytest.raises(TooLong, match=r"a-1\.0\.whl from index pypi is longer than the 1000 bytes"):
        fetch_without_end()
    assert len(given) == 4
    assert files(blobs) == []


def test_a_size_of_0_is_not_known_and_not_compared(blobs: Blobs) -> None:
    put(blobs, size=0)
    assert blobs.has(NAME)


def test_a_fetch_that_breaks_off_leaves_nothing(blobs: Blobs) -> None:
    with pytest.raises(KeyboardInterrupt), blobs.add(NAME) as writer:  # noqa: PT012  the point
        writer.write(DATA[:10])
        assert len(files(blobs)) == 1
        raise KeyboardInterrupt
    assert files(blobs) == []


def test_nothing_is_visible_before_it_is_whole(blobs: Blobs) -> None:
    with blobs.add(NAME) as writer:
        writer.write(DATA)
        assert not blobs.has(NAME)
        assert writer.size == len(DATA)
    assert blobs.has(NAME)


def test_two_that_fetch_the_same_blob_do_not_disturb_each_other(blobs: Blobs) -> None:
    with blobs.add(NAME) as one, blobs.add(NAME) as two:
        one.write(DATA)
        two.write(DATA)
    assert blobs.path(NAME).read_bytes() == DATA
    assert len(files(blobs)) == 1


def test_a_damaged_blob_is_found_and_taken_away(blobs: Blobs) -> None:
    put(blobs)
    blobs.path(NAME).write_bytes(DATA[:-1])
    with pytest.raises(WrongHash):
        blobs.verify(NAME)
    assert not blobs.has(NAME)


def test_a_missing_blob_cannot_be_verified(blobs: Blobs) -> None:
    with pytest.raises(FileNotFoundError):
        blobs.verify(NAME)


def test_a_tree_counts_when_its_receipt_is_there(tmp_path: Path) -> None:
    tree = tmp_path / "envs" / "abc"
    with building(tree, {"python": "3.11"}):
        tree.mkdir(mode=0o700)
        (tree / "file").write_text("x")
        assert not finished(tree)
        assert read_receipt(tree) is None
    assert finished(tree)
    assert read_receipt(tree) == {"python": "3.11"}
    assert stat.S_IMODE(tree.stat().st_mode) == 0o755
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700


def test_a_build_that_fails_leaves_no_tree(tmp_path: Path) -> None:
    tree = tmp_path / "envs" / "abc"
    with pytest.raises(OSError, match="No space"), building(tree, {}):  # noqa: PT012  the point
        tree.mkdir()
        (tree / "file").write_text("x")
        raise OSError(28, "No space left on device")
    assert not tree.exists()


def test_what_a_killed_build_left_is_cleared_away_first(tmp_path: Path) -> None:
    tree = tmp_path / "envs" / "abc"
    (tree / "lib").mkdir(parents=True)
    tree.parent.chmod(0o700)
    with building(tree, {}):
        assert not tree.exists()
        tree.mkdir()
    assert sorted(path.name for path in tree.iterdir()) == [RECEIPT_NAME]


@pytest.mark.parametrize("name", ["../../../../precious", "", "AB" * 32, NAME + "/..", NAME[:-1]])
def test_a_name_that_is_no_digest_never_becomes_a_path(blobs: Blobs, tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for use in (blobs.path, blobs.has, blobs.verify):
        with pytest.raises(ValueError, match="is no sha256"):
            use(name)
    assert precious.read_text() == "mine"
