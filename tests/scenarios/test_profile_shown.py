"""The profile of servers is seen: in the plan of each that is changed, in the status of all, with every relaxation's reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.cats import CatProject, apply

MANIFEST = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[servers.cat]
command = ["/bin/cat", "-u"]
runtime = "process"

[servers.strict]
command = ["/bin/cat"]
runtime = "process"
sandbox.memory = "64m"
"""
OVERLAY = """\
[servers.cat.sandbox]
mounts = [{{ source = "{source}", target = "/data", mode = "rw" }}]
reason = "my own data"
"""
PROFILE = "network none, user "
MOUNT = "    ! mounts = [{} at /data (rw)], default [] (reason: my own data)"


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    made = CatProject(tmp_path, MANIFEST)
    made.ok("lock")
    return made


def lines_of(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip().startswith(word)]


def test_a_plan_has_the_profile_of_each_server_that_it_makes_or_changes_in_one_line(project: CatProject) -> None:
    first = lines_of(project.ok("plan").out, f"sandbox: {PROFILE}")
    assert len(first) == 2
    assert ", memory 64m" in first[1], "what is stricter is in the profile, and is no relaxation"
    apply(project)
    project.edit('"-u"', '"-v"')
    project.ok("lock")
    out = project.ok("plan").out
    assert [line for line in out.splitlines() if line.startswith("~")] == [
        "~ server:cat  arguments, launch record changed"
    ]
    assert lines_of(out, "sandbox: ") == first[:1]
    assert lines_of(out, "! ") == ["    ! not pinned: /bin/cat is a program of this machine"]


def test_what_an_overlay_relaxes_is_in_plan_status_and_audit_with_its_reason(project: CatProject) -> None:
    data = project.root / "data"
    data.mkdir()
    (project.directory / "hatchlock.local.toml").write_text(OVERLAY.format(source=data))
    assert MOUNT.format(data) in project.ok("plan").out.splitlines()
    assert f"/data from {data} (rw)" in lines_of(project.ok("plan").out, "sandbox: ")[0]
    apply(project)
    assert MOUNT.format(data) in project.ok("status").out.splitlines()
    assert f"it may write to {data}, at /data (reason: my own data)" in project.ok("audit").out


def test_an_overlay_gives_a_reason_too(project: CatProject) -> None:
    text = OVERLAY.format(source=project.root).replace('reason = "my own data"\n', "")
    (project.directory / "hatchlock.local.toml").write_text(text)
    refused = project.really_fails("plan")
    assert "it allows more than the default, without a reason" in refused.err
    assert "hatchlock.local.toml:2" in refused.err


def test_the_status_of_every_server_has_its_profile(project: CatProject) -> None:
    apply(project)
    found = project.ok("status", "--json").document["servers"]
    assert [item["sandbox"].startswith(PROFILE) for item in found] == [True, True]
    assert [item["relaxations"] for item in found] == [["not pinned: /bin/cat is a program of this machine"]] * 2
    text = project.ok("status").out
    assert lines_of(text, "cat  network none") == [f"cat  {found[0]['sandbox']}"]
    assert lines_of(text, "strict  network none") == [f"strict  {found[1]['sandbox']}"]


def test_status_shows_what_run_would_do_now_and_not_what_is_declared_since(project: CatProject) -> None:
    apply(project)
    project.edit('sandbox.memory = "64m"', 'sandbox.memory = "32m"')
    project.ok("lock")
    found = {item["name"]: item for item in project.ok("status", "--json").document["servers"]}
    assert ", memory 64m" in found["strict"]["sandbox"]
    assert found["strict"]["sync"] == "out-of-sync"
