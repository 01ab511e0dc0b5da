"""What is wanted, what there is and what cannot be planned, in `cases/NAME.toml`, and the plan in `cases/NAME.txt`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Address
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Action, Desired, Observed, Problem
from hatchlock.resources.package_counts import PackageCounts

CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)


def addressed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, "address": Address.parse(item["address"])}


def wanted(item: Mapping[str, Any]) -> Desired:
    values = addressed(item)
    values["depends_on"] = tuple(map(Address.parse, item.get("depends_on", ())))
    values["notes"] = tuple(item.get("notes", ()))
    values["always"] = tuple(item.get("always", ()))
    return Desired(**values)


def seen(item: Mapping[str, Any]) -> Observed:
    values = addressed(item)
    if "stays" in item:
        values["stays"] = Problem(**addressed({"address": item["address"], **item["stays"]}))
    values |= {name: Address.parse(item[name]) for name in ("former", "successor") if name in item}
    return Observed(**values)


def addresses(texts: Iterable[str]) -> set[Address]:
    return set(map(Address.parse, texts))


def plan_of(case: Path) -> Plan:
    document = tomllib.loads(case.read_text())
    plan = diff(
        map(wanted, document.get("desired", ())),
        map(seen, document.get("observed", ())),
        (Problem(**addressed(item)) for item in document.get("problems", ())),
        applied={Address.parse(address): key for address, key in document.get("applied", {}).items()},
        forgotten=addresses(document.get("forgotten", ())),
        again=addresses(document.get("again", ())),
    )
    return replace(
        plan,
        packages=PackageCounts(**document.get("packages", {})),
        only=tuple(document.get("only", ())),
        held=document.get("held", 0),
    )


@each_case
def test_the_plan_reads_as_expected(case: Path) -> None:
    assert str(plan_of(case)) + "\n" == case.with_suffix(".txt").read_text()


@each_case
def test_the_case_says_what_else_holds_of_its_plan(case: Path) -> None:
    plan = plan_of(case)
    expected = tomllib.loads(case.read_text()).get("expected", {})
    found = {
        "mass_removal": plan.is_mass_removal,
        "consents": list(plan.consents),
        "privileged": [str(step.address) for step in plan.privileged],
        "losses": [str(step.address) for step in plan.losses],
        "deleted": plan.count(Action.DELETE),
        "order": [str(step.address) for step in plan.steps],
        "unchanged": plan.unchanged,
        "existing": plan.existing,
        "drift": [str(step.address) for step in plan.steps if step.drift],
        "left": [str(item.address) for item in plan.drifted],
        "waits": {str(step.address): [str(other) for other in step.depends_on] for step in plan.steps},
    }
    assert {name: found[name] for name in expected} == expected


def test_every_expected_text_belongs_to_a_case() -> None:
    texts = {path.stem for path in (Path(__file__).parent / "cases").glob("*.txt")}
    assert texts == {case.stem for case in CASES}
    assert len(CASES) >= 60
