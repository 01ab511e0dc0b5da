"""The audit log: whole lines by many at once, full files, disks that are full, and nothing that is missing silently."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hatchlock.errors import UsageError
from hatchlock.launch import LaunchRecord, SecretReference
from hatchlock.state.audit_chain import check_chain
from hatchlock.state.auditlog import AuditNotWritten, append, audit_files, audit_path, read_audit, record
from hatchlock.usecases.audit_log import audit_log, moment_of
from hatchlock.usecases.audit_trail import doing, note, serving
from support.runs import wait_for
from support.small_disk import small_disk

WRITER = """
import sys
from pathlib import Path
from hatchlock.state.auditlog import append
for number in range(int(sys.argv[3])):
    append(Path(sys.argv[1]), "call", {"writer": sys.argv[2], "number": number}, limit=int(sys.argv[4]))
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def write_at_once(store: Path, *, each: int, limit: int) -> None:
    words = [sys.executable, "-c", WRITER, str(store)]
    writers = [subprocess.Popen([*words, str(name), str(each), str(limit)]) for name in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]


def test_an_entry_says_when_what_and_who(store: Path) -> None:
    append(store, "apply.start", {"project": "acme", "lock": "ab"})
    (entry,) = read_audit(store).entries
    assert (entry["event"], entry["project"], entry["lock"]) == ("apply.start", "acme", "ab")
    assert abs((datetime.fromisoformat(entry["time"]) - datetime.now(UTC)).total_seconds()) < 60
    who = entry["who"]
    assert (who["uid"], who["pid"], who["parent"]) == (os.getuid(), os.getpid(), os.getppid())
    assert who["host"] == os.uname().nodename
    assert who["application"]
    path = audit_path(store)
    assert [stat.S_IMODE(item.stat().st_mode) for item in (path, path.parent)] == [0o600, 0o700]


def test_many_writers_lose_nothing_and_mix_nothing_also_while_files_fill_up(store: Path) -> None:
    write_at_once(store, each=100, limit=20_000)
    trail = read_audit(store)
    assert trail.damaged == 0
    assert check_chain(audit_files(store)).breaks == ()
    assert len(list(audit_path(store).parent.glob("audit.*.ndjson"))) >= 3
    for name in range(4):
        own = [entry["number"] for entry in trail.entries if entry.get("writer") == str(name)]
        assert own == list(range(100))


def test_a_file_that_another_process_has_just_put_aside_is_begun_anew(store: Path) -> None:
    append(store, "plan", {"filling": "x" * 500})
    path = audit_path(store)
    rotating = path.parent / ".rotating"
    with rotating.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = [sys.executable, "-c", WRITER, str(store), "late", "1", "300"]
        with subprocess.Popen(words) as writer:
            assert wait_for(lambda: has_open(writer.pid, rotating))
            path.rename(path.with_name("audit.1.ndjson"))
            fcntl.flock(lock, fcntl.LOCK_UN)
    assert writer.returncode == 0
    assert [entry.get("writer") for entry in read_audit(store).entries] == [None, "late"]


def has_open(pid: int, path: Path) -> bool:
    """Return whether a process has opened a file."""
    with contextlib.suppress(FileNotFoundError):  # it closes some meanwhile
        return any(os.path.realpath(item) == str(path) for item in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_what_is_dropped_is_counted(store: Path) -> None:
    for number in range(120):
        append(store, "plan", {"number": number}, limit=1000)
    trail = read_audit(store)
    kept = [entry["number"] for entry in trail.entries if entry["event"] == "plan"]
    dropped = [entry for entry in trail.entries if entry["event"] == "audit.dropped"]
    assert len(list(audit_path(store).parent.iterdir())) == 10  # eight full ones, the one that is written, and the lock
    assert kept == list(range(kept[0], 120))
    # all of them, also those of which an entry told that is gone by now
    assert sum(entry["entries"] for entry in dropped) == kept[0] > 40
    assert dropped[-1]["since"] <= dropped[-1]["until"] <= trail.entries[0]["time"]


def test_a_file_that_somebody_has_edited_stops_nobody(store: Path) -> None:
    directory = audit_path(store).parent
    for number in range(60):
        append(store, "plan", {"number": number}, limit=1000)
        if number == 20:
            (directory / "audit.1.ndjson").write_bytes(b"")
            (directory / "audit.2.ndjson").write_bytes(b'{"event":"audit.dropped","entries":"many"}\n')

    assert read_audit(store).entries[-1]["number"] == 59


def test_a_line_that_a_full_disk_cut_off_damages_no_other(store: Path) -> None:
    append(store, "plan", {})
    with audit_path(store).open("ab") as file:
        file.write(b'{"event":"pl')
    append(store, "apply.start", {})
    trail = read_audit(store)
    assert [entry["event"] for entry in trail.entries] == ["plan", "apply.start"]
    assert trail.damaged == 1


def test_what_changes_something_is_refused_where_it_cannot_be_written_down_and_what_serves_goes_on(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (store / "audit").write_text("")
    with pytest.raises(AuditNotWritten) as caught:
        record(store, "apply.start", {})
    assert str(audit_path(store)) in str(caught.value)
    assert "nothing was done" in str(caught.value)
    assert caught.value.hint
    note(store, "plan", project="acme")
    with serving(store, server_record(), {}) as told:
        told["exit"] = 0
    assert capfd.readouterr().err.count("not written into the audit log") == 3


def test_a_full_disk_refuses_too(tmp_path: Path) -> None:
    with small_disk(tmp_path, "16k"):
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "filling").write_bytes(bytes(1 << 16))
        with pytest.raises(AuditNotWritten) as caught:
            record(tmp_path, "apply.start", {})
        assert "No space left on device" in str(caught.value)


def test_a_link_is_not_followed(store: Path) -> None:
    elsewhere = store / "elsewhere"
    elsewhere.write_text("theirs")
    (store / "audit").mkdir(mode=0o700)
    audit_path(store).symlink_to(elsewhere)
    with pytest.raises(AuditNotWritten):
        record(store, "apply.start", {})
    assert elsewhere.read_text() == "theirs"


def server_record(**secrets: SecretReference) -> LaunchRecord:
    return LaunchRecord(project="acme", server="time", runtime="process", argv=("/bin/cat",), key="", secrets=secrets)


def test_a_session_names_its_secrets_and_no_argument_of_what_gives_them(store: Path) -> None:
    found = server_record(
        API_KEY=SecretReference(secret="keyring:acme-token"),
        PASSWORD=SecretReference(secret="command:pass show hunter2"),
    )
    with serving(store, found, {}) as told:
        told["exit"] = 143
    begin, end = read_audit(store).entries
    assert begin["secrets"] == {"API_KEY": "keyring:acme-token", "PASSWORD": "command:pass"}
    assert begin["launch"] == found.digest
    assert (end["exit"], end["signal"], end["session"]) == (143, "SIGTERM", begin["session"])
    assert "hunter2" not in audit_path(store).read_text()


def test_what_fails_has_an_end_too(store: Path) -> None:
    with pytest.raises(UsageError), doing(store, "pin", project="acme", surface="ab"):
        raise UsageError(what="no")
    assert [entry["event"] for entry in read_audit(store).entries] == ["pin.start", "pin.end"]
    end = read_audit(store).entries[1]
    assert (end["project"], end["error"], end["exit"]) == ("acme", "usage", 64)


def test_entries_are_found_by_project_server_and_time(store: Path) -> None:
    for project, server in (("acme", "time"), ("acme", "web"), ("other", "time")):
        append(store, "run.start", {"project": project, "server": server})
    assert len(audit_log(store, project="acme").entries) == 2
    assert len(audit_log(store, server="time").entries) == 2
    assert len(audit_log(store, project="other", server="time").entries) == 1
    assert audit_log(store, since="2999-01-01T00:00:00.000Z").entries == ()


def test_moments() -> None:
    now = datetime(2026, 11, 28, 4, 0, tzinfo=UTC)
    assert moment_of("2h", now=now) == "2026-11-28T02:00:00.000Z"
    assert moment_of("7d", now=now) == "2026-11-21T04:00:00.000Z"
    assert moment_of("2026-11-28", now=now) == "2026-11-28T00:00:00.000Z"
    assert moment_of("2026-11-28T05:00:00+02:00", now=now) == "2026-11-28T03:00:00.000Z"
    with pytest.raises(UsageError):
        moment_of("yesterday", now=now)


def test_a_foreign_line_is_no_entry(store: Path) -> None:
    append(store, "plan", {})
    with audit_path(store).open("a") as file:
        file.write(json.dumps(["no"]) + "\n" + '{"event": 1}\n')
    assert read_audit(store).damaged == 2
