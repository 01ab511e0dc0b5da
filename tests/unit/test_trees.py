"""What is written in a place of a stranger's is listed without being led out of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hatchlock.engines.trees import written_below


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
