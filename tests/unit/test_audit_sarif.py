"""Findings as SARIF. The whole form was compared once with the published schema; here are the parts that readers need."""

from __future__ import annotations

from typing import Any

from hatchlock.lock.model import Lock
from hatchlock.place import Place
from hatchlock.security.audit.catalogue import CHECKS, evaluate
from hatchlock.security.audit.facts import Facts, PathFacts, ServerFacts
from hatchlock.security.audit.sarif import sarif

KEY = ("servers", "time", "env", "API_KEY")
FACTS = Facts(
    lock=Lock(project="p", platforms=()),
    servers=(ServerFacts(name="time", runtime="process", env={"API_KEY": "sk-12345678901234567890"}, source="pypi:x"),),
    paths=(PathFacts(path="/s", role="store", mine=True, mode=0o777),),
)


def run(places: dict[tuple[str | int, ...], Place] | None = None) -> Any:
    log = sarif(evaluate(FACTS), places or {}, manifest="my dir/hatchlock.toml", version="1.2")
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    return log["runs"][0]


def test_every_check_is_a_rule_and_every_result_names_its_own() -> None:
    found = run()
    driver = found["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("hatchlock", "1.2")
    assert [rule["id"] for rule in driver["rules"]] == [check.id for check in CHECKS]
    for result in found["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"note", "warning", "error"}
        assert result["message"]["text"]
    assert {result["ruleId"] for result in found["results"]} == {"no-literal-secrets", "private-store"}


def test_a_result_stands_at_its_line_of_the_manifest_else_at_its_beginning() -> None:
    found = {item["ruleId"]: item for item in run({KEY: Place(file="hatchlock.toml", line=12)})["results"]}
    (literal,) = found["no-literal-secrets"]["locations"]
    assert literal["physicalLocation"] == {"artifactLocation": {"uri": "hatchlock.toml"}, "region": {"startLine": 12}}
    assert literal["logicalLocations"] == [{"fullyQualifiedName": "server:time", "kind": "resource"}]
    (store,) = found["private-store"]["locations"]
    assert store["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20dir/hatchlock.toml"},
        "region": {"startLine": 1},
    }


def test_results_keep_their_fingerprints_and_have_different_ones() -> None:
    marks = [item["partialFingerprints"]["finding/v1"] for item in run()["results"]]
    assert len(set(marks)) == len(marks) > 1
    assert marks == [item["partialFingerprints"]["finding/v1"] for item in run()["results"]]


def test_what_cannot_be_evaluated_is_told_and_how_each_check_ended() -> None:
    found = run()
    told = {item["descriptor"]["id"] for item in found["invocations"][0]["toolExecutionNotifications"]}
    assert told == {"audit-log"}
    assert found["properties"]["states"]["no-literal-secrets"] == "fail"
    assert found["properties"]["states"].keys() == {check.id for check in CHECKS}


def test_no_value_of_a_secret_is_in_it() -> None:
    assert "sk-12345678901234567890" not in str(run())
