"""`serve NAME`: a stdio server over streamable HTTP, with clients by hand and those of both SDKs, and real kills."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatchlock.launch import Sandbox, SurfaceRules
from hatchlock.state.counts import counts_path, read_counts
from hatchlock.state.project import ProjectState
from hatchlock.state.tokens import token_path
from hatchlock.usecases.health import sessions_now
from support.mcp_http import Client, Front, command_of, family, hatchlock, hello, is_there, request, serving
from support.runs import BARE, PATIENCE, SERVERS, apply_records, python_record, wait_for
from support.sdk_client import protocol_of_sdk, seen_by_sdk


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    directory.chmod(0o700)
    rules = SurfaceRules(deny=("change",))
    early = python_record("--early", "60", script="chatty.py", server="early")
    apply_records(
        directory, [python_record(script="chatty.py", server="chatty", surface=rules), python_record(), early]
    )
    return directory


@pytest.fixture(scope="module")
def front(home: Path) -> Iterator[Front]:
    with serving(home, "chatty") as found:
        yield found


@pytest.fixture(scope="module")
def chatty(front: Front) -> Client:
    return front.client().hello()


# Who may speak

REFUSED: Mapping[str, tuple[Mapping[str, str | None], int]] = {
    "another host": ({"Host": "evil.example:80"}, 403),
    "a host that begins like ours": ({"Host": "127.0.0.1.evil.example"}, 403),
    "a host behind a user": ({"Host": "localhost@evil.example"}, 403),
    "a page of another origin": ({"Origin": "http://evil.example"}, 403),
    "a page of none": ({"Origin": "null"}, 403),
    "another origin before another token": ({"Origin": "http://evil.example", "Authorization": "Bearer no"}, 403),
    "no token": ({"Authorization": None}, 401),
    "another token": ({"Authorization": "Bearer no"}, 401),
    "a token that is no ASCII": ({"Authorization": "Bearer n\xf6"}, 401),
    "another scheme": ({"Authorization": "Basic bm86bm8="}, 401),
    "no JSON": ({"Content-Type": "text/plain"}, 415),
    "an answer that we do not give": ({"Accept": "text/html"}, 406),
    "a version that nobody speaks": ({"MCP-Protocol-Version": "2099-01-01"}, 400),
    "a session that nobody has": ({"Mcp-Session-Id": "0" * 32}, 404),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_said_and_starts_nothing(front: Front, what: str) -> None:
    headers, status = REFUSED[what]
    before = len(family(front.process.pid))
    reply = front.client().post(hello(), **headers)
    assert reply.status == status
    assert reply.json["error"]["message"]
    assert front.token not in reply.body.decode()
    assert len(family(front.process.pid)) <= before
    assert ("www-authenticate" in reply.headers) == (status == 401)


@pytest.mark.parametrize("host", ["localhost:1", "[::1]", "LOCALHOST"])
def test_this_machine_has_several_names(chatty: Client, host: str) -> None:
    assert chatty.post(request(1, "ping"), Host=host, Origin=f"http://{host}").status == 200


def test_a_request_that_is_no_message_is_refused(chatty: Client) -> None:
    assert chatty.post(b"{").status == 400
    assert chatty.post(b"[]").status == 400
    assert chatty.post(b'{"id": 1, "method": "ping"}').status == 400
    assert chatty.ask("PUT", b"{}").status == 405
    assert Client(url=f"{chatty.url}/x", token=chatty.token).post(hello()).status == 404
    assert Client(url=chatty.url, token=chatty.token).post(request(1, "ping")).status == 400


def test_a_token_is_made_once_and_only_its_owner_can_read_it(home: Path, front: Front) -> None:
    path = token_path(home / "projects" / "trial", "chatty")
    assert path.read_text() == front.token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert front.token.encode() not in Path(f"/proc/{front.process.pid}/environ").read_bytes()
    for pid in [front.process.pid, *family(front.process.pid)]:
        assert front.token.encode() not in command_of(pid)


def test_a_token_that_others_can_read_is_refused_and_another_one_can_be_made(home: Path) -> None:
    show = hatchlock(home, "serve", "echo", "--show-token")
    first = subprocess.run(show, env=BARE, capture_output=True, text=True, check=True).stdout
    path = token_path(home / "projects" / "trial", "echo")
    path.chmod(0o644)
    refused = subprocess.run(show, env=BARE, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--new-token" in refused.stderr
    anew = subprocess.run([*show, "--new-token"], env=BARE, capture_output=True, text=True, check=True).stdout
    assert anew != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_tokens_are_counted_and_questions_without_any_are_not(home: Path) -> None:
    with serving(home, "echo") as front:
        assert Client(url=front.url, token="").post(hello()).status == 401
        assert Client(url=front.url, token="guess").post(hello()).status == 401
        counts = read_counts(counts_path(home / "projects" / "trial", "echo"), python_record().digest)
        assert counts.unauthorized == 1


def test_who_brings_no_token_is_told_the_command_that_prints_it(home: Path, front: Front) -> None:
    body = Client(url=front.url).post(hello()).body.decode()
    found = re.search("`hatchlock (serve .+?)`", body)
    assert found, body
    assert found[1] == "serve --project trial chatty --show-token"
    shown = [*hatchlock(home), *found[1].split()]
    said = subprocess.run(shown, env=BARE, capture_output=True, text=True, check=True).stdout
    assert said.rstrip() == front.token


def test_it_listens_on_loopback_only(front: Front) -> None:
    port = int(front.url.rpartition(":")[2].partition("/")[0])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [words[1] for words in lines if words[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_a_port_of_somebody_else_is_an_error(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = hatchlock(home, "serve", "chatty", "--port", port)
        found = subprocess.run(command, env=BARE, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert f"127.0.0.1:{port}" in found.stderr
    assert "hint:" in found.stderr


# Sessions


def test_messages_pass_as_they_were_sent(chatty: Client) -> None:
    stream = chatty.begin("POST", request("é", "tools/list"))
    text = stream.response.read().decode()
    stream.close()
    assert '"x-precise": 1.5}' in text  # chatty writes blanks, and we do not write it anew
    assert json.loads(text.partition("data: ")[2])["id"] == "é"


def test_a_body_of_several_lines_is_one_message(chatty: Client) -> None:
    body = json.dumps(request(3, "tools/call", name="echo", arguments={"text": "a\nb"}), indent=1).encode()
    assert chatty.post(body).json["result"]["content"][0]["text"] == "chatty: a\nb"


def test_who_takes_no_events_gets_json(chatty: Client) -> None:
    reply = chatty.post(request(4, "tools/call", name="echo", arguments={"text": "x"}), Accept="application/json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["result"]["content"][0]["text"] == "chatty: x"


def test_who_takes_no_events_gets_json_without_a_session_too(front: Front) -> None:
    client = Client(url=front.url, token=front.token, version="2026-07-28")
    body = modern(1, "tools/call", name="tell", arguments={"count": 2})
    reply = client.post(body, mcp_method="tools/call", mcp_name="tell", accept="application/json")
    assert (reply.headers["content-type"], reply.json["id"]) == ("application/json", 1)


def test_what_a_server_says_before_its_first_answer_is_no_answer(home: Path) -> None:
    with serving(home, "early") as front:
        reply = front.client().post(hello())
        assert reply.status == 200
        assert "result" in reply.json, "and some megabytes of it keep nobody"
        assert front.client().post(hello(), accept="application/json").json["result"]["serverInfo"]["name"] == "chatty"
        client = front.client().hello()
        assert client.call("echo", text="x").status == 200


def test_what_belongs_to_a_request_comes_on_its_stream(chatty: Client) -> None:
    params = {"name": "work", "arguments": {}, "_meta": {"progressToken": "p"}}
    events = [data for _, data in chatty.post(request(5, "tools/call", **params)).events]
    assert [item["params"]["progress"] for item in events[:-1]] == [0, 1, 2]
    assert events[-1]["id"] == 5


def test_progress_comes_where_it_was_asked_for(front: Front) -> None:
    client = front.client().hello()
    params = {"name": "work", "arguments": {"seconds": 1}, "_meta": {"progressToken": "p"}}
    first = client.begin("POST", request(1, "tools/call", **params))
    newest = client.begin("POST", request(2, "tools/call", name="wait", arguments={"seconds": 30}))
    assert [data.get("method") for _, data in first.all()] == ["notifications/progress"] * 3 + [None]
    first.close()
    newest.close()


def test_a_server_asks_its_client_and_gets_the_answer(chatty: Client) -> None:
    stream = chatty.begin("POST", request(6, "tools/call", name="ask", arguments={"text": "why?"}))
    asked = stream.next()
    assert asked
    assert asked[1]["method"] == "sampling/createMessage"
    answer = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "because"}}
    assert chatty.post({"jsonrpc": "2.0", "id": asked[1]["id"], "result": answer}).status == 202
    said = stream.next()
    assert said
    assert said[1]["result"]["content"][0]["text"] == "chatty: because"
    stream.close()


def test_the_filters_of_run_hold(chatty: Client) -> None:
    names = {tool["name"] for tool in chatty.post(request(7, "tools/list")).json["result"]["tools"]}
    assert "echo" in names
    assert "change" not in names
    assert "error" in chatty.call("change").json


def test_requests_of_one_session_do_not_wait_for_each_other(chatty: Client) -> None:
    slow = chatty.begin("POST", request(10, "tools/call", name="wait", arguments={"seconds": 30}))
    began = time.monotonic()
    assert chatty.call("echo", 11, text="quick").json["id"] == 11
    assert time.monotonic() - began < 15
    slow.close()


def test_a_request_whose_id_is_not_answered_yet_is_refused(chatty: Client) -> None:
    slow = chatty.begin("POST", request(12, "tools/call", name="wait", arguments={"seconds": 30}))
    assert chatty.call("echo", 12, text="x").status == 400
    slow.close()


def test_who_was_cut_off_comes_back_for_the_answer(front: Front) -> None:
    client = front.client().hello("2025-11-25")
    client.version = "2025-11-25"
    stream = client.begin("POST", request(1, "tools/call", name="tell", arguments={"count": 3}))
    first = stream.next()
    assert first
    stream.close()
    rest = client.ask("GET", last_event_id=first[0]).events
    assert [data["params"]["data"] for _, data in rest[:-1]] == ["1", "2"]
    assert rest[-1][1]["id"] == 1
    assert client.ask("GET", last_event_id="99-1").status == 400


@pytest.mark.parametrize("last", ["0-\xb2", f"0-{'1' * 5000}", "0", "-", "nothing-1"])
def test_an_event_that_nobody_had_is_refused(chatty: Client, last: str) -> None:
    assert chatty.ask("GET", last_event_id=last).status == 400


def test_what_nobody_asked_for_comes_on_the_stream_of_its_own(front: Front) -> None:
    client = front.client().hello()
    assert client.call("tell", count=1, size=10).status == 200
    waiting = client.begin("GET")
    body = request(2, "tools/call", name="tell", arguments={"count": 1})
    client.post(body, Accept="application/json")
    found = waiting.next()
    assert found
    assert found[1]["method"] == "notifications/message"
    waiting.close()


def test_a_session_ends_when_its_client_says_so(front: Front) -> None:
    before = set(family(front.process.pid))
    client = front.client().hello()
    own = set(family(front.process.pid)) - before
    assert own
    assert client.ask("DELETE").status == 204
    assert client.call("echo", text="x").status == 404
    assert wait_for(lambda: not any(map(is_there, own)))


def test_a_server_that_ends_is_told_of(home: Path) -> None:
    with serving(home, "chatty") as front:
        client = front.client().hello()
        stream = client.begin("POST", request("a", "tools/call", name="wait", arguments={"seconds": 60}))
        for pid in family(front.process.pid):
            if b"chatty.py" in command_of(pid):
                with contextlib.suppress(ProcessLookupError):  # it went with one before it
                    os.kill(pid, signal.SIGKILL)
        said = stream.next()
        assert said
        assert said[1]["id"] == "a"
        assert "ended" in said[1]["error"]["message"]
        stream.close()
        assert wait_for(lambda: client.call("echo", text="x").status == 404)
        assert front.client().hello().call("echo", text="again").status == 200


def test_large_messages_pass_and_larger_ones_do_not(chatty: Client) -> None:
    text = "x" * (5 << 20)
    assert chatty.call("echo", text=text).json["result"]["content"][0]["text"] == f"chatty: {text}"
    assert chatty.post(b" ", content_length=str(65 << 20)).status == 413


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_client_that_does_not_read_holds_up_nobody_else(front: Front) -> None:
    slow, quick = front.client().hello(), front.client().hello()
    before = memory(front.process.pid)
    stream = slow.begin("POST", request(1, "tools/call", name="tell", arguments={"count": 4000, "size": 10000}))
    for number in range(30):
        assert quick.call("echo", number, text="x").status == 200
        time.sleep(0.05)
    assert memory(front.process.pid) - before < 16 << 20
    assert len(stream.all()) == 4001
    stream.close()


def test_there_are_only_so_many_sessions_and_unused_ones_end(home: Path) -> None:
    with serving(home, "chatty", "--sessions", "2", "--idle", "2") as front:
        clients, streams = [], []
        for _ in range(2):
            clients.append(front.client().hello())
            streams.append(clients[-1].begin("GET"))  # who listens is there
        assert front.client().post(hello()).status == 503
        streams[1].close()
        assert wait_for(lambda: front.client().post(hello()).status == 200)
        assert clients[1].call("echo", text="x").status == 404
        assert clients[0].call("echo", text="x").status == 200
        unanswered = clients[0].begin("POST", request(1, "tools/call", name="wait", arguments={"seconds": 600}))
        for stream in (streams[0], unanswered):
            stream.close()
        assert wait_for(lambda: not family(front.process.pid)), "what was asked by who is gone keeps nothing"


# The end of everything


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_any_session(home: Path, number: signal.Signals) -> None:
    with serving(home, "chatty") as front:
        clients = [front.client().hello() for _ in range(2)]
        streams = [client.begin("GET") for client in clients]
        own = family(front.process.pid)
        assert len(own) >= 6
        front.process.send_signal(number)
        status = front.process.wait(PATIENCE)
        assert status == (-number if number is signal.SIGKILL else 128 + number)
        assert wait_for(lambda: not any(map(is_there, own)))
        for stream in streams:
            stream.close()


# The era without sessions


def modern(identity: int, method: str, **params: object) -> dict[str, object]:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    return request(identity, method, **params, _meta=meta)


def test_requests_of_the_newer_era_need_no_session(front: Front) -> None:
    client = Client(url=front.url, token=front.token, version="2026-07-28")
    headers = {"mcp_method": "tools/call", "mcp_name": "echo"}
    before = set(family(front.process.pid))
    own: set[int] = set()
    for number in range(3):
        body = modern(1, "tools/call", name="echo", arguments={"text": str(number)})
        reply = client.post(body, **headers)
        assert (reply.status, "mcp-session-id" in reply.headers) == (200, False)
        assert reply.json["result"]["content"][0]["text"] == f"chatty: {number}"
        now = set(family(front.process.pid)) - before
        assert own <= now  # one run for all of them
        own = own or now

    wrong = modern(2, "tools/call", name="wait", arguments={"seconds": 0})
    assert client.post(wrong, **headers).json["error"]["code"] == -32020
    assert client.ask("GET").status == 405
    events = [
        data
        for _, data in client.post(
            modern(3, "tools/call", name="tell", arguments={"count": 2}), mcp_method="tools/call", mcp_name="tell"
        ).events
    ]
    assert [item.get("method") for item in events] == ["notifications/message"] * 2 + [None]


def test_requests_at_once_without_a_session_do_not_mix(front: Front) -> None:
    client = Client(url=front.url, token=front.token, version="2026-07-28")

    def ask(text: str) -> str:
        body = modern(1, "tools/call", name="echo", arguments={"text": text})
        return str(client.post(body, mcp_method="tools/call", mcp_name="echo").json["result"]["content"][0]["text"])

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, "abc")) == ["chatty: a", "chatty: b", "chatty: c"]


# Clients that others wrote


def test_the_python_sdk_speaks_with_it(front: Front) -> None:
    _, said = seen_by_sdk(front.url, front.token, ("echo", {"text": "hi"}), ("ask", {"text": "?"}))
    assert said == ["chatty: hi", "chatty: yes"]


def test_the_python_sdk_takes_the_newest_way_that_a_server_knows(home: Path, front: Front) -> None:
    interpreter = python_record().read_only_paths
    record = python_record(
        server="both-eras",
        argv=(sys.executable, "-I", str(SERVERS / "both_eras.py")),
        read_only_paths=(*interpreter, sys.prefix),
        sandbox=Sandbox(memory="1g"),
    )
    apply_records(home, [record])
    with serving(home, "both-eras") as both:
        assert protocol_of_sdk(both.url, both.token, "add", {"a": 1, "b": 2}) == ("2026-07-28", "3")
    assert protocol_of_sdk(front.url, front.token, "echo", {"text": "x"}) == ("2025-11-25", "chatty: x")


def test_a_server_that_does_not_know_the_newer_era_is_not_kept_for_it(home: Path) -> None:
    """A client that asks for it first and then says hello has one session, and not another that nobody uses."""
    with serving(home, "chatty") as found:
        before = set(family(found.process.pid))
        newer = Client(url=found.url, token=found.token, version="2026-07-28")
        reply = newer.post(modern(1, "server/discover"), mcp_method="server/discover")
        assert "supportedVersions" not in reply.json["result"]
        first = set(family(found.process.pid)) - before
        found.client().hello()
        assert wait_for(lambda: not first & set(family(found.process.pid)))
        running = sessions_now(ProjectState(home / "projects" / "trial"))["chatty"]
        assert [item.application_pid for item in running].count(found.process.pid) == 1


@pytest.mark.full
def test_many_clients_at_once_are_all_answered(front: Front) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        client = front.client().hello()
        for count in range(20):
            reply = client.call("echo", count, text=f"{number}.{count}").json
            if (reply["id"], reply["result"]["content"][0]["text"]) != (count, f"chatty: {number}.{count}"):
                wrong.append(reply)
        client.ask("DELETE")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
