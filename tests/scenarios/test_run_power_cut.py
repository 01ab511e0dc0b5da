"""Everything of a run is killed at once, as a power cut does it: reading commands say what is left, and three others remove it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hatchlock.engines.api import Container, Engine
from hatchlock.engines.process import host_platform
from support.engine_images import untag_all
from support.links import links_record
from support.links_image import links_image
from support.orphans import family
from support.project import TrialProject
from support.runs import Run, processes_with, wait_for
from support.unavailable import need_isolation

HEAD = """\
[project]
name = "{name}"
platforms = ["{platform}"]
"""
PROCESS = """
[servers.deaf]
command = "/bin/sleep"
args = ["{seconds}"]
runtime = "process"
isolation = "best-effort"

[servers.deaf.sandbox]
stop-grace = 0.3
"""
CONTAINER = """
[servers.deaf]
source = "oci:docker-daemon:{image}"
runtime = "container"
command = {command}

[servers.deaf.sandbox]
stop-grace = 0.3
mounts = [{mounts}]
reason = "the image is empty"
"""
READING = {"run": ("plan",), "apply": ("status",), "gc": ("plan",)}
REMOVING = (("run", "deaf"), ("apply", "--yes", "--no-probe"), ("gc", "--yes"))


def cut(run: Run) -> None:
    """Kill a run and its watchdogs so that none of them notices the death of another."""
    assert wait_for(lambda: len(family(run.process.pid)) == 2)
    known = family(run.process.pid)
    # not the watchdog: the kernel continues what is stopped and has no parent any more
    run.process.send_signal(signal.SIGSTOP)
    for pid in (known["second"], known["watchdog"], run.process.pid):
        os.kill(pid, signal.SIGKILL)
    run.process.wait()


def cut_and_told(
    project: TrialProject,
    left: Callable[[], list[object]],
    env: dict[str, str],
    word: str,
    by: str,
    *,
    runs: Callable[[], object],
) -> None:
    """Leave something of a session whose server runs, and assert that reading commands tell of it and leave it where it is."""
    with Run(command=project.launch_command("deaf"), env=env) as run:
        assert wait_for(runs)
        cut(run)
    before = left()
    assert before != []
    out = project.ok(*READING[by], env=env).out
    assert "session" in out, out
    assert word in out, out
    assert "killed" in out, out
    assert left() == before


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[tuple[TrialProject, dict[str, str], str]]:
    """A project whose server runs without isolation, since bubblewrap fails, and hears of no end."""
    need_isolation()
    seconds = f"600.{secrets.randbelow(10**9):09}"
    project = TrialProject(
        tmp_path, HEAD.format(name="trial", platform=host_platform()) + PROCESS.format(seconds=seconds)
    )
    bin_directory, scratch = tmp_path / "bin", tmp_path / "tmp"
    for directory in (bin_directory, scratch):
        directory.mkdir()
    (bin_directory / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (bin_directory / "bwrap").chmod(0o755)
    env = {**project.env, "PATH": f"{bin_directory}:{project.env['PATH']}", "TMPDIR": str(scratch)}
    project.ok("up", "--yes", "--no-probe", env=env)
    yield project, env, seconds
    for pid in processes_with(f"sleep\0{seconds}"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_process_without_a_sandbox(bare: tuple[TrialProject, dict[str, str], str]) -> None:
    project, env, seconds = bare

    def runs() -> list[int]:
        return processes_with(f"sleep\0{seconds}")

    def left() -> list[object]:
        return [*runs(), *sorted(Path(env["TMPDIR"]).iterdir())]

    for words in REMOVING:
        cut_and_told(project, left, env, "hatchlock-bare-", words[0], runs=runs)
        project.run(*words, env=env)
        assert wait_for(lambda: left() == []), left()
        assert list(project.store.glob("projects/*/sessions/*")) == []
    with Run(command=project.launch_command("deaf"), env=env) as run:
        assert wait_for(runs)
        cut(run)
    assert "hatchlock-bare-" in project.run("doctor", env=env).out
    project.run("run", "deaf", env=env)
    assert "killed" not in project.ok("plan", env=env).out


@pytest.mark.engine
def test_a_container(tmp_path: Path, engine: str) -> None:
    name = f"trial-{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        image = stack.enter_context(links_image(engine))
        stack.callback(untag_all, engine, name)
        launch = links_record(engine, image, name)
        mounts = ", ".join(
            f"{{ source = {json.dumps(mount.source)}, target = {json.dumps(mount.target)} }}"
            for mount in launch.sandbox.mounts
        )
        text = HEAD.format(name=name, platform=host_platform()) + CONTAINER.format(
            image=image, command=json.dumps([*launch.argv, "--deaf"]), mounts=mounts
        )
        project = TrialProject(tmp_path, text, name=name, DOCKER_HOST=engine)
        project.ok("up", "--yes", "--no-probe")

        def containers() -> list[Container]:
            return Engine(engine).list({"dev.hatchlock.project": name})

        def runs() -> bool:
            return any(item.state == "running" for item in containers())

        def left() -> list[object]:
            return [item.name for item in containers()]

        for words in REMOVING:
            cut_and_told(project, left, {**project.env}, f"container:hatchlock-{name}-deaf-", words[0], runs=runs)
            project.run(*words)
            assert left() == []
        assert "killed" not in project.ok("plan").out
