"""Plans for worlds that nobody has thought of."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from hatchlock.address import Address, ResourceKind
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.reconcile.planfile import SavedPlan, read_plan, write_plan
from hatchlock.reconcile.select import Known, NothingNamed, selected
from hatchlock.resources.base import Action, Desired, Observed
from support.values import Situation, situations


def after(plan: Plan, situation: Situation) -> Situation:
    """Do the steps of a plan, one by one, to a world of values; what was to be made anew is then made."""
    wanted = {item.address: item for item in situation.desired}
    world = {item.address: item for item in situation.observed}
    applied = dict(situation.applied)
    for step in plan.steps:
        before = world.pop(step.address, None)
        assert (before.key if before else "") == step.before
        assert set(step.depends_on) <= {item.address for item in plan.steps}
        applied.pop(step.address, None)
        if step.after:
            item = wanted[step.address]
            assert step.after == item.key
            world[step.address] = Observed(address=step.address, key=item.key, facts=item.facts)
            applied[step.address] = item.key
    return replace(situation, observed=list(world.values()), applied=applied, again=frozenset())


def expected_action(step_is_wanted: bool, before: str, after: str) -> Action:
    if not step_is_wanted:
        return Action.DELETE
    return Action.CREATE if not before else Action.REPLACE if before == after else Action.UPDATE


def places(plan: Plan) -> Mapping[Address, int]:
    return {step.address: number for number, step in enumerate(plan.steps)}


@given(situations)
def test_after_a_plan_was_done_there_is_nothing_to_do(situation: Situation) -> None:
    plan = situation.plan()
    then = after(plan, situation).plan()
    assert then.steps == ()
    assert then.problems == plan.problems
    assert then.drifted == plan.drifted


@given(situations)
def test_without_problems_and_policies_the_world_is_then_what_is_desired(situation: Situation) -> None:
    desired = [replace(item, drift="correct") for item in situation.desired]
    observed = [replace(item, policy="correct") for item in situation.observed]
    bare = replace(situation, desired=desired, observed=observed, problems=[], forgotten=frozenset())
    world = after(bare.plan(), bare).observed
    assert {item.address: item.key for item in world} == {item.address: item.key for item in desired}


@given(situations, st.randoms())
def test_the_order_of_what_is_given_does_not_matter(situation: Situation, shuffle: random.Random) -> None:
    expected = situation.plan()
    for items in (situation.desired, situation.observed, situation.problems):
        shuffle.shuffle(items)
    found = situation.plan()
    assert found == expected
    assert str(found) == str(expected)


@given(situations)
def test_each_step_stands_after_those_that_it_depends_on(situation: Situation) -> None:
    plan = situation.plan()
    wanted = {item.address: item for item in situation.desired}
    place = places(plan)
    for step in plan.steps:
        assert all(place[other] < place[step.address] for other in step.depends_on)
        needed = set(wanted[step.address].depends_on) & set(place) if step.address in wanted else set[Address]()
        assert needed <= set(step.depends_on)


@given(situations)
def test_what_has_a_problem_and_what_depends_on_it_is_left_alone(situation: Situation) -> None:
    touched = {step.address for step in situation.plan().steps}
    left_alone = {problem.address for problem in situation.problems}
    for item in situation.desired:  # each stands after what it depends on
        if left_alone.intersection(item.depends_on):
            left_alone.add(item.address)
    assert touched.isdisjoint(left_alone)


@given(situations)
def test_what_has_no_problem_is_brought_to_what_it_should_be_or_was_changed_by_somebody_else(
    situation: Situation,
) -> None:
    plan = situation.plan()
    world = {item.address: item.key for item in after(plan, situation).observed}
    left_alone = {problem.address for problem in situation.problems}
    seen = {item.address: item for item in situation.observed}
    for item in situation.desired:
        if left_alone.intersection([item.address, *item.depends_on]):
            left_alone.add(item.address)
        elif world.get(item.address) != item.key:
            was = seen.get(item.address)
            assert item.drift != "correct"
            assert item.address not in situation.again
            assert situation.applied.get(item.address) == item.key or (was and was.drifted)


@given(situations)
def test_nothing_is_touched_that_is_neither_declared_nor_the_projects_and_nothing_that_is_forgotten(
    situation: Situation,
) -> None:
    wanted = {item.address for item in situation.desired}
    owned = {item.address for item in situation.observed} - situation.forgotten
    for step in situation.plan().steps:
        assert step.address in wanted | owned
        assert step.action is expected_action(step.address in wanted, step.before, step.after)
        assert step.action is not Action.REPLACE or step.address in situation.again


@given(situations)
def test_drift_is_only_what_nobody_has_declared(situation: Situation) -> None:
    """What is put right as drift is what the last apply left, or says so itself; nothing is both changed and told of."""
    plan = situation.plan()
    drifted = {item.address for item in situation.observed if item.drifted}
    for step in plan.steps:
        assert not step.drift or step.address in drifted or situation.applied[step.address] == step.after
        assert not step.drift or step.action is not Action.REPLACE
    assert places(plan).keys().isdisjoint(item.address for item in plan.drifted)
    policies = {item.address: item.policy for item in situation.observed}
    policies |= {item.address: item.drift for item in situation.desired}
    assert all(policies[item.address] == "warn" for item in plan.drifted)


@given(situations)
def test_what_a_step_needs_is_there_by_then_or_a_problem(situation: Situation) -> None:
    """Also where its declaration says that it may stay gone."""
    plan = situation.plan()
    wanted = {item.address: item for item in situation.desired}
    there = {item.address for item in situation.observed}
    for step in plan.steps:
        for other in wanted[step.address].depends_on if step.address in wanted else ():
            assert other in there or places(plan)[other] < places(plan)[step.address]
        if step.action is not Action.DELETE:
            there.add(step.address)


@given(situations)
def test_nothing_that_is_loss_goes_unmentioned(situation: Situation) -> None:
    plan = situation.plan()
    at_risk = {item.address for item in situation.observed if item.loss}
    assert {step.address for step in plan.losses} == at_risk & {step.address for step in plan.steps}


@given(situations)
def test_a_plan_touches_each_address_once_and_counts_what_it_does_not_touch(situation: Situation) -> None:
    plan = situation.plan()
    assert len(places(plan)) == len(plan.steps)
    # containers of sessions come and go, and are none of what a project has, and nor is what it has given up
    given_up = situation.forgotten - {item.address for item in situation.desired}
    owned = {item.address for item in situation.observed} - given_up
    assert plan.existing == sum(address.kind is not ResourceKind.CONTAINER for address in owned)
    keys = {item.address: item.key for item in situation.observed}
    right = {item.address for item in situation.desired if keys.get(item.address) == item.key}
    hindered = {problem.address for problem in situation.problems}
    for item in situation.desired:
        hindered |= {item.address} if hindered.intersection(item.depends_on) else set()
    assert plan.unchanged == len(right - situation.again - hindered)


@given(situations)
def test_a_thing_goes_only_after_what_uses_it(situation: Situation) -> None:
    """Entries before the server that they start, and a server, or what it becomes, before its data."""
    plan = situation.plan()
    gone = {address for address, place in places(plan).items() if plan.steps[place].action is Action.DELETE}
    for address in gone:
        if address.kind is ResourceKind.SERVER:
            users = [other for other in places(plan) if other.kind is ResourceKind.CLIENT]
            users = [other for other in users if other.name.rpartition("/")[2] == address.name]
        elif address.kind is ResourceKind.VOLUME and "/" in address.name:
            users = [Address(kind=ResourceKind.SERVER, name=address.name.partition("/")[0])]
        else:
            users = []
        seen = {item.address for item in situation.observed}
        for user in seen.intersection(users):
            assert places(plan).get(user, -1) < places(plan)[address]


@given(situations, st.lists(st.sampled_from(["server:a", "group:g"]), unique=True), st.integers(0, 3))
def test_a_saved_plan_is_read_back(situation: Situation, only: Sequence[str], held: int) -> None:
    plan = replace(situation.plan(), only=tuple(only), held=held)
    saved = SavedPlan(plan=plan, bindings={"project": "p"})
    with TemporaryDirectory() as directory:
        path = Path(directory) / "plan.json"
        write_plan(path, saved)
        assert read_plan(path) == saved


def known(situation: Situation) -> Mapping[Address, Known]:
    """Return what can be named of a world."""
    keys = {item.address: item.key for item in situation.observed}
    there = {address: Known(server=address.name) for address in keys}
    return there | {
        item.address: Known(
            needs=item.depends_on,
            server=item.address.name,
            is_declared=True,
            is_right=keys.get(item.address) == item.key,
        )
        for item in situation.desired
    }


WORDS = st.sampled_from(["server:a", "server:*", "client:*/a", "*", "group:g", "env:?", "volume:a/*", "nothing:x"])


@given(situations, st.lists(WORDS, unique=True))
def test_a_part_of_a_plan_is_all_that_it_needs_and_nothing_else(situation: Situation, words: Sequence[str]) -> None:
    whole, names = situation.plan(), known(situation)
    try:
        part = selected(whole, words, known=names, groups={"g": ["a", "cursor/a"]})
    except NothingNamed:
        return
    if not words:
        assert part == whole
        return
    assert part.only == tuple(words)
    inside = places(part)
    assert [step for step in whole.steps if step.address in inside] == list(part.steps)
    assert all(inside.keys() >= set(step.depends_on) for step in part.steps)
    assert set(part.problems) <= set(whole.problems)
    assert set(part.drifted) <= set(whole.drifted)
    assert part.unchanged <= whole.unchanged
    assert (part.existing, part.held) == (whole.existing, whole.held)
    # done, it leaves nothing of itself to do
    then = after(part, situation)
    rest = selected(then.plan(), words, known={**names, **known(then)}, groups={"g": ["a", "cursor/a"]})
    assert rest.steps == ()


@given(situations)
def test_everything_selected_is_the_whole_plan(situation: Situation) -> None:
    whole, names = situation.plan(), known(situation)
    if names:
        part = selected(whole, ["*"], known=names, groups={})
        blocked = [problem for problem in whole.problems if problem.address in names]
        assert part == replace(whole, only=("*",), problems=tuple(blocked))


@given(st.permutations([1, 2, 3]))
def test_ties_are_broken_by_kind_and_then_by_name(order: Sequence[int]) -> None:
    addresses = [
        Address(kind=ResourceKind.ENV, name="z"),
        Address(kind=ResourceKind.SERVER, name="a"),
        Address(kind=ResourceKind.CLIENT, name="a/a"),
    ]
    desired = [Desired(address=addresses[number - 1], key="1") for number in order]
    assert [step.address for step in diff(desired, ()).steps] == addresses
