"""A server that is a process keeps something, and has a seccomp profile of its own: from the manifest to the sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.project import TrialProject
from support.unavailable import need_isolation

MANIFEST = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[servers.notes]
command = "/bin/sh"
runtime = "process"
sandbox.writable = ["/data", "/home/hatchlock/.cache"]
sandbox.seccomp = "./strict.json"
sandbox.reason = "keeps its notes"

[servers.other]
command = "/bin/sh"
runtime = "process"
"""
NO_LINKS = json.dumps(
    {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
)


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    need_isolation()
    made = TrialProject(tmp_path, MANIFEST)
    (made.directory / "strict.json").write_text(NO_LINKS)
    made.ok("lock")
    made.ok("apply", "--yes", "--no-probe")
    return made


def test_it_writes_where_it_keeps_something_and_nowhere_else_and_finds_it_again(project: TrialProject) -> None:
    assert project.steps() == []
    script = "echo 1 > /data/a && echo 2 > /home/hatchlock/.cache/b && ! echo 3 > /x && stat -c %a:%u:%g /data && id -u"
    mode, uid = project.ok("exec", "notes", "--", "sh", "-c", script).out.split()
    assert mode == f"700:{uid}:{uid}"
    assert project.ok("exec", "notes", "--", "cat", "/data/a", "/home/hatchlock/.cache/b").out == "1\n2\n"
    assert project.run("exec", "other", "--", "ls", "/data").status == 2
    project.ok("gc", "--yes")
    assert "/volumes/" not in project.run("audit", "--json").out  # it is the server's, and nothing that is run
    project.edit(', "/home/hatchlock/.cache"]', "]")
    project.ok("lock")
    assert project.steps() == ["update server:notes", "delete volume:notes/home/hatchlock/.cache@process"]
    refused = project.fails("apply", "--yes", "--no-probe", status=3)
    assert "2 bytes that notes keeps in /home/hatchlock/.cache; nothing was done" in refused.err
    kept = 'else [[forget]] address = "volume:notes/home/hatchlock/.cache@process"'
    assert f'[[moved]] from = "server:notes" if that server has another name now, {kept}' in refused.err
    project.ok("apply", "--yes", "--no-probe", "--allow-destructive")
    assert project.steps() == []
    assert project.ok("exec", "notes", "--", "cat", "/data/a").out == "1\n"


def test_its_own_profile_binds_is_in_the_store_and_a_change_of_it_is_noticed(project: TrialProject) -> None:
    profile = project.directory / "strict.json"
    link = ("--", "ln", "-s", "/x", "/tmp/x")
    project.ok("exec", "other", *link)
    assert "Operation not permitted" in project.run("exec", "notes", *link).err
    profile.unlink()
    assert project.steps() == []  # the store has it
    assert "Operation not permitted" in project.run("exec", "notes", *link).err
    profile.write_text(NO_LINKS.replace('"errnoRet": 1', '"errnoRet": 2'))
    assert "its seccomp profile ./strict.json changed since it was locked" in project.fails("plan").err
    profile.write_text("{}")
    assert "./strict.json is no seccomp profile: defaultAction is null" in project.fails("lock").err
    profile.unlink()
    assert "no file of the project" in project.fails("lock").err
    profile.write_text(NO_LINKS)
    project.ok("lock", "--check")
    assert project.steps() == []
