"""A project with a store and a home directory of its own, and `hatchlock` run on it as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters, stdio_client

from support.index import Release
from support.loaded import can_be_loaded, run_loaded
from support.runs import SERVERS, processes_with, wait_for
from support.tmp import own_tmp
from support.wheels import make_wheel

_PATIENCE = 300.0
_OWN_VARIABLES = ("HATCHLOCK_", "XDG_", "CLAUDE_CONFIG_DIR", "DOCKER_CONTEXT", "UV_", "PYTHON")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left: its exit status and what it said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything, for messages of failed assertions."""
        return f"status {self.status}\n{self.out}\n{self.err}"


class TrialProject:
    """A directory with a manifest, and everything else that hatchlock would touch, below `root`."""

    def __init__(self, root: Path, manifest: str = "", *, name: str = "trial", **variables: str) -> None:
        self.root = root
        self.name = name
        self.directory = root / "project"
        self.store = root / "store"
        self.user_home = root / "user"
        for directory in (self.directory, self.user_home):
            directory.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
        places = {"HOME": str(self.user_home), "HATCHLOCK_HOME": str(self.store), "TMPDIR": own_tmp()}
        self.env = {**kept, **places, **variables}
        if manifest:
            self.write(manifest)

    @property
    def manifest(self) -> Path:
        return self.directory / "hatchlock.toml"

    @property
    def lock(self) -> Path:
        return self.directory / "hatch.lock"

    @property
    def launcher(self) -> Path:
        return self.store / "bin" / "hatchlock"

    def write(self, manifest: str) -> None:
        self.manifest.write_text(manifest)

    def edit(self, old: str, new: str) -> None:
        text = self.manifest.read_text()
        assert old in text
        self.write(text.replace(old, new))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "hatchlock", *words]

    def run(
        self,
        *words: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        umask: int = -1,
    ) -> Done:
        """Run a command of hatchlock to its end, in the project's directory unless said otherwise.

        It is a process of its own, in most cases one that need not load anything first (`support.loaded`).
        """
        environment = {**self.env, **(env or {})}
        if not prefix and can_be_loaded(words, environment):
            done = run_loaded(words, cwd=cwd or self.directory, env=environment, umask=umask)
        else:
            done = subprocess.run(
                [*prefix, *self.command(*words)],
                cwd=cwd or self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                umask=umask,
                check=False,
            )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return Done(status=done.returncode, out=done.stdout, err=done.stderr)

    def ok(self, *words: str, **options: Any) -> Done:
        """Run a command that has to succeed."""
        done = self.run(*words, **options)
        assert done.status == 0, done.said
        return done

    def fails(self, *words: str, status: int = 1, **options: Any) -> Done:
        """Run a command that has to fail in this way, with a hint and without a traceback."""
        done = self.run(*words, **options)
        assert done.status == status, done.said
        assert "\nhint: " in done.err, done.said
        return done

    def plan(self, **options: Any) -> Any:
        """Return the plan's document."""
        return self.run("plan", "--json", **options).document

    def steps(self, **options: Any) -> list[str]:
        """Return the plan as `ACTION ADDRESS` in order."""
        return [f"{step['action']} {step['address']}" for step in self.plan(**options)["steps"]]

    def active(self) -> dict[str, str]:
        """Return the active servers of the project, as `run` sees them."""
        path = self.store / "projects" / self.name / "active.json"
        return dict(json.loads(path.read_bytes())["servers"]) if path.exists() else {}

    def environments(self) -> list[str]:
        """Return the names of the finished environments in the store."""
        return sorted(path.parent.name for path in (self.store / "envs").glob("*/.hatchlock-receipt.json"))

    def half_done(self) -> list[str]:
        """Return what a clean end leaves nowhere: temporary files, environments without a receipt, a journal."""
        unfinished = [path for path in (self.store / "envs").glob("*") if path.name not in self.environments()]
        parts = [path for pattern in ("*.part", ".*.tmp", ".build-*") for path in self.root.rglob(pattern)]
        journals = list(self.store.glob("projects/*/journal.ndjson"))
        return sorted(str(path.relative_to(self.root)) for path in {*unfinished, *parts, *journals})

    def launch_command(self, server: str) -> list[str]:
        """Return the command that an application finds in its configuration."""
        return [str(self.launcher), "run", "--home", str(self.store), "--project", self.name, server]

    def tools(self, server: str) -> list[str]:
        """Start a server as an application does, and return the names of its tools; the client is the MCP SDK's.

        That kills a session which takes its time to end: its watchdog is waited for, so that nothing of it is left.
        """
        command = self.launch_command(server)
        words = "\0".join(["", *command[1:], ""])
        before = set(processes_with(words))
        bare = {"HOME": str(self.user_home), "PATH": "/usr/bin:/bin"}

        async def talk() -> list[str]:
            parameters = StdioServerParameters(command=command[0], args=command[1:], env=bare, cwd="/")
            async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
                await session.initialize()
                return [tool.name for tool in (await session.list_tools()).tools]

        found = anyio.run(talk)
        assert wait_for(lambda: before.issuperset(processes_with(words))), "something is left of its session"
        return found


def server_release(directory: Path, *, name: str = "tiny-server", version: str = "1.0", note: str = "") -> Release:
    """Return a wheel for an index that is a whole MCP server: `fixtures/servers/echo.py`, with a script of its name."""
    module = name.replace("-", "_")
    directory.mkdir(parents=True, exist_ok=True)
    wheel = make_wheel(
        directory,
        name=module,
        version=version,
        files={f"{module}.py": (SERVERS / "echo.py").read_bytes() + f"# {note}\n".encode()},
        entry_points=f"[console_scripts]\n{name} = {module}:main\n",
    )
    return Release(name=name, version=version, body=wheel.read_bytes(), scripts={name: f"{module}:main"})


def snapshot(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory with its content."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
