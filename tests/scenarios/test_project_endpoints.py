"""A project with a server that stays, as its user sees it: planned, applied, told, moved, taken back, destroyed."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.state.keepers import keeper_of
from hatchlock.state.project import ProjectState
from hatchlock.usecases.health import sessions_now
from support.ports import free_port
from support.project import TrialProject
from support.runs import processes_with, wait_for
from support.standing import ended, kept, post, web_manifest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[TrialProject]:
    made = TrialProject(tmp_path, web_manifest())
    with ended(made.store):
        made.ok("lock")
        yield made


def root(project: TrialProject) -> Path:
    return project.store / "projects" / "trial"


def test_from_the_first_apply_to_the_end(project: TrialProject) -> None:
    """It is started by apply, and a second plan is empty; what is changed starts it anew; rollback and destroy take it back."""
    assert project.steps() == ["create server:web", "create endpoint:web"]
    said = project.ok("apply", "--yes").err
    assert "server:web  answered in" in said
    assert "echo, pid, exit, where" in said
    first = kept(root(project))
    assert project.steps() == []
    assert f"healthy  at {first.url} since 20" in project.ok("status").out
    (server,) = project.ok("status", "--json").document["servers"]
    assert (server["endpoint"]["url"], server["endpoint"]["state"]) == (first.url, "running")
    assert project.tools("web") == ["echo", "pid", "exit", "where"]

    project.edit("port = 8080", 'port = 8080\nenv.LEVEL = "high"')
    project.ok("lock")
    assert project.steps() == ["update server:web", "update endpoint:web"]
    project.ok("apply", "--yes", "--no-probe")
    second = kept(root(project))
    assert (second.url, second.pid == first.pid, second.launch == first.launch) == (first.url, False, False)

    project.ok("rollback", "--yes")
    assert kept(root(project)).launch == first.launch

    project.ok("destroy", "--yes")
    assert keeper_of(root(project), "web") is None
    assert _is_free(first.port)


def test_a_keeper_that_is_gone_is_drift_and_one_that_is_stopped_is_not(project: TrialProject) -> None:
    project.ok("apply", "--yes", "--no-probe")
    os.kill(kept(root(project)).pid, signal.SIGKILL)
    assert wait_for(lambda: keeper_of(root(project), "web") is None)
    assert wait_for(lambda: processes_with(str(project.store)) == [])  # its run sees it, and lets go of the port
    found = project.plan()
    assert [(step["address"], step["cause"], step["drift"]) for step in found["steps"]] == [
        ("endpoint:web", "gone since it was applied", True)
    ]
    assert "nobody keeps it" in project.ok("status").out
    project.ok("apply", "--yes", "--no-probe")
    kept(root(project))

    assert project.ok("stop", "web").out == "web stopped\n"
    assert project.steps() == []
    assert "stopped by hand since 20" in project.ok("status").out
    project.edit("port = 8080", 'port = 8080\nenv.LEVEL = "high"')
    project.ok("lock")
    assert project.steps() == ["update server:web"]
    project.ok("apply", "--yes", "--no-probe")
    assert keeper_of(root(project), "web") is None
    done = project.ok("start", "--json").document["servers"]
    assert [(item["server"], item["did"]) for item in done] == [("web", "started")]
    assert kept(root(project)).launch == project.active()["web"]


@pytest.mark.parametrize("declared", ["here", "elsewhere"])
def test_what_a_killed_keeper_has_left_is_no_other_program(
    project: TrialProject, tmp_path: Path, declared: str
) -> None:
    """Its run has the port until it has seen that its keeper is gone, and has ended the server."""
    project.ok("apply", "--yes", "--no-probe")
    keeper = kept(root(project))
    os.kill(keeper.run, signal.SIGSTOP)
    try:
        os.kill(keeper.pid, signal.SIGKILL)
        assert wait_for(lambda: keeper_of(root(project), "web") is None)
        assert not _is_free(keeper.port)
        assert sessions_now(ProjectState(root(project))) == {}, "what kept it was no session"
        if declared == "here":
            found = project.plan()
            assert [step["address"] for step in found["steps"]] == ["endpoint:web"]
            assert found["problems"] == []
        else:
            text = web_manifest(f"host-port = {keeper.port}", name="other")
            other = TrialProject(tmp_path / "other", text, name="other", HATCHLOCK_HOME=str(project.store))
            other.ok("lock")
            (problem,) = other.plan()["problems"]
            assert problem["what"].startswith("the server web of project trial listens at ")
    finally:
        os.kill(keeper.run, signal.SIGCONT)
    project.ok("apply", "--yes", "--no-probe")
    assert kept(root(project)).port == keeper.port


@pytest.mark.full
def test_under_another_name_it_keeps_its_port(project: TrialProject) -> None:
    project.ok("apply", "--yes", "--no-probe")
    before = kept(root(project))
    text = project.manifest.read_text().replace("servers.web", "servers.site")
    project.write(text + '[[moved]]\nfrom = "server:web"\nto = "server:site"\n')
    project.ok("lock")
    assert project.steps() == ["update server:site", "delete endpoint:web", "create endpoint:site"]
    project.ok("apply", "--yes", "--no-probe")

    assert kept(root(project), "site").url == before.url
    assert keeper_of(root(project), "web") is None
    assert project.steps() == []


def test_a_port_that_is_taken_is_a_problem_of_the_plan(project: TrialProject) -> None:
    port = free_port()  # which nobody else gets when it is given up again
    with socket.create_server(("127.0.0.1", port)):
        project.edit("port = 8080", f"port = 8080\nhost-port = {port}")
        project.ok("lock")
        (problem,) = project.plan()["problems"]
        assert (problem["address"], problem["code"]) == ("endpoint:web", "port-taken")
        assert problem["what"] == f"another program listens at 127.0.0.1:{port}, where it is to be reached"
        assert "host-port" in problem["hint"]
    assert project.plan()["problems"] == []


@pytest.mark.full
def test_what_is_no_longer_declared_is_stopped_first(project: TrialProject) -> None:
    project.ok("apply", "--yes", "--no-probe")
    port = kept(root(project)).port
    project.write('[project]\nname = "trial"\nplatforms = ["linux/amd64", "linux/arm64"]\n')
    project.ok("lock")
    assert project.steps() == ["delete endpoint:web", "delete server:web"]
    project.ok("apply", "--yes", "--allow-mass-removal")

    assert _is_free(port)
    assert project.steps() == []


@pytest.mark.full
def test_twenty_at_once(tmp_path: Path) -> None:
    """All are started by one apply; each answers by itself; one destroy ends them all."""
    project = TrialProject(tmp_path, web_manifest(servers=20))
    names = [f"web{number or ''}" for number in range(20)]
    with ended(project.store):
        project.ok("lock")
        project.ok("apply", "--yes", "--no-probe")
        ports = {name: kept(root(project), name).port for name in names}
        who = [post(f"http://127.0.0.1:{port}/mcp", "initialize")["serverInfo"]["name"] for port in ports.values()]
        assert who == names
        assert project.steps() == []
        project.ok("destroy", "--yes")
        assert all(map(_is_free, ports.values()))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
