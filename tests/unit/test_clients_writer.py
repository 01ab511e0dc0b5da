"""Reading and replacing clients' files: compare-and-swap, and what stays as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hatchlock.clients import swap
from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.writer import (
    ABSENT,
    Changed,
    EntryChanged,
    Unusable,
    apply_entry,
    entry_digest,
    lock_path,
    observe,
    write,
)
from hatchlock.errors import PermissionProblem
from hatchlock.paths import Home

MCP_SERVERS = CLIENTS["cursor"].dialect
TIME = {"type": "stdio", "command": "hatchlock", "args": ["run", "time"]}
OTHER = {"command": "other"}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "client"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mcp.json"
    path.write_bytes(b'{\n  "mcpServers": {}\n}\n')
    path.chmod(0o600)
    return path


def names(path: Path) -> set[str]:
    return set(MCP_SERVERS.read(path.read_bytes()))


def leftovers(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.endswith(".tmp")]


def test_observing_tells_content_mode_and_owner(file: Path) -> None:
    state = observe(file)
    assert state.data == file.read_bytes()
    assert state.mode == 0o600
    assert (state.uid, state.gid) == (file.stat().st_uid, file.stat().st_gid)
    assert state.fingerprint != observe(file.with_name("absent")).fingerprint


def test_a_missing_file_is_observed_as_absent(tmp_path: Path) -> None:
    state = observe(tmp_path / "none" / "mcp.json")
    assert (state.data, state.fingerprint, state.mode) == (None, ABSENT, None)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    loop, fifo = tmp_path / "loop", tmp_path / "fifo"
    loop.symlink_to(loop)
    os.mkfifo(fifo)
    for path in (tmp_path, loop, fifo):
        with pytest.raises(Unusable):
            observe(path)


def test_a_write_replaces_what_was_observed(file: Path, lock: Path) -> None:
    write(file, b"{}", expected=observe(file).fingerprint, lock=lock)
    assert file.read_bytes() == b"{}"
    assert leftovers(file.parent) == []


def test_a_write_over_a_changed_file_is_refused(file: Path, lock: Path) -> None:
    seen = observe(file).fingerprint
    file.write_bytes(b"new")
    with pytest.raises(Changed, match="since the plan was made"):
        write(file, b"{}", expected=seen, lock=lock)
    assert file.read_bytes() == b"new"
    with pytest.raises(Changed):
        write(file, b"{}", expected=ABSENT, lock=lock)
    assert leftovers(file.parent) == []


def test_the_mode_stays(file: Path, lock: Path) -> None:
    for mode in (0o600, 0o640, 0o664, 0o777):
        file.chmod(mode)
        write(file, f"{mode}".encode(), expected=observe(file).fingerprint, lock=lock, new_mode=0o644)
        assert observe(file).mode == mode


@as_root
def test_the_owner_stays(file: Path, lock: Path) -> None:
    os.chown(file, 12345, 54321)
    file.chmod(0o640)
    apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    state = observe(file)
    assert (state.uid, state.gid, state.mode) == (12345, 54321, 0o640)


def test_symlinks_are_written_through(file: Path, lock: Path, tmp_path: Path) -> None:
    (tmp_path / "dots").mkdir()
    target = file.rename(tmp_path / "dots" / "real.json")
    middle = tmp_path / "middle"
    middle.symlink_to("dots")
    file.symlink_to("middle/real.json")
    apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    assert (file.is_symlink(), middle.is_symlink(), target.is_symlink()) == (True, True, False)
    assert names(target) == {"time"}
    assert leftovers(target.parent) == []


def test_a_dangling_symlink_gets_its_file(tmp_path: Path, lock: Path) -> None:
    link = tmp_path / "mcp.json"
    link.symlink_to("elsewhere/mcp.json")
    apply_entry(link, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    assert link.is_symlink()
    assert names(tmp_path / "elsewhere" / "mcp.json") == {"time"}


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_new_file_gets_its_directories_and_the_mode_asked_for(tmp_path: Path, lock: Path, mode: int) -> None:
    old = os.umask(0o022)
    try:
        path = tmp_path / "a" / "b" / "mcp.json"
        apply_entry(path, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock, new_mode=mode)
    finally:
        os.umask(old)
    assert observe(path).mode == mode
    assert json.loads(path.read_bytes()) == {"mcpServers": {"time": TIME}}


def test_entries_of_one_file_are_applied_one_after_another(file: Path, lock: Path) -> None:
    before = file.read_bytes()
    for name in ("a", "b", "c"):
        apply_entry(file, name, TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    assert names(file) == {"a", "b", "c"}
    for name in ("c", "b", "a"):
        apply_entry(file, name, None, dialect=MCP_SERVERS, expected_entry=entry_digest(TIME), lock=lock)
    assert file.read_bytes() == before


def test_an_entry_that_changed_is_refused(file: Path, lock: Path) -> None:
    apply_entry(file, "time", OTHER, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    before = file.read_bytes()
    for expected in (None, entry_digest({"command": "older"})):
        with pytest.raises(EntryChanged, match="'time'"):
            apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=expected, lock=lock)
    with pytest.raises(EntryChanged):
        apply_entry(file, "time", None, dialect=MCP_SERVERS, expected_entry=entry_digest(TIME), lock=lock)
    assert file.read_bytes() == before


def test_an_entry_that_is_as_wanted_is_left_alone(file: Path, lock: Path) -> None:
    apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    inode = file.stat().st_ino
    apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    apply_entry(file, "gone", None, dialect=MCP_SERVERS, expected_entry=entry_digest(TIME), lock=lock)
    assert file.stat().st_ino == inode


def test_a_file_that_does_not_parse_is_never_written(file: Path, lock: Path) -> None:
    file.write_bytes(b'{"mcpServers": ')
    with pytest.raises(Unparsable, match=r"mcp\.json:1:"):
        apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    assert file.read_bytes() == b'{"mcpServers": '


def test_what_the_application_writes_in_between_is_kept(
    file: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application writes after we have read: the edit is made again on what it wrote."""
    real = swap._keep_owner_and_mode
    wrote: list[bool] = []

    def late_writer(handle: int, state: swap.FileState) -> None:
        if not wrote:
            wrote.append(True)
            file.write_bytes(b'{\n  "numStartups": 7,\n  "mcpServers": {}\n}\n')
        real(handle, state)

    monkeypatch.setattr(swap, "_keep_owner_and_mode", late_writer)
    apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    assert json.loads(file.read_bytes()) == {"numStartups": 7, "mcpServers": {"time": TIME}}
    assert leftovers(file.parent) == []


def test_a_file_that_never_rests_is_given_up(file: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def restless(handle: int, state: swap.FileState) -> None:
        file.write_bytes(file.read_bytes() + b" ")

    monkeypatch.setattr(swap, "_keep_owner_and_mode", restless)
    with pytest.raises(Changed):
        apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    assert names(file) == set()
    assert leftovers(file.parent) == []


def test_writers_at_the_same_time_lose_nothing(memory: Path) -> None:
    # in memory: each waits for the others at most half a minute, and none for a disk that has much to do
    file, lock = memory / "mcp.json", memory / "locks" / "client"
    file.write_bytes(b'{"mcpServers": {}}')
    code = (
        "from hatchlock.clients.catalogue import CLIENTS\n"
        "import sys\nfrom pathlib import Path\nfrom hatchlock.clients.writer import apply_entry\n"
        "path, lock, who = sys.argv[1:]\n"
        "for number in range(15):\n"
        "    apply_entry(Path(path), f'{who}-{number}', {'command': who}, dialect=CLIENTS['cursor'].dialect, expected_entry=None, lock=Path(lock))\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(file), str(lock), who]) for who in "abc"]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    assert names(file) == {f"{who}-{number}" for who in "abc" for number in range(15)}


@not_as_root
def test_a_read_only_file_is_not_replaced(file: Path, lock: Path) -> None:
    file.chmod(0o400)
    with pytest.raises(PermissionProblem, match=r"mcp\.json"):
        apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)


@as_root
def test_a_group_that_cannot_be_kept_is_named(file: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    os.chown(file, -1, 54321)
    monkeypatch.setattr(os, "fchown", refused)
    with pytest.raises(PermissionProblem, match=r"mcp\.json: its group 54321 cannot be kept") as caught:
        apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)
    assert caught.value.hint == "give it a group of yours with `chgrp`, and run the same command again"
    os.chown(file, 12345, -1)
    with pytest.raises(PermissionProblem, match=r"mcp\.json: its owner 12345 cannot be kept"):
        apply_entry(file, "time", TIME, dialect=MCP_SERVERS, expected_entry=None, lock=lock)


@as_root
def test_as_another_user_a_read_only_file_or_directory_is_named() -> None:
    """The same as above, but also where the tests run as root: the work is done by an unprivileged child."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom hatchlock.clients import writer\nfrom hatchlock.clients.catalogue import CLIENTS\nimport hatchlock.state.lease, filelock\n"
        "from hatchlock.errors import PermissionProblem\n"
        "path, lock = map(Path, sys.argv[1:])\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try:\n    writer.apply_entry(path, 'time', {}, dialect=CLIENTS['cursor'].dialect, expected_entry=None, lock=lock)\n"
        "except PermissionProblem as error:\n    print(error)\n"
    )
    # not below pytest's own directory, which every run of it that begins closes to others
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        file, locks = directory / "mcp.json", directory / "nobody"
        file.write_bytes(b'{"mcpServers": {}}')
        file.chmod(0o644)
        locks.mkdir()
        os.chown(locks, 65534, 65534)
        for path in (file, directory / "fresh.json"):
            done = subprocess.run(
                [sys.executable, "-c", code, str(path), str(locks / "lock")], capture_output=True, text=True, check=True
            )
            assert name in done.stdout
            assert "owner" in done.stdout
        assert names(file) == set()


HOME = Home(root=Path("/h/.local/share/hatchlock"), is_default=True)


def test_one_file_has_one_lock_however_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    home = HOME
    assert lock_path(home, tmp_path / "link") == lock_path(home, tmp_path / "real")
    assert lock_path(home, tmp_path / "link") != lock_path(home, tmp_path / "other")
    assert lock_path(home, tmp_path / "link").is_relative_to(home.root)


def test_the_digest_of_an_entry_does_not_depend_on_the_order_of_names() -> None:
    assert entry_digest(TIME) == entry_digest(dict(reversed(TIME.items())))
    assert entry_digest(TIME) != entry_digest({**TIME, "command": "other"})
