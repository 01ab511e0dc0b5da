"""What processes keep: moved, copied and settled; a kill in between loses nothing."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatchlock.paths import Home
from hatchlock.resources.volume_directories import (
    copy_directory,
    directory_place,
    directory_size,
    is_at_work,
    kept_directories,
    make_directory,
    move_directory,
    remove_directory,
    settle_directories,
)

ME = f"{os.getuid()}:{os.getgid()}"
OTHER = "61234:61234" if os.geteuid() == 0 else ME


class Killed(BaseException):
    """Ends a step in the middle."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path / "store", is_default=False)


def place(home: Home, server: str) -> Path:
    return Path(directory_place(home, "p", server, "/data/x"))


def kept(home: Home) -> list[tuple[str, str, bool]]:
    return [(item.server, item.path, item.is_linked) for item in kept_directories(home, "p")]


def filled(home: Home, server: str) -> Path:
    made = place(home, server)
    make_directory(home, "p", made, ME)
    (made / "d").mkdir()
    (made / "d" / "a").write_text("kept")
    (made / "d" / "link").symlink_to("/etc/passwd")
    return made


def owners(directory: Path) -> set[int]:
    return {path.lstat().st_uid for path in (directory, *directory.rglob("*"))}


def test_a_directory_is_outside_of_the_state_under_the_name_that_it_always_had(home: Home) -> None:
    made = filled(home, "a")
    assert made == home.root / "projects" / "p" / "volumes" / "a" / "data%2Fx"
    assert (home.root / "volumes" / "p" / "a" / "data%2Fx" / "d" / "a").read_text() == "kept"
    assert kept(home) == [("a", "/data/x", True)]
    (home.root / "projects" / "p" / "volumes").unlink()
    assert kept(home) == [("a", "/data/x", False)]
    settle_directories(home, "p")
    assert kept(home) == [("a", "/data/x", True)]


def test_what_is_no_directory_is_nothing_that_a_server_keeps(home: Home) -> None:
    made = filled(home, "a")
    (made.parent / "notes.txt").write_text("somebody's")
    (made.parent / "nowhere").symlink_to("/there/is/none")
    (home.root / "volumes" / "p" / "list.txt").write_text("somebody's")
    assert kept(home) == [("a", "/data/x", True)]


def test_what_another_step_deletes_meanwhile_is_not_there(home: Home) -> None:
    filled(home, "a")
    others = [Path(directory_place(home, "p", "b", f"/data/{number}")) for number in range(8)]
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            for other in others:
                make_directory(home, "p", other, ME)
            for other in others:
                remove_directory(other)  # and with the last one what is above

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(60):
            assert ("a", "/data/x", True) in kept(home)
            assert all(directory_size(other) == 0 for other in others)
    finally:
        done.set()
        thread.join()


def test_steps_that_begin_and_end_at_once_do_not_hinder_each_other(home: Home) -> None:
    places = [Path(directory_place(home, "p", "a", f"/data/{number}")) for number in range(4)]

    def come_and_go(place: Path) -> None:
        for _ in range(40):
            make_directory(home, "p", place, ME)
            assert place.is_dir()
            remove_directory(place)

    for _ in range(10):  # the first of them makes all that is above
        with ThreadPoolExecutor(len(places)) as pool:
            list(pool.map(come_and_go, places))
        (home.project("p") / "volumes").unlink()


def test_where_nothing_is_kept_nothing_is_made(home: Home) -> None:
    settle_directories(home, "p")
    assert not home.root.exists()
    assert kept(home) == []


def test_what_a_version_before_has_left_is_moved_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    old = home.root / "projects" / "p" / "volumes"
    (old / "a" / "data%2Fx").mkdir(parents=True)
    (old / "a" / "data%2Fx" / "f").write_text("kept")
    old.parent.chmod(0o700)
    home.root.chmod(0o700)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "symlink_to", killed)
        with pytest.raises(Killed):
            settle_directories(home, "p")
    for _ in range(2):
        settle_directories(home, "p")
        assert (place(home, "a") / "f").read_text() == "kept"
        assert old.is_symlink()


def test_of_two_with_the_same_name_both_stay_and_the_one_in_the_state_is_used(home: Home) -> None:
    filled(home, "a")
    link = home.root / "projects" / "p" / "volumes"
    link.unlink()
    (link / "b" / "y").mkdir(parents=True)
    settle_directories(home, "p")
    assert kept(home) == [("b", "/y", True)]
    assert (home.root / "volumes" / "p" / "a" / "data%2Fx" / "d" / "a").exists()


@pytest.mark.parametrize("instant", ["chown", "rename", "rmdir"])
def test_a_move_that_is_killed_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch, instant: str) -> None:
    old, new = filled(home, "old"), place(home, "new")

    def killed(*_: object, **__: object) -> None:
        raise Killed

    target = os if instant == "chown" else Path
    with monkeypatch.context() as patched:
        patched.setattr(target, instant, killed)
        if instant == "chown" and os.geteuid() != 0:
            pytest.skip("only root gives things away")
        with pytest.raises(Killed):
            move_directory(home, "p", old, new, OTHER)
    if old.exists():
        move_directory(home, "p", old, new, OTHER)
    assert kept(home) == [("new", "/data/x", True)]
    assert (new / "d" / "a").read_text() == "kept"
    assert owners(new) == {int(OTHER.partition(":")[0])}
    assert os.lstat("/etc/passwd").st_uid == 0


def test_a_copy_leaves_the_other_one_and_begins_anew_after_a_kill(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    source = filled(home, "theirs")
    new = place(home, "new")

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(Killed):
            copy_directory(home, "p", source, new, OTHER)
    assert kept(home) == [("theirs", "/data/x", True)]  # half of it is none
    copy_directory(home, "p", source, new, OTHER)
    assert kept(home) == [("new", "/data/x", True), ("theirs", "/data/x", True)]
    assert (new / "d" / "a").read_text() == (source / "d" / "a").read_text() == "kept"
    assert owners(new) == {int(OTHER.partition(":")[0])}
    assert owners(source) == {os.getuid()}
    assert new.stat().st_mode & 0o777 == 0o700
    assert not [path for path in (home.root / "volumes" / "p").iterdir() if path.name.startswith(".")]


def test_nobody_is_at_work_for_root_and_nobody_else_has_users_of_their_own() -> None:
    assert not is_at_work(0)
    assert not is_at_work(61234)
