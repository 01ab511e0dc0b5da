"""`run --group` and `serve --group`: servers of a group as one, each with its own pins and filters, over stdio and HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from hatchlock.launch import LaunchRecord, Sandbox, SurfaceRules
from hatchlock.serve.group.names import labels
from hatchlock.state.groups import read_groups, write_groups
from hatchlock.surface import Pins, instructions_hash
from support.cats import CAT, CatProject
from support.mcp_http import command_of, family, hatchlock, is_there, request, serving
from support.runs import BARE, HELLO, PATIENCE, Run, apply_records, python_record, wait_for
from support.sdk_client import seen_by_sdk

LONG = "t" * 70


def chatty(server: str, *options: str, **fields: object) -> LaunchRecord:
    # where stdin ends at once a group waits for so long for what its servers say first, on any machine
    sandbox = Sandbox(stop_grace=PATIENCE)
    return python_record("--name", server, *options, script="chatty.py", server=server, sandbox=sandbox, **fields)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    directory.chmod(0o700)
    records = [
        chatty("one", "--pages", "3", surface=SurfaceRules(deny=("ask",))),
        chatty("two.x", "--tool", LONG, "--protocol", "2025-03-26", "--uri", "test://two"),
        chatty(
            "pinned",
            surface=SurfaceRules(pins=Pins(tools={"echo": "0" * 64}, instructions=instructions_hash("Ask pinned"))),
        ),
        python_record("--exit", "3", server="broken"),
    ]
    apply_records(directory, records)
    groups = {
        "dev": ("broken", "gone", "one", "two.x"),
        "pins": ("one", "pinned"),
        "bad": ("broken",),
        "nobody": ("gone",),
    }
    write_groups(directory / "projects" / "trial", groups)
    return directory


def run(home: Path, group: str) -> Run:
    return Run(command=hatchlock(home, "run", "--group", group))


def stderr_of(ended: subprocess.Popen[bytes]) -> str:
    return ended.communicate(timeout=60)[1].decode()


def test_the_servers_of_a_group_are_one(home: Path) -> None:
    label = labels(["one", "two.x"])["two.x"]
    with run(home, "dev") as session:
        found = session.hello()
        assert found["serverInfo"]["name"] == "dev"
        assert found["protocolVersion"] == "2025-03-26"
        assert found["instructions"].count("Ask ") == 2
        names = [tool["name"] for tool in session.ask("tools/list")["tools"]]
        assert names[:2] == ["one__echo", "one__tell"]
        assert "one__ask" not in names
        assert f"{label}__ask" in names
        long = next(name for name in names if name.startswith(f"{label}__ttt"))
        assert len(long) <= 50
        assert session.call("one__echo", text="a") == "one: a"
        assert session.call(f"{label}__echo", text="b") == "two.x: b"
        assert session.call(long) == f"two.x: {LONG}"
        assert session.ask("resources/read", uri="test://two")["contents"][0]["text"] == "two.x"
        assert session.ask("resources/read", uri="two.x://9/data")["contents"][0]["text"] == "two.x"
        assert session.ask("prompts/get", name="one__greet")["messages"][0]["content"]["text"] == "one greet"
        session.write(
            {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "one__ask", "arguments": {}}}
        )
        assert "error" in json.loads(session.line())
        status, out, err = session.end()
    assert (status, out) == (0, b"")
    said = err.decode()
    assert "gone is left out of the group dev: it was not applied" in said
    assert "broken" in said


def test_what_is_asked_before_stdin_ends_is_answered(home: Path) -> None:
    asked = [HELLO, request(2, "tools/list"), request(3, "tools/call", name="one__echo", arguments={"text": "x"})]
    given = "".join(json.dumps(message) + "\n" for message in asked)
    ended = subprocess.run(
        hatchlock(home, "run", "--group", "dev"),
        input=given,
        env=BARE,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = {message["id"]: message for message in map(json.loads, ended.stdout.splitlines())}
    assert set(answers) == {1, 2, 3}
    assert answers[3]["result"]["content"][0]["text"] == "one: x"
    assert "goes on without" not in ended.stderr.replace("broken has ended; the group dev goes on without it", "")


def test_many_megabytes_at_once_end_no_server(home: Path) -> None:
    text = "x" * (12 << 20)
    with run(home, "dev") as session:
        session.hello()
        for number in range(3):
            call = {"name": "one__echo", "arguments": {"text": text}}
            session.write({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call})
        lengths = [len(json.loads(session.line())["result"]["content"][0]["text"]) for _ in range(3)]
    assert lengths == [len(f"one: {text}")] * 3


def test_the_end_of_stdin_is_no_failure_where_python_does_not_buffer(home: Path) -> None:
    command = [word for word in hatchlock(home, "run", "--group", "dev") if word != "-I"]
    env = {**BARE, "PYTHONUNBUFFERED": "1"}  # as many containers and CI machines set it
    ended = subprocess.run(
        command, input=json.dumps(HELLO) + "\n", env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 1), ended.stderr
    assert "error:" not in ended.stderr


def test_pins_hold_for_each_and_take_one_server_away(home: Path) -> None:
    with run(home, "pins") as session:
        session.hello()
        session.write(request(2, "tools/list"))
        seen = [json.loads(session.line()) for _ in range(4)]
        listed = next(message for message in seen if message.get("id") == 2)
        assert {tool["name"].partition("__")[0] for tool in listed["result"]["tools"]} == {"one"}
        assert "notifications/tools/list_changed" in {message.get("method") for message in seen}
        assert session.call("one__echo", text="x") == "one: x"
        _, _, err = session.end()
    assert "pinned has ended; the group pins goes on without it" in err.decode()


@pytest.mark.parametrize("group", ["bad", "nobody", "unknown"])
def test_a_group_of_which_nothing_is_left_is_an_error(home: Path, group: str) -> None:
    with run(home, group) as session:
        session.write(HELLO)
        assert session.wait() == 1
        said = stderr_of(session.process)
    assert "hint:" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_group(home: Path, number: signal.Signals) -> None:
    with run(home, "dev") as session:
        session.hello()
        own = family(session.process.pid)
        assert len(own) >= 6
        os.kill(session.process.pid, number)
        session.wait()
        assert wait_for(lambda: not any(map(is_there, own)))


def test_a_group_whose_name_is_misspelt_is_told_with_the_one_that_is_meant(home: Path) -> None:
    for words in (("run", "--group", "dve"), ("serve", "--group", "dve")):
        done = subprocess.run(
            hatchlock(home, *words), env=BARE, capture_output=True, stdin=subprocess.DEVNULL, check=False, text=True
        )
        assert done.returncode == 1
        assert "the project trial has no group 'dve' with applied servers" in done.stderr
        assert "\n\nhint: did you mean 'dev'?\n" in done.stderr


def test_every_line_on_stderr_says_whose_it_is(home: Path) -> None:
    with run(home, "dev") as session:
        session.hello()
        said = session.end()[2].decode().splitlines()
    assert any(line.startswith("broken  ") and "status 3" in line for line in said), said
    assert all(line.startswith(("hatchlock: ", "broken  ", "one  ", "two.x  ")) for line in said), said


def test_a_server_that_is_killed_is_missed_and_the_others_go_on(home: Path) -> None:
    with run(home, "dev") as session:
        session.hello()
        session.write(request(8, "tools/call", name="one__wait", arguments={"seconds": 60}))
        assert session.call("one__echo", text="x") == "one: x"  # so it has the call before this one
        for pid in family(session.process.pid):
            line = command_of(pid)
            if b"chatty.py" in line and b"\0one\0" in line:
                with contextlib.suppress(ProcessLookupError):  # its sandbox goes with the first of them
                    os.kill(pid, signal.SIGKILL)
        seen = [json.loads(session.line()) for _ in range(4)]
        assert next(message for message in seen if message.get("id") == 8)["error"]["code"] == -32000
        label = labels(["one", "two.x"])["two.x"]
        assert session.call(f"{label}__echo", text="y") == "two.x: y"


def test_a_group_over_http_with_the_python_sdk(home: Path) -> None:
    label = labels(["one", "two.x"])["two.x"]
    with serving(home, "--group", "dev") as front:
        tools, said = seen_by_sdk(front.url, front.token, (f"{label}__ask", {"text": "?"}))
    assert "one__echo" in tools
    assert said == ["two.x: yes"]


def test_apply_writes_down_who_is_in_which_group_and_a_way_back_does_too(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CAT + 'groups = ["web"]\n')
    state = project.store / "projects" / project.name
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    assert dict(read_groups(state)) == {"web": ("cat",)}

    project.write(CAT + 'groups = ["night", "web"]\n\n[servers.two]\ncommand = ["/bin/cat"]\ngroups = ["web"]\n')
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    assert dict(read_groups(state)) == {"night": ("cat",), "web": ("cat", "two")}

    (state / "groups.json").unlink()  # as an older version left it
    assert project.steps() == []
    project.ok("apply", "--yes", "--no-probe")
    assert dict(read_groups(state)) == {"night": ("cat",), "web": ("cat", "two")}

    project.ok("rollback", "--yes")
    assert dict(read_groups(state)) == {"web": ("cat",)}
    project.ok("destroy", "--yes")
    assert dict(read_groups(state)) == {}
