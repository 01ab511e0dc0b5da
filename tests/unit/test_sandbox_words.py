"""The sandbox in words, its environment, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.manifest.checks import relaxations as in_manifest
from hatchlock.manifest.schema_servers import SandboxTable
from hatchlock.security.sandbox import (
    IsolationFacts,
    isolation_problem,
    private_uid,
    profile_line,
    relaxations,
    relaxed,
    server_environment,
    unsupported,
)

PLAIN = LaunchRecord(project="p", server="s", runtime="process", argv=("/envs/k/bin/tool",), key="k")


RELAXED = {
    "network": ["api.example.com:443"],
    "run-as": "host",
    "read-only": False,
    "memory": "1g",
    "swap": "1m",
    "cpus": 2.0,
    "pids": 129,
    "files": 4096,
    "tmp": "1g",
    "log-size": "1g",
    "mounts": [{"source": "./data", "target": "/data", "mode": "ro"}],
    "writable": ["/cache"],
    "capabilities": ["NET_RAW"],
    "seccomp": "mine.json",
    "apparmor": "mine",
    "selinux": "mine_t",
}
STRICTER = {"memory": "64m", "cpus": 0.5, "pids": 10, "files": 64, "tmp": "1m", "log-size": "1m"}
NEITHER = {"user": "20000:20000", "stop-signal": "SIGINT", "stop-grace": 60.0}


def of_manifest(key: str, value: Any) -> Sandbox:
    return Sandbox.from_dict({key.replace("-", "_"): value})


def test_the_default_profile_fits_in_a_line() -> None:
    assert profile_line(Sandbox()) == (
        "network none, user 10001:10001, root read-only, /tmp 64m, no capabilities, no new privileges, seccomp default, "
        "memory 512m, no swap, 1 cpu, 128 processes, 1024 files, log 10m, ends by SIGTERM within 5 s"
    )


@pytest.mark.parametrize("key", [*RELAXED, *STRICTER, *NEITHER])
def test_every_key_of_the_profile_shows_in_its_line(key: str) -> None:
    value = {**RELAXED, **STRICTER, **NEITHER}[key]
    assert profile_line(of_manifest(key, value)) != profile_line(Sandbox())


def test_a_processes_limits_say_what_they_bind() -> None:
    assert "memory 512m for each process, no swap, no limit of cpu" in profile_line(Sandbox(), runtime="process")
    together = profile_line(Sandbox(), runtime="process", together=frozenset({"memory", "cpu", "pids"}))
    assert together == profile_line(Sandbox())


def test_what_needs_a_reason_is_what_plans_show_for_every_key_of_the_manifest() -> None:
    for key in SandboxTable.model_json_schema()["properties"].keys() - {"reason"}:
        value = RELAXED.get(key, NEITHER.get(key))
        assert relaxed(of_manifest(key, value)) == (() if key in NEITHER else (key.replace("-", "_"),)), key
        assert bool(in_manifest({key: value})) is (key in RELAXED), key


@pytest.mark.parametrize("key", STRICTER)
def test_a_tightening_needs_no_reason_and_is_no_relaxation(key: str) -> None:
    assert relaxed(of_manifest(key, STRICTER[key])) == in_manifest({key: STRICTER[key]}) == ()


def test_a_reason_of_several_lines_is_shown_in_one() -> None:
    assert relaxations(Sandbox(memory="1g", reason="it\n  keeps\nall")) == (
        "memory = 1g, default 512m (reason: it keeps all)",
    )


def test_the_default_profile_has_no_relaxation() -> None:
    assert relaxations(Sandbox()) == ()
    assert relaxations(Sandbox(reason="for later")) == ()


def test_each_deviation_is_named_with_its_default_and_its_reason() -> None:
    sandbox = Sandbox(
        network=("internet",),
        read_only=False,
        mounts=(Mount(source="/data", target="/in", mode="rw"),),
        reason="writes reports",
    )
    assert relaxations(sandbox) == (
        "network = [internet], default [none] (reason: writes reports)",
        "read-only = false, default true (reason: writes reports)",
        "mounts = [/data at /in (rw)], default [] (reason: writes reports)",
        "internet is every address: this machine's own, where services listen on them, and its LAN are reachable",
    )


def test_a_deviation_without_a_reason_says_so() -> None:
    assert relaxations(Sandbox(memory="1g")) == ("memory = 1g, default 512m (no reason given)",)


def test_a_process_with_network_is_told_to_share_the_machines() -> None:
    assert "shares the machine's network" in relaxations(Sandbox(network=("internet",)), runtime="process")[-1]


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (IsolationFacts(system="linux", bwrap="/usr/bin/bwrap"), None),
        (IsolationFacts(system="darwin", bwrap=None), "macOS's sandbox-exec is not there"),
        (IsolationFacts(system="freebsd14", bwrap=None), "bubblewrap exists on Linux only, and this is freebsd14"),
        (
            IsolationFacts(system="linux", bwrap="/b", unfiltered="riscv64"),
            "there is no filter of system calls for riscv64",
        ),
        (IsolationFacts(system="linux", bwrap=None), "bubblewrap (bwrap) is not installed"),
        (IsolationFacts(system="linux", bwrap="/b", missing=("setpriv",)), "setpriv (util-linux) is not installed"),
        (IsolationFacts(system="linux", bwrap="/b", trial="no userns"), "bubblewrap does not work (no userns)"),
    ],
)
def test_a_machine_that_cannot_isolate_says_why(facts: IsolationFacts, problem: str | None) -> None:
    assert isolation_problem(facts) == problem


def test_servers_that_root_starts_have_uids_of_their_own_outside_the_usual_ranges() -> None:
    uids = {private_uid("p", str(number)) for number in range(100)}
    assert len(uids) == 100
    assert all(0x70000000 <= uid < 0x71000000 for uid in uids)
    assert private_uid("p", "s") == private_uid("p", "s")


def test_a_records_variables_go_over_the_defaults_and_secrets_over_both() -> None:
    record = LaunchRecord(
        project="p", server="s", runtime="process", argv=("/envs/k/bin/tool",), key="k", env={"LANG": "de", "A": "1"}
    )
    env = server_environment(record, {"A": "2"})
    assert (env["LANG"], env["A"]) == ("de", "2")
    assert env["PATH"] == "/envs/k/bin:/usr/local/bin:/usr/bin:/bin"


def test_a_container_keeps_the_path_of_its_image() -> None:
    record = LaunchRecord(project="p", server="s", runtime="container", argv=("tool",), key="k")
    assert "PATH" not in server_environment(record, {})


@pytest.mark.parametrize(
    ("sandbox", "words"),
    [
        (Sandbox(network=("none", "internet")), "none and internet"),
        (Sandbox(capabilities=("NET_RAW",)), "capabilities (NET_RAW)"),
    ],
)
def test_what_cannot_be_done_is_refused_rather_than_ignored(sandbox: Sandbox, words: str) -> None:
    record = LaunchRecord(project="p", server="s", runtime="process", argv=("/t",), key="k", sandbox=sandbox)
    [problem] = unsupported(record, root=False)
    assert words in problem


def test_the_default_profile_is_supported_everywhere() -> None:
    assert unsupported(PLAIN, root=True) == unsupported(PLAIN, root=False) == ()


def test_no_server_runs_as_root() -> None:
    record = replace(PLAIN, sandbox=Sandbox(run_as="host"))
    assert unsupported(record, root=False) == ()
    assert "no server runs as root" in unsupported(record, root=True)[0]
