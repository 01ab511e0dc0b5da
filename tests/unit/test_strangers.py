"""What a server has left in its directory is listed, measured and deleted, whatever it did there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.serve.learning.observer import _paths
from hatchlock.store.strangers import delete_tree, entries_below

DEPTH = 1500
"""Deeper than Python calls itself, than descriptors go, and than a path may be long (with these names)."""
NAME = "directory"


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A tree with a file at its bottom."""
    top = tmp_path / "kept"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir(NAME, dir_fd=here)
        inner = os.open(NAME, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    yield top
    with contextlib.suppress(FileNotFoundError):  # else pytest itself would fail to delete it
        delete_tree(top)


def test_a_tree_may_be_deeper_than_python_calls_itself(deep: Path) -> None:
    assert next(path for path, _ in entries_below(deep)) == NAME
    assert sum(path.endswith("/") for path in _paths(deep)) > 100
    delete_tree(deep)
    assert not deep.exists()


def test_links_are_deleted_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    outside.chmod(0o755)
    tree = tmp_path / "kept"
    (tree / "inner").mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    (tree / "inner" / "link").symlink_to(outside / "file")
    os.mkfifo(tree / "inner" / "pipe")
    assert {path for path, _ in entries_below(tree)} == {"inner", "link", "inner/link", "inner/pipe"}
    delete_tree(tree)
    assert not tree.exists()
    assert (outside / "file").read_text() == "mine"
    assert outside.stat().st_mode & 0o777 == 0o755
    (tmp_path / "kept").symlink_to(outside)
    with pytest.raises(OSError, match=r"."):
        delete_tree(tmp_path / "kept")
    assert (outside / "file").exists()


def test_what_was_closed_by_its_owner_is_deleted(tmp_path: Path) -> None:
    tree = tmp_path / "kept"
    (tree / "a" / "b" / "c").mkdir(parents=True)
    (tree / "a" / "b" / "c" / "file").write_text("x")
    for path in (tree / "a" / "b" / "c", tree / "a" / "b", tree / "a", tree):
        path.chmod(0)
    delete_tree(tree)
    assert not tree.exists()
