"""`run --group` and `serve --group` with clients of 2026-07-28 and of sessions, and servers of either, all of the SDK or by hand."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from hatchlock.launch import LaunchRecord, Sandbox, SurfaceRules
from hatchlock.state.groups import write_groups
from support.mcp_http import Client, hatchlock, request, serving
from support.remote_server import record_of, remote_server
from support.runs import BARE, HELLO, PATIENCE, SERVERS, Run, apply_records, python_record
from support.sdk_client import Target, through_sdk

KEY = "io.modelcontextprotocol/"
META = {f"{KEY}protocolVersion": "2026-07-28", f"{KEY}clientCapabilities": {}}
VERSIONS = {"auto": "2026-07-28", "2026-07-28": "2026-07-28", "legacy": "2025-11-25"}


def newest(**fields: Any) -> LaunchRecord:
    return python_record(
        server="newest",
        argv=(sys.executable, "-I", "-W", "ignore", str(SERVERS / "newest_only.py")),
        read_only_paths=(*python_record().read_only_paths, sys.prefix),
        sandbox=Sandbox(memory="1g", stop_grace=PATIENCE),
        startup_timeout=PATIENCE,
        **fields,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    directory.chmod(0o700)
    sandbox = Sandbox(stop_grace=PATIENCE)
    one = python_record("--name", "one", script="chatty.py", server="one", sandbox=sandbox, startup_timeout=PATIENCE)
    apply_records(directory, [one, newest(surface=SurfaceRules(deny=("wait",)))])
    write_groups(directory / "projects" / "trial", {"dev": ("newest", "one"), "new": ("newest",)})
    return directory


async def everything(client: Any) -> dict[str, Any]:
    """Do what clients of both eras can do, and return what came of it."""
    progress: list[float] = []

    async def count(done: float, *_: Any) -> None:
        progress.append(done)

    async def call(name: str, **given: Any) -> str:
        return str((await client.call_tool(name, given, progress_callback=count)).content[0].text)

    async def read(uri: str) -> str:
        return str((await client.read_resource(uri)).contents[0].text)

    listed = await client.list_tools()
    return {
        "version": client.protocol_version,
        "names": [tool.name for tool in listed.tools],
        "instructions": client.instructions,
        "prompts": [prompt.name for prompt in (await client.list_prompts()).prompts],
        "called": [await call("newest__add", a=1, b=2), await call("one__echo", text="x")],
        "asked": [await call("newest__greet", greeting="Hello"), await call("one__ask", text="?")],
        "read": [await read("test://newest"), await read("test://one")],
        "got": (await client.get_prompt("newest__hail", {"name": "Ada"})).messages[0].content.text,
        "logged": [await call("newest__tell"), await call("one__tell", count=1)],
        "worked": [await call("newest__work"), await call("one__work")],
        "progress": progress,
    }


@pytest.mark.parametrize("mode", VERSIONS)
@pytest.mark.parametrize("way", ["pipes", "http"])
def test_clients_of_the_sdk_use_servers_of_both_eras_as_one(home: Path, way: str, mode: str) -> None:
    logs: list[str] = []
    if way == "pipes":
        command: Target = hatchlock(home, "run", "--group", "dev")
        found = through_sdk(command, mode, everything, env=BARE, logs=logs)
    else:
        with serving(home, "--group", "dev") as front:
            found = through_sdk((front.url, front.token), mode, everything, env=BARE, logs=logs)
    assert found["version"] == VERSIONS[mode]
    assert {"newest__add", "one__echo"} < set(found["names"])
    assert "newest__wait" not in found["names"]
    if mode != "2026-07-28":  # then the client asks for nothing first
        assert found["instructions"].count("Ask ") == 2
    assert found["prompts"] == ["newest__hail", "one__greet"]
    assert found["called"] == ["3", "one: x"]
    assert found["asked"] == ["Hello Ada, asked", "one: yes"]
    assert found["read"] == ["newest", "one"]
    assert found["got"] == "Hail Ada"
    assert found["progress"] == [1, 0, 1, 2]
    assert "0" in logs
    assert ("told" in logs) == (mode != "legacy")  # who has a session has not asked for it


async def hints(client: Any) -> Any:
    listed, resource = await client.list_tools(), await client.read_resource("test://newest")
    return [(item.ttl_ms, item.cache_scope) for item in (listed, resource)]


@pytest.mark.parametrize(("group", "listed"), [("new", (5000, "public")), ("dev", (0, "private"))])
def test_how_long_something_may_be_kept_is_passed_on(home: Path, group: str, listed: Any) -> None:
    found = through_sdk(hatchlock(home, "run", "--group", group), "auto", hints, env=BARE, logs=[])
    assert found == [listed, (5000, "public")]


async def changes(client: Any) -> tuple[Any, list[str]]:
    async with client.listen(tools_list_changed=True, resource_subscriptions=["test://newest"]) as listening:
        seen = []
        for tool in ("newest__change", "one__change", "newest__touch"):
            await client.call_tool(tool, {})
            with anyio.fail_after(PATIENCE):
                seen.append(type(await anext(listening)).__name__)
        return listening.honored.model_dump(exclude_none=True), seen


def test_a_client_of_the_sdk_listens_to_servers_of_both_eras(home: Path) -> None:
    honored, seen = through_sdk(hatchlock(home, "run", "--group", "dev"), "auto", changes, env=BARE, logs=[])
    assert honored == {"resource_subscriptions": ["test://newest"], "tools_list_changed": True}
    assert seen == ["ToolsListChanged", "ToolsListChanged", "ResourceUpdated"]


def test_a_client_with_a_session_hears_of_changes_of_a_server_without(home: Path) -> None:
    with Run(command=hatchlock(home, "run", "--group", "new")) as session:
        session.hello()
        session.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert session.ask("resources/subscribe", uri="test://newest") == {}
        for tool in ("touch", "change"):
            call = {"name": f"newest__{tool}", "arguments": {}}
            session.write({"jsonrpc": "2.0", "id": tool, "method": "tools/call", "params": call})
        seen = [json.loads(session.line()) for _ in range(4)]
        told = {message["method"]: message["params"] for message in seen if "method" in message}
    assert told["notifications/resources/updated"] == {"uri": "test://newest", "_meta": {}}
    assert "notifications/tools/list_changed" in told


def test_pins_and_filters_hold_and_a_call_that_waits_is_taken_back(home: Path) -> None:
    with Run(command=hatchlock(home, "run", "--group", "dev")) as session:
        call = {"name": "newest__wait", "arguments": {}, "_meta": META}
        session.write({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
        assert json.loads(session.line())["error"]["code"] == -32602
        call = {"name": "one__wait", "arguments": {"seconds": 600}, "_meta": META}
        session.write({"jsonrpc": "2.0", "id": "w", "method": "tools/call", "params": call})
        session.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}})
        text = session.ask("tools/call", name="one__last", arguments={}, _meta=META)["content"][0]["text"]
        assert len(json.loads(text.removeprefix("one: "))) == 1


def test_a_client_that_asks_for_an_unknown_version_first_may_begin_a_session(home: Path) -> None:
    with Run(command=hatchlock(home, "run", "--group", "dev")) as session:
        meta = {**META, f"{KEY}protocolVersion": "2031-01-01"}
        session.write({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}})
        assert "2025-11-25" in json.loads(session.line())["error"]["data"]["supported"]
        session.write(HELLO)
        assert json.loads(session.line())["result"]["serverInfo"]["name"] == "dev"


def test_whoever_listens_is_told_of_the_end(home: Path) -> None:
    with Run(command=hatchlock(home, "run", "--group", "dev")) as session:
        wanted = {"_meta": META, "notifications": {"toolsListChanged": True}}
        session.write({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": wanted})
        assert json.loads(session.line())["method"] == "notifications/subscriptions/acknowledged"
        session.process.send_signal(signal.SIGTERM)
        ended = json.loads(session.line())
        assert (ended["id"], ended["result"]["_meta"]) == ("l", {f"{KEY}subscriptionId": "l"})
        assert session.wait() == 128 + signal.SIGTERM


ASK = {"role": "assistant", "content": {"type": "text", "text": "yes"}, "model": "m"}


def call(client: Client, name: str, **more: Any) -> Any:
    """Call a tool of a group over HTTP, as a client that answers for a model."""
    meta = {**META, f"{KEY}clientCapabilities": {"sampling": {}}}
    body = request(1, "tools/call", name=name, arguments={"text": "x"}, _meta=meta, **more)
    return client.post(body, mcp_method="tools/call", mcp_name=name).json["result"]


def come_back(client: Client, demanded: Any) -> Any:
    """Bring what a call of `one__ask` has demanded."""
    brought = dict.fromkeys(demanded["inputRequests"], ASK)
    return call(client, "one__ask", requestState=demanded["requestState"], inputResponses=brought)


def test_a_call_that_waits_over_http_is_nobody_elses(home: Path) -> None:
    with serving(home, "--group", "dev") as front:
        client = Client(url=front.url, token=front.token, version="2026-07-28")
        demanded = call(client, "one__ask")
        listen = request(2, "subscriptions/listen", _meta=META, notifications={"toolsListChanged": True})
        listening = client.begin("POST", listen, mcp_method="subscriptions/listen")  # until it is closed
        assert call(client, "one__echo")["content"][0]["text"] == "one: x"
        found = come_back(client, demanded)
        listening.close()
    assert found["resultType"] == "complete"
    assert "yes" in found["content"][0]["text"]


def test_clients_that_do_not_come_back_keep_nobody_out(home: Path) -> None:
    with serving(home, "--group", "dev", "--sessions", "2") as front:
        client = Client(url=front.url, token=front.token, version="2026-07-28")
        demanded = [call(client, "one__ask") for _ in range(3)]
        assert len({item["requestState"] for item in demanded}) == 3
        assert come_back(client, demanded[2])["resultType"] == "complete"
        # its session has ended: it is asked anew
        assert come_back(client, demanded[0])["resultType"] == "input_required"


async def far_away(client: Any) -> list[str]:
    called = [(await client.call_tool("far__echo", {"text": "x"})).content[0].text]
    async with client.listen(tools_list_changed=True) as listening:
        await client.call_tool("far__shrink", {})
        with anyio.fail_after(PATIENCE):
            called.append(type(await anext(listening)).__name__)
    return called


def test_a_server_that_somebody_else_runs_may_know_the_newest_version_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with remote_server("newest") as server:
        # whoever still listens when the input ends would keep it for so long
        apply_records(tmp_path, [record_of(server.url, sandbox=Sandbox(stop_grace=10 * PATIENCE))])
        write_groups(tmp_path / "projects" / "trial", {"far": ("far",)})
        command = hatchlock(tmp_path, "run", "--group", "far")
        assert through_sdk(command, "auto", far_away, env=BARE, logs=[]) == ["x", "ToolsListChanged"]
        with Run(command=command) as session:
            assert session.hello()["protocolVersion"] == "2025-11-25"
            assert session.call("far__echo", text="y") == "y"
            assert session.end()[0] == 0
