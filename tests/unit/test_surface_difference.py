"""How pins differ: between two locks, and from what a prober saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.lock.diff import diff_locks
from hatchlock.lock.difference import compare_locks
from hatchlock.lock.model import Lock
from hatchlock.lock.surfaces import Definition, Surface, readable, surface_of
from hatchlock.resolve.versions import compare_versions
from hatchlock.serve.probe import ProbedDefinition, ProbeResult
from hatchlock.state.surfaces import Difference
from hatchlock.surface import Pins, definition_hash, instructions_hash
from hatchlock.usecases.surfaces import difference_from


def definition(name: str, text: str = "") -> Definition:
    value = {"name": name, "description": text}
    return Definition(name=name, sha256=definition_hash(value), text=readable(value))


def lock(*surfaces: Surface) -> Lock:
    return Lock(project="p", platforms=(), surfaces=surfaces)


OLD = surface_of("s", artefact="a" * 64, protocol="2025-11-25", tools=[definition("get"), definition("put")])
NEW = surface_of(
    "s",
    artefact="b" * 64,
    protocol="2026-07-28",
    secrets=("TOKEN",),
    instructions="Ask.",
    tools=[definition("get", "other"), definition("new")],
)


def fields(before: Lock, after: Lock) -> list[tuple[str, str]]:
    return [(item.sign, item.field) for item in compare_locks(before, after, order=compare_versions)]


def test_every_definition_that_is_another_one_is_named() -> None:
    assert fields(lock(OLD), lock(NEW)) == [
        ("!", "instructions"),
        ("~", "pinned artefact"),
        ("~", "pinned with protocol"),
        ("~", "pinned with secrets"),
        ("!", "tool get"),
        ("!", "tool new"),
        ("-", "tool put"),
    ]
    assert fields(lock(OLD), lock(OLD)) == []


def test_a_first_pin_and_one_that_is_gone_are_no_change_of_tools() -> None:
    assert fields(lock(), lock(OLD)) == [("+", "pins"), ("+", "tool get"), ("+", "tool put")]
    assert fields(lock(NEW), lock()) == [("-", "instructions"), ("-", "pins"), ("-", "tool get"), ("-", "tool new")]


def test_lock_says_how_many() -> None:
    assert list(map(str, diff_locks(lock(), lock(OLD)))) == ["+ pin:s 2 tools"]
    assert list(map(str, diff_locks(lock(OLD), lock(NEW)))) == ["~ pin:s 2 tools -> 2 tools, instructions"]
    assert list(map(str, diff_locks(lock(OLD), lock(replace(OLD, artefact="c" * 64))))) == ["~ pin:s 2 tools"]
    assert list(map(str, diff_locks(lock(OLD), lock()))) == ["- pin:s 2 tools"]


def probed(item: Definition, *, has_hash: bool = True) -> ProbedDefinition:
    return ProbedDefinition(
        name=item.name, description="", definition={}, sha256=item.sha256 if has_hash else "", problem=""
    )


def result(*tools: ProbedDefinition, instructions: str | None = None) -> ProbeResult:
    return ProbeResult(
        server="s",
        version="1",
        protocol="2025-11-25",
        instructions=instructions,
        tools=tools,
        prompts=(),
        resources=(),
        templates=(),
        seconds=0.1,
    )


PINS = Pins(tools={item.name: item.sha256 for item in OLD.tools})


def test_what_a_prober_saw_is_compared_as_a_client_is() -> None:
    assert not difference_from(PINS, result(*map(probed, OLD.tools)))
    assert difference_from(PINS, result(*map(probed, NEW.tools))) == Difference(
        added=("tool new",), removed=("tool put",), changed=("tool get",)
    )
    unclear = result(probed(OLD.tools[0], has_hash=False), probed(OLD.tools[1]))
    assert difference_from(PINS, unclear) == Difference(unhashable=("tool get",))


@pytest.mark.parametrize(
    ("pinned", "said", "sort"),
    [(None, "Ask.", "added"), ("Ask.", None, "removed"), ("Ask.", "Tell.", "changed"), (None, "", "added")],
)
def test_instructions_count(pinned: str | None, said: str | None, sort: str) -> None:
    pins = Pins(instructions=instructions_hash(pinned))
    assert difference_from(pins, result(instructions=said)) == Difference(**{sort: ("instructions",)})
    assert not difference_from(Pins(instructions=instructions_hash(said)), result(instructions=said))


def test_what_only_some_applications_are_shown_may_be_missing_and_not_be_another_one() -> None:
    pins = replace(PINS, varying=tuple(f"tool {name}" for name in PINS.tools))
    assert not difference_from(pins, result())
    assert difference_from(PINS, result()).removed
    other = ProbedDefinition(name="get", description="", definition={}, sha256="0" * 64)
    assert difference_from(pins, result(other)).changed == ("tool get",)
