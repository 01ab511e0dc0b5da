from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.errors import PermissionProblem
from hatchlock.files import atomic_write, check_private, private_directory, read_optional
from hatchlock.process import ProcessFailed, run


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_directories_are_private_from_the_first_that_is_made(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        private_directory(tmp_path / "a" / "b" / "c")
        private_directory(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(old)
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3


@pytest.mark.parametrize("wide", [0o720, 0o702, 0o777])
def test_a_directory_that_others_could_write_to_is_refused(tmp_path: Path, wide: int) -> None:
    tmp_path.chmod(wide)
    for check in (check_private, private_directory):
        with pytest.raises(PermissionProblem) as caught:
            check(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path}: others could write to it (owner ")
        assert caught.value.mode == wide
        assert caught.value.hint


@pytest.mark.parametrize("narrow", [0o700, 0o755, 0o500])
def test_a_directory_that_only_its_owner_can_write_to_will_do(tmp_path: Path, narrow: int) -> None:
    tmp_path.chmod(narrow)
    check_private(tmp_path)
    check_private(tmp_path / "not" / "there")


@pytest.mark.parametrize("wanted", [0o600, 0o644, 0o755])
def test_a_file_is_replaced_whole_with_the_mode_that_was_asked_for(tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    reader = path.open()
    old = os.umask(0o077)
    try:
        atomic_write(path, b"new", mode=wanted)
    finally:
        os.umask(old)
    with reader:
        assert reader.read() == "old", "whoever reads the old file reads it to its end"
    assert path.read_text() == "new"
    assert mode(path) == wanted
    assert list(tmp_path.iterdir()) == [path]


def test_a_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to("target")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "link").is_symlink()


def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PermissionProblem, match="no file that can be replaced"):
        atomic_write(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "directory"
    (target / "full").mkdir(parents=True)
    with pytest.raises(OSError):
        atomic_write(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert read_optional(tmp_path / "file") == b"x"
    assert read_optional(tmp_path / "missing") is None
    assert read_optional(tmp_path / "file" / "below") is None


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody inside the block, where we are root: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_write_without_permission_names_path_owner_and_mode() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        closed = Path(name) / "closed"
        closed.mkdir(mode=0o555)
        with without_privileges(), pytest.raises(PermissionProblem) as caught:
            atomic_write(closed / "file", b"new")
        owner = "root" if os.geteuid() == 0 else closed.owner()
        assert caught.value.mode == 0o555
        assert str(caught.value).startswith(f"{closed}: permission denied")
        assert str(caught.value).endswith(f"(owner {owner}, mode 0555)")
        assert list(closed.iterdir()) == []


def test_a_program_gets_exactly_what_it_was_given(tmp_path: Path) -> None:
    script = "import os, sys; print(sorted(os.environ), os.getcwd(), sys.stdin.read())"
    out = run([sys.executable, "-I", "-c", script], env={"A": "1", "LC_CTYPE": "C"}, cwd=tmp_path, stdin=b"in")
    assert out.decode() == f"['A', 'LC_CTYPE'] {tmp_path.resolve()} in\n"


def test_a_program_that_fails_shows_the_end_of_what_it_said() -> None:
    script = "import sys; print(*range(99), sep='\\n', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ProcessFailed) as caught:
        run([sys.executable, "-c", script], env={})
    assert caught.value.status == 3
    assert str(caught.value).startswith(f"{sys.executable} ended with status 3:\n  79\n")
    assert str(caught.value).endswith("\n  98")


def test_a_program_that_is_missing_or_does_not_end_is_an_error() -> None:
    with pytest.raises(ProcessFailed, match="could not be started"):
        run(["/no/such/program"], env={})
    with pytest.raises(ProcessFailed, match=r"no end within 0\.2 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], env={}, timeout=0.2)
