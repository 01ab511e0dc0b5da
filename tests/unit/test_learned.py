"""The smallest profile for what a server was seen to try, and what was stopped as the state keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.security.denials import Denial
from hatchlock.security.learned import Observed, observable, remarks, smallest_profile
from hatchlock.state.denials import Refusal, read_denials, remember_denial
from hatchlock.state.project import ProjectState

RECORD = LaunchRecord(
    project="p",
    server="time",
    runtime="process",
    argv=("/env/bin/python", "/env/server.py"),
    key="0" * 64,
    read_only_paths=("/env",),
)
USED = Observed(seconds=1.5, memory=100 << 20, data=300 << 20, processes=9, files=20, tmp=1 << 20)


def profile(
    observed: Observed, *, record: LaunchRecord = RECORD, by_process: bool = False, answered: bool = True
) -> object:
    return smallest_profile(observed, record, memory_by_process=by_process, answered=answered)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (USED, {"memory": "256m", "pids": 32}),
        (replace(USED, memory=10 << 20), {"memory": "64m", "pids": 32}),
        (replace(USED, memory=700 << 20), {"memory": "1536m", "pids": 32}),
        (replace(USED, memory=20 << 30), {"memory": "40g", "pids": 32}),
        (replace(USED, files=900), {"memory": "256m", "pids": 32, "files": 2048}),
        (replace(USED, tmp=50 << 20), {"memory": "256m", "pids": 32, "tmp": "128m"}),
        (replace(USED, memory=0, processes=0), {}),
        (
            replace(USED, connections=("192.0.2.1:80", "a.example.com:443", "localhost:5432")),
            {"network": ("a.example.com:443", "localhost:5432"), "memory": "256m", "pids": 32},
        ),
        (
            replace(USED, written=("/data/", "/env/cache/", "/srv/x.pid")),
            {"writable": ("/data",), "memory": "256m", "pids": 32},
        ),
        (
            replace(USED, denied=(Denial(kind="mount", what="/home/a/b"), Denial(kind="network", what="x:1"))),
            {"mounts": (Mount(source="/home/a/b", target="/home/a/b"),), "memory": "256m", "pids": 32},
        ),
    ],
)
def test_the_profile_is_what_was_seen_with_room(observed: Observed, expected: dict[str, object]) -> None:
    assert profile(observed) == expected


def test_an_rlimit_counts_what_a_process_reserves() -> None:
    assert profile(USED, by_process=True) == {"memory": "768m", "pids": 32}


def test_a_server_that_did_not_answer_keeps_what_it_has() -> None:
    open_record = replace(RECORD, sandbox=Sandbox(network=("a.example.com:443",), writable=("/data",), reason="r"))
    assert profile(USED, record=open_record, answered=False) == {}
    more = replace(USED, connections=("b.example.com:443",), written=("/notes/",))
    assert profile(more, record=open_record, answered=False) == {
        "network": ("a.example.com:443", "b.example.com:443"),
        "writable": ("/data", "/notes"),
    }
    anywhere = replace(RECORD, sandbox=Sandbox(network=("internet",), reason="r"))
    assert profile(replace(more, written=()), record=anywhere, answered=False) == {}
    assert profile(replace(USED, written=("/data/",)), answered=False) == {"writable": ("/data",)}


def test_what_cannot_be_watched_changes_nothing() -> None:
    open_record = replace(RECORD, sandbox=Sandbox(network=("internet",), reason="r"))
    assert profile(Observed(unknown=("hosts (why)",)), record=open_record) == {}
    assert profile(Observed(), record=open_record) == {"network": ("none",)}


def test_an_open_network_becomes_a_list() -> None:
    open_record = replace(RECORD, sandbox=Sandbox(network=("internet",), reason="r"))
    assert profile(Observed(connections=("a.example.com:443",)), record=open_record) == {
        "network": ("a.example.com:443",)
    }
    assert profile(Observed(connections=("192.0.2.1:80",)), record=open_record) == {}


def test_what_is_not_permitted_or_not_used_is_said() -> None:
    sandbox = Sandbox(network=("b.example.com:443",), writable=("/state",), reason="r")
    observed = Observed(connections=("192.0.2.1:80",), written=("/srv/x.pid",))
    record = replace(RECORD, sandbox=sandbox)
    said = remarks(observed, record, smallest_profile(observed, record, memory_by_process=False, answered=True))
    assert [line.split(" ")[0] for line in said] == ["192.0.2.1:80", "no", "it", "it"]
    assert "b.example.com:443" in said[2]
    assert "/state" in said[3]


def test_what_was_observed_is_read_back() -> None:
    observed = replace(USED, connections=("a:1",), denied=(Denial(kind="write", what="/x", at="/y.py:1"),))
    assert Observed.from_dict(observed.to_dict()) == observed


def test_a_session_to_be_watched_has_no_way_out_and_nothing_of_the_servers_own() -> None:
    sandbox = Sandbox(network=("a.example.com:443",), writable=("/data",), memory="4g", mounts=(), reason="r")
    watched = observable(replace(RECORD, sandbox=sandbox, volumes={"/data": "volume"}))
    assert (watched.sandbox.network, watched.sandbox.writable, watched.volumes) == (("none",), (), {})
    assert (watched.sandbox.memory, watched.sandbox.tmp, watched.sandbox.read_only) == ("4g", "1g", False)
    assert watched.sandbox.capabilities == ()


def refusal(number: int, when: str = "2026-11-27T21:00:00Z") -> Refusal:
    return Refusal(kind="network", what=f"{number}.example.com", at="", when=when)


def test_what_was_stopped_is_kept_once_and_not_without_end(tmp_path: Path) -> None:
    file = tmp_path / "denials" / "time.json"
    for number in (*range(30), 15):
        remember_denial(file, "launch", refusal(number))
    kept = read_denials(file, "launch")
    assert [item.what for item in kept] == [f"{number}.example.com" for number in (*range(10, 15), *range(16, 30), 15)]
    remember_denial(file, "launch", replace(refusal(1), what="x" * 5000))
    assert len(read_denials(file, "launch")[-1].what) == 500


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"null", b"\xff", b'{"format_version": 1, "launch": "launch", "denials": [1]}']
)
def test_a_damaged_file_is_no_denial(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "time.json"
    file.write_bytes(data)
    assert read_denials(file, "launch") == ()


def test_another_launch_record_begins_anew(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    state.activate("time", RECORD)
    file = tmp_path / "denials" / "time.json"
    remember_denial(file, RECORD.digest, refusal(1))
    state.activate("time", RECORD)
    assert len(read_denials(file, RECORD.digest)) == 1
    assert read_denials(file, "another") == ()
    state.activate("time", replace(RECORD, cwd="/x"))
    assert not file.exists()
