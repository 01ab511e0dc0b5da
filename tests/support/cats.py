"""A project that needs no index and no engine: its servers are programs that every machine has."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import stat
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

from hatchlock.cli.log import EVENT_LOG
from hatchlock.cli.main import main
from support.project import Done, TrialProject

__all__ = ["CAT", "CATS", "CatProject", "apply", "entries", "start", "tree"]

CAT = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = ["claude-code", "cursor"]

[clients.claude-code]
scope = "project"

[clients.cursor]
scope = "project"

[servers.cat]
command = ["/bin/cat", "-u"]
"""

CATS = CAT + '\n[servers.two]\ncommand = ["/bin/cat"]\n\n[servers.three]\ncommand = ["/bin/cat"]\n'


class CatProject(TrialProject):
    """Runs commands inside this process, which is faster; `real` runs one as a process of its own."""

    def run(self, *words: str, **options: Any) -> Done:
        """Run a command to its end, in the project's directory."""
        assert options == {}
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.directory),
            mock.patch.dict(os.environ, self.env, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", ResourceWarning)  # the event log is open until the process ends
            status = main(words)
            # an error's frames hold the log, and nobody closes an engine's connection before the process ends: both would
            # be let go of in the middle of another test
            if (status and (self.store / EVENT_LOG).exists()) or "DOCKER_HOST" in self.env:
                gc.collect()
        return Done(status=status, out=out.getvalue(), err=err.getvalue())

    def real(self, *words: str, **options: Any) -> Done:
        """Run a command as users do."""
        return super().run(*words, **options)

    def really_fails(self, *words: str, status: int = 1) -> Done:
        """Run a command as users do, and see it fail with a hint."""
        done = self.real(*words)
        assert done.status == status, done.said
        assert "\nhint: " in done.err, done.said
        return done


def apply(project: TrialProject, *words: str) -> None:
    """Lock and apply."""
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe", *words)


class Started(subprocess.Popen[str]):
    """A process; as a context manager it does not outlive a test that fails."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if value is not None:
            self.kill()
        super().__exit__(kind, value, traceback)


def start(project: TrialProject, *words: str) -> Started:
    """Start a command of hatchlock without a terminal, with its streams in our hands."""
    return Started(
        project.command(*words),
        cwd=project.directory,
        env=project.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def entries(project: TrialProject) -> dict[str, list[str]]:
    """Return the names of the entries in each client file of the project that exists."""
    files = (project.directory / ".mcp.json", project.directory / ".cursor" / "mcp.json")
    return {path.name: sorted(json.loads(path.read_text())["mcpServers"]) for path in files if path.exists()}


def tree(root: Path, *, without: tuple[str, ...] = ()) -> dict[str, tuple[str, int, int, bytes]]:
    """Return kind, mode, modification time and bytes of everything below a directory, by relative path.

    Args:
        root: Where.
        without: Relative paths whose subtrees do not count.
    """
    return {str(path.relative_to(root)): _facts(path) for path in _walk(root, {root / name for name in without})}


def _walk(path: Path, without: set[Path]) -> Iterator[Path]:
    for child in sorted(path.iterdir()):
        if child in without:
            continue
        yield child
        if child.is_dir() and not child.is_symlink():
            yield from _walk(child, without)


def _facts(path: Path) -> tuple[str, int, int, bytes]:
    facts = path.lstat()
    kind = "link" if path.is_symlink() else "directory" if path.is_dir() else "file"
    content = os.fsencode(path.readlink()) if kind == "link" else path.read_bytes() if kind == "file" else b""
    changed = 0 if kind == "directory" else facts.st_mtime_ns
    return kind, stat.S_IMODE(facts.st_mode), changed, content
