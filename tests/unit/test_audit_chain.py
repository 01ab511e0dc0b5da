"""The chain of the audit log: what was edited, removed or put in is seen, and what disks and kills do is none of that."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hatchlock.security.audit.facts import LogFacts
from hatchlock.state import auditlog
from hatchlock.state.audit_chain import Chain, check_chain, end_of, link_of, linked
from hatchlock.state.auditlog import append, audit_files, audit_path
from hatchlock.usecases.audit_log import log_facts
from support.runs import wait_for

WRITER = """
import sys
from pathlib import Path
from hatchlock.state import auditlog
from hatchlock.state.auditlog import append
auditlog._PATIENCE = 60  # a disk may keep whoever has the log to itself for longer than the usual two seconds
while True:
    append(Path(sys.argv[1]), "call", {"session": "x"}, limit=20_000)
"""
Lines = list[bytes]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def written(store: Path, count: int, *, limit: int = 1 << 20) -> None:
    for number in range(count):
        append(store, "plan", {"session": "x", "number": number}, limit=limit)


def chain(store: Path) -> Chain:
    return check_chain(audit_files(store))


def edited(path: Path, change: Callable[[Lines], object]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


def breaks(store: Path) -> list[tuple[str, int, str]]:
    return [(item.place.file, item.place.line, item.kind) for item in chain(store).breaks]


def without_hash(line: bytes) -> bytes:
    entry = json.loads(line)
    del entry["previous"]
    return json.dumps(entry).encode() + b"\n"


def test_each_entry_has_the_hash_of_the_line_before(store: Path) -> None:
    written(store, 3)
    first, second, third = audit_path(store).read_bytes().splitlines()
    assert [json.loads(line)["previous"] for line in (first, second, third)] == [
        "",
        link_of([first]),
        link_of([second]),
    ]
    found = chain(store)
    assert (found.entries, found.breaks, found.last) == (3, (), link_of([third]))
    assert (found.older, found.unlinked, found.anew, found.torn, found.dropped) == (0, (), (), (), 0)


def test_it_goes_on_through_full_files_and_when_the_oldest_are_dropped(store: Path) -> None:
    written(store, 60, limit=500)
    found = chain(store)
    assert (found.breaks, found.unlinked, found.anew) == ((), (), ())
    assert found.dropped > 20
    assert found.entries == 9 * 2  # 8 full files, and the one that is written


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: lines.__setitem__(3, lines[3].replace(b"plan", b"nalp")), (5, "changed")),
        (lambda lines: lines.__setitem__(3, lines[3][:20] + b"\n"), (5, "changed")),
        (lambda lines: lines.__delitem__(3), (4, "changed")),
        (lambda lines: lines.__delitem__(slice(0, 4)), (1, "missing")),
        (lambda lines: lines.insert(3, lines[3]), (5, "inserted")),
        (lambda lines: lines.insert(3, b'{"event":"plan"}\n'), (5, "inserted")),
        (lambda lines: lines.insert(3, b"no entry\n"), (5, "inserted")),
        (lambda lines: lines.insert(3, lines.pop(4)), (4, "changed")),
    ],
    ids=["edited", "cut", "removed", "first removed", "twice", "put in", "put in, no entry", "swapped"],
)
def test_what_was_done_to_it_is_seen_where_it_was(
    store: Path, change: Callable[[Lines], object], found: tuple[int, str]
) -> None:
    written(store, 8)
    edited(audit_path(store), change)
    line, kind = found
    assert breaks(store)[0] == ("audit.ndjson", line, kind)
    facts = log_facts(store)
    assert isinstance(facts, LogFacts)
    assert facts.broken[0].startswith(f"audit.ndjson:{line} (")


def test_empty_lines_are_nothing(store: Path) -> None:
    """Versions that did not wait for each other have made some."""
    written(store, 4)
    edited(audit_path(store), lambda lines: lines.insert(2, b"\n"))
    written(store, 1)
    assert breaks(store) == []


def test_files_that_are_gone_are_named_and_dropped_ones_are_not_missed(store: Path) -> None:
    written(store, 60, limit=500)
    directory = audit_path(store).parent
    names = [
        path.name for path in sorted(directory.glob("audit.*.ndjson"), key=lambda path: int(path.name.split(".")[1]))
    ]
    (directory / names[3]).unlink()
    (item,) = chain(store).breaks
    assert (item.place.file, item.place.line, item.missing) == (names[4], 1, (names[3],))
    (directory / names[0]).unlink()
    first, _ = chain(store).breaks
    assert (first.place.file, first.kind, first.missing) == (names[1], "missing", ())


def test_kills_while_files_are_put_aside_and_dropped_break_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(store, 18, limit=500)
    path = audit_path(store)
    path.rename(path.with_name("audit.9.ndjson"))  # and no more: the next one has two to drop
    written(store, 2, limit=500)
    assert breaks(store) == []
    oldest = path.with_name("audit.1.ndjson")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda item: os.remove(item) if item == oldest else None)  # noqa: PTH107
        written(store, 1, limit=500)
    assert not oldest.exists()
    assert breaks(store) == []
    written(store, 3, limit=500)
    assert breaks(store) == []
    assert len(list(path.parent.glob("audit.*.ndjson"))) == 8


def test_a_line_that_a_full_disk_cut_off_is_no_edit_until_somebody_edits_it(store: Path) -> None:
    written(store, 2)
    with audit_path(store).open("ab") as file:
        file.write(b'{"event":"pl')
    assert [str(place) for place in chain(store).torn] == ["audit.ndjson:3"]
    written(store, 2)
    found = chain(store)
    assert (found.entries, found.breaks, [place.line for place in found.torn]) == (4, (), [3])
    edited(audit_path(store), lambda lines: lines.__setitem__(2, b'{"event":"la\n'))
    assert breaks(store) == [("audit.ndjson", 4, "changed")]


def test_what_stands_before_a_line_that_was_cut_off_is_held_as_well(store: Path) -> None:
    written(store, 2)
    with audit_path(store).open("ab") as file:
        file.write(b'{"event":"pl')
    written(store, 1)
    edited(audit_path(store), lambda lines: lines.__setitem__(1, lines[1].replace(b"plan", b"nalp")))
    assert breaks(store) == [("audit.ndjson", 4, "changed")]


def test_entries_of_before_are_counted_and_the_last_of_them_is_held(store: Path) -> None:
    written(store, 3)
    edited(audit_path(store), lambda lines: lines.__setitem__(slice(None), map(without_hash, lines)))
    written(store, 2)
    found = chain(store)
    assert (found.entries, found.older, found.breaks, found.unlinked) == (5, 3, (), ())
    edited(audit_path(store), lambda lines: lines.__setitem__(2, lines[2].replace(b"plan", b"nalp")))
    assert breaks(store) == [("audit.ndjson", 4, "changed")]


def test_an_earlier_version_that_still_runs_is_told_of_and_breaks_nothing(store: Path) -> None:
    written(store, 2)
    with audit_path(store).open("ab") as file:
        file.write(b'{"format_version":1,"time":"2026-11-28T04:00:00.000Z","event":"run.end"}\n')
    written(store, 2)
    found = chain(store)
    assert (found.older, found.breaks) == (0, ())
    assert [str(place) for place in found.unlinked] == ["audit.ndjson:3 (2026-11-28T04:00:00.000Z)"]


def test_a_process_that_was_stopped_while_it_wrote_stops_nobody(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditlog, "_PATIENCE", 0.01)
    written(store, 2)
    with (audit_path(store).parent / ".rotating").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        written(store, 1, limit=10)  # files change only when somebody has the log to itself
    written(store, 1)
    found = chain(store)
    assert (found.entries, found.breaks) == (4, ())
    assert [place.line for place in found.anew] == [3]


def test_one_that_waited_too_long_and_came_between_is_told_of_and_breaks_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the log to itself may be stopped when it knows what stands there, and has not written yet."""
    end, names = auditlog._end, iter([["one", "two"], ["three"]])

    def slow(directory: Path, file: int) -> tuple[int, str]:
        found = end(directory, file)
        for name in next(names, ()):
            monkeypatch.setattr(auditlog, "_PATIENCE", 0.01)
            append(store, name, {"session": "x"})
        return found

    written(store, 2)
    monkeypatch.setattr(auditlog, "_end", slow)
    written(store, 1)
    monkeypatch.undo()
    written(store, 1)
    found = chain(store)
    assert (found.entries, found.breaks, [place.line for place in found.anew]) == (9, (), [3, 4, 6])
    assert len(json.loads(audit_path(store).read_bytes().splitlines()[7])["entries"]) == 2

    edited(audit_path(store), lambda lines: lines.insert(1, lines[2]))
    assert breaks(store) == [("audit.ndjson", 3, "inserted")], "another entry put in elsewhere"
    edited(audit_path(store), lambda lines: lines.pop(1))
    edited(audit_path(store), lambda lines: lines.pop(7))
    assert [line for _, line, _ in breaks(store)] == [5, 7, 8], "nobody says any more that it was so"


def test_what_somebody_is_just_writing_is_read_when_it_is_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of before the chain wait for nobody."""
    link = auditlog._link

    def beside(directory: Path, file: int) -> str:
        found = link(directory, file)
        with audit_path(store).open("ab") as log:
            log.write(next(halves, b""))
        return found

    written(store, 2)
    line = without_hash(audit_path(store).read_bytes().splitlines()[1]) + b"\n"
    halves = iter([line[:20], line[20:]])
    monkeypatch.setattr(auditlog, "_link", beside)
    written(store, 1)
    assert (chain(store).entries, breaks(store)) == (4, [])


def test_a_descriptor_that_a_fork_has_kept_holds_nobody_up(store: Path) -> None:
    written(store, 1)
    rotating = audit_path(store).parent / ".rotating"
    with auditlog._alone(rotating.parent, os.O_RDWR):
        held = next(item for item in Path("/proc/self/fd").iterdir() if os.path.realpath(item) == str(rotating))
        copy = os.dup(int(held.name))
    written(store, 1)
    assert chain(store).anew == ()
    os.close(copy)


def test_processes_that_are_killed_while_they_write_break_nothing(store: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(store)]) for _ in range(3)]
    for number, writer in enumerate(writers):
        assert wait_for(lambda number=number: chain(store).entries > 30 * (number + 1))
        writer.kill()
        writer.wait()
    written(store, 1)
    found = chain(store)
    assert found.entries > 90
    assert (found.breaks, found.unlinked, found.anew) == ((), (), ())


def test_who_writes_the_whole_chain_anew_is_told_by_a_hash_that_was_kept(store: Path) -> None:
    written(store, 5)
    kept = chain(store).last
    written(store, 2)
    assert kept in chain(store).links
    lines = [json.loads(line) for line in audit_path(store).read_bytes().splitlines()]
    del lines[3]
    anew: list[bytes] = []
    for entry in lines:
        del entry["previous"]
        anew.append(linked(json.dumps(entry).encode(), link_of(anew[-1:])).rstrip(b"\n"))
    audit_path(store).write_bytes(b"".join(line + b"\n" for line in anew))
    assert breaks(store) == []
    assert kept not in chain(store).links


def test_the_end_is_found_however_long_lines_are_and_wherever_it_stands(tmp_path: Path) -> None:
    entry = b'{"event":"plan","long":"' + b"x" * 40_000 + b'"}'
    paths = [tmp_path / name for name in ("newest", "empty", "older", "oldest")]
    for path, data in zip(paths, (b"torn", b"", entry + b"\nhalf\n\n", b'{"event":"no"}\n'), strict=True):
        path.write_bytes(data)
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(path.open("rb")).fileno() for path in paths]
        assert end_of(files) == (entry, b"half", b"torn")
        assert end_of(files[:2]) == (b"torn",)
        assert end_of(files[3:]) == (b'{"event":"no"}',)
        assert end_of([]) == ()
    assert link_of(()) == ""
