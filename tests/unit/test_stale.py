"""How two plans differ: each step that is not the same, with what it was and is."""

from __future__ import annotations

from typing import Any

import pytest

from hatchlock.address import Address
from hatchlock.reconcile.plan import Plan
from hatchlock.reconcile.stale import differences
from hatchlock.resources.base import Action, Problem, Step

DIGEST, OTHER = "a" * 64, "b" * 64


def step(address: str = "server:a", action: Action = Action.CREATE, after: str = DIGEST, **others: Any) -> Step:
    return Step(address=Address.parse(address), action=action, cause="not found", after=after, **others)


def plan(*steps: Step, **others: Any) -> Plan:
    return Plan(steps=steps, **others)


def test_equal_plans_do_not_differ_whatever_else_is_counted() -> None:
    assert differences(plan(step()), plan(step(), unchanged=7)) == ()


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ([step()], [], "planned: create (nothing -> aaaaaaaaaaaa); now: nothing to do"),
        ([], [step()], "planned: nothing to do; now: create (nothing -> aaaaaaaaaaaa), not found"),
        (
            [step()],
            [step(action=Action.UPDATE, before=OTHER)],
            "planned: create (nothing -> aaaaaaaaaaaa); now: update (bbbbbbbbbbbb -> aaaaaaaaaaaa), not found",
        ),
        (
            [step(after="/data 0")],
            [step(after="/data 1")],
            "planned: create (nothing -> /data 0); now: create (nothing -> /data 1), not found",
        ),
        (
            [step()],
            [step(loss="all of it", depends_on=(Address.parse("env:x"),))],
            "planned: create (nothing -> aaaaaaaaaaaa); now: the same with another depends on, loss",
        ),
    ],
)
def test_a_step_that_is_not_the_same_is_told_with_both(before: list[Step], after: list[Step], line: str) -> None:
    assert differences(plan(*before), plan(*after)) == (f"server:a  {line}",)


def test_what_cannot_be_planned_any_more_is_told_with_the_reason() -> None:
    problem = Problem(address=Address.parse("server:a"), code="x", what="there is no engine")
    assert differences(plan(step()), plan(problems=(problem,)))[0].endswith("; now: there is no engine")


def test_they_are_sorted_as_plans_are() -> None:
    lines = differences(plan(step("client:cursor/a"), step("server:b")), plan(step("env:x")))
    assert [line.split()[0] for line in lines] == ["env:x", "server:b", "client:cursor/a"]
