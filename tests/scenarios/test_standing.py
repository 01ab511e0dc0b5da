"""Servers that stay, as processes: kept whatever is killed, gone with their keeper, stopped and started by hand."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.launch import Endpoint, Remote, Sandbox
from hatchlock.paths import Home
from hatchlock.resources.keeping import stop_keeper
from hatchlock.state.keepers import Keeper, keeper_of, write_keeper
from hatchlock.usecases.bridging import StoppedByHand
from hatchlock.usecases.elsewhere import RunsElsewhere
from hatchlock.usecases.keep import NotKept, keep_server
from hatchlock.usecases.keepers import NothingStays, restart, start, stop
from hatchlock.usecases.probe import probe_server
from hatchlock.usecases.top import running_servers
from support.mcp_http import hello, serving
from support.network_hosts import echoing
from support.ports import free_port
from support.runs import (
    BARE,
    PATIENCE,
    SERVERS,
    Run,
    apply_records,
    processes_with,
    python_record,
    run_command,
    wait_for,
)
from support.standing import ask_tool, ended, kept, post, servers_of, started, web_record

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    with ended(place):
        yield place


def root(home: Path) -> Path:
    return home / "projects" / "trial"


def log(home: Path) -> str:
    return (root(home) / "logs" / "web.log").read_text()


def is_gone(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_server_that_stays_is_reached_and_run_leads_to_it(home: Path) -> None:
    """Two clients by its URL and one by `run` speak to the same process; its output is in its log; its end leaves nothing."""
    record = web_record()
    keeper = started(home, record)
    kept(root(home))
    assert record.endpoint is not None
    assert keeper.url == record.endpoint.url
    pids = {ask_tool(keeper.url, "pid") for _ in range(2)}
    with Run(command=run_command(home, "web"), env=BARE) as run:
        assert run.hello()["serverInfo"]["name"] == "web"
        pids.add(run.call("pid"))
        status, _, said = run.end()

    assert status == 0, said
    assert len(pids) == 1
    for words in ("starting on stderr", 'web: "POST /mcp'):
        assert wait_for(lambda: words in log(home)), words  # noqa: B023  another process reads it, and writes it there
    assert "not allowed" not in log(home)
    assert stop_keeper(root(home), "web", grace=1)
    assert wait_for(lambda: processes_with(str(home)) == [])
    assert is_gone(keeper.port)
    assert keeper_of(root(home), "web") is None


@pytest.mark.parametrize(
    "which", [*(pytest.param(item, marks=pytest.mark.full) for item in ("run", "watchdog")), "server"]
)
def test_what_is_killed_is_started_again(home: Path, which: str) -> None:
    started(home, web_record("--child"))
    before = kept(root(home))
    os.kill({"run": before.run, "server": servers_of(before.port)[0], "watchdog": _watchdog(before.run)}[which], 9)
    after = kept(root(home), restarts=1, health="healthy")

    assert after.pid == before.pid
    assert after.run != before.run
    assert post(after.url, "ping") == {}
    assert len(servers_of(before.port)) == 1
    assert "web is started again in 1 s" in log(home)


@pytest.mark.parametrize("also", [(), ("run", "watchdog")])
def test_with_the_keeper_goes_everything(home: Path, also: tuple[str, ...]) -> None:
    started(home, web_record("--child"))
    before = kept(root(home))
    victims = {"run": before.run, "watchdog": _watchdog(before.run)}
    for pid in (before.pid, *(victims[name] for name in also)):
        with contextlib.suppress(ProcessLookupError):  # it went with one before it
            os.kill(pid, signal.SIGKILL)

    assert wait_for(lambda: processes_with(str(home)) == [] and servers_of(before.port) == [])
    assert keeper_of(root(home), "web") is None
    assert is_gone(before.port)


@pytest.mark.full
def test_a_keeper_that_is_killed_at_once_leaves_nothing(home: Path) -> None:
    """Its run may not have begun yet, and does not learn of it later than that."""
    keeper = started(home, web_record(sandbox=Sandbox(stop_grace=0.5)))
    os.kill(keeper.pid, signal.SIGKILL)

    assert wait_for(lambda: processes_with(str(home)) == [])
    assert is_gone(keeper.port)


def test_however_many_start_it_there_is_one(home: Path) -> None:
    record = web_record()
    apply_records(home, [record])
    place = Home(root=home, is_default=False)
    environ = {**BARE, "PATH": os.environ["PATH"]}
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: start(place, "trial", ["web"], environ)[0], range(4)))
    before = kept(root(home))

    assert len({item.pid for item in done}) == 1
    assert len(servers_of(before.port)) == 1
    assert [item.did for item in stop(place, "trial", [])] == ["stopped"]
    assert wait_for(lambda: processes_with(str(home)) == [], 30)  # nobody waits to take over, which takes a minute


def test_what_is_stopped_by_hand_stays_so_until_it_is_started(home: Path) -> None:
    record = web_record()
    started(home, record)
    place, environ = Home(root=home, is_default=False), {**BARE, "PATH": os.environ["PATH"]}
    assert [item.did for item in stop(place, "trial", [])] == ["stopped"]
    assert [item.did for item in stop(place, "trial", [])] == ["nothing"]
    with Run(command=run_command(home, "web"), env=BARE) as run:
        status, out, said = run.end()
    assert (status, out) == (1, b"")
    assert b"web is stopped by hand since 20" in said
    assert b"hatchlock start web" in said
    probed = probe_server(place, "trial", "web", environ=environ)
    assert probed.skipped, "an apply does not fail because of it"
    assert isinstance(probed.error, StoppedByHand)

    assert [item.did for item in start(place, "trial", [], environ)] == ["started"]
    assert [item.did for item in start(place, "trial", [], environ)] == ["nothing"]
    before = kept(root(home))
    assert [item.did for item in restart(place, "trial", ["web"], environ)] == ["restarted"]
    assert kept(root(home)).pid != before.pid


def test_after_a_reboot_run_starts_it(home: Path) -> None:
    """What the keeper wrote is still there, and its pid may be somebody else's by now."""
    record = web_record()
    apply_records(home, [record])
    note = Keeper(
        server="web",
        owner=f"another-boot pid:[1] {os.getpid()} 1",
        pid=os.getpid(),
        launch=record.digest,
        url="",
        port=1,
        since="",
    )
    write_keeper(root(home), note)
    with Run(command=run_command(home, "web"), env={**BARE, "PATH": os.environ["PATH"]}) as run:
        assert run.hello()["serverInfo"]["name"] == "web"
        run.end()

    assert kept(root(home)).restarts == 0


def test_run_says_why_a_server_does_not_come(home: Path) -> None:
    started(home, web_record("--crash-after", "0"))
    kept(root(home), phase="waiting")
    with Run(command=run_command(home, "web"), env=BARE) as run:
        status, out, said = run.end()

    assert (status, out) == (1, b"")
    assert b"web does not answer at http://127.0.0.1:" in said
    assert b"it ended with status 7" in said
    assert b"hatchlock logs web" in said


def test_a_port_of_somebody_else_is_said_and_taken_when_it_is_free(home: Path) -> None:
    record = web_record()
    assert record.endpoint is not None
    with socket.create_server(("127.0.0.1", record.endpoint.host_port)):
        started(home, record)
        found = kept(root(home), phase="waiting")
        assert found.said == f"another program listens at 127.0.0.1:{found.port}, where it is to be reached"
    assert kept(root(home)).restarts >= 1


def test_it_has_its_sandbox(home: Path) -> None:
    """Nothing is reached that is not listed, though it is reached itself; what is listed is."""
    with echoing() as listed, echoing() as other:
        sandbox = Sandbox(network=(f"localhost:{listed}",), stop_grace=0.5, reason="tried")
        started(home, web_record(sandbox=sandbox))
        url = kept(root(home)).url
        assert ask_tool(url, "where", f"127.0.0.1:{listed}") == "reached"
        assert ask_tool(url, "where", f"127.0.0.1:{other}") == "ConnectionRefusedError"
        assert ask_tool(url, "where", "198.18.0.1:80") == "OSError"  # no packet leaves: there is no route


@pytest.mark.full
def test_large_and_many_messages_pass(home: Path) -> None:
    started(home, web_record())
    url = kept(root(home)).url
    large = "x" * (1 << 20)
    with ThreadPoolExecutor(8) as pool:
        small = list(pool.map(lambda number: ask_tool(url, "echo", str(number)), range(16)))

    assert ask_tool(url, "echo", large) == large
    assert small == [str(number) for number in range(16)]


def test_a_server_of_stdio_that_is_served_is_kept_likewise(home: Path) -> None:
    """It asks for its token, which is an answer; each client has a session of its own; all end with the keeper."""
    record = python_record(endpoint=Endpoint(host_port=free_port()))
    started(home, record)
    before = kept(root(home), "echo")
    assert before.said == "it asks for a token"
    assert [item.kind for item in running_servers(Home(root=home, is_default=False), "trial", interval=0)] == ["kept"]
    os.kill(before.run, signal.SIGKILL)
    after = kept(root(home), "echo", restarts=1, health="healthy")
    assert after.url == before.url
    os.kill(after.pid, signal.SIGKILL)

    assert wait_for(lambda: processes_with(str(home)) == [])
    assert is_gone(after.port)


def test_a_server_of_stdio_that_was_stopped_by_hand_is_not_run_either(home: Path) -> None:
    """Else an application would go on with what somebody has stopped; who serves it by hand has a reason."""
    started(home, python_record(endpoint=Endpoint(host_port=free_port())))
    kept(root(home), "echo")
    place, environ = Home(root=home, is_default=False), {**BARE, "PATH": os.environ["PATH"]}
    assert [item.did for item in stop(place, "trial", [])] == ["stopped"]
    with Run(command=run_command(home), env=BARE) as run:
        status, out, said = run.end()
    assert (status, out) == (1, b"")
    assert b"echo is stopped by hand since 20" in said
    assert b"hatchlock start echo" in said
    with serving(home, "echo") as front:
        assert front.client().post(hello()).status == 200

    assert [item.did for item in start(place, "trial", [], environ)] == ["started"]
    with Run(command=run_command(home), env=BARE) as run:
        assert run.hello()["serverInfo"]["name"] == "echo"
        assert run.end()[0] == 0


@pytest.mark.full
def test_a_server_of_the_sdk_stays_as_well(home: Path) -> None:
    """With sessions and streams of events, which the standard library's server does without."""
    record = python_record(server="sdk", endpoint=Endpoint(host_port=free_port(), port=8080))
    argv = (sys.executable, str(SERVERS / "web_sdk.py"), "8080")
    seen = (*record.read_only_paths, sys.prefix)
    started(home, replace(record, argv=argv, read_only_paths=seen, sandbox=Sandbox(memory="1g", reason="tried")))
    assert kept(root(home), "sdk").said.partition(" ")[0] == "sdk"
    with Run(command=run_command(home, "sdk"), env=BARE) as run:
        assert run.hello()["serverInfo"]["name"] == "sdk"
        run.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert run.ask("tools/call", name="add", arguments={"a": 2, "b": 3})["content"][0]["text"] == "5"
        assert run.end()[0] == 0


@pytest.mark.full
def test_a_state_that_was_deleted_has_no_keepers(home: Path) -> None:
    """Seen by a keeper when it looks next."""
    started(home, web_record())
    kept(root(home))
    (root(home) / "keepers" / "web.lock").unlink()

    assert wait_for(lambda: processes_with(str(home)) == [])


def test_top_and_logs_tell_of_it(home: Path) -> None:
    started(home, web_record())
    before = kept(root(home))
    with Run(command=run_command(home, "web"), env=BARE) as run:
        run.hello()
        found = running_servers(Home(root=home, is_default=False), "trial", interval=0.05)
        run.end()
    assert (found[0].server, found[0].sessions, found[0].pid) == ("web", 1, before.run)
    assert [item.kind for item in found] == ["kept", "session"]
    assert found[0].processes >= 1
    assert 4 << 20 < found[0].memory < 200 << 20

    with in_project(home, "logs", "-f", "web", "-n", "1") as logs, in_project(home, "top", "--watch", "--json") as top:
        assert logs.stdout is not None
        assert top.stdout is not None
        logs.stdout.readline()
        ask_tool(before.url, "echo", "x")
        assert "POST /mcp" in logs.stdout.readline()
        assert [item["server"] for item in json.loads(top.stdout.readline())["servers"]] == ["web"]
        for process in (logs, top):
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
            assert (process.returncode, said) == (130, "interrupted\n")


def in_project(home: Path, *words: str) -> subprocess.Popen[str]:
    """Start a command that is about the project."""
    command = [sys.executable, "-m", "hatchlock", "--home", str(home), "--project", "trial", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_server_of_stdio_is_not_kept(home: Path) -> None:
    apply_records(home, [python_record()])
    place = Home(root=home, is_default=False)
    with pytest.raises(NotKept):
        stop(place, "trial", ["echo"])
    with pytest.raises(NothingStays):
        stop(place, "trial", [])


def test_a_server_that_somebody_else_runs_is_not_kept(home: Path) -> None:
    record = replace(python_record(server="far"), remote=Remote(url="http://127.0.0.1:1/mcp"))
    apply_records(home, [record])
    with pytest.raises(RunsElsewhere):
        keep_server(Home(root=home, is_default=False), "trial", "far", {})


def _watchdog(run: int) -> int:
    children = Path(f"/proc/{run}/task/{run}/children").read_text().split()
    return min(int(pid) for pid in children if b"kept_run" in Path(f"/proc/{pid}/cmdline").read_bytes())
