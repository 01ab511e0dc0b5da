"""`run` of a server that is a container, on a real engine.

The image is nearly empty: its programs are this machine's own, mounted read-only, so that no base image is needed.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from hatchlock.engines.api import Engine, EngineError, EngineUnreachable
from hatchlock.launch import LaunchRecord, Sandbox, SecretReference
from hatchlock.process import owner, owner_is_gone
from hatchlock.serve.container import remove_leftovers
from support.links_image import links_image, programs
from support.runs import BARE, Run, apply_records, python_record, run_command, wait_for

pytestmark = pytest.mark.engine

GRACE = 0.3


@pytest.fixture(scope="session")
def image(engine: str) -> Iterator[str]:
    """Yield the tag of a nearly empty image."""
    with links_image(engine) as tag:
        yield tag


@pytest.fixture
def project() -> str:
    """A project of this test's own, since the engine is shared."""
    return f"trial-{secrets.token_hex(4)}"


@pytest.fixture
def home(tmp_path: Path, engine: str, project: str) -> Iterator[Path]:
    """A store; the test's containers are all gone at the end, and that is checked."""
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    yield directory
    left = containers(engine, project)
    for item in left:
        Engine(engine).remove(item)
    assert left == []


def containers(engine: str, project: str) -> list[str]:
    return [item.name for item in Engine(engine).list({"dev.hatchlock.project": project})]


def container_record(engine: str, image: str, project: str, *options: str, **fields: Any) -> LaunchRecord:
    process = python_record(*options, project=project)
    mounts = programs(*process.read_only_paths)
    sandbox = fields.pop("sandbox", Sandbox(stop_grace=GRACE))
    return replace(
        process,
        runtime="container",
        read_only_paths=(),
        image=image,
        engine=engine,
        sandbox=replace(sandbox, mounts=mounts, reason="the image is empty"),
        **fields,
    )


@pytest.fixture
def apply(home: Path, engine: str, image: str, project: str) -> Any:
    def write(*options: str, **fields: Any) -> LaunchRecord:
        record = container_record(engine, image, project, *options, **fields)
        apply_records(home, [record])
        return record

    return write


@pytest.fixture
def command(home: Path, project: str) -> list[str]:
    return run_command(home, project=project)


def test_it_answers_and_is_gone_after_the_end_of_stdin(
    apply: Any, command: list[str], engine: str, project: str
) -> None:
    apply()
    with Run(command=command) as run:
        assert run.hello()["serverInfo"]["name"] == "echo"
        [name] = containers(engine, project)
        assert name.startswith(f"hatchlock-{project}-echo-")
        status, out, _ = run.end()
    assert (status, out) == (0, b"")
    assert containers(engine, project) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_removes_it(apply: Any, command: list[str], engine: str, project: str, number: signal.Signals) -> None:
    apply()
    with Run(command=command) as run:
        run.hello()
        run.process.send_signal(number)
        assert run.wait() == 128 + number
    assert containers(engine, project) == []


def test_a_server_that_ignores_everything_is_killed_after_the_grace(
    apply: Any, command: list[str], engine: str, project: str
) -> None:
    apply("--deaf")
    with Run(command=command) as run:
        run.hello()
        assert run.end()[0] == 0
    assert containers(engine, project) == []


def test_the_death_of_run_by_kill_removes_it(apply: Any, command: list[str], engine: str, project: str) -> None:
    apply("--deaf")
    with Run(command=command) as run:
        run.hello()
        run.process.kill()
        assert wait_for(lambda: containers(engine, project) == [])


def test_a_kill_at_any_moment_of_the_start_leaves_nothing(
    apply: Any, command: list[str], engine: str, project: str
) -> None:
    apply("--deaf")
    for moment in range(6):
        with Run(command=command) as run:
            # The moments lie before, in and after the creation of the container, which takes some 100 ms.
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(0.08 + moment * 0.04)
            run.process.kill()
            run.process.wait()
            assert wait_for(lambda: run.watchdogs() == [])
    assert containers(engine, project) == []


def test_the_death_of_the_application_removes_it(apply: Any, command: list[str], engine: str, project: str) -> None:
    apply("--deaf")
    with Run(command=("/bin/sh", "-c", '"$@"; exit 7', "sh", *command)) as run:
        run.hello()
        run.process.kill()
        run.process.wait()
        assert wait_for(lambda: containers(engine, project) == [])


def test_the_running_container_shows_every_setting(apply: Any, command: list[str], engine: str, project: str) -> None:
    apply()
    with Run(command=command) as run:
        run.hello()
        [name] = containers(engine, project)
        facts = Engine(engine).inspect(name)
        run.end()
    host, config = facts["HostConfig"], facts["Config"]
    assert config["User"] == "10001:10001"
    assert (config["OpenStdin"], config["StdinOnce"], config["Tty"]) == (True, True, False)
    assert config["StopSignal"] == "SIGTERM"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] in (None, [])
    assert host["Privileged"] is False
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["NetworkMode"] == "none"
    assert host["Memory"] == host["MemorySwap"] == 512 << 20
    assert host["NanoCpus"] == 1_000_000_000
    assert host["PidsLimit"] == 128
    assert {"Name": "nofile", "Soft": 1024, "Hard": 1024} in host["Ulimits"]
    assert {limit["Name"] for limit in host["Ulimits"]} == {"nofile", "nproc", "core"}
    assert host["Init"] is True
    assert set(host["Tmpfs"]) == {"/tmp", "/home/hatchlock"}
    assert all("noexec" in options and "size=67108864" in options for options in host["Tmpfs"].values())
    assert host["LogConfig"]["Type"] == "none"
    assert host["RestartPolicy"]["Name"] in {"no", ""}
    assert config["Labels"]["dev.hatchlock.server"] == "echo"
    assert config["Labels"]["dev.hatchlock.session"] == name.rpartition("-")[2]


def test_the_profile_is_real_from_inside(apply: Any, command: list[str]) -> None:
    apply()
    with Run(command=command) as run:
        facts = json.loads(run.attempt("facts"))
        for path in ("/x", "/usr/x", "/etc/x"):
            assert run.attempt("write", path).startswith("denied: "), path
        assert run.attempt("write", "/home/hatchlock/x") == run.attempt("write", "/tmp/x") == "written"
        assert run.attempt("read", "/etc/shadow").startswith("denied: ")
        assert run.attempt("processes", "200").startswith("denied: BlockingIOError")
        run.end()
    assert facts["uid"] == 10001
    assert facts["interfaces"] == ["lo"]
    assert facts["capabilities"].strip("0\n\t ") == ""
    assert facts["no_new_privs"].strip() == "1"
    assert facts["environ"]["HOME"] == "/home/hatchlock"
    assert set(facts["environ"]) & set(BARE) == {"HOME", "PATH"}


def test_large_messages_pass_whole_in_both_directions(apply: Any, command: list[str]) -> None:
    apply()
    with Run(command=command) as run:
        assert run.call("echo", text="é" * 10_000_000) == "é" * 10_000_000
        assert len(run.call("large", size=20_000_000)) == 20_000_000
        assert run.end()[0] == 0


def test_a_server_that_needs_too_much_memory_says_so(apply: Any, command: list[str]) -> None:
    apply(sandbox=Sandbox(memory="32m", stop_grace=GRACE))
    with Run(command=command) as run:
        run.hello()
        run.write(
            {
                "jsonrpc": "2.0",
                "id": 9,
                "method": "tools/call",
                "params": {"name": "attempt", "arguments": {"trick": "memory", "argument": "100000000"}},
            }
        )
        assert run.wait() == 137
        assert b"echo ended with status 137: it needed more than its 32m of memory" in run.end()[2]


def test_a_server_that_exits_at_once_fails_with_its_last_words(apply: Any, command: list[str]) -> None:
    apply("--stderr", "config.yaml not found", "--noise", "Usage:", "--exit", "3")
    with Run(command=command) as run:
        assert run.wait() == 3
        _, out, err = run.end()
    assert out == b""
    assert b"it ended with status 3 without one JSON-RPC message; on stdout it printed 1 line" in err
    assert b"\n  config.yaml not found\n" in err


def test_a_missing_secret_stops_it_before_anything_exists(
    apply: Any, command: list[str], engine: str, project: str
) -> None:
    apply(secrets={"API_KEY": SecretReference(secret="env:NOT_SET")})
    with Run(command=command) as run:
        assert run.wait() == 1
        assert b"the secret env:NOT_SET for API_KEY has no value" in run.end()[2]


def test_a_missing_image_is_named(apply: Any, home: Path, command: list[str]) -> None:
    record = apply()
    apply_records(home, [replace(record, image="hatchlock-tests/none:none")])
    with Run(command=command) as run:
        assert run.wait() == 1
        err = run.end()[2]
    assert b"has no image hatchlock-tests/none:none" in err
    assert b"hint: make it with `hatchlock apply`" in err


def test_an_engine_that_is_not_there_is_named_with_its_address(apply: Any, home: Path, command: list[str]) -> None:
    record = apply()
    apply_records(home, [replace(record, engine=f"unix://{home}/none.sock")])
    with Run(command=command) as run:
        assert run.wait() == 1
        assert f"no container engine answers at unix://{home}/none.sock: No such file".encode() in run.end()[2]


def test_leftovers_of_dead_runs_are_removed_and_those_of_living_ones_kept(
    apply: Any, command: list[str], engine: str, project: str
) -> None:
    record = apply()
    api = Engine(engine)
    labels = {"dev.hatchlock.project": project, "dev.hatchlock.server": "echo"}
    boot = owner(os.getpid()).rsplit(" ", 2)[0]
    owners = {
        "dead": f"{boot} {os.getpid()} 1",
        "living": owner(os.getpid()),
        "elsewhere": f"other-boot pid:[1] {os.getpid()} 1",
    }
    for name, words in owners.items():
        config = {"Image": record.image, "Cmd": ["/none"], "Labels": {**labels, "dev.hatchlock.owner": words}}
        api.create(f"{project}-{name}", config)
    assert remove_leftovers(record, api) == [f"{project}-dead"]
    assert sorted(containers(engine, project)) == [f"{project}-elsewhere", f"{project}-living"]
    for name in ("elsewhere", "living"):
        assert api.remove(f"{project}-{name}")


def test_an_owner_is_gone_only_when_that_is_certain() -> None:
    own = owner(os.getpid())
    boot, namespace, pid, begun = own.split(" ")
    assert not owner_is_gone(own)
    assert owner_is_gone(f"{boot} {namespace} {pid} {int(begun) - 1}")
    assert not owner_is_gone(f"{boot} pid:[1] {pid} 1")
    assert not owner_is_gone(f"0-0 {namespace} {pid} 1")
    assert not owner_is_gone("")


def test_the_engine_speaks_with_words_of_its_own(engine: str) -> None:
    with pytest.raises(EngineError, match="No such container: nothing-of-this-name") as caught:
        Engine(engine).inspect("nothing-of-this-name")
    assert caught.value.status == 404
    assert Engine(engine).remove("nothing-of-this-name") is False
    with pytest.raises(EngineError):
        Engine(engine).attach("nothing-of-this-name")
    with pytest.raises(EngineUnreachable, match="only unix://, tcp:// and ssh:// addresses"):
        Engine("fd://3").ping()


def test_a_client_that_we_did_not_write_lists_tools(apply: Any, command: list[str], engine: str, project: str) -> None:
    apply()

    async def talk() -> list[str]:
        parameters = StdioServerParameters(command=command[0], args=command[1:], env=dict(BARE), cwd="/")
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            return [tool.name for tool in (await session.list_tools()).tools]

    assert anyio.run(talk) == ["echo", "large", "attempt"]
    assert wait_for(lambda: containers(engine, project) == [])
