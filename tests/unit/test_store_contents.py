"""What was written down of a tree finds whatever was changed in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hatchlock.store.contents import CONTENTS_NAME, Compared, compare_contents, record_contents
from hatchlock.store.receipts import RECEIPT_NAME


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "lib" / "deep").mkdir(parents=True)
    (tree / "lib" / "a.py").write_text("a = 1\n")
    (tree / "lib" / "deep" / "b.js").write_text("b\n")
    (tree / "python").symlink_to("/usr/bin/python3")
    (tree / "lib64").symlink_to("lib")
    (tree / os.fsdecode(b"no-\xff-utf8")).write_text("c\n")
    record_contents(tree)
    (tree / RECEIPT_NAME).write_text("{}")
    return tree


def test_a_tree_that_nobody_changed_is_as_it_was(tree: Path) -> None:
    assert compare_contents(tree) == Compared(files=5)


@pytest.mark.parametrize(
    ("change", "altered", "added"),
    [
        (lambda tree: (tree / "lib" / "a.py").write_text("a = 2\n"), ("lib/a.py",), ()),
        (lambda tree: (tree / "lib" / "deep" / "b.js").unlink(), ("lib/deep/b.js",), ()),
        (lambda tree: (tree / "lib" / "evil.pth").write_text(""), (), ("lib/evil.pth",)),
        (lambda tree: relinked(tree / "python", "/tmp/python"), ("python",), ()),
        (lambda tree: relinked(tree / "lib" / "a.py", "deep/b.js"), ("lib/a.py",), ()),
        (lambda tree: relinked(tree / "lib" / "other", "deep"), (), ("lib/other",)),
        (lambda tree: (tree / CONTENTS_NAME).write_text("["), (CONTENTS_NAME,), ()),
    ],
)
def test_what_is_another_one_gone_or_added_is_found(
    tree: Path, change: Callable[[Path], object], altered: tuple[str, ...], added: tuple[str, ...]
) -> None:
    change(tree)
    found = compare_contents(tree)
    assert found is not None
    assert (found.altered, found.added) == (altered, added)


def relinked(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def test_of_a_tree_without_a_list_nothing_is_said(tree: Path) -> None:
    (tree / CONTENTS_NAME).unlink()
    assert compare_contents(tree) is None
