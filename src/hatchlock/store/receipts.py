"""Trees that are built once, in place, under a name that says what is in them.

A tree counts as finished when its receipt, a JSON file inside it, is there. The receipt is written last, so a build that
was killed is never mistaken for a finished one; the next build clears it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hatchlock.digest import canonical_json
from hatchlock.files import atomic_write, flush_tree, private_directory, read_optional

__all__ = ["RECEIPT_NAME", "building", "discard", "finished", "is_used", "read_receipt", "using"]

RECEIPT_NAME = ".hatchlock-receipt.json"
_MODE = 0o755


def finished(tree: Path) -> bool:
    """Return whether a tree is complete. Costs one stat."""
    return (tree / RECEIPT_NAME).is_file()


def read_receipt(tree: Path) -> Mapping[str, Any] | None:
    """Return what the receipt of a tree says, or None when the tree is not complete."""
    data = read_optional(tree / RECEIPT_NAME)
    if data is None:
        return None
    receipt: Mapping[str, Any] = json.loads(data)
    return receipt


@contextlib.contextmanager
def building(tree: Path, receipt: Mapping[str, Any]) -> Iterator[None]:
    """Build a tree at its final path inside the block. The caller holds the lock for this tree.

    What an earlier, killed build left is removed first. An error inside the block removes what was built. The parent is
    private; the tree itself is readable to all, since servers run under other users and see only the tree.

    Args:
        tree: The directory; the block creates and fills it.
        receipt: What to write when it is complete: inputs, versions.

    Raises:
        PermissionProblem: The store cannot be written to.
        OSError: The disk is full, or the like.
    """
    import shutil  # noqa: PLC0415  whoever only asks whether a tree is finished does without

    private_directory(tree.parent)
    with contextlib.suppress(OSError):  # first of all: who starts from a tree that is no longer whole sees it by that
        (tree / RECEIPT_NAME).unlink()
    shutil.rmtree(tree, ignore_errors=True)
    try:
        yield
        tree.chmod(_MODE)
        flush_tree(tree)  # a receipt that outlives a power cut promises files that do
        atomic_write(tree / RECEIPT_NAME, canonical_json(dict(receipt)), mode=0o644)
    except BaseException:
        shutil.rmtree(tree, ignore_errors=True)
        raise


@contextlib.contextmanager
def using(trees: Iterable[Path]) -> Iterator[None]:
    """Keep finished trees from being discarded inside the block, and no longer than this process lives.

    Args:
        trees: Where they are; a directory without a receipt is none of ours, and passed over.
    """
    with contextlib.ExitStack() as stack:
        for tree in trees:
            with contextlib.suppress(OSError):  # a store on a file system without locks serves all the same
                handle = os.open(tree / RECEIPT_NAME, os.O_RDONLY)
                stack.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def is_used(tree: Path) -> bool:
    """Return whether somebody is `using` a finished tree just now."""
    try:
        with _alone(tree):
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False


def discard(tree: Path) -> bool:
    """Delete a tree, finished or not, unless somebody is `using` it; return whether it is gone.

    The receipt goes first: what a kill leaves of the tree is a half-made one. The caller sees to it that nobody builds it.

    Raises:
        OSError: Something of it cannot be deleted.
    """
    import shutil  # noqa: PLC0415  as above

    try:
        with _alone(tree):
            (tree / RECEIPT_NAME).unlink()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass  # it never was finished
    shutil.rmtree(tree)
    return True


@contextlib.contextmanager
def _alone(tree: Path) -> Iterator[None]:
    handle = os.open(tree / RECEIPT_NAME, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
