"""What another process does with the same files in the same instant: nothing is lost by it, and nothing fails."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hatchlock.digest import canonical_json
from hatchlock.files import alone_in, atomic_write, clear_unfinished, remove_tree
from hatchlock.paths import Home
from hatchlock.resources.env_health import size_of
from hatchlock.serve.talk import LogFile
from hatchlock.state.denials import Refusal, denials_path, read_denials, remember_denial
from hatchlock.state.generations import Generations
from hatchlock.state.runlog import runs
from hatchlock.state.surfaces import Difference, read_surface, remember_surface, surface_path
from hatchlock.state.tokens import token_of
from hatchlock.usecases.quarantine import put_into_quarantine
from support.kernel_locks import waiting_for
from support.runs import PATIENCE, apply_records, python_record, wait_for

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel who waits for a lock")
LAUNCH = "0" * 64


def beside(*works: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


def before_the_first(monkeypatch: pytest.MonkeyPatch, of: object, name: str, happens: Callable[[str], object]) -> None:
    """Let something happen right before a function is called for the first time; it is told what that is called with."""
    real = getattr(of, name)
    seen: list[str] = []

    def called(path: str, *others: object, **options: object) -> object:
        if not seen:
            seen.append(path)
            happens(path)
        return real(path, *others, **options)

    monkeypatch.setattr(of, name, called)


# What is read, changed and written back


@linux
def test_what_two_sessions_were_denied_is_all_remembered(tmp_path: Path) -> None:
    path = denials_path(tmp_path, "web")
    one, other = (Refusal(kind="write", what=what, at="", when="2026-11-28T00:00:00Z") for what in ("/one", "/other"))
    remember_denial(path, LAUNCH, one)
    both = path.read_bytes()
    path.unlink()
    with alone_in(path.parent):
        threads = beside(lambda: remember_denial(path, LAUNCH, other))
        assert wait_for(lambda: waiting_for(path.parent))
        atomic_write(path, both)
    assert ended(threads)
    assert read_denials(path, LAUNCH) == (one, other)


@linux
def test_a_listing_that_matches_does_not_hide_what_another_session_saw_meanwhile(tmp_path: Path) -> None:
    path = surface_path(tmp_path, "web")
    remember_surface(path, LAUNCH, Difference(changed=("tool get",)), now="2026-11-28T00:00:01Z")
    seen = path.read_bytes()
    path.unlink()
    with alone_in(path.parent):
        threads = beside(lambda: remember_surface(path, LAUNCH, Difference(), now="2026-11-28T00:00:02Z"))
        assert wait_for(lambda: waiting_for(path.parent))
        atomic_write(path, seen)
    assert ended(threads)
    found = read_surface(path, LAUNCH)
    assert found is not None
    assert (found.matches, found.differed) == (True, Difference(changed=("tool get",)))


@linux
def test_of_two_that_put_a_full_log_aside_one_does(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "x.log"
    one, other, third = (LogFile(path, 100) for _ in range(3))
    third.write(b"x" * 99 + b"\n")
    handle = os.open(path, os.O_RDONLY)
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX)
    threads = beside(lambda: one.write(b"one\n"), lambda: other.write(b"other\n"))
    assert wait_for(lambda: waiting_for(path) == 2)
    os.close(handle)
    assert ended(threads)
    assert sorted(path.read_bytes().splitlines()) == [b"one", b"other"]
    assert path.with_name("x.log.1").read_bytes() == b"x" * 99 + b"\n"
    for log in (one, other, third):
        log.close()


def test_a_log_that_cannot_be_begun_anew_writes_into_nobody_elses_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(tmp_path / "logs" / "x.log", 100)
    log.write(b"x" * 99 + b"\n")

    def full(_: LogFile) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LogFile, "_open", full)
    log.write(b"too much\n")
    with (tmp_path / "other").open("wb"):  # has the next descriptor that is free
        log.write(b"a\n")
    assert (tmp_path / "other").read_bytes() == b""
    log.close()


@pytest.mark.parametrize("anew", [False, True])
def test_a_token_that_is_being_made_is_not_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """Whoever applies clears away what killed commands have left."""
    before_the_first(
        monkeypatch,
        Path,
        "replace" if anew else "hardlink_to",
        lambda _: clear_unfinished(tmp_path / "tokens"),
    )
    assert token_of(tmp_path, "web", anew=anew)


# What goes while it is looked at, or deleted


def test_what_goes_while_a_directory_is_deleted_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "state"
    (root / "sessions").mkdir(parents=True)
    (root / "sessions" / "1.json").write_text("")
    before_the_first(monkeypatch, os, "unlink", lambda _: (root / "sessions" / "1.json").rename(tmp_path / "gone"))
    remove_tree(root)
    assert not root.exists()


def test_what_comes_while_a_directory_is_deleted_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "state"
    (root / "counts").mkdir(parents=True)
    before_the_first(monkeypatch, os, "rmdir", lambda _: (root / "counts" / "web.json").write_text(""))
    remove_tree(root)
    assert not root.exists()


def test_a_directory_that_is_gone_as_a_whole_needs_no_deleting(tmp_path: Path) -> None:
    remove_tree(tmp_path / "none")


def test_a_tree_that_is_being_built_or_deleted_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10)
    (tmp_path / "b").write_bytes(b"x" * 20)
    sizes = {"a": 20, "b": 10}
    gone: list[str] = []

    def goes(path: str) -> None:
        gone.append(Path(path).name)
        Path(path).unlink()

    before_the_first(monkeypatch, os, "lstat", goes)
    assert size_of(tmp_path) == sizes[gone[0]]


def test_a_project_that_is_being_destroyed_has_no_generations_and_no_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda _: True)  # it was there a moment ago
    assert Generations(tmp_path / "gone").numbers() == ()
    assert runs(tmp_path / "gone") == ()


def test_a_log_that_is_put_aside_meanwhile_does_not_keep_the_rest_from_being_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(root=tmp_path / "home", is_default=False)
    home.root.mkdir(mode=0o700)
    apply_records(home.root, [python_record()])
    root = home.project("trial")
    (root / "logs").mkdir(mode=0o700)
    for name in ("echo.log", "echo.log.1"):
        (root / "logs" / name).write_text(name)
    before_the_first(monkeypatch, shutil, "copyfile", lambda path: Path(path).unlink())
    assert put_into_quarantine(home, "trial", "echo").undone == ()
    (report,) = root.glob("quarantine/echo/*/report.json")
    assert json.loads(report.read_bytes())["server"] == "echo"
    assert canonical_json(json.loads(report.read_bytes())) == report.read_bytes()
    assert [path.name for path in report.parent.glob("echo.*")] == ["echo.log.1"]
