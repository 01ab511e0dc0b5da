"""Parts of plans: words, what they need, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hatchlock.address import Address
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.reconcile.select import Known, NothingNamed, NotReplaceable, Selection, named_again, selected
from hatchlock.resources.base import Desired, Observed, Problem

GROUPS = {"web": ("fetch", "time"), "data": ("db",)}


def at(text: str) -> Address:
    return Address.parse(text)


def wanted(address: str, *needs: str) -> Desired:
    return Desired(address=at(address), key=f"key of {address}", depends_on=tuple(map(at, needs)))


DESIRED = (
    wanted("env:shared"),
    wanted("image:db"),
    wanted("volume:db/data", "image:db"),
    wanted("server:fetch", "env:shared"),
    wanted("server:time", "env:shared"),
    wanted("server:db", "image:db", "volume:db/data"),
    wanted("client:cursor/fetch", "server:fetch"),
    wanted("client:cursor/db", "server:db"),
)
OLD = (
    Observed(address=at("server:old"), key="1"),
    Observed(address=at("client:cursor/old"), key="2"),
    Observed(address=at("volume:old/data"), key="3", loss="what old keeps in /data"),
)


def right(*addresses: str) -> tuple[Observed, ...]:
    return tuple(Observed(address=at(address), key=f"key of {address}") for address in addresses)


def known(observed: tuple[Observed, ...], problems: tuple[Problem, ...] = ()) -> Mapping[Address, Known]:
    keys = {item.address: item.key for item in observed}
    declared = {
        item.address: Known(
            needs=item.depends_on,
            server=item.address.name.partition("/")[0]
            if item.address.kind == "volume"
            else item.address.name.rpartition("/")[2],
            is_declared=True,
            is_right=keys.get(item.address) == item.key,
        )
        for item in DESIRED
    }
    others = {address: Known() for address in (*keys, *(problem.address for problem in problems))}
    return others | declared


def part(*words: str, observed: tuple[Observed, ...] = (), problems: tuple[Problem, ...] = ()) -> Plan:
    plan = diff(DESIRED, observed, problems)
    return selected(plan, words, known=known(observed, problems), groups=GROUPS)


def steps(plan: Plan) -> list[str]:
    return [str(step.address) for step in plan.steps]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["server:fetch"], ["env:shared", "server:fetch"]),
        (["client:cursor/fetch"], ["env:shared", "server:fetch", "client:cursor/fetch"]),
        (["*:fetch"], ["env:shared", "server:fetch"]),
        (["client:*/db"], ["image:db", "volume:db/data", "server:db", "client:cursor/db"]),
        (["server:[ft]*"], ["env:shared", "server:fetch", "server:time"]),
        (["group:web"], ["env:shared", "server:fetch", "server:time", "client:cursor/fetch"]),
        (["group:data"], ["image:db", "volume:db/data", "server:db", "client:cursor/db"]),
        (["env:shared", "image:db"], ["env:shared", "image:db"]),
        (["server:?etch", "image:*"], ["env:shared", "image:db", "server:fetch"]),
    ],
)
def test_what_words_name_comes_with_all_that_it_needs_and_in_the_plans_order(
    words: list[str], expected: list[str]
) -> None:
    plan = part(*words)
    assert steps(plan) == expected
    assert plan.only == tuple(words)
    assert f"Partial: only {', '.join(words)}, and what that needs" in str(plan)


def test_without_words_it_is_the_whole_plan() -> None:
    assert part() == diff(DESIRED, (), ())


def test_a_deletion_comes_with_what_has_to_go_before_it() -> None:
    assert steps(part("server:old", observed=OLD)) == ["client:cursor/old", "server:old"]
    assert steps(part("volume:old/*", observed=OLD)) == ["client:cursor/old", "server:old", "volume:old/data"]
    assert steps(part("client:cursor/old", observed=OLD)) == ["client:cursor/old"]


def test_an_application_means_its_entries_in_all_of_its_files() -> None:
    elsewhere = Observed(address=at("client:cursor@project/old"), key="4")
    other = Observed(address=at("client:cursor-nightly/old"), key="5")
    plan = part("client:cursor", observed=(*OLD, elsewhere, other))
    found = {step for step in steps(plan) if step.startswith("client:")}
    assert found == {
        *("client:cursor/old", "client:cursor@project/old"),
        *("client:cursor/fetch", "client:cursor/db"),
    }


@pytest.mark.parametrize(
    ("word", "close"),
    [("client:curser", "client:cursor"), ("tme", "server:time"), ("fecth", "server:fetch"), ("wbe", "group:web")],
)
def test_a_misspelt_application_or_bare_name_is_understood(word: str, close: str) -> None:
    with pytest.raises(NothingNamed) as caught:
        part(word)
    assert caught.value.hint == f"did you mean {close!r}?"


def test_what_is_as_declared_is_named_all_the_same_and_counted() -> None:
    plan = part("server:fetch", observed=right("env:shared", "server:fetch", "server:time"))
    assert (steps(plan), plan.unchanged) == ([], 2)


def test_the_whole_project_counts_for_mass_removal() -> None:
    plan = part("server:old", observed=(*OLD, *right("env:shared", "server:fetch", "server:time")))
    assert (plan.existing, plan.is_mass_removal) == (6, False)


PROBLEM = Problem(address=at("image:db"), code="no-engine", what="there is no engine")


def test_a_problem_of_what_was_not_selected_is_left_out() -> None:
    plan = part("server:fetch", problems=(PROBLEM,))
    assert (steps(plan), plan.problems) == (["env:shared", "server:fetch"], ())


def test_a_problem_of_what_the_selected_needs_stays_and_holds_it_back() -> None:
    plan = part("client:cursor/db", "server:fetch", problems=(PROBLEM,), observed=right("server:db", "env:shared"))
    assert (steps(plan), plan.problems) == (["server:fetch"], (PROBLEM,))
    assert plan.unchanged == 1, "a server whose image is a problem is not as it should be"


@pytest.mark.parametrize(
    ("word", "close"),
    [
        ("fetch", "server:fetch"),
        ("server:fetsch", "server:fetch"),
        ("group:wep", "group:web"),
        ("cursor/db", "client:cursor/db"),
        ("shared", "env:shared"),
        ("zzzzzz", ""),
        ("server:Fetch", "server:fetch"),
    ],
)
def test_a_word_that_names_nothing_is_an_error_that_says_what_was_meant(word: str, close: str) -> None:
    with pytest.raises(NothingNamed) as caught:
        part("server:time", word)
    assert caught.value.close == close
    assert repr(word) in str(caught.value)
    assert (close in caught.value.hint) if close else "hatchlock plan" in caught.value.hint


def test_what_is_made_anew_is_a_part_of_the_selection() -> None:
    assert Selection(only=("server:a",), again=("env:b",)).words == ("server:a", "env:b")
    assert Selection(again=("env:b",)).words == ()


def test_what_is_made_anew_is_named_by_its_address() -> None:
    everything = known(())
    assert named_again(["env:shared", "server:db"], everything) == {at("env:shared"), at("server:db")}
    with pytest.raises(NothingNamed, match="names nothing") as caught:
        named_again(["env:*"], everything)
    assert caught.value.close.startswith(("env:", ""))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("system:shared", "only ever added"),
        ("container:hatchlock-x", "belongs to the application"),
        ("server:old", "not declared any more"),
    ],
)
def test_what_cannot_be_made_anew_is_refused(address: str, why: str) -> None:
    with pytest.raises(NotReplaceable, match=why) as caught:
        named_again([address], {**known(()), at(address): Known()})
    assert caught.value.address == address
    assert caught.value.hint
