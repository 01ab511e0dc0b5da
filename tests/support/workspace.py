"""A project in a directory of its own, a store beside it, and the command line as a process."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CAT", "CAT_AND_TWO", "Done", "Workspace", "snapshot"]

PATIENCE = 60.0

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
"""A project that needs no index and no engine."""

CAT_AND_TWO = CAT + '\n[servers.two]\ncommand = ["/bin/cat"]\n\n[servers.three]\ncommand = ["/bin/cat"]\n'


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Workspace:
    """A project, its store and its user's home, all below one directory."""

    def __init__(self, root: Path, manifest: str) -> None:
        self.root = root
        self.directory = root / "project"
        self.home = root / "store"
        self.user_home = root / "user"
        for path in (self.directory, self.user_home):
            path.mkdir()
        self.write(manifest)

    @property
    def manifest(self) -> Path:
        return self.directory / "hatchlock.toml"

    @property
    def lock(self) -> Path:
        return self.directory / "hatch.lock"

    @property
    def state(self) -> Path:
        return self.home / "projects" / "trial"

    def write(self, manifest: str) -> None:
        self.manifest.write_text(manifest)

    def environ(self, **more: str) -> dict[str, str]:
        base = {"HOME": str(self.user_home), "PATH": os.environ["PATH"], "HATCHLOCK_HOME": str(self.home)}
        return {**base, **more}

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Start a command, with pipes for its streams."""
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        return subprocess.Popen(
            [sys.executable, "-m", "hatchlock", *words],
            cwd=self.directory,
            env=self.environ(**environ),
            text=True,
            **pipes,
        )

    def run(self, *words: str, **environ: str) -> Done:
        """Run a command to its end, without a terminal."""
        with self.start(*words, **environ) as process:
            out, err = process.communicate("", timeout=PATIENCE)
        return Done(status=process.returncode, out=out, err=err)

    def ok(self, *words: str) -> Done:
        """Run a command that must end well."""
        done = self.run(*words)
        assert done.status == 0, done
        return done

    def apply(self, *words: str) -> Done:
        """Lock and apply."""
        self.ok("lock")
        return self.ok("apply", "--yes", "--no-probe", *words)

    def entries(self) -> dict[str, list[str]]:
        """Return the names of the entries in each client file that exists."""
        files = (self.directory / ".mcp.json", self.directory / ".cursor" / "mcp.json")
        return {path.name: sorted(json.loads(path.read_text())["mcpServers"]) for path in files if path.exists()}

    def active(self) -> list[str]:
        """Return the names of the active servers."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(json.loads((self.state / "active.json").read_text())["servers"])
        return []


def snapshot(root: Path, *, without: tuple[str, ...] = ()) -> dict[str, tuple[str, int, int, bytes]]:
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
