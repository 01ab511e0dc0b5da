"""`--json`: documents with a `format_version`, and nothing else on stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.cats import CAT, CatProject, apply

STEP = {
    "address": str,
    "action": str,
    "cause": str,
    "before": str,
    "after": str,
    "details": dict,
    "depends_on": list,
    "privilege": str,
    "loss": str,
    "notes": list,
    "drift": bool,
}
PLAN = {
    "format_version": int,
    "steps": list,
    "problems": list,
    "unchanged": int,
    "existing": int,
    "drifted": list,
    "only": list,
    "held": int,
    "summary": dict,
    "packages": dict,
    "notes": list,
    "versions": dict,
}


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    return CatProject(tmp_path, CAT)


def shape(document: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in document.items()}


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["validate"], {"valid", "servers", "warnings"}),
        (["lock", "--check"], {"changes", "written", "warnings", "reasons"}),
        (["diff", "hatch.lock", "hatch.lock"], {"before", "after", "entries", "notes"}),
        (["outdated"], {"packages", "asked", "notes"}),
        (["tree"], {"trees"}),
        (["status"], {"project", "generation", "servers", "environments", "unseen", "older"}),
        (["client", "list"], {"applications"}),
        (["client", "show", "cursor"], {"applications"}),
        (["client", "diff"], {"entries", "problems"}),
        (["client", "clean"], {"dry_run", "removed", "failed"}),
        (["client", "restore", "cursor", "--dry-run"], {"dry_run", "entries", "problems"}),
        (["client", "sync", "cursor@project", "zed", "--dry-run"], {"dry_run", "source", "steps"}),
        (["env", "list"], {"environments"}),
        (["secret", "list"], {"secrets"}),
        (["quarantine"], {"quarantine"}),
        (["secret", "check"], {"secrets"}),
        (["doctor"], {"checks"}),
        (["audit"], {"project", "fail_on", "failed", "points", "servers", "checks"}),
        (["remove", "cat"], {"changes", "written", "warnings"}),
    ],
)
def test_a_command_prints_one_document(project: CatProject, words: list[str], keys: set[str]) -> None:
    apply(project)
    document = project.run(*words, "--json").document
    assert document["format_version"] == 1
    assert keys | {"format_version"} <= set(document)


def test_a_first_manifest_and_lock_say_what_was_written(tmp_path: Path) -> None:
    project = CatProject(tmp_path)
    assert "hatchlock.toml" in project.ok("init", "--json").document["written"]
    document = project.ok("lock", "--json").document
    assert document["written"] is True


def test_a_plan_has_its_shape(project: CatProject) -> None:
    project.ok("lock")
    document = project.ok("plan", "--json").document
    assert shape(document) == PLAN
    assert [shape(step) for step in document["steps"]] == [STEP] * 3
    assert [(step["action"], step["address"]) for step in document["steps"]] == [
        ("create", "server:cat"),
        ("create", "client:claude-code/cat"),
        ("create", "client:cursor/cat"),
    ]
    assert document["steps"][1]["depends_on"] == ["server:cat"]
    assert document["summary"] == {"create": 3, "update": 0, "replace": 0, "delete": 0}
    assert (document["existing"], document["unchanged"], document["problems"]) == (0, 0, [])


def test_the_status_of_a_plan_is_the_same_in_json(project: CatProject) -> None:
    project.ok("lock")
    assert project.run("plan", "--check", "--json").status == 2
    project.edit("/bin/cat", "/bin/no-such-program")
    project.ok("lock")
    done = project.run("plan", "--check", "--json")
    assert done.status == 1
    problem = done.document["problems"][0]
    assert shape(problem) == {"address": str, "code": str, "what": str, "hint": str}
    assert (problem["address"], problem["code"]) == ("server:cat", "program-missing")


def test_a_saved_plan_is_the_same_document_with_what_it_is_bound_to(project: CatProject) -> None:
    project.ok("lock")
    plan = project.ok("plan", "--json", "--out", "plan.json").document
    saved = json.loads((project.directory / "plan.json").read_text())
    shown = project.ok("show", "plan.json", "--json").document
    assert shown == saved | {"stale": None}
    assert plan.pop("notes") == []
    assert plan.pop("versions") == {"since": "", "changes": []}
    assert {name: value for name, value in saved.items() if name != "bindings"} == plan
    assert set(saved["bindings"]) == {"project", "directory", "home", "manifest", "overlay", "lock", "target", "first"}


def test_apply_prints_a_line_for_each_event_and_a_summary(project: CatProject) -> None:
    project.ok("lock")
    done = project.ok("apply", "--yes", "--no-probe", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert {line["format_version"] for line in lines} == {1}
    assert next(line["address"] for line in lines if line["event"] == "step.done") == "server:cat"
    assert lines[-1]["event"] == "summary"
    assert sorted(lines[-1]["done"]) == ["client:claude-code/cat", "client:cursor/cat", "server:cat"]
    assert (lines[-1]["failed"], lines[-1]["not_started"], lines[-1]["generation"]) == ([], [], 1)


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (["plan"], "missing-lock", 1),
        (["fly"], "usage", 64),
        (["show", "nothing.json"], "bad-plan-file", 1),
        (["run", "nobody", "--project", "none"], "", 1),
        (["exec", "nobody", "--project", "none"], "", 64),
        (["probe", "nobody"], "no-such-project", 1),
    ],
)
def test_an_error_is_a_document_too_except_for_run(
    project: CatProject, words: list[str], code: str, status: int
) -> None:
    done = project.run(*words, "--json")
    assert done.status == status
    if not code:
        assert done.out == "", "the stdout of `run` is its server's"
        return
    document = done.document
    assert document["format_version"] == 1
    assert shape(document["error"]) == {"code": str, "address": str, "place": str, "message": str, "hint": str}
    assert document["error"]["code"] == code


def test_all_mistakes_of_a_manifest_are_in_the_document(project: CatProject) -> None:
    project.write(CAT.replace("isolation", "isolatoin").replace("scope", "scpoe"))
    errors = project.run("lock", "--json").document["error"]["errors"]
    assert [error["place"] for error in errors] == ["hatchlock.toml:7", "hatchlock.toml:11", "hatchlock.toml:14"]


def test_a_refusal_is_a_document_and_a_status(project: CatProject) -> None:
    project.ok("lock")
    done = project.run("apply", "--json")
    assert done.status == 3
    assert done.document["error"]["code"] == "refused"


def test_an_error_of_apply_is_one_line_like_its_events(project: CatProject) -> None:
    (line,) = project.run("apply", "--yes", "--json").out.splitlines()
    assert json.loads(line)["error"]["code"] == "missing-lock"
