"""`plan --out F`, `show F`, `apply F`: exactly that, or nothing."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from support.cats import CAT, CATS, CatProject, apply, entries, tree

OTHER = CAT.replace('"-u"', '"-u", "-v"')


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    project = CatProject(tmp_path, CAT)
    project.ok("lock")
    project.ok("plan", "--out", "plan.json")
    return project


def test_it_is_shown_as_it_was_printed(project: CatProject) -> None:
    printed = project.ok("plan").out
    assert project.ok("show", "plan.json").out == printed


def test_it_is_for_its_owner_only(project: CatProject) -> None:
    assert stat.S_IMODE((project.directory / "plan.json").stat().st_mode) == 0o600


def test_it_is_applied_without_asking_anything_more(project: CatProject) -> None:
    project.ok("apply", "plan.json", "--no-probe")
    assert entries(project) == {".mcp.json": ["cat"], "mcp.json": ["cat"]}
    project.ok("plan", "--check")


def test_it_consents_to_no_more_than_its_steps(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CATS)
    apply(project)
    project.write(CAT)
    project.ok("lock")
    project.ok("plan", "--out", "plan.json")
    assert "--allow-mass-removal" in project.fails("apply", "plan.json", status=3).err
    project.ok("apply", "plan.json", "--no-probe", "--allow-mass-removal")
    assert list(project.active()) == ["cat"]


def manifest_edited(project: CatProject) -> None:
    project.write(CAT + "# a comment\n")


def lock_changed(project: CatProject) -> None:
    project.write(OTHER)
    project.ok("lock")
    project.write(CAT)
    project.ok("lock")
    project.lock.write_text(project.lock.read_text() + "# a comment\n")


def overlay_written(project: CatProject) -> None:
    (project.directory / "hatchlock.local.toml").write_text("# this machine\n")


def world_changed(project: CatProject) -> None:
    (project.directory / ".mcp.json").write_text('{"mcpServers": {"cat": {"command": "/opt/other"}}}')


def already_applied(project: CatProject) -> None:
    project.ok("apply", "plan.json", "--no-probe")


def applied_and_undone(project: CatProject) -> None:
    """The very first plan of a project is no exception: it cannot be replayed once the world has moved on."""
    project.ok("apply", "plan.json", "--no-probe")
    (project.directory / ".mcp.json").unlink()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (manifest_edited, "manifest"),
        (lock_changed, "lock"),
        (overlay_written, "overlay"),
        (world_changed, "the world"),
        (already_applied, "the project's state"),
        (applied_and_undone, "the project's state"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_after_a_change_it_is_refused_and_nothing_is_done(
    project: CatProject, change: Callable[[CatProject], None], named: str
) -> None:
    change(project)
    before = tree(project.root, without=("store/cache", "store/audit"))
    done = project.fails("apply", "plan.json", "--no-probe", "--allow-destructive")
    assert f"the plan is stale: {named} changed since it was made; nothing was done" in done.err
    assert "hatchlock plan" in done.err
    assert tree(project.root, without=("store/cache", "store/audit")) == before
    project.ok("show", "plan.json")


def test_a_step_that_is_not_the_same_is_named_with_both(project: CatProject) -> None:
    world_changed(project)
    said = project.fails("apply", "plan.json", "--no-probe").err
    assert re.search(
        r"\n  client:claude-code/cat  planned: create \(nothing -> [0-9a-f]{12}\); now: the entry 'cat' in ", said
    )
    assert "server:cat  planned" not in said


def test_what_is_stale_is_shown_all_the_same_and_says_so_in_its_project(project: CatProject, tmp_path: Path) -> None:
    printed = project.ok("show", "plan.json")
    assert printed.err == ""
    world_changed(project)
    shown = project.ok("show", "plan.json")
    assert shown.out == printed.out
    assert "it cannot be applied any more: the plan is stale: the world changed" in shown.err
    assert "client:claude-code/cat  planned: create" in shown.err
    stale = project.ok("show", "plan.json", "--json").document["stale"]
    assert (stale["code"], "the world changed" in stale["message"]) == ("stale-plan", True)
    project.lock.unlink()
    assert "it cannot be applied any more: there is no hatch.lock" in project.ok("show", "plan.json").err
    elsewhere = CatProject(tmp_path / "elsewhere", CAT)
    assert elsewhere.ok("show", str(project.directory / "plan.json")) == printed
    elsewhere.manifest.unlink()
    assert elsewhere.ok("show", str(project.directory / "plan.json")) == printed


def test_another_store_directory_or_name_is_another_project(project: CatProject, tmp_path: Path) -> None:
    path = str(project.directory / "plan.json")
    assert "stale: home" in project.fails("apply", path, "--home", str(tmp_path / "other-store")).err
    copied = tmp_path / "copied"
    shutil.copytree(project.directory, copied)
    assert "stale: directory" in project.fails("-C", str(copied), "apply", path).err
    project.edit('name = "trial"', 'name = "other"')
    project.ok("lock")
    assert "stale: project, manifest, lock changed" in project.fails("apply", path).err
    assert not (project.store / "projects").exists()


def test_a_plan_of_an_older_hatchlock_is_bound_to_what_that_knew(project: CatProject) -> None:
    path = project.directory / "plan.json"
    document = json.loads(path.read_bytes())
    del document["bindings"]["first"]
    path.write_text(json.dumps(document))
    project.ok("apply", "plan.json", "--no-probe")


def test_a_later_plan_is_no_first_plan_and_does_not_end_with_other_applies(project: CatProject) -> None:
    project.ok("apply", "plan.json", "--no-probe")
    project.write(CATS)
    project.ok("lock")
    project.ok("plan", "--only", "server:two", "--out", "two.json")
    assert "first" not in json.loads((project.directory / "two.json").read_bytes())["bindings"]
    project.ok("apply", "--only", "server:three", "--yes", "--no-probe")
    project.ok("apply", "two.json", "--no-probe")
    assert sorted(project.active()) == ["cat", "three", "two"]


def test_what_was_applied_and_lost_is_still_known_to_have_been(project: CatProject) -> None:
    project.ok("apply", "plan.json", "--no-probe")
    for path in (project.directory / ".mcp.json", project.directory / ".cursor" / "mcp.json"):
        path.unlink()
    state = project.store / "projects" / "trial"
    (state / "active.json").unlink()
    shutil.rmtree(state / "generations")
    said = project.fails("apply", "plan.json", "--no-probe").err
    assert "it was made before anything had been applied, and something has been since" in said


def test_another_machine_is_another_plan(project: CatProject, tmp_path: Path) -> None:
    own = tmp_path / "bin" / "tool"
    own.parent.mkdir()
    own.symlink_to("/bin/cat")
    project.edit('"/bin/cat", "-u"', '"tool"')
    project.env["PATH"] = f"{own.parent}:{project.env['PATH']}"
    project.ok("lock")
    project.ok("plan", "--out", "plan.json")
    other = tmp_path / "sbin" / "tool"
    other.parent.mkdir()
    own.rename(other)
    project.env["PATH"] = f"{other.parent}:{project.env['PATH']}"
    assert "the plan is stale: this machine changed" in project.fails("apply", "plan.json").err


def test_a_change_of_every_kind_is_named_at_once(project: CatProject) -> None:
    project.write(OTHER)
    project.ok("lock")
    assert "the plan is stale: manifest, lock changed" in project.fails("apply", "plan.json").err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"format_version": 99}),
        json.dumps({"format_version": 1, "steps": [{}]}),
        "[" * 100_000,
    ],
)
def test_what_is_no_plan_is_refused(project: CatProject, content: str) -> None:
    path = project.directory / "plan.json"
    path.write_text(content)
    for command in ("show", "apply"):
        assert "plan.json is not a saved plan" in project.fails(command, "plan.json").err


def test_it_holds_references_to_secrets_and_no_values(tmp_path: Path) -> None:
    manifest = CAT + '\n[servers.cat.env]\nTOKEN = { secret = "env:CAT_TOKEN" }\n'
    project = CatProject(tmp_path, manifest, CAT_TOKEN="hunter2-in-the-clear")
    project.ok("lock")
    project.ok("plan", "--out", "plan.json")
    assert "TOKEN from env:CAT_TOKEN" in (project.directory / "plan.json").read_text()
    project.ok("apply", "plan.json", "--no-probe")
    holders = [name for name, facts in tree(tmp_path).items() if b"hunter2" in facts[3]]
    assert holders == []


@pytest.mark.parametrize(
    "part", [{"bindings": [1]}, {"steps": [1]}, {"steps": [{"address": "server:cat"}]}, {"only": [1]}]
)
def test_a_file_that_was_damaged_is_no_saved_plan(project: CatProject, part: dict[str, object]) -> None:
    path = project.directory / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **part}))
    for command in ("show", "apply"):
        assert "plan.json is not a saved plan" in project.fails(command, "plan.json").err


def test_a_directory_that_is_none_is_named_before_anything_is_planned(project: CatProject) -> None:
    assert (
        "--out nowhere/plan.json: there is no such directory" in project.run("plan", "--out", "nowhere/plan.json").err
    )
    assert "--out .: it is a directory" in project.run("plan", "--out", ".").err
