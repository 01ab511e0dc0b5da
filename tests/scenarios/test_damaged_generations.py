"""A generation whose facts nobody can read is named and passed over, and what it may need stays."""

from __future__ import annotations

import shutil
from pathlib import Path

from hatchlock.paths import Home
from hatchlock.state.project import ProjectState
from hatchlock.store.receipts import building, finished
from hatchlock.usecases.uses import Uses, generation_uses
from support.cats import CAT, CatProject, apply
from support.project import Done

UNUSED = "0123456789abcdef0123"


def gone(done: Done) -> list[list[str]]:
    return [line.split()[1:3] for line in done.out.splitlines()[1:-1]]


def test_it_is_named_and_what_it_may_need_stays(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CAT)
    for text in (CAT, CAT.replace("-u", "-n"), CAT.replace("-u", "-e")):
        project.write(text)
        apply(project)
    tree = project.store / "envs" / UNUSED
    with building(tree, {}):
        (tree / "bin").mkdir(parents=True)
    state = ProjectState(project.store / "projects" / "trial")
    first, second = (state.root / "generations" / name for name in ("1", "2"))
    facts, target = second / "generation.json", (second / "target.json").read_bytes()
    facts.write_text("{")

    told = project.ok("history")
    assert [line.strip("* ")[0] for line in told.out.splitlines()[3:]] == ["3", "1"]
    assert f"generation 2 is left out: {facts} cannot be read" in told.err
    document = project.ok("history", "--json").document
    assert [item["number"] for item in document["generations"]] == [3, 1]
    assert [(item["number"], item["path"]) for item in document["unreadable"]] == [(2, str(facts))]
    assert f"{facts} cannot be read" in project.fails("history", "2").err
    project.ok("status")

    # without its target, too, it may need anything
    (second / "target.json").write_text("{")
    assert generation_uses(state, 2, Home(root=project.store, is_default=False)) == Uses(more=True)
    assert gone(project.ok("gc", "--dry-run")) == [["generation", "1"]]

    # its target has no such environment; its launch record may be any
    (second / "target.json").write_bytes(target)
    records = state.records()
    done = project.ok("gc", "--yes")
    assert gone(done) == [["generation", "1"], ["environment", f"envs/{UNUSED}"]]
    assert "left alone: generation 2 of trial: " in done.err
    assert "move the directory that it is in away" in done.err
    assert not finished(tree)
    assert not first.exists()
    assert state.records() == records
    assert len(records) == 3

    shutil.rmtree(second)
    assert "left alone" not in project.ok("gc", "--yes").err
    assert project.ok("history").err == ""
