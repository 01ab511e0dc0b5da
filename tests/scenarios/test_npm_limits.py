"""Constraints, overrides and names in npm's trees, from the manifest to a lock that stays fresh: real npm on loopback."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.project import TrialProject
from support.runs import wait_for
from support.trees import plant

ELSEWHERE = "win32" if host_platform().startswith("linux") else "linux"
RELEASES = (
    *(NpmRelease(name="zod", version=version) for version in ("3.0.0", "3.5.0", "4.0.0")),
    NpmRelease(name="srv", dependencies={"zod": ">=3"}, manifest={"bin": {"srv": "s.js"}}, files={"s.js": ""}),
    NpmRelease(name="likes-old", dependencies={"zod": "^3"}),
    NpmRelease(name="bar", version="3.1.0"),
    NpmRelease(name="not-here", manifest={"os": [ELSEWHERE]}),
)
SERVER = 'runtime = "process"\nsource = "npm:srv"\n'


@pytest.fixture(scope="module")
def registry() -> Iterator[NpmRegistry]:
    with serving_npm(*RELEASES) as served:
        yield served


class Trial(TrialProject):
    def __init__(self, root: Path, registry: NpmRegistry) -> None:
        super().__init__(root)
        self._head = (
            f'[project]\nname = "trial"\nplatforms = ["{host_platform()}"]\n[indexes.npm]\nurl = "{registry.url}"\n'
        )

    def server(self, text: str) -> Trial:
        self.write(f"{self._head}[servers.s]\n{text}")
        return self

    def node(self, directory: str, **fields: Any) -> Trial:
        plant(self.directory / directory, {"package.json": {"name": directory, "main": "s.js", **fields}, "s.js": ""})
        return self

    def tree(self) -> dict[str, str]:
        """Lock; the second time nothing changes, and the lock is fresh. Return the tree."""
        self.ok("lock")
        assert "unchanged" in self.ok("lock", "--offline").out
        self.ok("lock", "--check", "--offline")
        self.ok("plan", "--offline")
        return dict(read_lock(self.lock).environments[0].tree)


@pytest.fixture
def trial(tmp_path: Path, registry: NpmRegistry) -> Trial:
    return Trial(tmp_path, registry)


@pytest.mark.parametrize(
    ("more", "version"),
    [
        ('constraints = ["npm:zod@<4"]', "3.5.0"),
        ('with = ["npm:zod"]\nconstraints = ["npm:zod@<4", "npm:zod@>=3", "npm:zod@<3.5"]', "3.0.0"),
        ('with = ["npm:zod@^3"]\noverrides = ["npm:zod@4.0.0"]', "4.0.0"),
        ('with = ["npm:likes-old", "npm:zod@^3"]\noverrides = ["npm:zod@4.0.0"]', "4.0.0"),
    ],
)
def test_a_limit_counts_and_the_lock_is_fresh(trial: Trial, more: str, version: str) -> None:
    assert trial.server(SERVER + more).tree()["node_modules/zod"] == f"npm:zod@{version}"


def test_a_constraint_that_what_is_locked_below_does_not_meet_makes_it_stale(trial: Trial) -> None:
    assert trial.server(SERVER).tree()["node_modules/zod"] == "npm:zod@4.0.0"
    done = trial.server(SERVER + 'constraints = ["npm:zod@<4"]').fails("plan")
    assert "is constrained to zod@<4, the lock has npm:zod@4.0.0" in done.err
    assert trial.tree()["node_modules/zod"] == "npm:zod@3.5.0"


def test_a_constraint_on_an_alias_is_refused(trial: Trial) -> None:
    done = trial.server(SERVER + 'constraints = ["npm:z@npm:zod@3"]').fails("lock")
    assert "a constraint is on a package, not on an alias" in done.err
    assert "write npm:zod@3" in done.err


def test_two_packages_of_one_name_are_a_conflict(trial: Trial) -> None:
    done = trial.server(SERVER + 'with = ["npm:zod@npm:bar@3", "npm:zod@^3"]').fails("lock")
    assert "no version of zod suits everybody" in done.err
    assert "requires zod@^3 (3.5.0 or 3.0.0 would do)" in done.err
    assert "requires zod@npm:bar@3 (3.1.0 would do)" in done.err


def test_a_project_of_the_name_that_a_package_below_needs_is_refused_before_anything_is_made(trial: Trial) -> None:
    trial.node("own", version="1.0.0", dependencies={"likes-old": "*"}).node("zod", version="3.9.0")
    done = trial.server('runtime = "process"\nsource = "path:./own"\nwith = ["path:./zod"]').fails("lock")
    assert "the name zod is claimed by path:./zod and by npm:zod@3.5.0, which npm:likes-old@1.0.0 requires" in done.err
    assert not trial.lock.exists()


OWN = 'runtime = "process"\nsource = "path:./own"\ncommand = "own"\n'


def test_a_project_without_a_version_is_locked(trial: Trial) -> None:
    trial.node("own", dependencies={"zod": "^3"}).node("other", version="1.0.0", dependencies={"own": "file:../own"})
    tree = trial.server(OWN + 'with = ["path:./other", "npm:own@^7"]').tree()
    assert tree == {"node_modules/zod": "npm:zod@3.5.0"}


def test_a_project_goes_without_what_it_can_do_without(trial: Trial) -> None:
    optional = {"not-here": "*", "nowhere": "^1", "zod": "^3", "bar": "^9"}
    trial.node("own", version="1.0.0", dependencies={"srv": "*"}, optionalDependencies=optional).server(OWN)
    tree = trial.tree()
    assert tree.keys() == {"node_modules/srv", "node_modules/zod", "node_modules/not-here"}
    assert tree["node_modules/zod"] == "npm:zod@3.5.0"
    lock = read_lock(trial.lock)
    own = next(package for package in lock.packages if package.name == "own")
    assert own.dependencies == ("npm:not-here@*", "npm:srv@*", "npm:zod@^3")
    assert "npm:not-here@1.0.0" not in lock.environments[0].on(host_platform())
    (trial.lock).unlink()
    notes = trial.ok("lock").err
    assert "path:./own goes without nowhere@^1" in notes
    assert "path:./own goes without bar@^9" in notes


# interrupted


@pytest.fixture
def silent() -> Iterator[tuple[str, threading.Event]]:
    """An index that takes requests and never answers; the event says that one has come."""
    asked, end = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            end.wait()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
        end.set()
        server.shutdown()


def npm_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that ends meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


@pytest.mark.skipif(not host_platform().startswith("linux"), reason="looks into /proc")
def test_an_interrupted_lock_ends_at_once_and_its_npm_with_it(
    tmp_path: Path, silent: tuple[str, threading.Event]
) -> None:
    url, asked = silent
    with serving_npm(NpmRelease(name="srv", dependencies={"slow": "1"})) as registry:
        trial = Trial(tmp_path, registry)
        other = f'[[indexes.npm]]\nname = "slow"\nurl = "{url}"\npackages = ["slow"]\n'
        head = f'[project]\nname = "trial"\n[[indexes.npm]]\nname = "npm"\nurl = "{registry.url}"\n{other}'
        trial.write(f'{head}[servers.s]\n{SERVER}command = "x"\n')
        process = subprocess.Popen(
            trial.command("lock"), cwd=trial.directory, env=trial.env, stderr=subprocess.PIPE, text=True
        )
        try:
            assert asked.wait(60)
            deadline = time.monotonic() + 60
            while not (npm := npm_of(process.pid)) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert npm
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "interrupted\n")
    assert time.monotonic() - begun < 15, "an answer is waited for half a minute"
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in npm))
    assert list((trial.store / "cache").glob("work-*")) == []
