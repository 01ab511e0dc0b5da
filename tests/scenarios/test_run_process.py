"""`run` of a server that is a process of this machine, with real bubblewrap."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from hatchlock.engines.cgroups import bound, find_places
from hatchlock.launch import LaunchRecord, Mount, Sandbox, SecretReference
from hatchlock.serve.probe import ProbeFailed, probe
from hatchlock.state.stamps import split_stamp
from support.everybodys import copy_ourselves, everybodys_directory
from support.runs import (
    BARE,
    HELLO,
    PATIENCE,
    SERVERS,
    Run,
    apply_records,
    processes_with,
    python_record,
    run_command,
    wait_for,
)
from support.unavailable import need_isolation, unavailable

Apply = Callable[..., str]
ROOT = os.geteuid() == 0
GROUPED = bound(find_places())
ISOLATIONS = ["required", "best-effort"]


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def tag() -> str:
    """A word in the command line of this test's server, by which its processes are found."""
    return f"tag-{secrets.token_hex(6)}"


def apply(home: Path, tag: str, *options: str, **fields: Any) -> LaunchRecord:
    record = python_record("--stderr", tag, *options, **fields)
    apply_records(home, [record])
    return record


def unisolated(record: LaunchRecord, home: Path) -> dict[str, str]:
    """Return an environment in which no bubblewrap works: a directory with one that fails comes first."""
    directory = home / "nobwrap"
    directory.mkdir()
    program = directory / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    return {**BARE, "PATH": f"{directory}:{BARE['PATH']}"}


@pytest.fixture(params=ISOLATIONS)
def running(request: pytest.FixtureRequest, home: Path, tag: str) -> Callable[..., Run]:
    """Start a server, once isolated and once as a machine without bubblewrap does."""

    def start(*options: str, **fields: Any) -> Run:
        record = apply(home, tag, *options, isolation=request.param, **fields)
        return Run(command=run_command(home), env=BARE if request.param == "required" else unisolated(record, home))

    return start


def test_answers_come_back_and_the_end_of_stdin_ends_it_with_status_0(running: Callable[..., Run], tag: str) -> None:
    with running() as run:
        assert run.hello()["serverInfo"]["name"] == "echo"
        assert run.call("echo", text="täst") == "täst"
        status, out, err = run.end()
    assert (status, out) == (0, b"")
    assert tag.encode() in err
    assert wait_for(lambda: processes_with(tag) == [])


def test_an_application_at_the_other_end_of_a_socket_that_goes_without_reading_ends_it(home: Path, tag: str) -> None:
    apply(home, tag)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        both = theirs.fileno()
        process = subprocess.Popen(run_command(home), stdin=both, stdout=both, stderr=subprocess.DEVNULL, env=BARE)
        ours.sendall(json.dumps(HELLO).encode() + b"\n")
        ours.recv(1, socket.MSG_PEEK)  # it has answered, and that is not read: its next read is an error
    try:
        process.wait(PATIENCE)
    finally:
        process.kill()
    assert wait_for(lambda: processes_with(tag) == [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_shows_in_the_status(
    running: Callable[..., Run], tag: str, number: signal.Signals
) -> None:
    with running() as run:
        run.hello()
        run.process.send_signal(number)
        assert run.wait() == 128 + number
        assert wait_for(lambda: processes_with(tag) == [])


def test_a_server_that_ignores_everything_is_killed_after_the_grace(running: Callable[..., Run], tag: str) -> None:
    with running("--deaf", sandbox=Sandbox(stop_grace=0.2)) as run:
        run.hello()
        assert run.end()[0] == 0
    assert wait_for(lambda: processes_with(tag) == [])


def test_the_death_of_run_by_kill_ends_a_deaf_server(running: Callable[..., Run], tag: str) -> None:
    with running("--deaf") as run:
        run.hello()
        assert wait_for(lambda: processes_with(tag) != [])  # a program that was just begun has no words yet
        run.process.kill()
        assert wait_for(lambda: processes_with(tag) == [])


def test_the_death_of_the_watchdog_stops_the_server(running: Callable[..., Run], tag: str) -> None:
    with running("--deaf", sandbox=Sandbox(stop_grace=0.2)) as run:
        run.hello()
        [watchdog] = [pid for pid in children(run.process.pid) if command_of(pid) == command_of(run.process.pid)]
        os.kill(watchdog, signal.SIGKILL)
        assert run.wait() == 1
        assert wait_for(lambda: processes_with(tag) == [])


def test_the_death_of_the_application_ends_it_though_stdin_stays_open(home: Path, tag: str) -> None:
    apply(home, tag, "--deaf", sandbox=Sandbox(stop_grace=0.2))
    # A shell is the application; this test keeps both ends of stdin open.
    application = ("/bin/sh", "-c", '"$@"; exit 7', "sh", *run_command(home))
    with Run(command=application) as run:
        run.hello()
        run.process.kill()
        run.process.wait()
        assert wait_for(lambda: processes_with(tag) == [])


@pytest.fixture
def escaped() -> str:
    """A number of seconds that no other process sleeps for."""
    return f"600.{secrets.randbelow(10**9):09}"


def test_processes_that_left_the_group_are_found_after_a_kill_of_run(
    running: Callable[..., Run], tag: str, escaped: str
) -> None:
    with running() as run:
        run.hello()
        run.attempt("escape", escaped)
        assert wait_for(
            lambda: processes_with(f"/bin/sleep\0{escaped}") != []
        )  # a program that was just begun has no words yet
        run.process.kill()
        assert wait_for(lambda: processes_with(f"/bin/sleep\0{escaped}") == [])


def test_processes_that_left_the_group_do_not_survive_a_normal_end(
    running: Callable[..., Run], tag: str, escaped: str
) -> None:
    with running() as run:
        run.hello()
        run.attempt("escape", escaped)
        assert wait_for(
            lambda: processes_with(f"/bin/sleep\0{escaped}") != []
        )  # a program that was just begun has no words yet
        assert run.end()[0] == 0
        assert wait_for(lambda: processes_with(f"/bin/sleep\0{escaped}") == [])


def test_large_messages_pass_whole_in_both_directions(home: Path, tag: str) -> None:
    apply(home, tag)
    size = 10_000_000
    with Run(command=run_command(home)) as run:
        assert run.call("echo", text="é" * size) == "é" * size
        assert len(run.call("large", size=50_000_000)) == 50_000_000
        assert run.call("echo", text="small") == "small"
        assert run.end()[0] == 0


def test_what_is_no_message_goes_to_stderr_and_the_rest_passes(home: Path, tag: str) -> None:
    apply(home, tag, "--noise", "Starting up", "--noise", '{"level": "info"}', "--noise", "{'a': 1}", "--noise", "")
    with Run(command=run_command(home)) as run:
        run.hello()
        status, out, err = run.end()
    assert (status, out) == (0, b"")
    for noise in (b"Starting up", b'{"level": "info"}', b"{'a': 1}"):
        assert b"echo printed on stdout, which is for JSON-RPC only: " + noise in err


def test_a_server_that_prints_only_garbage_fails_with_its_words(home: Path, tag: str) -> None:
    apply(home, tag, "--noise", "Usage: echo FILE")
    with Run(command=run_command(home)) as run:
        status, out, err = run.end()
    assert (status, out) == (1, b"")
    assert b"server:echo: it ended with status 0 without one JSON-RPC message; on stdout it printed 1 line" in err
    assert b"hint: an MCP server must log to stderr only" in err


def test_a_server_that_exits_at_once_fails_with_its_status_and_last_words(home: Path, tag: str) -> None:
    apply(home, tag, "--stderr", "config.yaml not \x1b[1mfound", "--exit", "3")
    with Run(command=run_command(home)) as run:
        assert run.wait() == 3
        _, out, err = run.end()
    assert out == b""
    assert b"server:echo: it ended with status 3 without one JSON-RPC message; its last words:\n" in err
    assert b"\n  config.yaml not \\u001b[1mfound\n\nhint: " in err  # in words of ours it moves no cursor


def test_a_server_that_exits_with_0_before_it_spoke_fails_too(home: Path, tag: str) -> None:
    apply(home, tag, "--exit", "0")
    with Run(command=run_command(home)) as run:
        assert run.wait() == 1


def test_a_program_that_does_not_exist_is_named(home: Path, tag: str) -> None:
    record = python_record()
    apply_records(home, [replace(record, argv=("/opt/none/bin/tool",))])
    with Run(command=run_command(home)) as run:
        assert run.wait() not in {0, 2}
        assert b"/opt/none/bin/tool" in run.end()[2]


def test_a_missing_directory_stops_the_start_and_is_named(home: Path, tag: str) -> None:
    apply(home, tag, read_only_paths=(str(home / "gone"),))
    with Run(command=run_command(home)) as run:
        assert run.wait() == 1
        assert f"{home}/gone does not exist".encode() in run.end()[2]
    assert processes_with(tag) == []


def test_a_missing_secret_is_named_and_the_server_is_not_started(home: Path, tag: str) -> None:
    apply(home, tag, secrets={"API_KEY": SecretReference(secret="env:TIME_API_KEY")})
    with Run(command=run_command(home)) as run:
        assert run.wait() == 1
        _, out, err = run.end()
    assert out == b""
    assert b"server:echo: the secret env:TIME_API_KEY for API_KEY has no value" in err
    assert b"export TIME_API_KEY=" in err
    assert tag.encode() not in err


def test_secrets_reach_the_server_and_neither_arguments_nor_logs(home: Path, tag: str) -> None:
    value = f"s3cret-{secrets.token_hex(8)}"
    apply(home, tag, secrets={"API_KEY": SecretReference(secret="env:KEY", format="Bearer {}")})
    with Run(command=run_command(home), env={**BARE, "KEY": value}) as run:
        environ = json.loads(run.attempt("facts"))["environ"]
        assert environ["API_KEY"] == f"Bearer {value}"
        assert "KEY" not in environ
        assert processes_with(value) == []
        # An unknown method of echo's makes Python print the request's text in a traceback.
        run.write(
            {
                "jsonrpc": "2.0",
                "id": 3,
                "method": "tools/call",
                "params": {"name": "attempt", "arguments": {"trick": f"no {value}"}},
            }
        )
        assert run.wait() == 1
        err = run.end()[2]
    log = home / "projects" / "trial" / "logs" / "echo.log"
    assert b"KeyError: 'no ***'" in err
    assert b"KeyError: 'no ***'" in log.read_bytes()
    assert value.encode() not in err + log.read_bytes()
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_server_inherits_nothing(home: Path, tag: str) -> None:
    apply(home, tag, env={"LOG_LEVEL": "debug"})
    with Run(command=run_command(home), env={**BARE, "AWS_SECRET_ACCESS_KEY": "x", "LD_LIBRARY_PATH": "/opt"}) as run:
        facts = json.loads(run.attempt("facts"))
    environ = facts["environ"]
    environ.pop("LC_CTYPE", None)  # Python's own doing
    assert set(environ) == {
        *("HOME", "USER", "TMPDIR", "LANG", "PATH", "PWD", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LOG_LEVEL")
    }
    assert facts["cwd"] == environ["HOME"] == "/home/hatchlock"
    # stdin, stdout, stderr, and the one that reads the directory
    assert facts["descriptors"] == 4


def test_the_profile_is_real_from_inside(home: Path, tag: str) -> None:
    record = apply(home, tag)
    with Run(command=run_command(home)) as run:
        facts = json.loads(run.attempt("facts"))
    assert facts["uid"] == int(record.sandbox.user.partition(":")[0])
    assert facts["capabilities"].strip("0\n\t ") == ""
    assert facts["no_new_privs"].strip() == "1"
    assert facts["interfaces"] == ["lo"]
    assert facts["nofile"] == [1024, 1024]
    assert (facts["nproc"] == [128, 128]) == ("pids" not in GROUPED)
    assert (facts["data"] == [512 << 20, 512 << 20]) == ("memory" not in GROUPED)


def test_hostile_attempts_fail(home: Path, tag: str, tmp_path: Path) -> None:
    apply(home, tag)
    private = tmp_path / "private.txt"
    private.write_text("for the owner only")
    private.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as listener, Run(command=run_command(home)) as run:
        for path in ("/x", "/usr/x", "/etc/x", "/dev/x", "/proc/sys/kernel/hostname"):
            assert run.attempt("write", path).startswith("denied: "), path
        for path in (str(private), str(home), "/etc/shadow", "/proc/1/environ", "/proc/kcore"):
            assert run.attempt("read", path).startswith("denied: "), path
        assert run.attempt("connect", f"127.0.0.1:{listener.getsockname()[1]}").startswith("denied: ConnectionRefused")
        assert run.attempt("processes", "200").startswith("denied: BlockingIOError")
        assert run.attempt("list", "/home") == "hatchlock"
        assert run.attempt("write", f"/tmp/{tag}") == run.attempt("write", "/home/hatchlock/x") == "written"
        assert not Path(f"/tmp/{tag}").exists()


@pytest.mark.skipif(not ROOT, reason="only root can share a file of its own by a mount")
def test_a_root_only_file_stays_unreadable_even_when_it_is_mounted(home: Path, tag: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "open.txt").write_text("for all")
    (data / "closed.txt").write_text("for root")
    (data / "open.txt").chmod(0o644)
    (data / "closed.txt").chmod(0o600)
    apply(home, tag, sandbox=Sandbox(mounts=(Mount(source=str(data), target="/data"),), reason="test"))
    with Run(command=run_command(home)) as run:
        assert run.attempt("read", "/data/open.txt") == "for all"
        assert run.attempt("read", "/data/closed.txt").startswith("denied: PermissionError")
        assert run.attempt("write", "/data/new.txt").startswith("denied: ")


def test_the_network_is_there_only_when_asked_for(home: Path, tag: str) -> None:
    apply(home, tag, sandbox=Sandbox(network=("internet",), reason="test"))
    with socket.create_server(("127.0.0.1", 0)) as listener, Run(command=run_command(home)) as run:
        assert run.attempt("connect", f"127.0.0.1:{listener.getsockname()[1]}") == "connected"


@pytest.mark.skipif(not ROOT, reason="the other tests are run by an ordinary user already")
def test_an_ordinary_user_isolates_through_a_user_namespace(tag: str) -> None:
    python = "/usr/bin/python3.11"
    if not Path(python).exists():
        unavailable(f"an ordinary user needs a Python that it can read: {python}")
    with everybodys_directory() as place:
        copy_ourselves(place / "source")
        shutil.copy(SERVERS / "echo.py", place / "echo.py")
        record = python_record(server=tag, read_only_paths=(str(place / "echo.py"),))
        apply_records(place / "home", [replace(record, argv=(python, "-I", str(place / "echo.py"), "--stderr", tag))])
        subprocess.run(["chown", "-R", "65534:65534", place], check=True)
        user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
        command = (*user, python, *run_command(place / "home", tag)[1:])
        with Run(command=command, env={**BARE, "PYTHONPATH": str(place / "source")}) as run:
            facts = json.loads(run.attempt("facts"))
            assert facts["uid"] == 10001
            assert facts["interfaces"] == ["lo"]
            for path in ("/x", "/usr/x", "/dev/x", str(place / "echo.py")):
                assert run.attempt("write", path).startswith("denied: "), path
            assert run.attempt("processes", "200").startswith("denied: BlockingIOError")
            assert run.attempt("processes", "90") == "90 processes"
            # nobody lets such a user make control groups
            assert run.attempt("memory", str(1 << 30)).startswith("denied: MemoryError")
            assert run.end()[0] == 0
    assert wait_for(lambda: processes_with(tag) == [])


def test_required_isolation_refuses_where_there_is_none(home: Path, tag: str) -> None:
    record = apply(home, tag)
    with Run(command=run_command(home), env=unisolated(record, home)) as run:
        assert run.wait() == 1
        err = run.end()[2]
    assert b"must be isolated, and that is not possible here: bubblewrap does not work" in err
    assert b"No permissions to create new namespace" in err
    assert tag.encode() not in err


def test_best_effort_says_that_it_is_not_isolated(home: Path, tag: str) -> None:
    record = apply(home, tag, isolation="best-effort")
    with Run(command=run_command(home), env=unisolated(record, home)) as run:
        run.hello()
        facts = json.loads(run.attempt("facts"))
        err = run.end()[2]
    assert b"hatchlock: echo is not isolated: bubblewrap does not work" in err
    assert facts["nofile"] == [1024, 1024]
    assert facts["environ"]["HOME"] == facts["environ"]["TMPDIR"] != BARE["HOME"]
    assert wait_for(lambda: not Path(facts["environ"]["HOME"]).exists())


def test_a_client_that_we_did_not_write_lists_and_calls_tools(home: Path, tag: str) -> None:
    apply(home, tag)
    command, *args = run_command(home)

    async def talk() -> tuple[list[str], str]:
        parameters = StdioServerParameters(command=command, args=args, env=dict(BARE), cwd="/")
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            tools = await session.list_tools()
            result = await session.call_tool("echo", {"text": "hello"})
            return [tool.name for tool in tools.tools], str(result.content[0].model_dump()["text"])

    assert anyio.run(talk) == (["echo", "large", "attempt"], "hello")
    assert wait_for(lambda: processes_with(tag) == [])


def test_a_probe_tells_name_protocol_and_tools(home: Path, tag: str) -> None:
    apply(home, tag)
    result = probe(run_command(home), timeout=60, environ=BARE)
    assert (result.server, result.version) == ("echo", "1.0")
    assert result.protocol >= "2025-06-18"
    assert [tool.name for tool in result.tools] == ["echo", "large", "attempt"]
    assert result.tools[0].definition["inputSchema"]["properties"] == {"text": {"type": "string"}}
    assert 0 < result.seconds < 30
    assert wait_for(lambda: processes_with(tag) == [])


def test_a_probe_of_what_does_not_answer_ends_in_time_and_says_why(home: Path, tag: str) -> None:
    apply(home, tag, "--stderr", "no configuration", "--exit", "3")
    with pytest.raises(ProbeFailed) as caught:
        probe(run_command(home), timeout=60, environ=BARE)
    assert "does not answer as an MCP server: it ended with status 3" in str(caught.value)
    assert any("no configuration" in line for line in caught.value.said)
    with pytest.raises(ProbeFailed, match="no answer within"):
        probe(["/bin/sleep", "600"], timeout=0.5, environ=BARE)
    with pytest.raises(ProbeFailed, match="/opt/none"):
        probe(["/opt/none/hatchlock"], timeout=5, environ=BARE)


def test_the_log_never_outgrows_its_limit(home: Path, tag: str) -> None:
    lines = [part for number in range(40) for part in ("--stderr", f"{number:03} " + "x" * 96)]
    apply(home, tag, *lines, sandbox=Sandbox(log_size="1k"))
    with Run(command=run_command(home)) as run:
        run.hello()
        run.end()
    log = home / "projects" / "trial" / "logs" / "echo.log"
    old = log.with_name("echo.log.1")
    assert max(log.stat().st_size, old.stat().st_size) <= 1024
    before, after = ([split_stamp(line)[1] for line in file.read_text().splitlines()] for file in (old, log))
    assert after[-1].startswith("039 ")
    assert after[0] > before[-1]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_ending_before_the_first_message_leaves_nothing(home: Path, tag: str) -> None:
    apply(home, tag)
    with Run(command=run_command(home)) as run:
        assert run.end()[:2] == (0, b"")
    assert wait_for(lambda: processes_with(tag) == [])


def test_requests_that_are_there_before_the_server_are_answered(home: Path, tag: str) -> None:
    apply(home, tag)
    with Run(command=run_command(home)) as run:
        for number in range(50):
            run.write({**HELLO, "id": number})
        status, out, _ = run.end()
    assert status == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == list(range(50))
