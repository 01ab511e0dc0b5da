"""Drift of what needs no engine, one kind after the other: injected for real, told by its field, put right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.state.applied import read_applied
from support.cats import CAT, CatProject
from support.drifting import different, is_silent, one_step, put_right
from support.index import Index, serving
from support.killed import KilledProject
from support.project import server_release

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = ["claude-code"]

[clients.claude-code]
scope = "project"

[indexes.pypi]
url = "{index}"

[servers.tool]
source = "pypi:tool"
python = "3.11"
drift = "correct"

[servers.tool.sandbox]
writable = ["/data"]
reason = "it keeps something"
"""
ENV, VOLUME, SERVER, CLIENT = "env:tool", "volume:tool/data@process", "server:tool", "client:claude-code/tool"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(server_release(tmp_path_factory.mktemp("wheels"), name="tool")) as found:
        yield found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, index: Index) -> CatProject:
    """Yield an applied project. Each test changes something, and puts it right again."""
    made = CatProject(tmp_path_factory.mktemp("drift"), MANIFEST.format(index=index.url))
    made.ok("lock")
    made.ok("apply", "--yes", "--no-probe")
    return made


@pytest.fixture(autouse=True)
def as_declared(project: CatProject) -> Iterator[None]:
    """Begin and end with what is declared."""
    yield
    project.write(project.manifest.read_text().replace('drift = "warn"', 'drift = "correct"'))
    project.write(project.manifest.read_text().replace('drift = "ignore"', 'drift = "correct"'))
    project.ok("apply", "--yes", "--no-probe", "--allow-destructive")


def environment(project: CatProject) -> Path:
    (name,) = project.environments()
    return project.store / "envs" / name


def state(project: CatProject) -> Path:
    return project.store / "projects" / "trial"


def kept(project: CatProject) -> Path:
    return state(project) / "volumes" / "tool" / "data"


def record(project: CatProject) -> Path:
    return state(project) / "launch" / f"{project.active()['tool']}.json"


def entry_file(project: CatProject) -> Path:
    return project.directory / ".mcp.json"


def edit_entry(project: CatProject, **fields: Any) -> None:
    document = json.loads(entry_file(project).read_text())
    document["mcpServers"]["tool"] |= fields
    entry_file(project).write_text(json.dumps(document))


def test_what_was_just_applied_is_silent(project: CatProject) -> None:
    is_silent(project)
    assert set(map(str, read_applied(state(project)).keys)) == {ENV, VOLUME, SERVER, CLIENT}


def test_an_environment_that_is_gone(project: CatProject) -> None:
    shutil.rmtree(environment(project))
    details = one_step(project, ENV, action="create", cause="gone since it was applied", server="tool")
    assert details["packages"] == "1"
    (server,) = project.ok("status", "--json").document["servers"]
    assert (server["health"], server["said"]) == ("failed", f"it cannot start: {ENV} is gone")
    put_right(project)


def test_data_that_is_gone(project: CatProject) -> None:
    shutil.rmtree(kept(project))
    one_step(project, VOLUME, action="create", cause="gone since it was applied", server="tool")
    put_right(project)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_data_that_was_given_away_comes_back_with_everything_in_it(project: CatProject) -> None:
    (kept(project) / "diary").write_text("today")
    owner = kept(project).stat().st_uid
    os.chown(kept(project), 4242, 4242)
    details = one_step(project, VOLUME, cause="owner changed since it was applied", server="tool")
    assert details == {"owner": f"4242:4242 -> {owner}:{owner}"}
    put_right(project)
    assert (kept(project).stat().st_uid, (kept(project) / "diary").read_text()) == (owner, "today")


@pytest.mark.parametrize("word", ["gone", "damaged"])
def test_a_launch_record(project: CatProject, word: str) -> None:
    if word == "gone":
        record(project).unlink()
    else:
        record(project).write_bytes(b"{}")
    details = one_step(project, SERVER, cause="launch record changed since it was applied", server="tool")
    digits = project.active()["tool"][:12]
    assert details["launch record"] == f"{digits}, {word} -> {digits}"
    put_right(project)


def test_an_entry_that_was_edited_is_foreign_work_that_is_not_lost_unasked(project: CatProject) -> None:
    edit_entry(project, env={"MORE": "1"})
    details = one_step(project, CLIENT, cause="entry changed since it was applied", server="tool")
    assert list(details) == ["entry"]
    project.fails("apply", "--yes", "--no-probe", status=3)
    put_right(project, "--allow-destructive")


def test_an_entry_that_was_taken_away(project: CatProject) -> None:
    entry_file(project).write_text('{"mcpServers": {}}')
    one_step(project, CLIENT, action="create", cause="gone since it was applied", server="tool")
    put_right(project)


def test_files_of_an_environment_are_read_by_verify_alone(project: CatProject) -> None:
    (module,) = environment(project).glob("lib/*/site-packages/tool.py")
    for change in (module.unlink, lambda: module.write_text("print('other')")):
        change()
        assert project.plan()["steps"] == []
        finding = different(project)
        assert list(finding) == [ENV]
        assert "lib/python3.11/site-packages/tool.py is not what was installed" in finding[ENV]["differences"][0]
        assert (finding[ENV]["drift"], finding[ENV]["policy"]) == (True, "correct")
        said = project.run("verify", "--deep")
        assert (said.status, f"hatchlock apply --replace {ENV}" in said.err) == (2, True)
        put_right(project, "--replace", ENV)


def test_a_package_that_is_not_in_its_environment_any_more_shows_in_status(project: CatProject) -> None:
    (information,) = environment(project).glob("lib/*/site-packages/tool-*.dist-info")
    shutil.rmtree(information)
    (server,) = project.ok("status", "--json").document["servers"]
    assert server["sync"] == "drifted"
    assert server["detail"].startswith(f"{ENV} pypi:tool@1.0 is not in it any more")
    assert list(different(project)) == [ENV]
    put_right(project, "--replace", ENV)


def test_the_program_that_entries_start(project: CatProject) -> None:
    project.launcher.write_text("#!/bin/sh\nexec something else\n")
    assert list(different(project)) == ["launcher:hatchlock"]
    put_right(project)


def test_what_both_sides_have_changed_is_a_change_that_says_so(project: CatProject) -> None:
    edit_entry(project, env={"MORE": "1"})
    record(project).write_bytes(b"{}")
    project.write(project.manifest.read_text().replace("[servers.tool.sandbox]", "[servers.tool.sandbox]\npids = 50"))
    project.ok("lock")
    steps = {step["address"]: step for step in project.plan()["steps"]}
    assert (steps[SERVER]["drift"], steps[CLIENT]["drift"]) == (False, True)
    assert steps[SERVER]["cause"].endswith("changed in its declaration, and by somebody else since it was applied")
    (server,) = project.ok("status", "--json").document["servers"]
    assert server["sync"] == "out-of-sync"
    project.write(project.manifest.read_text().replace("\npids = 50", ""))
    project.ok("lock")


def test_a_change_of_the_declaration_is_no_drift(project: CatProject) -> None:
    project.write(project.manifest.read_text().replace("[servers.tool.sandbox]", "[servers.tool.sandbox]\npids = 50"))
    project.ok("lock")
    (step,) = project.plan()["steps"]
    assert (step["address"], step["drift"]) == (SERVER, False)
    assert "since it was applied" not in step["cause"]
    put_right(project)
    project.write(project.manifest.read_text().replace("\npids = 50", ""))
    project.ok("lock")


def test_what_is_only_to_be_told_stays_and_is_told_everywhere(project: CatProject) -> None:
    project.edit('drift = "correct"', 'drift = "warn"')
    shutil.rmtree(environment(project))
    done = project.ok("plan", "--check")
    assert f"! {ENV}  gone since it was applied; left as it is" in done.out
    assert project.plan()["drifted"] == [{"address": ENV, "what": "gone since it was applied"}]
    project.ok("apply", "--yes", "--no-probe")
    assert project.environments() == []
    (server,) = project.ok("status", "--json").document["servers"]
    assert (server["sync"], server["health"]) == ("drifted", "failed")
    assert "left as it is, drift is 'warn'" in project.ok("status").out
    assert different(project)[ENV]["policy"] == "warn"
    project.edit('drift = "warn"', 'drift = "correct"')
    one_step(project, ENV, action="create", cause="gone since it was applied", server="tool")


def test_what_is_to_be_ignored_is_told_by_those_who_are_asked(project: CatProject) -> None:
    project.edit('drift = "correct"', 'drift = "ignore"')
    shutil.rmtree(kept(project))
    assert ENV not in project.ok("plan", "--check").out
    assert project.plan()["drifted"] == []
    said = project.ok("status").out
    assert ("drift" in said, f"it cannot start: {VOLUME} is gone" in said) == (False, True)
    assert f"{VOLUME} gone since it was applied; left as it is, drift is 'ignore'" in project.ok("status", "-v").out
    (server,) = project.ok("status", "--json").document["servers"]
    assert (server["sync"], [item["policy"] for item in server["drift"]]) == ("synced", ["ignore"])
    assert different(project)[VOLUME]["policy"] == "ignore"


def test_what_a_change_needs_is_made_although_its_drift_is_ignored(project: CatProject) -> None:
    project.edit('drift = "correct"', 'drift = "ignore"')
    shutil.rmtree(environment(project))
    project.write(project.manifest.read_text().replace("[servers.tool.sandbox]", "[servers.tool.sandbox]\npids = 50"))
    project.ok("lock")
    assert project.steps() == [f"create {ENV}", f"update {SERVER}"]
    project.write(project.manifest.read_text().replace("\npids = 50", ""))
    project.ok("lock")


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"format_version": 1}', b"\xff"])
def test_without_what_is_known_nothing_is_called_drift(project: CatProject, damage: bytes) -> None:
    (state(project) / "applied.json").write_bytes(damage)
    shutil.rmtree(kept(project))
    (step,) = project.plan()["steps"]
    assert (step["cause"], step["drift"]) == ("not found", False)
    put_right(project)
    assert VOLUME in map(str, read_applied(state(project)).keys)


@pytest.mark.parametrize(
    "number", [pytest.param(2, marks=pytest.mark.full), 3, pytest.param(4, marks=pytest.mark.full)]
)
def test_our_own_work_is_no_drift_wherever_an_apply_is_killed(tmp_path: Path, number: int) -> None:
    victim = KilledProject(tmp_path, CAT)
    victim.ok("lock")
    victim.ok("apply", "--yes", "--no-probe")
    victim.edit('"-u"', '"-u", "-v"')
    victim.ok("lock")
    shutil.rmtree(victim.directory / ".cursor")
    assert victim.killed("after", number, "apply", "--yes", "--no-probe")
    victim.edit('"-u", "-v"', '"-u", "-A"')
    victim.ok("lock")
    steps = victim.plan()["steps"]
    assert not any("somebody else" in step["cause"] for step in steps)
    assert {step["address"] for step in steps if step["drift"]} <= {"client:cursor/cat"}


def test_our_own_work_is_no_drift_when_the_apply_after_the_killed_one_is_killed_too(tmp_path: Path) -> None:
    victim = KilledProject(tmp_path, f'{CAT}drift = "ignore"\n')
    victim.ok("lock")
    victim.ok("apply", "--yes", "--no-probe")
    victim.edit('"-u"', '"-u", "-v"')
    victim.ok("lock")
    for line in (3, 1):
        assert victim.killed("after", line, "apply", "--yes", "--no-probe")
    victim.edit('"-u", "-v"', '"-u"')
    victim.ok("lock")
    (step,) = victim.plan()["steps"]
    assert (step["address"], step["drift"]) == ("server:cat", False)
