"""What holds of a plan as a value, besides its text: it can be compared and kept, and without anything it is empty."""

from __future__ import annotations

from hatchlock.address import Address
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Drifted, Plan
from hatchlock.resources.base import Action, Desired, Observed, Problem, Step


def at(text: str) -> Address:
    return Address.parse(text)


def test_a_plan_of_nothing_is_nothing() -> None:
    assert diff((), ()) == Plan()
    assert str(Plan()) == "Nothing to do: nothing is declared"
    assert Plan(only=("group:none",)).summary == "Nothing to do: 0 resources are as declared"
    assert (Plan().existing, Plan().held, Plan().consents, Plan().is_mass_removal) == (0, 0, (), False)


def test_without_what_was_applied_nothing_is_drift() -> None:
    plan = diff([Desired(address=at("server:a"), key="1", drift="warn")], [Observed(address=at("server:a"), key="2")])
    (step,) = plan.steps
    assert (step.drift, step.cause, plan.drifted) == (False, "differs", ())


def test_every_part_of_a_plan_is_a_value_that_nobody_changes() -> None:
    desired = Desired(address=at("server:a"), key="1", drift="warn", facts={"file": "x"})
    drifted = diff([desired], (), applied={at("server:a"): "1"}).drifted
    assert drifted == (Drifted(address=at("server:a"), what="gone since it was applied"),)
    problem = Problem(address=at("server:b"), code="trouble", what="it cannot be")
    seen = Observed(address=at("client:c/a"), key="1", remedy={"command": "mend"})
    plan = diff([desired], [seen], [problem])
    assert plan.problems == (problem,)
    assert plan == Plan(
        steps=(
            Step(address=at("server:a"), action=Action.CREATE, cause="not found", after="1", details={"file": "x"}),
            Step(
                address=at("client:c/a"),
                action=Action.DELETE,
                cause="not declared any more",
                before="1",
                details={"command": "mend"},
            ),
        ),
        problems=(problem,),
        existing=1,
    )
    assert plan.steps[0].details is not desired.facts
    assert plan.steps[1].details is not seen.remedy


def test_what_somebody_else_agrees_to_beforehand_is_named_in_one_order() -> None:
    lost = Step(address=at("volume:a/data"), action=Action.DELETE, cause="", before="1", loss="data")
    root = Step(address=at("system:a"), action=Action.UPDATE, cause="", privilege="root")
    assert Plan(steps=(root, lost), existing=1).consents == (
        "--allow-destructive",
        "--allow-privileged",
        "--allow-mass-removal",
    )
    assert Plan(steps=(root, lost), existing=2).consents == ("--allow-destructive", "--allow-privileged")
