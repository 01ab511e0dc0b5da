"""Plans from locks: a manifest, the lock that comes of it, and what there is, in `from_locks/NAME.toml`; the plan in `NAME.txt`.

`before` is the manifest that was applied last, with `packages_before` as they were then: all that an apply of it left is there,
but for what is `gone`, and with `observed` in its place or besides. Without `before` there is nothing. `machine` says what is
different on this machine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Address, ResourceKind
from hatchlock.engines.locate import EngineNotFound
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources import server
from hatchlock.resources.base import Desired, Observed, Problem
from hatchlock.resources.compile import compile_target
from hatchlock.resources.drift import Policies
from hatchlock.resources.env_target import InterpreterFacts
from hatchlock.resources.machine import Machine
from hatchlock.resources.target import Target
from hatchlock.resources.unplaced import ProgramMissing
from hatchlock.resources.world import World
from hatchlock.state.applied import AppliedKeys
from hatchlock.state.project import ProjectState
from support.locks import manifest_of, package, world

CASES = sorted((Path(__file__).parent / "from_locks").glob("*.toml"))
HOME = Home(root=Path("/nowhere/store"), is_default=False)
MACHINE = Machine(
    platform="linux/amd64",
    system="linux",
    home=HOME,
    user_home=Path("/home/ada"),
    directory=Path("/srv/acme"),
    environ={},
    interpreters={
        "3.11": InterpreterFacts(path="/usr/bin/python3.11", version="3.11.2", prefixes=("/usr",)),
        "3.12": InterpreterFacts(path="/usr/bin/python3.12", version="3.12.4", prefixes=("/usr",)),
    },
    programs={"/bin/cat": "/bin/cat"},
    engine="unix:///run/engine.sock",
    isolation="",
)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    # a fact of this machine, as those above
    monkeypatch.setattr(server, "bound_here", frozenset)


def machine_of(facts: Mapping[str, Any]) -> Machine:
    machine = replace(MACHINE, **{name: facts[name] for name in ("platform", "isolation", "is_root") if name in facts})
    if facts.get("engine") == "none":
        machine = replace(machine, engine=EngineNotFound(looked_in=("/run/engine.sock: nothing",)))
    elif "engine" in facts:
        machine = replace(machine, engine=facts["engine"])
    if "without" in facts:
        machine = replace(machine, programs={"/bin/cat": ProgramMissing(program=facts["without"])})
    return machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a manifest and its lock say of a machine."""

    target: Target
    desired: tuple[Desired, ...]


def wanted(text: str, versions: Mapping[str, str], machine: Machine) -> Wanted:
    known = world()
    for name, version in versions.items():
        old = known.packages[name]
        known.packages[name] = replace(
            package(name, version),
            dependencies=old.dependencies,
            scripts=old.scripts,
            requires_python=old.requires_python,
        )
    target = compile_target(manifest_of(text), known.lock(text), machine)

    def connect() -> Any:
        raise AssertionError("what is declared is known without an engine")

    resources = World(
        target,
        home=HOME,
        state=ProjectState(HOME.project(target.project)),
        applied=AppliedKeys(),
        connect=connect,
        environ={},
        lock_digest="0" * 64,
        purpose="plan",
        lock_timeout=0,
    )
    found = (item for resource in resources.by_kind.values() for item in resource.desired())
    return Wanted(target=target, desired=tuple(Policies(target, resources).desired(found)))


def left_by(before: Sequence[Desired], now: Sequence[Desired], gone: Sequence[str]) -> Iterator[Observed]:
    """Yield what an apply left, as a plan for `now` sees it."""
    keys = {item.address: item.key for item in now}
    left = [item for item in before if str(item.address) not in gone]
    # an environment is a directory of this name, whatever it is for
    directories = {item.key for item in left if item.address.kind is ResourceKind.ENV}
    for item in now:
        if item.address.kind is ResourceKind.ENV and item.key in directories:
            yield Observed(address=item.address, key=item.key)
    for item in left:
        is_right = keys.get(item.address) == item.key
        match item.address.kind:
            case ResourceKind.ENV:
                continue
            case ResourceKind.IMAGE if not is_right:
                continue  # nothing is declared that would be it: the garbage collector's
            case ResourceKind.VOLUME if not is_right:
                yield replace(observed(item), loss=f"what is kept in {item.facts['for']}")
            case _:
                yield observed(item)


def observed(item: Desired) -> Observed:
    return Observed(address=item.address, key=item.key, facts=item.facts)


def plan_of(case: Path) -> Plan:
    document = tomllib.loads(case.read_text())
    machine = machine_of(document.get("machine", {}))
    now = wanted(document["manifest"], document.get("packages", {}), machine)
    before: tuple[Desired, ...] = ()
    if "before" in document:
        text = document["before"] or document["manifest"]
        before = wanted(text, document.get("packages_before", {}), MACHINE).desired
    seen = {item.address: item for item in left_by(before, now.desired, document.get("gone", ()))}
    for item in document.get("observed", ()):
        address = Address.parse(item["address"])
        known = seen.get(address, Observed(address=address, key=""))
        seen[address] = replace(known, **item | {"address": address})
    problems = [Problem(**item | {"address": Address.parse(item["address"])}) for item in document.get("problems", ())]
    plan = diff(
        now.desired,
        seen.values(),
        [*now.target.problems, *problems],
        applied={item.address: item.key for item in before},
        again=set(map(Address.parse, document.get("again", ()))),
    )
    return replace(plan, packages=now.target.packages)


@each_case
def test_the_plan_reads_as_expected(case: Path) -> None:
    assert str(plan_of(case)) + "\n" == case.with_suffix(".txt").read_text()


def test_every_expected_text_belongs_to_a_case() -> None:
    texts = {path.stem for path in (Path(__file__).parent / "from_locks").glob("*.txt")}
    assert texts == {case.stem for case in CASES}
    assert len(CASES) >= 15
