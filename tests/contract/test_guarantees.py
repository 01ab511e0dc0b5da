"""Guarantees of the core that hold through the real commands."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.paths import Home
from hatchlock.state.lease import lease
from hatchlock.usecases.plan import read_target
from hatchlock.usecases.project import open_project
from support.cats import CAT, CATS, CatProject, apply, entries, start, tree

CACHE = "store/cache"
AUDIT = "store/audit"
FOREIGN = '{\n    // mine\n  "mcpServers": {"mine": {"command": "x"}},\n  "other": 1\n}\n'


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    return CatProject(tmp_path, CAT)


# 1. Reading commands change nothing but caches.


@pytest.mark.parametrize(
    "words",
    [["plan"], ["plan", "--check"], ["status"], ["tree"], ["validate"], ["lock", "--check"], ["verify"], ["audit"]],
)
def test_reading_commands_change_nothing_before_and_after_the_first_apply(
    project: CatProject, words: list[str]
) -> None:
    project.ok("lock")
    project.store.mkdir(mode=0o700, exist_ok=True)  # what is in it is compared, but for the cache
    before = tree(project.root, without=(CACHE, AUDIT))
    project.run(*words)
    assert tree(project.root, without=(CACHE, AUDIT)) == before

    apply(project)
    project.write(CATS)
    project.run(*words)
    project.write(CAT)
    before = tree(project.root, without=(CACHE, AUDIT))
    project.run(*words)
    assert tree(project.root, without=(CACHE, AUDIT)) == before


def test_plan_out_writes_its_file_and_nothing_else(project: CatProject) -> None:
    project.ok("lock")
    project.store.mkdir(mode=0o700, exist_ok=True)
    before = tree(project.root, without=(CACHE, AUDIT))
    project.ok("plan", "--out", "plan.json")
    after = tree(project.root, without=(CACHE, AUDIT))
    assert after.pop("project/plan.json")[:2] == ("file", 0o600)
    assert after == before


def test_apply_writes_neither_manifest_nor_lock(project: CatProject) -> None:
    project.ok("lock")
    os.utime(project.manifest, ns=(1, 1))
    os.utime(project.lock, ns=(1, 1))
    project.ok("apply", "--yes", "--no-probe")
    assert project.manifest.stat().st_mtime_ns == project.lock.stat().st_mtime_ns == 1


# 2. The second plan is empty.


def test_the_second_plan_is_empty_with_and_without_the_cache(project: CatProject) -> None:
    apply(project)
    for _ in range(2):
        done = project.ok("plan", "--check")
        assert done.out.startswith("Nothing to do: 3 resources are as declared")
        for path in sorted((project.store / "cache" / "memo").iterdir()):
            path.unlink()


def test_a_manifest_that_is_edited_while_it_is_planned_for_does_not_get_into_the_memory_of_the_old_one(
    project: CatProject,
) -> None:
    project.ok("lock")
    home = Home(root=project.store, is_default=False)
    opened = open_project(directory=project.directory, manifest=None, use_global=False, home=home, environ=project.env)
    project.edit('["claude-code", "cursor"]', '["cursor"]')
    assert len(read_target(opened).entries) == 2
    project.edit('["cursor"]', '["claude-code", "cursor"]')
    assert len([step for step in project.steps() if "client:" in step]) == 2


def test_an_apply_with_nothing_to_do_changes_nothing(project: CatProject) -> None:
    apply(project)
    before = tree(project.root, without=(CACHE, AUDIT))
    project.ok("apply", "--yes")
    assert tree(project.root, without=(CACHE, AUDIT)) == before


def test_a_server_added_and_removed_leaves_the_others_alone(project: CatProject) -> None:
    apply(project)
    before = project.active()
    project.write(CATS)
    apply(project)
    assert {name: project.active()[name] for name in before} == before
    project.write(CATS.replace("[servers.two]", "[servers.four]"))
    project.ok("lock")
    assert project.steps() == [
        "create server:four",
        "delete client:claude-code/two",
        "delete client:cursor/two",
        "delete server:two",
        "create client:claude-code/four",
        "create client:cursor/four",
    ]


# 4. One apply of a project at a time.


@pytest.fixture
def held(project: CatProject) -> Iterator[CatProject]:
    project.ok("lock")
    path = project.store / "projects" / "trial" / "lease.lock"
    with lease(path, what="the project", purpose="apply", timeout=0):
        yield project


def test_whoever_does_not_wait_is_told_who_holds_it(held: CatProject) -> None:
    done = held.fails("apply", "--yes", "--lock-timeout", "0")
    assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in done.err
    assert "--lock-timeout" in done.err
    assert held.active() == {}
    assert entries(held) == {}


def test_reading_commands_do_not_wait(held: CatProject) -> None:
    assert held.run("plan", "--check").status == 2
    held.ok("status")


def test_of_two_applies_at_once_one_waits_and_both_end_well(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CATS)
    project.ok("lock")
    path = project.store / "projects" / "trial" / "lease.lock"
    with lease(path, what="the project", purpose="apply", timeout=0):  # so that both have planned the same
        processes = [start(project, "apply", "--yes", "--no-probe") for _ in range(2)]
    for process in processes:
        with process:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
    assert list(project.active()) == ["cat", "three", "two"]
    assert entries(project) == {name: ["cat", "three", "two"] for name in (".mcp.json", "mcp.json")}
    project.ok("plan", "--check")
    generations = sorted(path.name for path in (project.store / "projects" / "trial" / "generations").iterdir())
    assert generations == ["1"], "the second found nothing to do"


def test_an_apply_that_was_killed_at_its_very_end_is_finished_by_the_next(project: CatProject) -> None:
    apply(project)
    state = project.store / "projects" / "trial"
    began = '{"event": "begin", "at": "2026-01-01T00:00:00.000+00:00"}\n'
    (state / "journal.ndjson").write_text(began)
    assert "an apply begun 2026-01-01" in project.ok("plan").err
    project.ok("apply")
    assert "an apply begun" not in project.ok("plan").err
    assert not (state / "journal.ndjson").exists()


def test_what_cannot_be_planned_is_not_taken_for_an_interruption(project: CatProject) -> None:
    project.write(CATS.replace('[servers.two]\ncommand = ["/bin/cat"]', '[servers.two]\ncommand = ["/bin/none"]'))
    project.ok("lock")
    assert project.run("apply", "--yes", "--no-probe").status == 1
    assert list(project.active()) == ["cat", "three"]
    assert "an apply begun" not in project.run("plan").err


# 9 and 11. Only what is our own.


def test_entries_of_others_survive_byte_by_byte(project: CatProject) -> None:
    project.edit('clients = ["claude-code", "cursor"]', 'clients = ["claude-code"]')
    file = project.directory / ".mcp.json"
    file.write_text(FOREIGN)
    apply(project)
    assert FOREIGN.partition('{"command": "x"}')[0] in file.read_text()
    project.write(CAT.partition("\n[servers.cat]")[0])
    project.ok("lock")
    project.ok("apply", "--yes", "--allow-mass-removal")
    assert file.read_text() == FOREIGN


def test_entries_are_found_when_the_state_is_lost(project: CatProject) -> None:
    apply(project)
    state = project.store / "projects" / "trial"
    for name in ("entries.json", "active.json", "binding.json"):
        (state / name).unlink()
    project.write(CAT.partition("\n[servers.cat]")[0])
    project.ok("lock")
    assert project.steps() == ["delete client:claude-code/cat", "delete client:cursor/cat"]


def test_another_projects_entries_are_not_touched(project: CatProject) -> None:
    file = project.user_home / ".claude.json"
    theirs = {"command": str(project.launcher), "args": ["run", "--home", str(project.store), "--project", "b", "x"]}
    file.write_text(json.dumps({"mcpServers": {"x": theirs}}))
    project.edit('[clients.claude-code]\nscope = "project"', '[clients.claude-code]\nscope = "user"')
    apply(project)
    assert sorted(json.loads(file.read_text())["mcpServers"]) == ["cat", "x"]
    project.write(CAT.partition("\n[servers.cat]")[0])
    project.ok("lock")
    project.ok("apply", "--yes", "--allow-mass-removal")
    assert json.loads(file.read_text()) == {"mcpServers": {"x": theirs}}


def test_a_file_changed_between_plan_and_step_is_left_alone(project: CatProject) -> None:
    project.ok("lock")
    project.ok("plan", "--out", "plan.json")
    file = project.directory / ".mcp.json"
    file.write_text('{"mcpServers": {"cat": {"command": "theirs"}}}')
    project.fails("apply", "plan.json")
    assert json.loads(file.read_text())["mcpServers"]["cat"] == {"command": "theirs"}
    project.fails("apply", "--yes", "--no-probe")  # the entry is reported; all else is done
    assert json.loads(file.read_text())["mcpServers"]["cat"] == {"command": "theirs"}


def test_a_client_file_that_cannot_be_understood_is_never_written(project: CatProject) -> None:
    file = project.directory / ".mcp.json"
    file.write_text('{"mcpServers": {,}}')
    project.ok("lock")
    done = project.run("apply", "--yes", "--no-probe")
    assert done.status == 1
    assert "client:claude-code/cat" in done.err
    assert file.read_text() == '{"mcpServers": {,}}'
    assert entries_of_cursor(project) == ["cat"], "the other one is written all the same"


def entries_of_cursor(project: CatProject) -> list[str]:
    return sorted(json.loads((project.directory / ".cursor" / "mcp.json").read_text())["mcpServers"])


# 12. The store is its owner's.


def test_what_apply_makes_is_private_whatever_the_umask(project: CatProject) -> None:
    old = os.umask(0)
    try:
        apply(project)
    finally:
        os.umask(old)
    wide = [
        f"{stat.S_IMODE(path.lstat().st_mode):04o} {path.relative_to(project.store)}"
        for path in (project.store, *project.store.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]
    assert wide == ["0755 bin/hatchlock"]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722, 0o777])
@pytest.mark.parametrize(
    "words", [["plan"], ["status"], ["apply", "--yes"], ["run", "cat", "--project", "trial"], ["probe", "cat"]]
)
def test_a_store_that_others_could_write_to_is_refused(project: CatProject, words: list[str], mode: int) -> None:
    project.ok("lock")
    project.store.mkdir(exist_ok=True)
    project.store.chmod(mode)
    before = tree(project.store)
    done = project.fails(*words)
    assert f"{project.store}: others could write to it" in done.err
    assert f"mode {mode:04o}" in done.err
    assert tree(project.store) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_store_of_somebody_else_is_refused(project: CatProject) -> None:
    project.ok("lock")
    project.store.mkdir(mode=0o700, exist_ok=True)
    os.chown(project.store, 12345, 12345)
    done = project.fails("apply", "--yes")
    assert "it belongs to another user (owner 12345, mode 0700)" in done.err


@pytest.mark.parametrize("part", ["projects", "projects/trial", "bin", "cache", "images"])
def test_a_part_of_the_store_that_others_could_write_to_is_refused(project: CatProject, part: str) -> None:
    project.ok("lock")
    directory = project.store / part
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    project.store.chmod(0o755)
    directory.chmod(0o777)
    project.fails("apply", "--yes", "--no-probe")
    assert project.active() == {}
