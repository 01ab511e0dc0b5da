"""What gets another name, is given up or taken over, and what is found again without a state: with servers that are processes."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from hatchlock.cli.main import main
from hatchlock.engines.process import host_platform
from support.project import Done, TrialProject, snapshot
from support.unavailable import need_isolation

HEAD = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

"""
SERVER = """\
[servers.{name}]
command = "/bin/sh"
runtime = "process"
clients = ["cursor"]
sandbox.writable = ["/data", "/more"]
sandbox.reason = "keeps its notes"

"""
BARE = """\
[servers.{name}]
command = "/bin/cat"
runtime = "process"
clients = ["cursor"]

"""


class QuickProject(TrialProject):
    """Runs what changes nothing but the lock in this process."""

    def run(self, *words: str, **options: Any) -> Done:
        if words[0] not in {"lock", "plan", "status"} or options:
            return super().run(*words, **options)
        out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
        os.environ.update(self.env)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main(["-C", str(self.directory), *words])
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Done(status=status, out=out.getvalue(), err=err.getvalue())


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    need_isolation()
    return QuickProject(tmp_path, HEAD + SERVER.format(name="old") + BARE.format(name="other"))


def bring(project: TrialProject, text: str = "", *options: str) -> None:
    if text:
        project.write(HEAD + text)
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe", *options)


def entries(project: TrialProject) -> list[str]:
    path = project.user_home / ".cursor" / "mcp.json"
    return sorted(json.loads(path.read_text())["mcpServers"]) if path.exists() else []


def moved(*names: str) -> str:
    return "".join(f'[[moved]]\nfrom = "server:{old}"\nto = "server:{new}"\n' for old, new in itertools.pairwise(names))


def test_a_server_that_got_another_name_takes_everything_along(project: TrialProject) -> None:
    bring(project)
    project.ok("exec", "old", "--", "sh", "-c", "mkdir /data/d && echo kept > /data/d/a && ln -s /etc/passwd /data/l")
    others = project.active()["other"]
    text = SERVER.format(name="new") + BARE.format(name="other") + moved("older", "old", "new")
    project.write(HEAD + text)
    project.ok("lock")
    plan = project.plan()
    assert [f"{step['action']} {step['address']} {step['cause']}" for step in plan["steps"]] == [
        "update volume:new/data@process moved from volume:old/data@process",
        "update volume:new/more@process moved from volume:old/more@process",
        "update server:new moved from server:old",
        "update client:cursor/new moved from client:cursor/old",
    ]
    assert [step["loss"] for step in plan["steps"]] == [""] * 4
    project.ok("apply", "--yes", "--no-probe")  # it is no removal, and nothing is lost
    assert project.steps() == []
    assert project.ok(
        "exec", "new", "--", "sh", "-c", "cat /data/d/a; echo more >> /data/d/a; readlink /data/l"
    ).out == ("kept\n/etc/passwd\n")
    assert entries(project) == ["new", "other"]
    assert sorted(project.active()) == ["new", "other"]
    assert project.active()["other"] == others
    assert os.lstat("/etc/passwd").st_uid == 0
    assert [path.name for path in (project.store / "volumes" / "trial").iterdir()] == ["new"]
    # on a machine that never had the old one it says nothing; and without the block all is as it was
    elsewhere = QuickProject(project.root / "elsewhere", HEAD + text)
    elsewhere.ok("lock")
    assert {step["action"] for step in elsewhere.plan()["steps"]} == {"create"}
    project.write(HEAD + SERVER.format(name="new") + BARE.format(name="other"))
    assert project.steps() == []


def test_a_server_keeps_its_name_while_an_application_has_somebody_elses_entry_of_the_new_one(
    project: TrialProject,
) -> None:
    both = (SERVER + "[servers.{name}.client.codex]\nstartup_timeout_sec = 7\n\n").replace(
        '"cursor"', '"cursor", "codex"'
    )
    bring(project, both.format(name="old") + BARE.format(name="other"))
    codex = (project.user_home / ".codex" / "config.toml").read_text()
    project.ok("exec", "old", "--", "sh", "-c", "echo kept > /data/a")
    before, path = project.active(), project.user_home / ".cursor" / "mcp.json"
    ours = json.loads(path.read_text())["mcpServers"]
    theirs = {**ours["old"], "args": ["run", "--project", "another", "new"]}
    path.write_text(json.dumps({"mcpServers": {**ours, "new": theirs}}))
    project.write(HEAD + both.format(name="new") + BARE.format(name="other") + moved("old", "new"))
    project.ok("lock")
    for _ in range(2):  # nothing of it is forgotten by the first
        plan = project.plan()
        assert plan["steps"] == []
        assert [(problem["address"], problem["code"]) for problem in plan["problems"]] == [
            ("server:new", "stays-until"),
            ("client:cursor/new", "entry-taken"),
            ("client:cursor/old", "stays-until"),
        ]
        said = project.fails("apply", "--yes", "--no-probe").err
        assert "it stays server:old until client:cursor/new can be written" in said
        assert json.loads(path.read_text())["mcpServers"] == {**ours, "new": theirs}
        assert (project.user_home / ".codex" / "config.toml").read_text() == codex
        assert project.active() == before
        assert project.ok("exec", "old", "--", "cat", "/data/a").out == "kept\n"
    assert (
        "`apply` renames it to new, as soon as nothing else is called so" in project.ok("client", "show", "cursor").out
    )
    path.write_text(json.dumps({"mcpServers": ours}))
    assert not any(step["loss"] for step in project.plan()["steps"])
    project.ok("apply", "--yes", "--no-probe")
    assert (entries(project), sorted(project.active())) == (["new", "other"], ["new", "other"])
    assert project.ok("exec", "new", "--", "cat", "/data/a").out == "kept\n"


def test_without_a_word_of_it_another_name_is_a_loss(project: TrialProject) -> None:
    bring(project)
    project.ok("exec", "old", "--", "sh", "-c", "echo kept > /data/a")
    project.write(HEAD + SERVER.format(name="new"))
    project.ok("lock")
    assert "5 bytes that old keeps in /data" in project.fails("apply", "--yes", status=3).err
    saved = str(project.root / "plan.json")
    agreeing = f"saved: hatchlock apply {saved} --allow-destructive --allow-mass-removal"
    assert agreeing in project.ok("plan", "--out", saved).err
    project.fails("apply", saved, "--allow-destructive", status=3)
    project.ok(*agreeing.removeprefix("saved: hatchlock ").split(), "--no-probe")
    assert project.steps() == []


def test_what_is_forgotten_stays_and_is_told_of_once(project: TrialProject) -> None:
    bring(project)
    project.ok("exec", "old", "--", "sh", "-c", "echo kept > /data/a")
    before = entries(project), project.active()
    forget = '[[forget]]\naddress = "server:old"\n'
    project.write(HEAD + BARE.format(name="other") + forget)
    project.ok("lock")
    plan = project.plan()
    assert plan["steps"] == []
    assert [note["address"] for note in plan["notes"]] == ["server:old"]
    assert "is forgotten: it stays as it is" in project.ok("plan").out
    project.ok("apply", "--yes", "--no-probe")
    assert project.plan()["notes"] == []
    project.edit(forget, "")  # it is remembered
    assert project.steps() == []
    project.ok("gc", "--yes", "--keep", "1")
    assert (entries(project), project.active()) == before
    assert project.ok("exec", "old", "--", "cat", "/data/a").out == "kept\n"  # it still starts
    assert [server["name"] for server in project.ok("status", "--json").document["servers"]] == ["other"]
    bring(project, SERVER.format(name="old") + BARE.format(name="other"))  # declared again, it is ours again
    bring(project, BARE.format(name="other"), "--allow-destructive", "--allow-mass-removal")
    assert entries(project) == ["other"]


def test_a_lost_state_is_found_again_by_marks(project: TrialProject) -> None:
    bring(project)
    project.ok("exec", "old", "--", "sh", "-c", "echo kept > /data/a")
    client = snapshot(project.user_home)
    shutil.rmtree(project.store / "projects")
    assert {step for step in project.steps() if not step.endswith("@process")} == {
        "create server:old",
        "create server:other",
    }
    steps = project.plan()["steps"]
    assert not any(step["loss"] for step in steps)
    causes = {step["cause"] for step in steps if step["address"].startswith("volume:")}
    assert causes == {"differs in the project's state alone, which was lost: what is kept stays where it is"}
    project.ok("apply", "--yes", "--no-probe")
    assert project.steps() == []
    assert project.ok("exec", "old", "--", "cat", "/data/a").out == "kept\n"
    assert snapshot(project.user_home) == client
    # what nobody declares any more is found, too: its entry, and its data, which is a loss
    shutil.rmtree(project.store / "projects")
    project.write(HEAD + BARE.format(name="other"))
    project.ok("lock")
    assert {step for step in project.steps() if step.startswith("delete")} == {
        "delete client:cursor/old",
        "delete volume:old/data@process",
        "delete volume:old/more@process",
    }
    assert "5 bytes that old keeps in /data" in project.fails("apply", "--yes", status=3).err


def test_directories_that_a_version_before_has_kept_in_the_state_go_on(project: TrialProject) -> None:
    bring(project)
    project.ok("exec", "old", "--", "sh", "-c", "echo kept > /data/a")
    link = project.store / "projects" / "trial" / "volumes"
    link.unlink()
    (project.store / "volumes" / "trial").rename(link)  # as it was
    active = project.active()
    assert project.steps() == []  # an upgrade changes nothing by itself
    assert project.ok("exec", "old", "--", "cat", "/data/a").out == "kept\n"
    bring(project, SERVER.format(name="old"), "--allow-mass-removal")
    assert link.is_symlink()
    assert project.active() == {"old": active["old"]}
    shutil.rmtree(project.store / "projects")
    project.ok("apply", "--yes", "--no-probe")
    assert project.ok("exec", "old", "--", "cat", "/data/a").out == "kept\n"


def test_a_directory_is_adopted_and_stays(project: TrialProject) -> None:
    theirs = project.directory / "theirs"
    theirs.mkdir()
    (theirs / "a").write_text("theirs\n")
    (theirs / "link").symlink_to("a")
    text = SERVER.format(name="old") + '[[adopt]]\naddress = "volume:old/data"\nname = "./theirs"\n'
    project.write(HEAD + text.replace("./theirs", "./nowhere"))
    project.ok("lock")
    (problem,) = project.plan()["problems"]
    assert (problem["address"], problem["code"]) == ("volume:old/data@process", "nothing-to-adopt")
    project.write(HEAD + text)
    (step,) = (step for step in project.plan()["steps"] if step["address"] == "volume:old/data@process")
    assert step["details"]["begins with"] == f"a copy of {theirs}"
    project.ok("apply", "--yes", "--no-probe")
    assert project.steps() == []
    script = "cat /data/link && echo ours > /data/a && cat /data/link"
    assert project.ok("exec", "old", "--", "sh", "-c", script).out == "theirs\nours\n"
    assert (theirs / "a").read_text() == "theirs\n"


def test_a_project_whose_directory_has_moved_goes_on_after_a_takeover(project: TrialProject) -> None:
    bring(project)
    project.ok("exec", "old", "--", "sh", "-c", "echo kept > /data/a")
    before = entries(project)
    project.directory = project.directory.rename(project.root / "elsewhere")
    refused = project.fails("plan")
    assert f"belongs to {project.root / 'project'}, where there is no manifest any more" in refused.err
    assert "hatchlock apply --takeover" in refused.err
    project.ok("apply", "--yes", "--no-probe", "--takeover")  # nothing is removed or lost
    assert project.steps() == []
    assert entries(project) == before
    assert project.ok("exec", "old", "--", "cat", "/data/a").out == "kept\n"


def test_a_second_checkout_is_refused_and_may_take_over(project: TrialProject) -> None:
    bring(project)
    other = QuickProject(project.root / "second", project.manifest.read_text(), HATCHLOCK_HOME=str(project.store))
    other.env["HOME"] = str(project.user_home)
    other.ok("lock")
    for words in (("plan",), ("apply", "--yes")):
        said = other.fails(*words).err
        assert str(project.directory) in said
        assert str(other.directory) in said
        assert "give one of them another [project] name" in said
    assert project.steps() == []  # asking has changed nothing
    other.ok("apply", "--yes", "--no-probe", "--takeover")
    assert other.steps() == []
    assert f"belongs to {other.directory}" in project.fails("plan").err


def test_what_is_said_of_one_project_is_not_done_to_the_one_that_is_here(project: TrialProject) -> None:
    bring(project)
    before = snapshot(project.user_home)
    for words in (("apply", "--yes"), ("plan",), ("gc", "--yes"), ("rollback", "--yes"), ("status",)):
        refused = project.fails(*words, "--project", "trail", status=64)
        assert f"--project trail: the manifest here is that of trial ({project.manifest})" in refused.err, words
        assert "with -C" in refused.err
    refused = project.fails("destroy", "--yes", "--allow-destructive", "--project", "trail")
    assert "has nothing applied for the project 'trail'; it has trial" in refused.err
    assert "did you mean trial?" in refused.err
    assert snapshot(project.user_home) == before
    project.ok("plan", "--project", "trial")
    assert project.steps() == []


def test_a_project_whose_directory_is_gone_can_be_taken_away_by_its_name(project: TrialProject) -> None:
    bring(project, BARE.format(name="other"))
    other = TrialProject(project.root / "second", HEAD.replace("trial", "second") + BARE.format(name="more"))
    other.env |= {"HOME": str(project.user_home), "HATCHLOCK_HOME": str(project.store)}
    bring(other)
    assert entries(project) == ["more", "other"]
    shutil.rmtree(project.directory)
    again = other.root / "again"
    again.mkdir()
    (again / "hatchlock.toml").write_text(HEAD)
    assert (
        "`hatchlock destroy --project trial` takes away what is left of it" in other.fails("-C", str(again), "gc").err
    )
    done = other.ok("destroy", "--yes", "--project", "trial")
    assert "nothing of the project trial is left" in done.err + done.out
    assert entries(project) == ["more"]
    assert other.steps() == []
    assert "nothing applied for the project 'trial'" in other.fails("destroy", "--yes", "--project", "trial").err


def test_a_named_project_is_destroyed_from_anywhere_by_the_manifest_that_has_its_name(project: TrialProject) -> None:
    bring(project, BARE.format(name="other"))
    project.manifest.rename(project.manifest.with_name("agents.toml"))
    project.write(HEAD.replace("trial", "newer"))
    project.ok("destroy", "--yes", "--project", "trial", cwd=project.root)
    assert entries(project) == []
