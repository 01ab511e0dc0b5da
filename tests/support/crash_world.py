"""A project whose commands are killed, the whole world of it, and what was counted of a sweep."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import stat
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hatchlock.cli.main import main
from hatchlock.engines.api import Engine as Api
from hatchlock.engines.docker import Engine
from support.kill_count import DIVERGENCES, KILLS
from support.killed import KilledProject
from support.project import Done, snapshot

__all__ = ["APPLY", "CONSENT", "CrashProject", "Record", "Sweep"]

CONSENT = ("--yes", "--allow-destructive", "--allow-mass-removal")
APPLY = ("apply", "--no-probe", *CONSENT)
_THEIRS = '{"mcpServers": {"theirs": {"command": "their-server"}}}\n'

Record = Callable[[str, object], None]
"""pytest's `record_property`."""


class CrashProject(KilledProject):
    """A project that goes between several declarations, each with its lock, over and over again from nothing.

    `engine` is the address of the engine that it uses; "" for none.
    """

    engine = ""
    strangers: frozenset[str] = frozenset()

    def run(self, *words: str, **options: Any) -> Done:
        """Run a command to its end in this process, which takes a third of the time: sweeps run hundreds of them."""
        out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
        assert not options
        os.environ.clear()
        os.environ.update(self.env)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # the event log is open as long as a process lives
                status = main(["-C", str(self.directory), *words])
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Done(status=status, out=out.getvalue(), err=err.getvalue())

    def keep(self, state: str, manifest: str) -> None:
        """Lock a manifest, and keep both as a state that can be declared."""
        self.write(manifest)
        self.lock.unlink(missing_ok=True)
        self.ok("lock")
        (self.root / state).mkdir()
        for file in (self.manifest, self.lock):
            shutil.copy(file, self.root / state)

    def declare(self, state: str) -> None:
        """Put the manifest and the lock of a state in place."""
        for file in (self.manifest, self.lock):
            shutil.copy(self.root / state / file.name, file)

    def start_over(self) -> None:
        """Forget all that was ever applied; blobs and caches stay."""
        for name in self.containers():
            Api(self.engine).remove(name)
        for tag in self.images():
            with Engine(self.engine) as engine:
                engine.untag(tag)
        for volume in self.volumes():
            Api(self.engine).ask("DELETE", f"/volumes/{volume}")
        for name in ("projects", "envs", "bin", "images"):
            shutil.rmtree(self.store / name, ignore_errors=True)
        shutil.rmtree(self.user_home)
        (self.user_home / ".cursor").mkdir(parents=True)
        (self.user_home / ".cursor" / "mcp.json").write_text(_THEIRS)

    def images(self) -> dict[str, str]:
        """Return tag -> id; "" for what is built, of which every build gives another one."""
        if not self.engine:
            return {}
        with Engine(self.engine) as engine:
            own = {tag: item.id for tag, item in engine.images().items() if tag.startswith(f"hatchlock/{self.name}/")}
        return {tag: "" if "/built:" in tag else image for tag, image in own.items()}

    def volumes(self) -> dict[str, tuple[Any, ...]]:
        """Return the engine's volumes of the project: labels, owner and mode."""
        if not self.engine:
            return {}
        found = Api(self.engine).ask("GET", "/volumes")["Volumes"] or ()
        own = [item for item in found if item["Name"].startswith(f"hatchlock-{self.name}-")]
        return {
            item["Name"]: (sorted((item["Labels"] or {}).items()), *_owner(Path(item["Mountpoint"]))) for item in own
        }

    def containers(self) -> list[str]:
        """Return the containers that were not there when the test began: ours, or a builder's."""
        if not self.engine:
            return []
        return sorted(item.name for item in Api(self.engine).list({}) if item.name not in self.strangers)

    def half_done(self) -> list[str]:
        """Return what a clean end leaves nowhere; what is left over in the cache is the affair of `cache gc`."""
        return [path for path in super().half_done() if not path.startswith(f"{self.store.name}/cache/")]

    def world(self) -> dict[str, Any]:
        """Return what there is, and what would be done about it."""
        plan = self.plan()
        state = self.store / "projects" / self.name
        kept = sorted(path for path in (state / "volumes").glob("*/*") if path.is_dir())
        locks = sorted((path.parent.name, path.read_bytes()) for path in state.glob("generations/*/hatch.lock"))
        return {
            "plan": plan.get("steps"),
            "problems": plan.get("problems"),
            "lock": self.lock.read_bytes() if self.lock.exists() else b"",
            "active": self.active(),
            "generations": locks,
            "held": (state / "held.json").read_bytes() if (state / "held.json").exists() else b"",
            "environments": self.environments(),
            "images": self.images(),
            "statements": sorted(path.name for path in (self.store / "images").glob("*")),
            "volumes": self.volumes(),
            "directories": {str(path.relative_to(state)): _owner(path) for path in kept},
            # a plan for the rest of the entries may have them in another order, which means nothing in JSON
            "files of applications": {path: json.loads(data) for path, data in snapshot(self.user_home).items()},
            "launcher": self.launcher.read_bytes() if self.launcher.exists() else b"",
            "blobs": sorted(path.name for path in (self.store / "blobs").glob("*/??/*")),
            "containers": self.containers(),
            "left over": self.half_done(),
        }


def _owner(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode))


class Sweep:
    """What came of the kills of a project."""

    def __init__(self, project: CrashProject) -> None:
        self.project = project
        self.divergences: list[str] = []
        project.kills = 0

    def compare(self, what: str, expected: Mapping[str, Any]) -> None:
        """Note how the world differs from what it should be."""
        found = self.project.world()
        different = [name for name, value in expected.items() if found[name] != value]
        if different:
            said = "; ".join(f"{name} is {found[name]}, should be {expected[name]}" for name in different)
            self.divergences.append(f"{what}: {said}")

    def end(self, record: Record) -> None:
        """Tell the numbers; there may be no divergence."""
        record(KILLS, self.project.kills)
        record(DIVERGENCES, len(self.divergences))
        assert not self.divergences, "\n".join(self.divergences)
