"""The prober against servers that this project did not write, and against ones that do everything wrong."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hatchlock.serve.probe import Call, ProbeFailed, ProbeResult, probe
from hatchlock.surface import definition_hash, instructions_hash, parse_strictly
from support.runs import SERVERS, processes_with, wait_for

VECTORS = SERVERS.parent / "surfaces" / "tool-definition-hash-v1-vectors.json"
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}

SDK_SERVER = """
import os, sys
from mcp.server.mcpserver import MCPServer
server = MCPServer("demo", instructions="Be kind.\\u202e")

@server.tool()
def add(a: int, b: int) -> int:
    "Adds"
    return a + b

@server.tool()
def fail() -> str:
    raise ValueError("no such thing")

@server.prompt()
def greet(name: str) -> str:
    "Greets"
    return name

@server.resource("res://one")
def one() -> str:
    "One"
    return "1"

@server.resource("res://{name}")
def each(name: str) -> str:
    "Each"
    return name

if "stateless" in sys.argv:  # whoever knows no sessions refuses one
    line = b""
    while not line.endswith(b"\\n"):
        line += os.read(0, 1)
    assert b'"initialize"' in line
    os.write(1, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}}\\n')
server.run()
"""


def result(value: Any) -> str:
    return '{"jsonrpc":"2.0","id":<id>,"result":' + json.dumps(value) + "}"


def error(code: int, message: str) -> str:
    return '{"jsonrpc":"2.0","id":<id>,"error":' + json.dumps({"code": code, "message": message}) + "}"


def ask(directory: Path, *, timeout: float = 20.0, call: Call | None = None, **replies: Any) -> ProbeResult:
    """Probe a server that says these words."""
    words = {name.replace("_", "/"): value for name, value in replies.items()}
    file = directory / "replies.json"
    file.write_text(json.dumps({"initialize": [result(HELLO)], **words}))
    command = [sys.executable, "-I", str(SERVERS / "scripted.py"), str(file)]
    try:
        return probe(command, timeout=timeout, environ={}, call=call)
    finally:
        assert wait_for(lambda: processes_with(str(file)) == [])


def fails(directory: Path, **given: Any) -> str:
    with pytest.raises(ProbeFailed) as caught:
        ask(directory, **given)
    return caught.value.why


@pytest.mark.parametrize("era", ["session", "stateless"])
def test_the_sdks_server_says_everything_in_both_eras(era: str) -> None:
    command = [sys.executable, "-c", SDK_SERVER, era]
    found = probe(command, timeout=30, environ=dict(os.environ), call=Call(tool="add", arguments={"a": 1, "b": 2}))
    assert found.protocol == {"session": "2025-11-25", "stateless": "2026-07-28"}[era]
    assert (found.server, found.instructions) == ("demo", "Be kind.\u202e")
    names = [[item.name for item in items] for items in (found.tools, found.prompts, found.resources, found.templates)]
    assert names == [["add", "fail"], ["greet"], ["one"], ["each"]]
    assert (found.called, found.failed) == ("3", False)
    assert found.tools[0].sha256 == definition_hash(parse_strictly(json.dumps(dict(found.tools[0].definition))))
    if era == "stateless":
        return
    again = probe(command, timeout=30, environ=dict(os.environ), call=Call(tool="fail"))
    assert again.failed
    assert again.called == "Error executing tool fail"


def test_definitions_are_hashed_as_they_were_sent(tmp_path: Path) -> None:
    """The published vectors, all of them as the tools of one server."""
    vectors = json.loads(VECTORS.read_text())
    sound = [(item["input"], item["hash"], "") for item in vectors["definitions"] if '"name"' in item["input"]]
    broken = [(item["input"], "", item["reason"]) for item in vectors["invalid"] if "input" in item]
    listed = ",".join(text.replace("\n", " ") for text, _, _ in sound + broken)
    page = '{"jsonrpc":"2.0","id":<id>,"result":{"tools":[' + listed + "]}}"
    found = ask(tmp_path, tools_list=[page])
    assert [item.sha256 for item in found.tools] == [sha256 for _, sha256, _ in sound + broken]
    assert len(sound) > len(broken) > 0
    assert [bool(item.problem) for item in found.tools] == [bool(reason) for _, _, reason in sound + broken]
    assert instructions_hash(found.instructions) == ""


def test_numbers_are_shown_as_they_were_written_and_surrogates_do_no_harm(tmp_path: Path) -> None:
    tools = '[{"name":"\\ud800","n":[1,-2,1.5,12345678901234567890,1e400]},7,{"description":"none"}]'
    found = ask(tmp_path, tools_list=['{"jsonrpc":"2.0","id":<id>,"result":{"tools":' + tools + "}}"])
    assert found.tools[0].definition["n"] == [1, -2, 1.5, 1.2345678901234567e19, "1e400"]
    assert [item.problem for item in found.tools] == [
        "1e400 is no number of JSON, or too large",
        "it has no name",
        "it has no name",
    ]


def test_all_pages_of_a_listing_and_none_of_what_it_does_not_have(tmp_path: Path) -> None:
    pages = [
        result({"tools": [{"name": name}], "nextCursor": more}) for name, more in (("a", "1"), ("b", "2"), ("c", ""))
    ]
    heard = tmp_path / "heard"
    found = ask(tmp_path, tools_list=pages, heard=str(heard))
    assert [tool.name for tool in found.tools] == ["a", "b", "c"]
    sent = [json.loads(line) for line in heard.read_text().splitlines()]
    assert [message["method"] for message in sent] == [
        *("initialize", "notifications/initialized"),
        *("tools/list",) * 3,
    ]
    assert [message["params"] for message in sent[2:]] == [{}, {"cursor": "1"}, {"cursor": "2"}]
    assert sent[0]["params"]["protocolVersion"] == "2025-11-25"


def test_what_a_server_asks_meanwhile_is_answered(tmp_path: Path) -> None:
    asks = (
        '!say {"jsonrpc":"2.0","id":"p","method":"ping"}\n'
        '{"jsonrpc":"2.0","method":"notifications/message","params":{}}\n'
        '[{"jsonrpc":"2.0","id":9,"method":"roots/list"}]\n'
        '{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}\n'
    )
    heard = tmp_path / "heard"
    hello = result({**HELLO, "capabilities": {"tools": {}, "prompts": {}}})
    ask(tmp_path, initialize=[hello], tools_list=[asks], prompts_list=[result({"prompts": []})], heard=str(heard))
    answers = [json.loads(line) for line in heard.read_text().splitlines() if '"method"' not in line]
    assert [(item["id"], item.get("result"), item.get("error", {}).get("code")) for item in answers] == [
        ("p", {}, None),
        (9, None, -32601),
    ]


def test_resources_without_templates_are_no_error(tmp_path: Path) -> None:
    hello = {**HELLO, "capabilities": {"resources": {}}}
    found = ask(tmp_path, initialize=[result(hello)], resources_list=[result({"resources": [{"name": "r"}]})])
    assert [item.name for item in found.resources] == ["r"]
    assert found.templates == ()


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_older_versions_are_spoken(tmp_path: Path, version: str) -> None:
    hello = result({**HELLO, "protocolVersion": version})
    assert ask(tmp_path, initialize=[hello], tools_list=[result({"tools": []})]).protocol == version


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no JSON": ({"tools_list": ["ready \u202e!"]}, "what is no JSON: ready \\u202e!"),
    "no message": ({"tools_list": ['{"id":<id>,"result":{}}']}, "what is no JSON-RPC message"),
    "an error": (
        {"tools_list": [error(-32603, "broken\nhere")]},
        "tools/list was answered with error -32603: broken\\nhere",
    ),
    "an error of no form": ({"tools_list": ['{"jsonrpc":"2.0","id":<id>,"error":7}']}, "error 0: it says no more"),
    "another id": ({"tools_list": ['{"jsonrpc":"2.0","id":77,"result":{}}']}, "that nobody has made, with the id 77"),
    "an id as text": ({"tools_list": ['{"jsonrpc":"2.0","id":"<id>","result":{}}']}, 'with the id "2"'),
    "no id": ({"tools_list": ['{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"eh?"}}']}, "-32700: eh?"),
    "no result": ({"tools_list": ['{"jsonrpc":"2.0","id":<id>}']}, "its answer to tools/list has no result"),
    "no list": ({"tools_list": [result({"tools": {}})]}, "its answer to tools/list has no list of tools"),
    "two results": (
        {"tools_list": ['{"jsonrpc":"2.0","id":<id>,"result":{"tools":[],"tools":[{}]}}']},
        "has a member twice, and nobody knows which counts",
    ),
    "half a line": ({"tools_list": ['!say {"jsonrpc":"2.0",'], "initialize": [result(HELLO)]}, "no answer within"),
    "an end": ({"tools_list": ["!exit 4"]}, "it ended with status 4"),
    "an end at once": ({"first": ["!exit 0"]}, "it ended with status 0"),
    "half a line and an end": ({"first": ['!say {"jsonrpc"', "!exit 0"]}, 'in the middle of a message: {"jsonrpc"'),
    "the same cursor": (
        {"tools_list": [result({"tools": [{"name": "a"}], "nextCursor": "x"})]},
        "its tools have no end: after 2 pages and 2 of them there are more",
    ),
    "a version of its own": (
        {"initialize": [result({**HELLO, "protocolVersion": "7"})]},
        "it speaks version 7 of the protocol; known are 2026-07-28, 2025-11-25",
    ),
    "neither era": (
        {"initialize": [error(-32600, "no")]},
        "initialize was answered with error -32600: no; server/discover was answered with error -32601",
    ),
    "another stateless version": (
        {"initialize": [error(-32601, "no")], "server_discover": [result({"supportedVersions": ["2030-01-01"]})]},
        "it speaks version 2030-01-01 of the protocol",
    ),
    "nesting": ({"tools_list": ["[" * 100_000]}, "what is no JSON: [[["),
}


@pytest.mark.parametrize("what", WRONG)
def test_each_way_of_failing_is_said(tmp_path: Path, what: str) -> None:
    replies, expected = WRONG[what]
    timeout = 1.0 if expected == "no answer within" else 60.0
    assert expected in fails(tmp_path, timeout=timeout, **replies)


def test_the_last_lines_of_stderr_come_with_it(tmp_path: Path) -> None:
    with pytest.raises(ProbeFailed) as caught:
        ask(tmp_path, first=["!exit 3"])
    assert caught.value.said == ("something is wrong",)


def test_pages_without_end_end(tmp_path: Path) -> None:
    script = (
        "import json,sys\n"
        "for line in sys.stdin:\n"
        "    m = json.loads(line)\n"
        "    if m['method'] == 'initialize':\n"
        f"        r = {HELLO!r}\n"
        "    else:\n"
        "        r = {'tools': [], 'nextCursor': str(m.get('id'))}\n"
        "    if 'id' in m:\n"
        "        print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'result': r}), flush=True)\n"
    )
    with pytest.raises(ProbeFailed, match="its tools have no end: after 1001 pages"):
        probe([sys.executable, "-I", "-c", script], timeout=30, environ={})


def test_what_talks_for_ever_and_what_does_not_read_ends_in_time_and_leaves_nothing() -> None:
    tag = secrets.token_hex(6)
    flood = f"import sys\nwhile True: print('x' * 65536, file=sys.stderr)  # flood-{tag}"
    deaf = f"import os, time\nos.fork()\ntime.sleep(600)  # deaf-{tag}"
    began = time.monotonic()
    for script, word in ((flood, f"flood-{tag}"), (deaf, f"deaf-{tag}")):
        with pytest.raises(ProbeFailed, match="no answer within"):
            probe([sys.executable, "-I", "-c", script], timeout=0.3, environ={})
        assert wait_for(lambda word=word: processes_with(word) == [])
    assert time.monotonic() - began < 60


def test_what_a_server_leaves_when_it_ends_is_ended() -> None:
    tag = f"left-{secrets.token_hex(6)}"
    child = f"import os, time\nif os.fork(): raise SystemExit(5)\nos.close(1)\nos.close(2)\ntime.sleep(600)  # {tag}"
    with pytest.raises(ProbeFailed, match="it ended with status 5"):
        probe([sys.executable, "-I", "-c", child], timeout=60, environ={})
    assert wait_for(lambda: processes_with(tag) == [])


def test_a_call_may_be_larger_than_a_pipe(tmp_path: Path) -> None:
    answer = result({"content": [{"type": "text", "text": "x" * 300_000}, {"type": "image"}, 7]})
    call = Call(tool="t", arguments={"text": "y" * 300_000})
    found = ask(tmp_path, call=call, tools_list=[result({"tools": []})], tools_call=[answer])
    assert found.called == "x" * 300_000 + "\n(image)"
    assert not found.failed
    refused = ask(tmp_path, call=call, tools_list=[result({"tools": []})], tools_call=[error(-32602, "unknown tool")])
    assert (refused.called, refused.failed) == ("error -32602: unknown tool", True)
