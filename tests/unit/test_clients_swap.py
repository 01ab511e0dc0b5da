"""What others do to a file in the last instant, when it has been looked at and is about to be replaced."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hatchlock.clients import exchange as exchanging
from hatchlock.clients import swap as swapping
from hatchlock.clients import writer as writing
from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.exchange import exchange
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.swap import Changed, observe, swap, unlink
from hatchlock.clients.writer import apply_entry

Late = Callable[[Callable[[], object]], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mcp.json"
    path.write_bytes(b"old")
    return path


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    """Let something happen right after the last look."""

    def register(happens: Callable[[], object]) -> None:
        real = swapping._check_unchanged

        def look(state: swapping.FileState) -> int:
            inode = real(state)
            happens()
            return inode

        monkeypatch.setattr(swapping, "_check_unchanged", look)

    return register


def replaced(path: Path, data: bytes) -> None:
    other = path.with_name("theirs.tmp")
    other.write_bytes(data)
    other.replace(path)


def only(path: Path) -> None:
    """Nothing of ours is left beside the file."""
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_two_files_change_places(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    assert exchange(one, other)
    assert (one.read_text(), other.read_text()) == ("2", "1")
    with pytest.raises(FileNotFoundError):
        exchange(one, tmp_path / "none")
    assert (one.read_text(), other.read_text()) == ("2", "1")


def test_a_file_that_is_renamed_into_place_in_the_last_instant_stays(file: Path, late: Late) -> None:
    state = observe(file)
    late(lambda: replaced(file, b"theirs"))
    with pytest.raises(Changed):
        swap(state, b"ours", 0o600)
    assert file.read_bytes() == b"theirs"
    only(file)


def test_so_does_one_with_the_same_content(file: Path, late: Late) -> None:
    state = observe(file)
    late(lambda: replaced(file, b"old"))
    with pytest.raises(Changed):
        swap(state, b"ours", 0o600)
    assert file.read_bytes() == b"old"
    only(file)


def test_what_is_written_into_it_in_the_last_instant_stays(file: Path, late: Late) -> None:
    state = observe(file)
    late(lambda: file.write_bytes(b"theirs"))
    with pytest.raises(Changed):
        swap(state, b"ours", 0o600)
    assert file.read_bytes() == b"theirs"
    only(file)


def while_we_wait(monkeypatch: pytest.MonkeyPatch, module: object, happens: Callable[[], object]) -> None:
    """Let something happen in each pause that a module makes."""
    clock = SimpleNamespace(sleep=lambda _: happens(), monotonic=time.monotonic, time=time.time)
    monkeypatch.setattr(module, "time", clock)


def test_who_has_it_open_writes_into_the_file_that_stays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, handle = observe(file), os.open(file, os.O_WRONLY)
    while_we_wait(monkeypatch, swapping, lambda: os.pwrite(handle, b"their own", 0))
    try:
        with pytest.raises(Changed):
            swap(state, b"ours", 0o600)
    finally:
        os.close(handle)
    assert file.read_bytes() == b"their own"
    only(file)


def test_several_renames_in_a_row_leave_the_last_one(file: Path, late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    state = observe(file)
    late(lambda: replaced(file, b"first"))
    real, came = exchanging.exchange, iter([b"second", b"third"])

    def restless(one: Path, other: Path) -> bool:
        done = real(one, other)
        if data := next(came, None):
            replaced(file, data)
        return done

    monkeypatch.setattr(exchanging, "exchange", restless)
    with pytest.raises(Changed):
        swap(state, b"ours", 0o600)
    assert file.read_bytes() == b"third"
    only(file)


def test_one_that_is_deleted_in_the_last_instant_is_not_made_anew(file: Path, late: Late) -> None:
    state = observe(file)
    late(file.unlink)
    with pytest.raises(Changed):
        swap(state, b"ours", 0o600)
    assert list(file.parent.iterdir()) == []


def test_one_that_comes_in_the_last_instant_is_not_replaced(file: Path, late: Late) -> None:
    file.unlink()
    state = observe(file)
    late(lambda: file.write_bytes(b"theirs"))
    with pytest.raises(Changed):
        swap(state, b"ours", 0o600)
    assert file.read_bytes() == b"theirs"
    only(file)


@pytest.mark.parametrize("has_links", [True, False])
def test_one_that_changes_in_the_last_instant_is_not_deleted(
    file: Path, late: Late, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", cannot)
    state = observe(file)
    late(lambda: replaced(file, b"theirs"))
    with pytest.raises(Changed):
        unlink(state)
    assert file.read_bytes() == b"theirs"
    only(file)


def test_one_that_is_gone_already_need_not_be_deleted(file: Path, late: Late) -> None:
    state = observe(file)
    late(file.unlink)
    unlink(state)
    assert list(file.parent.iterdir()) == []


def test_where_files_cannot_change_places_they_are_renamed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "exchange", lambda one, other: False)  # noqa: ARG005
    swap(observe(file), b"ours", 0o600)
    assert file.read_bytes() == b"ours"
    only(file)


def test_there_the_look_before_that_is_all_that_keeps_a_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "exchange", lambda one, other: False)  # noqa: ARG005
    state = observe(file)
    replaced(file, b"theirs")
    with pytest.raises(Changed):
        swap(state, b"ours", 0o600)
    assert file.read_bytes() == b"theirs"
    only(file)


def test_where_there_are_no_hard_links_a_new_file_is_renamed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.unlink()
    monkeypatch.setattr(Path, "hardlink_to", cannot)
    swap(observe(file), b"ours", 0o600)
    assert file.read_bytes() == b"ours"
    only(file)


def cannot(*_: object) -> None:
    raise PermissionError


def edited(path: Path) -> bytes:
    dialect = CLIENTS["cursor"].dialect
    apply_entry(path, "a", {"command": "x"}, dialect=dialect, expected_entry=None, lock=path.parent / "locks" / "lock")
    return path.read_bytes()


@pytest.mark.parametrize("torn", [b"", b'{"theme": "da'])
def test_a_file_that_is_just_being_written_is_waited_for(
    file: Path, torn: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(torn)
    os.utime(file, (time.time() + 600,) * 2)  # a moment ago, however long it takes until it is looked at
    while_we_wait(monkeypatch, writing, lambda: file.write_bytes(b'{"theme": "dark"}'))
    data = edited(file)
    assert b'"theme": "dark"' in data
    assert b'"a"' in data


def test_an_empty_file_that_has_been_empty_for_long_is_filled_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(b"")
    os.utime(file, (1, 1))
    while_we_wait(monkeypatch, writing, lambda: pytest.fail("nobody is about to fill it"))
    assert b'"a"' in edited(file)


def test_a_file_that_stays_broken_is_left_alone(file: Path) -> None:
    file.write_bytes(b'{"theme": "da')
    with pytest.raises(Unparsable):
        edited(file)
    assert file.read_bytes() == b'{"theme": "da'


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="only Linux gives files attributes of this kind")
def test_attributes_stay(file: Path) -> None:
    # an access list: the owner may read and write, the user 1234 may read, nobody else anything
    entries = [
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 1234),
        (0x04, 0, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    ]
    access = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(file, "user.note", b"mine")
        os.setxattr(file, "system.posix_acl_access", access)
    except OSError:
        pytest.skip("this file system has no attributes")
    swap(observe(file), b"new", 0o600)
    assert (file.read_bytes(), os.getxattr(file, "user.note")) == (b"new", b"mine")
    assert os.getxattr(file, "system.posix_acl_access") == access
