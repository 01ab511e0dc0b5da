"""What is written in a place of a stranger's is listed without being led out of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from hatchlock.engines.trees import children_of, roots_of, written_below
from support.runs import wait_for


def test_nothing_is_followed_out_of_a_place(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    root = tmp_path / "root"
    (root / "tmp" / "deep").mkdir(parents=True)
    (root / "tmp" / "deep" / "file").write_text("written")
    (root / "tmp" / "link").symlink_to(outside)
    (root / "tmp" / "to-file").symlink_to(outside / "mine")
    (root / "led").symlink_to(outside)
    os.mkfifo(root / "tmp" / "pipe")
    found = {item.path: item for item in written_below(root, ("/tmp", "/led", "/tmp/link", "/not/there"))}
    assert {path: item.kind for path, item in found.items()} == {
        "/tmp/deep": "directory",
        "/tmp/deep/file": "file",
        "/tmp/link": "link",
        "/tmp/pipe": "other",
        "/tmp/to-file": "link",
    }
    assert found["/tmp/deep/file"].sha256 == hashlib.sha256(b"written").hexdigest()
    assert (found["/tmp/deep/file"].size, found["/tmp/pipe"].sha256) == (7, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces are made by root")
def test_every_sandbox_is_looked_into_by_who_is_in_it() -> None:
    """Who has started it has mounts of its own, and may have the higher pid: they begin again with small ones."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sleep", "600"]
    with subprocess.Popen(command) as one, subprocess.Popen(command) as other:
        try:
            assert wait_for(lambda: all(len(children_of({pid})) == 1 for pid in (one.pid, other.pid)))
            inside = sorted(children_of({one.pid, other.pid}))
            assert roots_of((one.pid, other.pid, *inside)) == tuple(Path(f"/proc/{pid}/root") for pid in inside)
            assert roots_of((one.pid, other.pid)) == ()
        finally:
            one.kill()
            other.kill()
