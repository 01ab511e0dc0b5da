"""Servers whose tools are not those that were pinned: `run` lets none of it through, and shows it harmlessly."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.state.counts import counts_path, read_counts
from hatchlock.state.surfaces import SurfaceSeen, read_surface, surface_path
from hatchlock.surface import Pins, SurfaceRules
from support.rug_pulls import EVIL, QUESTIONS, TOOLS, hashes, hello, honest_pins, request, rugpull, rules
from support.runs import BARE, SERVERS, Run, apply_records, python_record, run_command

REFUSED = 3
RUNNER_LIMIT = 40 << 20
McpError: type[Exception] = mcp.MCPError if hasattr(mcp, "MCPError") else vars(mcp)["McpError"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


def apply(home: Path, surface: SurfaceRules | None, *options: str, **fields: Any) -> LaunchRecord:
    record = python_record(*options, script="rugpull.py", server="calc", surface=surface, **fields)
    apply_records(home, [record])
    return record


def running(home: Path) -> Run:
    return Run(command=run_command(home, "calc"), env=BARE)


def asked(run: Run, questions: Iterable[Mapping[str, Any]] = QUESTIONS) -> tuple[int, bytes, bytes]:
    """Send all questions at once, then end; return exit status, stdout and stderr."""
    with contextlib.suppress(BrokenPipeError):  # it may refuse, and be gone, before it has them all
        for question in questions:
            run.write(question)
    return run.end()


def seen(home: Path, record: LaunchRecord) -> SurfaceSeen | None:
    return read_surface(surface_path(home / "projects" / "trial", "calc"), record.digest)


def differing(home: Path, record: LaunchRecord) -> list[str]:
    found = seen(home, record)
    assert found is not None
    assert not found.matches
    assert found.differed is not None
    names = found.differed
    return [*names.added, *names.removed, *names.changed, *names.unhashable]


def is_harmless(said: bytes) -> bool:
    """Whether nothing in it moves a cursor, hides or turns round."""
    return all(character.isprintable() or character == "\n" for character in said.decode())


@pytest.mark.parametrize(
    ("trick", "differs"),
    [
        ("description", "tool add"),
        ("schema", "tool add"),
        ("annotation", "tool add"),
        ("added", "tool evil"),
        ("removed", "tool mul"),
        ("repeated", "tool mul"),
        ("bidi", "tool add"),
        ("prompt", "prompt sum"),
        ("instructions", "instructions"),
        ("other-case", "message"),
    ],
)
def test_what_was_not_pinned_reaches_no_client_and_ends_the_session(home: Path, trick: str, differs: str) -> None:
    record = apply(home, rules(), "--trick", trick)
    with running(home) as run:
        status, out, err = asked(run)
    assert status == REFUSED
    assert EVIL.encode() not in out
    assert "\u202e".encode() not in out
    errors = [json.loads(line)["error"] for line in out.splitlines() if b'"error"' in line]
    assert [error["code"] for error in errors] == [-32001]
    assert differing(home, record) == [differs]
    counts = read_counts(counts_path(home / "projects" / "trial", "calc"), record.digest)
    assert (counts.sessions, counts.refused, counts.abnormal) == (1, 1, 0)
    assert counts.refused_at
    assert "server:calc: what it offers is not what was pinned (" in err.decode()
    assert b"hatchlock pin calc" in err
    assert is_harmless(err)
    log = (home / "projects" / "trial" / "logs" / "calc.log").read_bytes()
    assert b"hatchlock: calc: not as pinned, refused: " in log
    assert is_harmless(log)


def test_what_is_as_it_was_pinned_passes_byte_for_byte(home: Path) -> None:
    record = apply(home, rules())
    with running(home) as run:
        status, out, err = asked(run)
    server = rugpull.Server("", "always")
    assert out.decode().splitlines() == [server.answer(question) for question in QUESTIONS]
    assert (status, err) == (0, b"")
    found = seen(home, record)
    assert found is not None
    assert (found.matches, found.differed) == (True, None)


def test_what_was_seen_is_written_once_while_it_stays_the_same(home: Path) -> None:
    record = apply(home, rules())
    file = surface_path(home / "projects" / "trial", "calc")
    with running(home) as run:
        asked(run, [hello(), *TOOLS, *TOOLS])
    written = file.stat()
    with running(home) as run:
        asked(run, [hello(), *TOOLS])
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert seen(home, record) is not None


def test_a_tool_that_comes_after_list_changed_is_refused(home: Path) -> None:
    apply(home, rules(), "--trick", "added", "--when", "changed")
    with running(home) as run:
        run.write(hello())
        run.line()
        for question in TOOLS:
            run.write(question)
            assert "result" in json.loads(run.line())
        assert json.loads(run.line())["method"] == "notifications/tools/list_changed"
        status, out, err = asked(run, TOOLS)
    assert status == REFUSED
    assert EVIL.encode() not in out
    assert b'added: tool "evil"' in err


def test_a_second_face_for_another_client_is_refused(home: Path) -> None:
    record = apply(home, rules(), "--trick", "description", "--when", "client=claude")
    with running(home) as run:
        assert asked(run, [hello("hatchlock"), *TOOLS])[0] == 0
    with running(home) as run:
        status, out, _ = asked(run, [hello("claude"), *TOOLS])
    assert (status, EVIL.encode() in out) == (REFUSED, False)
    found = seen(home, record)
    assert found is not None
    assert not found.matches
    with running(home) as run:
        assert asked(run, [hello("hatchlock"), *TOOLS])[0] == 0
    # it matches again, and that it once did not is still known
    found = seen(home, record)
    assert found is not None
    assert found.matches
    assert found.differed is not None
    assert found.differed.changed == ("tool add",)


def test_a_second_face_from_the_third_start_on_is_refused(home: Path, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.mkdir(mode=0o777)
    counter.chmod(0o777)
    sandbox = Sandbox(mounts=(Mount(source=str(counter), target="/counter", mode="rw"),), reason="test")
    apply(home, rules(), "--trick", "schema", "--when", "start=3:/counter/n", sandbox=sandbox)
    statuses = []
    for _ in range(3):
        with running(home) as run:
            statuses.append(asked(run, [hello(), *TOOLS])[0])
    assert statuses == [0, 0, REFUSED]


def test_a_second_face_some_time_after_the_first_listing_is_refused(home: Path) -> None:
    apply(home, rules(), "--trick", "annotation", "--when", "after=0.2")
    with running(home) as run:
        run.write(hello())
        run.line()
        for question in TOOLS:
            run.write(question)
            run.line()
        while True:
            run.write(TOOLS[0])
            if b'"error"' in (answer := run.line()):
                break
        assert b'1 changed (tool \\"add\\")' in answer
        assert run.wait() == REFUSED


def test_a_call_of_what_was_not_pinned_never_reaches_the_server(home: Path) -> None:
    apply(home, rules())
    with running(home) as run:
        run.write(request("c", "tools/call", name="evil"))
        answer = json.loads(run.line())
        assert (answer["id"], answer["error"]["code"]) == ("c", -32602)
        assert run.ask("tools/call", name="add") == {"content": [{"type": "text", "text": "add"}]}
        assert run.end()[0] == 0


def test_a_filter_leaves_out_what_differs_and_the_session_goes_on(home: Path) -> None:
    record = apply(home, rules(changed="filter"), "--trick", "added")
    with running(home) as run:
        status, out, err = asked(run)
    server = rugpull.Server("", "always")
    assert [json.loads(line) for line in out.splitlines()] == [json.loads(server.answer(it)) for it in QUESTIONS]
    assert status == 0
    assert b'hatchlock: calc: not as pinned, left out: added: tool "evil"' in err
    assert differing(home, record) == ["tool evil"]


def test_a_warning_lets_everything_through_and_is_said_once(home: Path) -> None:
    apply(home, rules(changed="warn"), "--trick", "description")
    questions = [*QUESTIONS, *TOOLS]
    with running(home) as run:
        status, out, err = asked(run, questions)
    server = rugpull.Server("description", "always")
    assert out.decode().splitlines() == [server.answer(question) for question in questions]
    assert status == 0
    assert err.count(b"not as pinned, passed on all the same") == 1


def test_stale_pins_are_refused_before_anything_is_started(home: Path) -> None:
    apply(home, rules(pins=honest_pins(stale=True)))
    with running(home) as run:
        status, out, err = asked(run)
    assert (status, out) == (REFUSED, b"")
    assert b"hint: look at what it offers and pin that: `hatchlock pin calc`" in err


def test_stale_pins_that_are_only_to_be_warned_of_are_said(home: Path) -> None:
    apply(home, rules(changed="warn", pins=honest_pins(stale=True)))
    with running(home) as run:
        status, out, err = asked(run)
    assert (status, len(out.splitlines())) == (0, len(QUESTIONS))
    assert b"calc is not what it was when its tools were pinned" in err


def test_the_prober_sees_everything(home: Path) -> None:
    apply(home, rules(deny=("add",), pins=honest_pins(stale=True)), "--trick", "added")
    command = [sys.executable, "-m", "hatchlock", "run", "--home", str(home), "--project", "trial", "--without-pins"]
    text = "".join(json.dumps(question) + "\n" for question in TOOLS)
    done = subprocess.run(
        [*command, "calc"], check=True, input=text, env=os.environ | BARE, capture_output=True, text=True
    )
    names = [tool["name"] for line in done.stdout.splitlines() for tool in json.loads(line)["result"]["tools"]]
    assert names == ["add", "sub", "mul", "evil"]


def peak_memory(run: Run) -> int:
    (line,) = [it for it in Path(f"/proc/{run.process.pid}/status").read_text().splitlines() if it.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


def test_large_messages_pass_through_the_gate_as_they_are(home: Path) -> None:
    echo: dict[str, Any] = {}
    exec(compile((SERVERS / "echo.py").read_text(), "echo.py", "exec"), echo)
    pinned = SurfaceRules(pins=Pins(tools=hashes(echo["TOOLS"])))
    apply_records(home, [python_record(server="calc", surface=pinned, sandbox=Sandbox(memory="2g"))])
    with running(home) as run:
        run.hello()
        assert len(run.ask("tools/list")["tools"]) == 3
        assert run.call("large", size=20_000_000) == "x" * 20_000_000
        assert peak_memory(run) < RUNNER_LIMIT
        assert run.call("echo", text="y" * 20_000_000) == "y" * 20_000_000
        assert run.end()[0] == 0


@asynccontextmanager
async def session_of(home: Path, record_command: list[str]) -> AsyncIterator[ClientSession]:
    parameters = StdioServerParameters(command=record_command[0], args=record_command[1:], env=dict(BARE))
    with (home / "err").open("w") as err:
        async with stdio_client(parameters, errlog=err) as (read, write), ClientSession(read, write) as session:
            yield session


async def all_tools(session: ClientSession) -> list[str]:
    names, cursor = [], None
    while True:
        page = await (session.list_tools(params=paged(cursor)) if cursor else session.list_tools())
        names += [tool.name for tool in page.tools]
        cursor = page.model_dump(by_alias=True).get("nextCursor")
        if not cursor:
            return names


def paged(cursor: str) -> Any:
    from mcp.types import PaginatedRequestParams

    return PaginatedRequestParams(cursor=cursor)


def test_the_sdk_s_client_gets_an_error_that_has_nothing_of_the_server_s_in_it(home: Path) -> None:
    apply(home, rules(), "--trick", "added")

    async def talk() -> str:
        async with session_of(home, run_command(home, "calc")) as session:
            await session.initialize()
            with pytest.raises(McpError) as caught:
                await all_tools(session)
            return str(caught.value)

    said = anyio.run(talk)
    assert said == (
        "hatchlock withholds this answer: what calc offers is not what was pinned: 1 added. "
        "Its user finds out with: hatchlock logs calc"
    )


def test_the_sdk_s_client_sees_and_calls_what_is_allowed_alone(home: Path) -> None:
    apply(home, SurfaceRules(allow=("*",), deny=("s*",)))

    async def talk() -> tuple[list[str], str]:
        async with session_of(home, run_command(home, "calc")) as session:
            await session.initialize()
            names = await all_tools(session)
            await session.call_tool("add", {"a": 1, "b": 2})
            with pytest.raises(McpError) as caught:
                await session.call_tool("sub", {"a": 1, "b": 2})
            return names, str(caught.value)

    assert anyio.run(talk) == (["add", "mul"], "hatchlock: calc does not offer that tool here")
