"""A project's content is one archive that depends on the content alone."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hatchlock.sources.projects.problems import BadEntry, ChangedWhileRead, LeadsOut, MissingProject, TooLarge
from hatchlock.sources.projects.snapshot import list_files, signature, snapshot


def make(root: Path) -> Path:
    (root / "src" / "pkg").mkdir(parents=True)
    (root / "src" / "pkg" / "a.py").write_text("A = 1\n")
    (root / "src" / "größe.txt").write_text("ü")
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o755)
    (root / "empty").mkdir()
    (root / "link").symlink_to("src/pkg/a.py")
    (root / "src" / "back").symlink_to("../tool")
    return root


def archive(root: Path) -> bytes:
    pieces: list[bytes] = []
    snapshot(root, pieces.append)
    return b"".join(pieces)


def test_the_archive_holds_the_sorted_files_with_plain_modes_and_nothing_of_this_machine(tmp_path: Path) -> None:
    data = archive(make(tmp_path))
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        members = opened.getmembers()
    assert [(member.name, oct(member.mode), member.linkname) for member in members] == [
        ("link", "0o777", "src/pkg/a.py"),
        ("src/back", "0o777", "../tool"),
        ("src/größe.txt", "0o644", ""),
        ("src/pkg/a.py", "0o644", ""),
        ("tool", "0o755", ""),
    ]
    assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members} == {
        (0, 0, "", "", 0)
    }


def test_what_is_returned_describes_the_archive(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    taken = snapshot(make(tmp_path), pieces.append)
    data = b"".join(pieces)
    assert (taken.sha256, taken.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert taken.files == list_files(tmp_path)
    assert snapshot(tmp_path) == taken


def test_the_digest_is_the_same_on_every_machine(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    assert snapshot(make(tmp_path / "p")).sha256 == "0de26c63c6c3a7f60cea82567377bb78f2c9b0a16341496be7f7e21a9a24a9c0"


def test_times_owners_umask_and_empty_directories_do_not_count(tmp_path: Path) -> None:
    first = make(tmp_path / "first")
    before = os.umask(0o077)
    try:
        second = make(tmp_path / "second")
    finally:
        os.umask(before)
    (second / "more" / "empty").mkdir(parents=True)
    os.utime(second / "tool", (1, 1))
    (second / "tool").chmod(0o700)
    if os.geteuid() == 0:
        os.chown(second / "src" / "pkg" / "a.py", 4242, 4242)
    assert archive(first) == archive(second)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src/pkg/a.py").write_text("A = 2\n"),
        lambda root: (root / "src/pkg/a.py").rename(root / "a.py"),
        lambda root: (root / "src/pkg/a.py").chmod(0o755),
        lambda root: (root / "new").write_text(""),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("tool")),
    ],
    ids=["content", "moved", "mode", "added", "link"],
)
def test_every_change_of_content_changes_digest_and_signature(tmp_path: Path, change: Callable[[Path], object]) -> None:
    os.utime(make(tmp_path) / "src/pkg/a.py", (1, 1))  # not in the instant in which it is changed
    before = snapshot(tmp_path).sha256, signature(tmp_path)
    change(tmp_path)
    after = snapshot(tmp_path).sha256, signature(tmp_path)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_change_that_keeps_size_and_time_changes_the_signature(tmp_path: Path) -> None:
    file = make(tmp_path) / "src/pkg/a.py"
    before, status, changed = signature(tmp_path), file.stat(), file.read_bytes()[::-1]
    while file.stat().st_ctime_ns == status.st_ctime_ns:  # older kernels' clock of files ticks every few milliseconds
        file.write_bytes(changed)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert signature(tmp_path) != before


def test_what_the_store_gets_changes_neither(tmp_path: Path) -> None:
    store = make(tmp_path) / "store"
    (store / "cache").mkdir(parents=True)
    before = snapshot(tmp_path, without=store), signature(tmp_path, without=store)
    (store / "cache" / "x").write_text("x")
    assert (snapshot(tmp_path, without=store), signature(tmp_path, without=store)) == before
    assert snapshot(tmp_path) != before[0]


def test_what_is_ignored_changes_neither(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / ".gitignore").write_text("*.log\n")
    before = snapshot(tmp_path), signature(tmp_path)
    (tmp_path / "x.log").write_text("noise")
    (tmp_path / ".env").write_text("TOKEN=1")
    assert (snapshot(tmp_path), signature(tmp_path)) == before


def test_a_clone_has_the_digest_of_the_tree_it_was_made_from(tmp_path: Path) -> None:
    origin = make(tmp_path / "origin")
    (origin / ".gitignore").write_text("/out\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    commit = ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "x"]
    for arguments in (["init", "-q"], ["add", "-A"], commit, ["clone", "-q", ".", str(tmp_path / "clone")]):
        subprocess.run(["git", *arguments], cwd=origin, env=env, check=True)
    (origin / "out").mkdir()
    (origin / "out" / "made").write_text("")
    assert snapshot(origin) == snapshot(tmp_path / "clone") == snapshot(tmp_path / "clone", committed=True)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "../p/tool", "src/../../p/tool", "src/up/../x"])
def test_a_symlink_that_leads_out_is_named(tmp_path: Path, target: str) -> None:
    root = make(tmp_path / "p")
    (root / "src" / "up").symlink_to("..")
    (root / "zz").symlink_to(target)
    with pytest.raises(LeadsOut) as caught:
        snapshot(root)
    assert (caught.value.path, caught.value.target) == ("zz", target)
    assert caught.value.hint


def test_links_inside_are_kept_even_when_they_lead_nowhere_or_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("missing")
    (tmp_path / "b").symlink_to("c")
    (tmp_path / "c").symlink_to("b")
    (tmp_path / "d").symlink_to(".")
    assert [(file.path, file.target) for file in list_files(tmp_path)] == [
        *(("a", "missing"), ("b", "c"), ("c", "b"), ("d", ".")),
    ]


def test_a_symlink_to_a_directory_is_a_link_and_is_not_entered(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "again").symlink_to("src")
    assert "again/pkg/a.py" not in {file.path for file in list_files(tmp_path)}


def test_the_project_itself_may_be_reached_by_a_symlink(tmp_path: Path) -> None:
    make(tmp_path / "p")
    (tmp_path / "short").symlink_to("p")
    assert snapshot(tmp_path / "short") == snapshot(tmp_path / "p")


def test_a_pipe_is_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadEntry, match="pipe cannot be part of a project: it is a named pipe"):
        snapshot(tmp_path)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("door")
        with pytest.raises(BadEntry, match="it is a socket"):
            snapshot(tmp_path)


def test_a_name_that_is_no_utf8_is_refused_and_can_be_shown(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_text("")
    with pytest.raises(BadEntry) as caught:
        snapshot(tmp_path)
    assert "caf\\xe9" in str(caught.value)


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    make(tmp_path)

    def meddle(_: bytes) -> None:
        (tmp_path / "tool").write_text("#!/bin/no\n")  # of the same size

    with pytest.raises(ChangedWhileRead, match="tool changed"):
        snapshot(tmp_path, meddle)


@pytest.mark.parametrize("meddle", ["grow", "vanish", "appear", "swap"])
def test_so_is_one_that_grows_goes_comes_or_becomes_a_link(tmp_path: Path, meddle: str) -> None:
    make(tmp_path)
    tool = tmp_path / "tool"

    def act(_: bytes) -> None:
        match meddle:
            case "grow":
                tool.write_text("longer than it was before")
            case "vanish":
                tool.unlink(missing_ok=True)
            case "appear":
                (tmp_path / "tool2").write_text("")
            case _:
                tool.unlink(missing_ok=True)
                tool.symlink_to("/etc/passwd")

    with pytest.raises((ChangedWhileRead, LeadsOut)):
        snapshot(tmp_path, act)


def test_too_much_is_refused_before_anything_is_read_and_the_largest_are_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("one.bin", "two.bin"):
        with (tmp_path / "data" / name).open("wb") as stream:
            stream.truncate(400 << 20)  # sparse
    got: list[bytes] = []
    with pytest.raises(TooLarge) as caught:
        snapshot(tmp_path, got.append)
    assert got == []
    assert caught.value.largest[0] == ("data/", 800 << 20)
    assert "data/one.bin (400.0 MiB)" in str(caught.value)


def test_a_missing_directory_and_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingProject, match="there is no directory"):
        snapshot(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingProject, match="is a file"):
        list_files(tmp_path / "file")


def test_the_archive_unpacks_to_the_same_tree(tmp_path: Path) -> None:
    root = make(tmp_path / "p")
    long = root / ("d" * 120) / ("e" * 120)
    long.mkdir(parents=True)
    (long / ("f" * 200)).write_text("deep")
    with tarfile.open(fileobj=io.BytesIO(archive(root))) as opened:
        opened.extractall(tmp_path / "out", filter="tar")
    shutil.rmtree(root / "empty")
    assert archive(tmp_path / "out") == archive(root)
    assert (tmp_path / "out" / long.relative_to(root) / ("f" * 200)).read_text() == "deep"
