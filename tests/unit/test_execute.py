"""Doing the steps of a plan: what runs beside what, and what becomes of them when one fails, breaks or is interrupted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any

import pytest

from hatchlock.address import Address, ResourceKind
from hatchlock.errors import HatchlockError, UsageError
from hatchlock.events import Event
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.execute import Inbox, Outcome, execute
from hatchlock.reconcile.lanes import LANES
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Action, Artefact, Desired, Observed, Step

WAIT = 60.0


class Memory:
    """Resources that are names in memory; `effects` replaces what making one of them does."""

    def __init__(self, effects: dict[str, Callable[[], object]]) -> None:
        self.effects = effects
        self.keys: dict[Address, str] = {}
        self.running: Counter[ResourceKind] = Counter()
        self.most: Counter[ResourceKind] = Counter()
        self.most_of_all = 0
        self.order: list[str] = []
        self.lock = threading.Lock()

    def desired(self) -> Iterable[Desired]:
        return ()

    def observe(self) -> Iterable[Observed]:
        return ()

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        return ()

    def observe_one(self, address: Address) -> Observed | None:
        return Observed(address=address, key=self.keys[address]) if address in self.keys else None

    def apply(self, step: Step) -> None:
        kind = step.address.kind
        with self.lock:
            self.running[kind] += 1
            self.most[kind] = max(self.most[kind], self.running[kind])
            self.most_of_all = max(self.most_of_all, self.running.total())
            self.order.append(str(step.address))
        try:
            effect = self.effects.get(str(step.address))
            if effect is None or effect() is not NOTHING:
                self.keys[step.address] = step.after
        finally:
            with self.lock:
                self.running[kind] -= 1


NOTHING = object()
"""What an effect returns that has none."""


class Paper:
    """A journal in memory, that may be full."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.full_for: set[str] = set()

    def write(self, event: str, **facts: str) -> None:
        if event in self.full_for:
            raise OSError(28, "No space left on device")
        self.lines.append((event, facts["step"]))


@dataclass(kw_only=True)
class Run:
    plan: Plan
    effects: dict[str, Callable[[], object]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    journal: Paper = field(default_factory=Paper)
    events: list[Event] = field(default_factory=list)
    memory: Memory = field(init=False)

    def __post_init__(self) -> None:
        self.memory = Memory(self.effects)

    def outcome(self) -> Outcome:
        drivers = dict.fromkeys(ResourceKind, self.memory)
        return execute(self.plan, drivers, journal=self.journal, emit=self.events.append, **{"jobs": 4, **self.options})

    def told(self, name: str) -> list[str]:
        return [event.address for event in self.events if event.name == name]


def plan_of(*addresses: str, after: dict[str, str] | None = None) -> Plan:
    """A plan that creates these; `after` says what needs what."""
    needs = after or {}
    return diff(
        [
            Desired(
                address=Address.parse(word),
                key=f"key of {word}",
                depends_on=(Address.parse(needs[word]),) if word in needs else (),
            )
            for word in addresses
        ],
        [],
    )


def names(steps: Iterable[Step]) -> list[str]:
    return [str(step.address) for step in steps]


def raising(error: BaseException) -> Callable[[], object]:
    def effect() -> object:
        raise error

    return effect


@pytest.mark.parametrize(("kind", "jobs", "most"), [("system", 8, 1), ("client", 8, 1), ("server", 3, 3)])
def test_no_more_run_at_once_than_their_lane_and_the_jobs_allow(kind: str, jobs: int, most: int) -> None:
    words = [f"{kind}:{number}" if kind != "client" else f"client:cursor/{number}" for number in range(9)]
    together = threading.Barrier(most)

    def effect() -> None:
        together.wait(WAIT)
        time.sleep(0.01)  # whoever were one too many would come meanwhile

    run = Run(plan=plan_of(*words), effects=dict.fromkeys(words, effect), options={"jobs": jobs})
    assert run.outcome().is_complete
    assert run.memory.most == {ResourceKind(kind): most}


def test_steps_that_need_each_other_to_run_at_once_do() -> None:
    meeting = threading.Barrier(4)
    words = [f"env:{number}" for number in range(4)]
    run = Run(plan=plan_of(*words), effects={word: lambda: meeting.wait(WAIT) for word in words})
    assert run.outcome().is_complete
    assert run.memory.most_of_all == 4 <= LANES[ResourceKind.ENV]


def test_entries_of_applications_are_made_in_the_plans_order_when_all_else_is_done() -> None:
    words = ["client:cursor/b", "client:claude-code/a", "client:cursor/a", "server:slow", "env:x"]
    run = Run(plan=plan_of(*words), effects={"server:slow": lambda: time.sleep(0.05)})
    assert run.outcome().is_complete
    assert run.memory.order[-3:] == ["client:claude-code/a", "client:cursor/a", "client:cursor/b"]


def test_when_one_fails_others_are_done_and_what_needs_it_is_not_started() -> None:
    needs = {"server:a": "env:a", "client:cursor/a": "server:a", "server:b": "env:b"}
    run = Run(
        plan=plan_of("env:a", "env:b", "server:a", "server:b", "client:cursor/a", after=needs),
        effects={"env:a": raising(UsageError(what="no"))},
    )
    outcome = run.outcome()
    assert names(outcome.done) == ["env:b", "server:b"]
    assert [(str(step.address), str(error), error.address) for step, error in outcome.failed] == [
        ("env:a", "no", "env:a")
    ]
    assert names(outcome.not_started) == ["server:a", "client:cursor/a"]
    assert not outcome.is_complete
    assert run.told("step.failed") == ["env:a"]
    assert ("failed", "env:a") in run.journal.lines


def test_fail_fast_begins_no_others_and_finishes_those_that_run() -> None:
    failed = threading.Event()
    run = Run(
        plan=plan_of("env:a", "env:b", "env:c"),
        effects={"env:a": raising(UsageError(what="no")), "env:b": lambda: failed.wait(WAIT)},
        options={"jobs": 2, "fail_fast": True},
    )

    def emit(event: Event) -> None:
        if event.name == "step.failed":
            failed.set()

    drivers = dict.fromkeys(ResourceKind, run.memory)
    outcome = execute(run.plan, drivers, journal=run.journal, emit=emit, jobs=2, fail_fast=True)
    assert names(outcome.done) == ["env:b"]
    assert names(outcome.not_started) == ["env:c"]
    assert not outcome.is_interrupted


def test_a_mistake_of_ours_in_a_step_loses_neither_summary_nor_journal() -> None:
    run = Run(plan=plan_of("env:a", "env:b"), effects={"env:a": raising(KeyError("x"))})
    outcome = run.outcome()
    assert names(outcome.done) == ["env:b"]
    [(_, error)] = outcome.failed
    assert error.code == "step-broke"
    assert str(error) == "hatchlock itself failed here: KeyError: 'x'"
    assert isinstance(error.__cause__, KeyError)
    assert "--debug" in error.hint
    assert ("failed", "env:a") in run.journal.lines


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPDATE, Action.DELETE])
def test_a_step_that_silently_did_nothing_has_failed(action: Action) -> None:
    address = Address.parse("server:a")
    before, after = ("" if action is Action.CREATE else "old"), ("" if action is Action.DELETE else "new")
    step = Step(address=address, action=action, cause="changed", before=before, after=after)
    run = Run(plan=Plan(steps=(step,)), effects={"server:a": lambda: NOTHING})
    if before:
        run.memory.keys[address] = before
    [(_, error)] = run.outcome().failed
    assert error.code == "step-unverified"
    assert str(error) == f"after the step it is {before or 'absent'}, not {after or 'absent'}"
    assert isinstance(error, HatchlockError)
    assert "run `hatchlock apply` again" in error.hint


def test_what_changed_since_the_plan_is_left_alone() -> None:
    run = Run(plan=plan_of("server:a"))
    run.memory.keys[Address.parse("server:a")] = "somebody else's"
    [(_, error)] = run.outcome().failed
    assert isinstance(error, HatchlockError)
    assert (error.code, error.hint) == ("step-changed", "run `hatchlock plan` again")
    assert run.memory.order == []


def test_what_is_there_already_is_done_and_what_is_to_be_made_anew_is_made() -> None:
    plan = plan_of("server:a")
    run = Run(plan=plan)
    run.memory.keys[Address.parse("server:a")] = "key of server:a"
    assert names(run.outcome().done) == ["server:a"]
    assert run.memory.order == []
    assert [event.data.get("already") for event in run.events] == [True]
    anew = replace(plan.steps[0], action=Action.REPLACE, before="key of server:a")
    again = Run(plan=Plan(steps=(anew,)))
    again.memory.keys[Address.parse("server:a")] = "key of server:a"
    assert names(again.outcome().done) == ["server:a"]
    assert again.memory.order == ["server:a"]


def test_an_interruption_finishes_what_runs_and_begins_no_other() -> None:
    inbox: Inbox = SimpleQueue()
    heard = threading.Event()

    def slow() -> None:
        inbox.put(None)
        assert heard.wait(WAIT)

    run = Run(plan=plan_of("env:a", "server:a", "server:b", after={"server:a": "env:a"}), effects={"env:a": slow})

    def emit(event: Event) -> None:
        run.events.append(event)
        if event.name == "interrupt":
            heard.set()

    drivers = dict.fromkeys(ResourceKind, run.memory)
    outcome = execute(run.plan, drivers, journal=run.journal, emit=emit, jobs=1, inbox=inbox)
    assert outcome.is_interrupted
    assert names(outcome.done) == ["env:a"]
    assert names(outcome.not_started) == ["server:b", "server:a"]
    [told] = [event for event in run.events if event.name == "interrupt"]
    assert told.message == "finishing 1 running step; press again to stop at once"


def test_a_full_disk_at_the_journal_fails_the_step_and_keeps_what_is_known_of_the_others() -> None:
    run = Run(plan=plan_of("env:a", "env:b"), effects={"env:a": raising(UsageError(what="no"))})
    run.journal.full_for = {"failed"}
    outcome = run.outcome()
    assert names(outcome.done) == ["env:b"]
    assert [str(step.address) for step, _ in outcome.failed] == ["env:a"]
    full = Run(plan=plan_of("env:a"))
    full.journal.full_for = {"start", "failed"}
    [(_, error)] = full.outcome().failed
    assert error.code == "system"
    assert full.memory.order == [], "nothing is done that is not announced"


def test_each_step_says_what_it_does_and_how_long_it_took() -> None:
    run = Run(plan=plan_of("env:a"), effects={"env:a": lambda: time.sleep(0.02)})
    run.outcome()
    start, done = run.events
    assert (start.name, start.address, dict(start.data)) == ("step.start", "env:a", {"action": "create"})
    assert (done.name, done.address, done.data["action"]) == ("step.done", "env:a", "create")
    assert 0.02 <= float(done.data["seconds"]) < WAIT
    assert start.at <= done.at
    assert run.journal.lines == [("start", "env:a"), ("done", "env:a")]
