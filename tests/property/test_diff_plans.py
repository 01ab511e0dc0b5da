"""Plans for worlds that nobody has thought of."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from hatchlock.address import Address, ResourceKind
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.reconcile.planfile import SavedPlan, read_plan, write_plan
from hatchlock.resources.base import Action, Desired, Observed, Problem
from support.values import desired_sets, observed_sets, problem_sets


def after(plan: Plan, desired: Iterable[Desired], observed: Iterable[Observed]) -> list[Observed]:
    """Do the steps of a plan, one by one, to a world of values."""
    wanted = {item.address: item for item in desired}
    world = {item.address: item for item in observed}
    for step in plan.steps:
        before = world.pop(step.address, None)
        assert (before.key if before else "") == step.before
        if step.after:
            assert step.after == wanted[step.address].key
            world[step.address] = Observed(address=step.address, key=step.after, facts=wanted[step.address].facts)
    return list(world.values())


@given(desired_sets(), observed_sets)
def test_after_a_plan_was_done_there_is_nothing_to_do(desired: list[Desired], observed: list[Observed]) -> None:
    plan = diff(desired, observed)
    world = after(plan, desired, observed)
    assert diff(desired, world).steps == ()
    assert {item.address: item.key for item in world} == {item.address: item.key for item in desired}


@given(desired_sets(), observed_sets, problem_sets)
def test_with_problems_too_a_plan_that_was_done_leaves_nothing_to_do(
    desired: list[Desired], observed: list[Observed], problems: list[Problem]
) -> None:
    plan = diff(desired, observed, problems)
    assert diff(desired, after(plan, desired, observed), problems).steps == ()


@given(desired_sets(), observed_sets, problem_sets, st.randoms())
def test_the_order_of_what_is_given_does_not_matter(
    desired: list[Desired], observed: list[Observed], problems: list[Problem], shuffle: random.Random
) -> None:
    expected = diff(desired, observed, problems)
    for items in (desired, observed, problems):
        shuffle.shuffle(items)
    found = diff(desired, observed, problems)
    assert found == expected
    assert str(found) == str(expected)


@given(desired_sets(), observed_sets, problem_sets)
def test_each_step_stands_after_those_that_it_depends_on(
    desired: list[Desired], observed: list[Observed], problems: list[Problem]
) -> None:
    plan = diff(desired, observed, problems)
    wanted = {item.address: item for item in desired}
    places = {step.address: number for number, step in enumerate(plan.steps)}
    for step in plan.steps:
        assert all(places[other] < places[step.address] for other in step.depends_on)
        needed = set(wanted[step.address].depends_on) & set(places) if step.address in wanted else set[Address]()
        assert needed <= set(step.depends_on)


@given(desired_sets(), observed_sets, problem_sets)
def test_what_has_a_problem_and_what_depends_on_it_is_left_alone(
    desired: list[Desired], observed: list[Observed], problems: list[Problem]
) -> None:
    touched = {step.address for step in diff(desired, observed, problems).steps}
    left_alone = {problem.address for problem in problems}
    for item in desired:  # each stands after what it depends on
        if left_alone.intersection(item.depends_on):
            left_alone.add(item.address)
    assert touched.isdisjoint(left_alone)


@given(desired_sets(), observed_sets)
def test_nothing_that_is_loss_goes_unmentioned(desired: list[Desired], observed: list[Observed]) -> None:
    plan = diff(desired, observed)
    at_risk = {item.address for item in observed if item.loss}
    assert {step.address for step in plan.losses} == at_risk & {step.address for step in plan.steps}


@given(desired_sets(), observed_sets)
def test_a_plan_touches_each_address_once_and_counts_what_it_does_not_touch(
    desired: list[Desired], observed: list[Observed]
) -> None:
    plan = diff(desired, observed)
    addresses = [step.address for step in plan.steps]
    assert len(set(addresses)) == len(addresses)
    # containers of sessions come and go, and are none of what a project has
    assert plan.existing == sum(item.address.kind is not ResourceKind.CONTAINER for item in observed)
    kept = len(observed) - plan.count(Action.DELETE) - plan.count(Action.UPDATE)
    assert plan.unchanged == kept


@given(desired_sets(), observed_sets)
def test_a_server_goes_only_after_the_entries_that_start_it(desired: list[Desired], observed: list[Observed]) -> None:
    plan = diff(desired, observed)
    places = {step.address: number for number, step in enumerate(plan.steps) if step.action is Action.DELETE}
    for address, place in places.items():
        if address.kind is ResourceKind.CLIENT and "/" in address.name:
            server = Address(kind=ResourceKind.SERVER, name=address.name.partition("/")[2])
            assert place < places.get(server, len(plan.steps))


@given(desired_sets(), observed_sets, problem_sets)
def test_a_saved_plan_is_read_back(desired: list[Desired], observed: list[Observed], problems: list[Problem]) -> None:
    saved = SavedPlan(plan=diff(desired, observed, problems), bindings={"project": "p"})
    with TemporaryDirectory() as directory:
        path = Path(directory) / "plan.json"
        write_plan(path, saved)
        assert read_plan(path) == saved


@given(st.permutations([1, 2, 3]))
def test_ties_are_broken_by_kind_and_then_by_name(order: Sequence[int]) -> None:
    addresses = [
        Address(kind=ResourceKind.ENV, name="z"),
        Address(kind=ResourceKind.SERVER, name="a"),
        Address(kind=ResourceKind.CLIENT, name="a/a"),
    ]
    desired = [Desired(address=addresses[number - 1], key="1") for number in order]
    assert [step.address for step in diff(desired, ()).steps] == addresses
