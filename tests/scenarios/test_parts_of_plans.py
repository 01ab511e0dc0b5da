"""`--only` and `--replace`: a part of a plan is planned, saved and applied as that part, and what is right is made anew."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.cats import CAT, CatProject, apply, entries, start
from support.index import serving
from support.project import TrialProject, server_release

GROUPED = (
    CAT
    + """groups = ["web"]

[servers.two]
command = ["/bin/cat"]
groups = ["web", "night"]

[servers.three]
command = ["/bin/cat"]
"""
)
KEEPING = CAT + '\n[servers.cat.sandbox]\nwritable = ["/keep"]\nreason = "it remembers"\n'


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    project = CatProject(tmp_path, GROUPED)
    project.ok("lock")
    return project


def generation(project: CatProject) -> int:
    return int(project.ok("status", "--json").document["generation"])


def test_a_part_is_applied_and_leaves_no_generation(project: CatProject) -> None:
    done = project.ok("apply", "--only", "client:cursor/two", "--yes", "--no-probe")
    assert "Applied: 2 done" in done.out
    assert "only client:cursor/two, so no generation was recorded" in done.err
    assert (list(project.active()), entries(project)) == (["two"], {"mcp.json": ["two"]})
    assert generation(project) == 0
    assert len(project.plan()["steps"]) == 7
    project.ok("apply", "--yes", "--no-probe")
    assert (project.steps(), generation(project)) == ([], 1)


def test_what_was_applied_part_by_part_leaves_its_generation_when_the_whole_is_applied(project: CatProject) -> None:
    project.ok("apply", "--yes", "--no-probe")
    project.write(GROUPED + '\n[servers.four]\ncommand = ["/bin/cat"]\n')
    project.ok("lock")
    project.ok("apply", "--only", "server:four", "--only", "*/four", "--yes", "--no-probe")
    assert (project.steps(), generation(project)) == ([], 1)
    project.ok("apply", "--yes", "--no-probe")
    assert generation(project) == 2
    project.write(GROUPED + '\n[servers.four]  # a comment is no other whole\ncommand = ["/bin/cat"]\n')
    project.ok("lock")
    assert "Nothing to do" in project.ok("apply", "--yes", "--no-probe").out
    assert generation(project) == 2


def test_a_group_is_its_servers_with_their_entries(project: CatProject) -> None:
    document = project.ok("plan", "--only", "group:night", "--json").document
    assert document["only"] == ["group:night"]
    assert [step["address"] for step in document["steps"]] == [
        "server:two",
        "client:claude-code/two",
        "client:cursor/two",
    ]
    assert len(project.ok("plan", "--only", "group:night", "--only", "*:three", "--json").document["steps"]) == 4


def test_a_part_with_nothing_to_do_is_settled_and_records_nothing(project: CatProject) -> None:
    project.ok("apply", "--only", "server:two", "--yes", "--no-probe")
    before = (project.store / "projects" / "trial" / "serial.json").read_bytes()
    done = project.ok("apply", "--only", "server:two", "--yes")
    assert "Nothing to do: 1 resource is as declared" in done.out
    assert generation(project) == 0
    assert (project.store / "projects" / "trial" / "serial.json").read_bytes() == before


def test_a_problem_elsewhere_stops_no_part_and_one_of_it_does(project: CatProject) -> None:
    project.edit('[servers.three]\ncommand = ["/bin/cat"]', '[servers.three]\ncommand = ["/bin/no-such-program"]')
    project.ok("lock")
    assert project.run("plan").status == 1
    assert project.run("plan", "--only", "group:web", "--check").status == 2
    project.ok("apply", "--only", "group:web", "--yes", "--no-probe")
    done = project.run("plan", "--only", "server:three")
    assert (done.status, "no-such-program" in done.out) == (1, True)
    assert project.run("plan", "--only", "client:cursor/three").status == 1


def test_a_word_that_names_nothing_says_what_was_meant_and_nothing_is_done(project: CatProject) -> None:
    for command in (["plan"], ["apply", "--yes"]):
        done = project.fails(*command, "--only", "two")
        assert "'two' names nothing" in done.err
        assert "did you mean 'server:two'?" in done.err
    assert "did you mean 'group:web'?" in project.fails("plan", "--only", "group:webb").err
    assert "did you mean 'server:cat'?" in project.fails("plan", "--replace", "server:cats").err
    assert not (project.store / "projects").exists()


def test_a_saved_part_is_applied_as_that_part(project: CatProject) -> None:
    project.ok("plan", "--only", "server:two", "--out", "plan.json")
    assert "Partial: only server:two" in project.ok("show", "plan.json").out
    project.ok("apply", "plan.json", "--no-probe")
    assert (list(project.active()), generation(project)) == (["two"], 0)
    for option in ("--only", "--replace"):
        done = project.run("apply", "plan.json", option, "server:two")
        assert (done.status, "a saved plan is applied as it is" in done.err) == (64, True)


def test_what_is_right_is_made_anew_when_it_is_asked_for(project: CatProject) -> None:
    apply(project)
    assert project.ok("plan", "--replace", "server:cat").out == (
        project.ok("plan", "--replace", "server:cat", "--only", "server:cat")
        .out.replace("Partial: only server:cat, and what that needs\n", "")
        .replace("0 unchanged", "8 unchanged")
    )
    document = project.ok("plan", "--replace", "server:cat", "--json", "--out", "plan.json").document
    (step,) = document["steps"]
    assert (step["action"], step["cause"], step["before"]) == ("replace", "to be made anew", step["after"])
    assert document["summary"]["replace"] == 1
    assert "Applied: 1 done" in project.ok("apply", "plan.json", "--no-probe").out
    assert project.steps() == []


def test_a_volume_is_made_anew_only_by_whoever_agrees_to_lose_what_is_in_it(tmp_path: Path) -> None:
    project = CatProject(tmp_path, KEEPING)
    apply(project)
    (volume,) = (project.store / "projects" / "trial" / "volumes").glob("*/*")
    (volume / "letters").write_text("dear")
    address = "volume:cat/keep@process"
    assert "destructive: 4 bytes that cat keeps in /keep" in project.ok("plan", "--replace", address).out
    assert "--allow-destructive" in project.fails("apply", "--replace", address, "--yes", status=3).err
    assert (volume / "letters").exists()
    project.ok("apply", "--replace", address, "--yes", "--allow-destructive", "--no-probe")
    assert list(volume.iterdir()) == []
    assert project.steps() == []


def test_whoever_says_no_to_up_has_a_lock_and_nothing_else(tmp_path: Path) -> None:
    project = TrialProject(tmp_path, CAT)
    done = project.fails("up", status=3)
    assert "hatch.lock was written before; that stays, and nothing else was done" in done.err
    assert project.lock.exists()
    assert not (project.store / "projects").exists()
    again = project.fails("up", status=3)
    assert "hatch.lock was written" not in again.err
    done = project.ok("up", "--yes", "--no-probe", "--only", "server:cat")
    assert "only server:cat" in done.err
    assert list(project.active()) == ["cat"]
    assert (
        "Applied: 1 done" in project.ok("up", "--yes", "--no-probe", "--replace", "server:cat", "--only", "*:cat").out
    )


def test_an_environment_is_built_anew_and_not_while_a_server_runs_from_it(tmp_path: Path) -> None:
    manifest = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]
[indexes.pypi]
url = "URL"
[servers.tiny]
source = "pypi:tiny-server"
runtime = "process"
isolation = "best-effort"
"""
    with serving(server_release(tmp_path / "wheels")) as index:
        project = TrialProject(tmp_path, manifest.replace("URL", index.url))
        project.ok("lock")
        project.ok("apply", "--yes", "--no-probe")
    (environment,) = (project.store / "envs").iterdir()
    module = next(environment.rglob("tiny_server.py"))
    good = module.read_bytes()
    command = project.launch_command("tiny")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=project.env) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        request = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        session.stdin.write(json.dumps(request).encode() + b"\n")
        session.stdin.flush()
        assert json.loads(session.stdout.readline())["id"] == 1
        module.write_bytes(b"broken")
        failed = project.run("apply", "--replace", "env:tiny", "--yes", "--no-probe")
        assert (failed.status, module.read_bytes()) == (1, b"broken")
        assert "env:tiny: a server runs from it; it was left as it is" in failed.err
        assert "end the sessions of its servers" in failed.err
        session.stdin.close()
        session.wait(60)
    project.ok("apply", "--replace", "env:tiny", "--yes", "--no-probe", "--offline")
    assert module.read_bytes() == good
    assert project.steps() == []


def test_two_parts_at_once_are_both_there(project: CatProject) -> None:
    running = [start(project, "apply", "--only", f"server:{name}", "--yes", "--no-probe") for name in ("cat", "two")]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert sorted(project.active()) == ["cat", "two"]
