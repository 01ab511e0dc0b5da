"""What every kind of drift must give: one step that names the field, one finding, and nothing any more when it is applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from support.project import TrialProject

__all__ = ["different", "is_silent", "one_step", "put_right"]


def different(project: TrialProject) -> dict[str, dict[str, Any]]:
    """Return address -> finding of everything that `verify --deep` says is different."""
    done = project.run("verify", "--deep", "--json")
    found = {f"{item['kind']}:{item['name']}": item for item in done.document["findings"]}
    wrong = {address: item for address, item in found.items() if item["state"] == "different"}
    assert (done.status == 2) == bool(wrong), done.said
    return wrong


def is_silent(project: TrialProject) -> None:
    """See that nothing says anything of drift, nor of any other difference."""
    plan = project.run("plan", "--check", "--json")
    assert plan.status == 0, plan.said
    document = project.ok("status", "--json").document
    assert {item["sync"] for item in (*document["servers"], *document["environments"])} == {"synced"}
    assert all(item["drift"] == [] for item in document["servers"])
    assert different(project) == {}


def one_step(
    project: TrialProject, address: str, *, cause: str, server: str, action: str = "update"
) -> Mapping[str, str]:
    """See that plan, status and verify tell of one thing, as drift, and return the step's fields."""
    plan = project.plan()
    (step,) = plan["steps"]
    assert (step["address"], step["action"], step["cause"]) == (address, action, cause), json.dumps(plan)
    assert step["drift"]
    finding = different(project)
    assert list(finding) == [address]
    assert (finding[address]["drift"], finding[address]["differences"][0]) == (True, cause)
    (said,) = (item for item in project.ok("status", "--json").document["servers"] if item["name"] == server)
    assert (said["sync"], [item["address"] for item in said["drift"]]) == ("drifted", [address])
    details: Mapping[str, str] = step["details"]
    return details


def put_right(project: TrialProject, *words: str) -> None:
    """Apply, and see that nothing is left to say."""
    project.ok("apply", "--yes", "--no-probe", *words)
    is_silent(project)
