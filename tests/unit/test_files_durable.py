"""What is on the disk when the power goes: content before its name, the name before whatever counts on it. And what a writer
that was killed leaves: it is cleared away, and nothing else is."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from hatchlock import files
from hatchlock.files import atomic_write, begin_file, clear_unfinished
from hatchlock.state.generations import Generations
from hatchlock.state.journal import Journal
from hatchlock.store import receipts
from hatchlock.store.blobs import Blobs
from hatchlock.store.receipts import building

DATA = b"some bytes"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was flushed and renamed, in order: `flush PATH` and `name PATH`, below the test's directory."""
    seen: list[str] = []

    def shown(path: Any) -> str:
        place = Path(path)
        return (
            str(place.relative_to(tmp_path))
            if place.name[0] != "." or place.name == receipts.RECEIPT_NAME
            else "a file"
        )

    fsync = os.fsync

    def flushed(descriptor: int) -> None:
        seen.append(f"flush {shown(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        fsync(descriptor)

    def named(name: str) -> None:
        original = getattr(os, name)

        def rename(source: Any, target: Any, **options: Any) -> None:
            original(source, target, **options)
            seen.append(f"name {shown(target)}")

        monkeypatch.setattr(os, name, rename)

    monkeypatch.setattr(os, "fsync", flushed)
    named("rename")
    named("replace")
    return seen


def test_a_file_is_flushed_then_named_then_its_directory_is_flushed(tmp_path: Path, order: list[str]) -> None:
    atomic_write(tmp_path / "x", DATA)
    assert order == ["flush a file", "name x", "flush ."]


def test_a_blob_too(tmp_path: Path, order: list[str]) -> None:
    with Blobs(tmp_path / "b").add(DIGEST) as writer:
        writer.write(DATA)
    assert order == ["flush a file", f"name b/sha256/{DIGEST[:2]}/{DIGEST}", f"flush b/sha256/{DIGEST[:2]}"]


def test_a_tree_is_flushed_whole_before_its_receipt_is_there(
    tmp_path: Path, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "flush_tree", lambda path: order.append(f"flush all of {path.name}"))
    tree = tmp_path / "t"
    with building(tree, {}):
        tree.mkdir()
        (tree / "file").write_bytes(DATA)
    assert order == ["flush all of t", "flush a file", f"name t/{receipts.RECEIPT_NAME}", "flush t"]
    files.flush_tree(tree)  # the real one


def test_a_journal_is_there_before_its_first_line_and_each_line_before_its_step(
    tmp_path: Path, order: list[str]
) -> None:
    journal = Journal(tmp_path / "s" / "journal.ndjson")
    assert order == ["flush s"]
    journal.write("start", step="env:a")
    assert order == ["flush s", "flush s/journal.ndjson"]
    journal.close(finished=False)


def test_a_generation_has_its_name_when_all_of_it_is_there(tmp_path: Path, order: list[str]) -> None:
    Generations(tmp_path / "s").record(lock=DATA, manifest=DATA, overlay=b"", target={}, facts={"servers": {}})
    assert order[-2:] == ["name s/generations/1", "flush s/generations"]
    assert order.count("flush a file") == 2 * 5  # each, and the hidden directory that they are in


def killed_while_writing(*statements: str) -> None:
    """Run some Python that is killed where it says `die()`."""
    code = f"""
        import os, signal
        from pathlib import Path
        from hatchlock import files
        from hatchlock.store.blobs import Blobs
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        {"; ".join(statements)}
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -9


def test_what_a_killed_writer_left_is_cleared_away_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    killed_while_writing(f"files.os.fsync = die; files.atomic_write(Path({str(tmp_path / 'x')!r}), b'half')")
    (left,) = tmp_path.iterdir()
    theirs = [
        tmp_path / name for name in (".x.tmp", ".x.0123456789ab.swp", "x.0123456789ab.tmp", ".x.0123456789AB.tmp")
    ]
    for path in theirs:
        path.write_bytes(b"")
    (tmp_path / ".y.0123456789ab.tmp").mkdir()
    handle, writing = begin_file(tmp_path / "x")
    clear_unfinished(tmp_path, "y")
    assert left.exists()
    clear_unfinished(tmp_path, "x")
    assert not left.exists()
    assert writing.exists()
    os.close(handle)
    clear_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*theirs, tmp_path / ".y.0123456789ab.tmp"])
    clear_unfinished(tmp_path / "nowhere")


def test_a_file_that_was_cleared_away_before_it_was_locked_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    cleared: list[Path] = []

    def late(handle: int, how: int) -> None:
        if not cleared:
            cleared.extend(tmp_path.iterdir())
            cleared[0].unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    atomic_write(tmp_path / "x", DATA)
    assert (tmp_path / "x").read_bytes() == DATA
    assert len(cleared) == 1


def test_the_next_download_clears_away_what_a_killed_one_left(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    killed_while_writing(
        f"writer = Blobs(Path({str(tmp_path)!r})).add({DIGEST!r}); writer.__enter__().write(b'some'); die()"
    )
    assert len(list(blobs.leftovers())) == 1
    with blobs.add(DIGEST) as first, blobs.add(DIGEST) as second:
        assert len(list(blobs.leftovers())) == 2
        first.write(DATA)
        second.write(DATA)
    assert list(blobs.leftovers()) == []
    assert blobs.has(DIGEST)
