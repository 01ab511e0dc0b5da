"""Merges as git makes them, of one file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["commit", "git", "merge_file", "repository"]

_OWN = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(directory: Path, *words: str, statuses: Sequence[int] = (0,)) -> str:
    """Run git, and return what it says."""
    done = subprocess.run(
        ["git", "-C", str(directory), *words],
        env={**os.environ, **_OWN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in statuses, done.stdout + done.stderr
    return done.stdout


def repository(directory: Path) -> Path:
    """Make a repository whose branch is `main`."""
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "-q", "-b", "main")
    return directory


def commit(directory: Path, name: str, data: bytes, message: str = "change") -> None:
    """Commit a file."""
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)
    git(directory, "add", name)
    git(directory, "commit", "-q", "-m", message)


def merge_file(scratch: Path, base: bytes, ours: bytes, theirs: bytes, *options: str) -> tuple[bytes, bool]:
    """Merge three versions of a file as `git merge` does.

    Returns:
        The file, and whether it is in conflict.
    """
    paths = [scratch / name for name in ("ours", "base", "theirs")]
    for path, data in zip(paths, (ours, base, theirs), strict=True):
        path.write_bytes(data)
    done = subprocess.run(
        ["git", "merge-file", "-p", *options, *map(str, paths)],
        env={**os.environ, **_OWN},
        cwd=scratch,
        capture_output=True,
        check=False,
    )
    assert done.returncode < 128, done.stderr
    return done.stdout, done.returncode > 0
