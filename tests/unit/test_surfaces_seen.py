"""What a gate found is said once, and kept for `status`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.serve.passages import Surroundings, gate_of
from hatchlock.state.surfaces import Difference, SurfaceSeen, read_surface, remember_surface, surface_path
from hatchlock.surface import SurfaceRules
from support.rug_pulls import TOOLS, rugpull, rules

LAUNCH = "a" * 64
CHANGED = Difference(changed=("tool add",))


def listing(trick: str = "") -> bytes:
    server = rugpull.Server(trick, "always")
    return b"".join(server.answer(question).encode() + b"\n" for question in TOOLS)


def session(state: Path | None, surface: SurfaceRules) -> tuple[list[str], list[bytes]]:
    """Let a client list everything twice; return what was said, and what passed."""
    said: list[str] = []
    gate = gate_of(surface, "calc", Surroundings(launch=LAUNCH, say=said.append, state=state))
    passed = []
    for trick in ("description", "description", ""):
        for question, answer in zip(TOOLS, listing(trick).splitlines(keepends=True), strict=True):
            gate.sent(json.dumps(question).encode() + b"\n")
            passed.append(gate.received(answer).forward)
    return said, passed


def test_a_difference_is_said_and_kept_once_and_a_match_does_not_hide_it(tmp_path: Path) -> None:
    said, passed = session(tmp_path, rules(changed="warn"))
    assert [text.split(": {")[0] for text in said] == [
        'calc: not as pinned, passed on all the same: changed: tool "add"'
    ]
    assert len(passed) == 6
    seen = read_surface(surface_path(tmp_path, "calc"), LAUNCH)
    assert seen is not None
    assert (seen.matches, seen.differed) == (False, CHANGED)


def test_a_session_that_does_not_count_keeps_nothing(tmp_path: Path) -> None:
    said, _ = session(None, rules(changed="warn"))
    assert len(said) == 1
    session(tmp_path, SurfaceRules(deny=("x",)))
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_takes_nothing_does_not_end_the_session(tmp_path: Path) -> None:
    (tmp_path / "surfaces").write_text("a file where the directory would be")
    assert len(session(tmp_path, rules(changed="warn"))[1]) == 6


def test_a_server_that_lists_something_else_each_time_does_not_fill_the_log(tmp_path: Path) -> None:
    said: list[str] = []
    gate = gate_of(rules(changed="warn"), "calc", Surroundings(launch=LAUNCH, say=said.append, state=tmp_path))
    for number in range(200):
        tools = [{"name": f"{number}-{other}"} for other in range(3)]
        gate.received(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode())
    assert len(said) == 100
    seen = read_surface(surface_path(tmp_path, "calc"), LAUNCH)
    assert seen is not None
    assert seen.differed is not None
    assert len(seen.differed.added) == 50


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    path = surface_path(tmp_path, "calc")
    remember_surface(path, LAUNCH, Difference(), now="1")
    written = path.stat().st_ino
    remember_surface(path, LAUNCH, Difference(), now="2")
    assert path.stat().st_ino == written
    assert read_surface(path, LAUNCH) == SurfaceSeen(launch=LAUNCH, at="1", matches=True)


def test_the_last_difference_stays_until_the_launch_record_is_another(tmp_path: Path) -> None:
    path = surface_path(tmp_path, "calc")
    remember_surface(path, LAUNCH, CHANGED, now="1")
    remember_surface(path, LAUNCH, Difference(), now="2")
    expected = SurfaceSeen(launch=LAUNCH, at="2", matches=True, differed=CHANGED, differed_at="1")
    assert read_surface(path, LAUNCH) == expected
    assert read_surface(path, "b" * 64) is None
    remember_surface(path, "b" * 64, Difference(), now="3")
    assert read_surface(path, "b" * 64) == SurfaceSeen(launch="b" * 64, at="3", matches=True)


def test_names_are_a_strangers_and_are_cut(tmp_path: Path) -> None:
    path = surface_path(tmp_path, "calc")
    added = tuple(f"tool {'x' * 1000}{number}" for number in range(10)) + tuple(map(str, range(100)))
    remember_surface(path, LAUNCH, Difference(added=added), now="1")
    seen = read_surface(path, LAUNCH)
    assert seen is not None
    assert seen.differed is not None
    assert max(map(len, seen.differed.added)) == 200
    assert len(path.read_bytes()) < 5000
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"format_version":1}', b'{"format_version":2}', b"[" * 100_000, b"\xff"]
)
def test_a_damaged_file_says_nothing_and_is_replaced(tmp_path: Path, damage: bytes) -> None:
    path = surface_path(tmp_path, "calc")
    path.parent.mkdir()
    path.write_bytes(damage)
    assert read_surface(path, LAUNCH) is None
    remember_surface(path, LAUNCH, CHANGED, now="1")
    assert read_surface(path, LAUNCH) is not None


def test_differences_are_put_together_in_order_and_once() -> None:
    both = Difference(added=("tool b", "tool a")) | Difference(added=("tool a", "tool c"), removed=("tool d",))
    assert both == Difference(added=("tool b", "tool a", "tool c"), removed=("tool d",))
    assert both
    assert not Difference()
