"""Which limits are set before bubblewrap is started."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest

from hatchlock.engines.limits import own_limits
from hatchlock.launch import Sandbox
from hatchlock.security.bubblewrap import System

SYSTEM = System(
    bwrap="/usr/bin/bwrap",
    prlimit="/usr/bin/prlimit",
    setpriv="",
    root=False,
    uid=1,
    gid=1,
    symlinks={},
    max_files=4096,
)
GROUPED = replace(SYSTEM, grouped=frozenset({"memory", "pids"}))


def test_limits_of_each_process_are_set_beforehand() -> None:
    sandbox = Sandbox(files=512)
    each = {resource.RLIMIT_NOFILE: 512, resource.RLIMIT_CORE: 1}
    assert own_limits(sandbox, GROUPED) == each
    assert own_limits(sandbox, SYSTEM) == {**each, resource.RLIMIT_DATA: 512 << 20}


@pytest.mark.parametrize(
    ("sandbox", "system"),
    [
        (Sandbox(files=64), GROUPED),
        (Sandbox(), replace(GROUPED, max_files=64)),
        (Sandbox(memory="16m"), SYSTEM),
    ],
)
def test_those_that_would_be_in_our_own_way_are_set_inside(sandbox: Sandbox, system: System) -> None:
    assert own_limits(sandbox, system) == {}


def test_those_that_we_may_not_have_are_left_to_whoever_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (0, 0) if kind == resource.RLIMIT_CORE else (-1, -1))
    assert own_limits(Sandbox(), GROUPED) == {}
