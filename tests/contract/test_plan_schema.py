"""The published schema of plans: real plans fit it, and it tells others apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from hatchlock.reconcile.plan_schema import plan_schema
from support.cats import CAT, CATS, CatProject, apply

REASON = '\n[servers.cat.sandbox]\nnetwork = "internet"\nreason = "it asks"\n'


@pytest.fixture(scope="module")
def schema() -> Any:
    jsonschema.Draft202012Validator.check_schema(plan_schema())
    return jsonschema.Draft202012Validator(plan_schema())


def described(document: Any, schema: Any) -> None:
    """Every name that stands in a document stands in the schema, too."""
    jsonschema.validate(document, plan_schema(), cls=jsonschema.Draft202012Validator)
    assert set(document) <= set(plan_schema()["properties"])
    for name in ("step", "problem"):
        for item in document[f"{name}s"]:
            assert set(item) == set(plan_schema()["$defs"][name]["properties"])
    for item in document["drifted"]:
        assert set(item) == {"address", "what"}


def test_it_is_printed(tmp_path: Path) -> None:
    project = CatProject(tmp_path)
    assert json.loads(project.ok("schema", "plan").out) == plan_schema()
    assert json.loads(project.ok("schema").out) == json.loads(project.ok("schema", "manifest").out)
    assert project.run("schema", "lock").status == 64


def test_plans_of_every_sort_fit_it(tmp_path: Path, schema: Any) -> None:
    project = CatProject(tmp_path, CATS)
    project.ok("lock")
    described(project.ok("plan", "--json", "--out", "plan.json").document, schema)
    described(json.loads((project.directory / "plan.json").read_bytes()), schema)
    described(project.ok("plan", "--json", "--only", "server:two").document, schema)
    apply(project)
    described(project.ok("show", "plan.json", "--json").document, schema)
    assert project.ok("show", "plan.json", "--json").document["stale"]["code"] == "stale-plan"
    described(project.ok("plan", "--json", "--replace", "server:cat").document, schema)
    (project.directory / ".cursor" / "mcp.json").unlink()
    project.write(CAT.replace("/bin/cat", "/bin/no-such-program") + REASON)
    project.ok("lock")
    document = project.run("plan", "--json").document
    described(document, schema)
    assert {step["action"] for step in document["steps"]} == {"delete"}
    assert document["problems"]


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2},
        {"steps": [{}]},
        {"steps": None},
        {"unchanged": -1},
        {"only": [1]},
        {"problems": [{"address": "nothing"}]},
        {"summary": {}},
        {"bindings": {"lock": 1}},
        {"stale": {}},
    ],
    ids=str,
)
def test_what_is_no_plan_does_not_fit(tmp_path: Path, schema: Any, change: dict[str, Any]) -> None:
    project = CatProject(tmp_path, CAT)
    project.ok("lock")
    document = project.ok("plan", "--json").document
    assert schema.is_valid(document)
    assert not schema.is_valid(document | change)


@pytest.mark.parametrize(
    "change", [{"action": "explode"}, {"address": "galaxy:x"}, {"privilege": "king"}, {"drift": "yes"}, {"details": []}]
)
def test_what_is_no_step_does_not_fit(tmp_path: Path, schema: Any, change: dict[str, Any]) -> None:
    project = CatProject(tmp_path, CAT)
    project.ok("lock")
    document = project.ok("plan", "--json").document
    assert not schema.is_valid(document | {"steps": [document["steps"][0] | change]})
