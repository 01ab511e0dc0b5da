"""An apply that is interrupted, that fails in a part, and what it tells of itself: by real signals to a real apply."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from support.index import Release, serving
from support.project import Done, TrialProject, server_release
from support.runs import wait_for
from support.wheels import make_wheel

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[servers.one]
source = "pypi:{first}"
runtime = "process"
clients = ["cursor"]

[servers.two]
source = "pypi:other-server"
runtime = "process"
clients = ["cursor"]

[indexes.pypi]
url = "{index}"
"""
APPLY = ("apply", "--yes", "--no-probe")
PATIENCE = 120.0
_MODULES = 50


def _slow(directory: Path) -> Release:
    """A wheel that takes its time to be installed: its many modules are compiled."""
    body = "".join(f"def f{number}(x):\n    return [x, {{'k': x}}]\n" for number in range(400)).encode()
    files = {f"slow_server/m{number}.py": body for number in range(_MODULES)}
    return _wheel(directory, "slow_server", files)


def _broken(directory: Path) -> Release:
    """A wheel with the digest that the lock has, one of whose files is not what its archive says."""
    release = _wheel(directory, "broken_server", {"broken_server/big.py": os.urandom(4000).hex().encode()})
    assert release.body
    path = directory / release.file_name
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("broken_server/big.py").header_offset
    body = bytearray(release.body)
    body[start + 2000] ^= 0xFF
    return Release(name="broken-server", version="1.0", body=bytes(body))


def _wheel(directory: Path, module: str, files: dict[str, bytes]) -> Release:
    name = module.replace("_", "-")
    wheel = make_wheel(
        directory,
        name=module,
        files={f"{module}/__init__.py": b"def main():\n    pass\n", **files},
        entry_points=f"[console_scripts]\n{name} = {module}:main\n",
    )
    return Release(name=name, version="1.0", body=wheel.read_bytes())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    wheels = tmp_path_factory.mktemp("wheels")
    with serving(server_release(wheels, name="other-server"), _slow(wheels), _broken(wheels)) as served:
        yield served.url


def locked(root: Path, index: str, first: str) -> TrialProject:
    project = TrialProject(root, MANIFEST.format(platform=host_platform(), index=index, first=first))
    (project.user_home / ".cursor").mkdir()
    project.ok("lock")
    return project


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, index: str) -> TrialProject:
    return locked(tmp_path_factory.mktemp("slow"), index, "slow-server")


def interrupted(project: TrialProject, number: signal.Signals, *, times: int) -> Done:
    """Apply from nothing, and signal the whole group, as a terminal does, while a program works for a step."""
    shutil.rmtree(project.store, ignore_errors=True)
    process = subprocess.Popen(
        project.command(*APPLY),
        cwd=project.directory,
        env=project.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    installed = "envs/*/lib/python*/site-packages/slow_server/m20.py"
    assert wait_for(lambda: list(project.store.glob(installed)))
    if times > 1:  # else it could be done before the last signal comes
        for pid in working_for(project).keys() - {process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
    said = ""
    for at in range(times):
        os.killpg(process.pid, number)
        if at + 1 < times:
            assert process.stderr
            for line in process.stderr:  # a step that is done may be told of before
                said += line
                if "press again to stop" in line:
                    break
            assert "press again to stop" in said
    out, err = process.communicate(timeout=PATIENCE)
    return Done(status=process.returncode, out=out, err=said + err)


def working_for(project: TrialProject) -> dict[int, str]:
    """Return pid -> command line of what works in a project's store."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(project.store) in words:
            found[int(path.parent.name)] = words
    return found


def compiled(project: TrialProject) -> int:
    """Return how many modules of the wheel that takes its time are ready, which is the last that is done."""
    return len(list(project.store.glob("envs/*/lib/python*/site-packages/slow_server/__pycache__/m*.pyc")))


def converges(project: TrialProject) -> None:
    project.ok(*APPLY)
    assert project.steps() == []
    assert project.half_done() == []
    assert sorted(project.active()) == ["one", "two"]


def test_ctrl_c_finishes_the_running_steps_and_the_next_apply_goes_on(slow: TrialProject) -> None:
    done = interrupted(slow, signal.SIGINT, times=1)
    assert done.status == 130, done.said
    assert "press again to stop at once" in done.err
    assert "env:one  created" in done.err, f"uv was hit by the terminal's signal: {done.said}"
    assert "server:one  not started" in done.err
    assert len(slow.environments()) == 2
    assert "one" not in slow.active()
    counts = re.match(
        r"Interrupted: (\d done, 0 failed, \d not started); `hatchlock apply` goes on from there", done.out
    )
    assert counts, done.said  # the quick server may have come first
    log = slow.ok("logs", "--apply").out
    assert "interrupted: finishing" in log
    assert f"end: {counts[1]}, interrupted" in log
    converges(slow)


def test_sigterm_twice_ends_it_at_once_with_all_that_works_for_it(slow: TrialProject) -> None:
    began = time.monotonic()
    done = interrupted(slow, signal.SIGTERM, times=2)
    assert done.status == 130, done.said
    assert "stopped at once" in done.err
    assert time.monotonic() - began < PATIENCE
    assert wait_for(lambda: not working_for(slow))
    assert compiled(slow) < _MODULES, "what works for it went on without it"
    assert len(slow.environments()) < 2
    assert "it has no end" in slow.ok("logs", "--apply").out
    converges(slow)
    assert compiled(slow) == _MODULES


@pytest.fixture(scope="module")
def partly(tmp_path_factory: pytest.TempPathFactory, index: str) -> tuple[TrialProject, Done, list[Any]]:
    """A project one of whose environments cannot be made, applied with its events in a file."""
    project = locked(tmp_path_factory.mktemp("partly"), index, "broken-server")
    (project.directory / "events").write_text('{"before": true}\n')
    done = project.run(*APPLY, "--events", "events")
    assert done.status == 1, done.said
    lines = (project.directory / "events").read_text().splitlines()
    return project, done, [json.loads(line) for line in lines]


def test_what_does_not_depend_on_a_failure_is_done_and_the_rest_is_named(
    partly: tuple[TrialProject, Done, list[Any]],
) -> None:
    project, done, _ = partly
    assert list(project.active()) == ["two"]
    assert list(json.loads((project.user_home / ".cursor" / "mcp.json").read_bytes())["mcpServers"]) == ["two"]
    assert "\nenv:one: " in done.err
    assert "  server:one  not started: it needs env:one\n" in done.err
    assert "  client:cursor/one  not started: it needs server:one\n" in done.err
    counts = "3 done, 1 failed, 2 not started"
    assert done.out == f"Applied in part: {counts}; run `hatchlock apply` again when the cause is mended\n"


def test_with_fail_fast_no_other_step_begins(partly: tuple[TrialProject, Done, list[Any]]) -> None:
    project, _, _ = partly
    shutil.rmtree(project.store / "projects")
    shutil.rmtree(project.store / "envs")
    done = project.run(*APPLY, "--fail-fast", "--jobs", "1")
    assert done.status == 1, done.said
    assert project.active() == {}
    assert done.out.startswith("Applied in part: 0 done, 1 failed, 4 not started")
    project.ok("logs", "--apply", "1")


def test_events_go_to_a_file_beside_what_people_see(partly: tuple[TrialProject, Done, list[Any]]) -> None:
    _, done, [before, *events] = partly
    assert before == {"before": True}
    assert "server:two  created" in done.err
    assert {event["format_version"] for event in events} == {1}
    names = [event["event"] for event in events]
    assert (names[0], names[-2:]) == ("plan.start", ["plan.end", "summary"])
    assert events[0]["command"] == "apply"
    assert (events[0]["create"], events[0]["delete"]) == (6, 0)
    times = [event["time"] for event in events[:-1]]
    assert all(len(text) == len("2026-11-28T00:00:00.000Z") for text in times)
    begun, ended = (
        {event["address"] for event in events if event["event"] in kinds}
        for kinds in ({"step.start"}, {"step.done", "step.failed"})
    )
    assert begun == ended == {"env:one", "env:two", "server:two", "client:cursor/two"}
    [failed] = [event for event in events if event["event"] == "step.failed"]
    assert (failed["address"], failed["code"], failed["action"]) == ("env:one", "process-failed", "create")
    summary = events[-1]
    assert summary["not_started"] == ["server:one", "client:cursor/one"]
    assert [item["step"] for item in summary["failed"]] == ["env:one"]


def test_the_log_of_a_run_can_be_read_by_people_and_by_programs(
    partly: tuple[TrialProject, Done, list[Any]],
) -> None:
    project, _, _ = partly
    events = project.ok("logs", "--apply", "1", "--json").document["events"]
    assert [event["event"] for event in events][-1] == "plan.end"
    text = project.ok("logs", "--apply", "1").out
    assert "env:one  create failed" in text
    assert "hint: " in project.fails("logs", "--apply", "77").err
    assert project.run("logs").status == 64
    assert project.run("logs", "two", "--apply").status == 64


def test_an_events_file_that_cannot_be_written_stops_an_apply_before_it_begins(
    partly: tuple[TrialProject, Done, list[Any]],
) -> None:
    project, _, _ = partly
    before = project.plan()
    done = project.fails(*APPLY, "--events", "no/such/file", status=64)
    assert "no/such/file" in done.err
    assert project.plan() == before


def test_a_disk_that_fills_up_under_the_events_hinders_no_step(
    partly: tuple[TrialProject, Done, list[Any]],
) -> None:
    project, _, _ = partly
    shutil.rmtree(project.store / "projects")
    done = project.run(*APPLY, "--events", "/dev/full")
    assert done.status == 1, done.said
    assert list(project.active()) == ["two"]
    assert "note: /dev/full lacks events" in done.err


def test_a_reader_that_goes_away_hinders_no_step(partly: tuple[TrialProject, Done, list[Any]]) -> None:
    project, _, _ = partly
    shutil.rmtree(project.store / "projects")
    read, write = os.pipe()
    os.close(read)
    command = project.command(*APPLY, "--json")
    process = subprocess.Popen(command, cwd=project.directory, env=project.env, stdout=write, stderr=write)
    os.close(write)
    assert process.wait(PATIENCE) == 1
    assert list(project.active()) == ["two"]
    assert "end: " in project.ok("logs", "--apply").out
