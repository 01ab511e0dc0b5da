"""A group of servers as a value: what is said on one side, and what comes out on the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.serve.group import listing
from hatchlock.serve.group.asking import Out
from hatchlock.serve.group.names import LONGEST, labels, offered, parted
from hatchlock.serve.group.owners import Owners
from hatchlock.serve.group.router import Router

ALL = ("completions", "logging", "prompts", "resources", "tools")


class Talk:
    """A router, and servers that answer when they are told to."""

    def __init__(self, *servers: str, patience: float = 10.0) -> None:
        self.router = Router("dev", servers, version="1", patience=dict.fromkeys(servers, patience))
        self.client: list[Any] = []
        self.servers: dict[str, list[Any]] = {server: [] for server in servers}
        self.raw: list[bytes] = []
        self.left_out: list[str] = []
        self.notes: list[str] = []

    def _take(self, out: Out) -> None:
        for to, line in out.lines:
            (self.servers[to] if to else self.client).append(json.loads(line))
            self.raw.append(line)
        self.left_out += [server for server, _ in out.left_out]
        self.notes += out.notes

    def send(self, message: Any, now: float = 0.0) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._take(self.router.sent(line + b"\n", now))

    def ask(self, identity: Any, method: str, **params: Any) -> None:
        self.send({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})

    def say(self, server: str, message: Any, now: float = 0.0) -> None:
        line = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._take(self.router.said(server, line + b"\n", now))

    def reply(self, server: str, result: Any = None, **error: Any) -> None:
        """Answer what a server was asked last."""
        what = {"error": error} if error else {"result": result or {}}
        self.say(server, {"id": self.servers[server][-1]["id"], **what})

    def end(self, server: str) -> None:
        self._take(self.router.ended(server, 0.0))

    def later(self, now: float) -> None:
        self._take(self.router.passed(now))

    def last(self) -> Any:
        return self.client[-1]


def hello(protocol: str = "2025-06-18", can: tuple[str, ...] = ALL, **more: Any) -> dict[str, Any]:
    capabilities: dict[str, Any] = {name: {} for name in can}
    return {
        "protocolVersion": protocol,
        "capabilities": capabilities,
        "serverInfo": {"name": "x", "version": "1"},
        **more,
    }


def started(*servers: str, **options: Any) -> Talk:
    talk = Talk(*(servers or ("a", "b")), **options)
    talk.ask(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={})
    for server in talk.servers:
        talk.reply(server, hello())
    talk.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return talk


# initialize


def test_all_servers_are_greeted_with_the_clients_own_words_and_answer_as_one() -> None:
    talk = Talk("a", "b")
    talk.ask("é", "initialize", protocolVersion="2025-11-25", capabilities={"roots": {}})
    assert [talk.servers[name][0]["params"]["capabilities"] for name in "ab"] == [{"roots": {}}] * 2
    talk.reply("a", hello("2025-11-25", ("tools",), instructions="Use a"))
    assert talk.client == []
    talk.reply(
        "b",
        {
            **hello("2025-03-26", ("resources", "tasks")),
            "capabilities": {"resources": {"subscribe": True}, "tasks": {}},
        },
    )

    assert talk.last()["id"] == "é"
    found = talk.last()["result"]
    assert found["protocolVersion"] == "2025-03-26"
    assert found["capabilities"] == {
        "tools": {"listChanged": True},
        "resources": {"listChanged": True, "subscribe": True},
    }
    assert found["serverInfo"] == {"name": "dev", "version": "1"}
    assert found["instructions"] == "# a (its tools and prompts begin with a__)\n\nUse a"


def test_a_server_that_refuses_or_ends_is_left_out_and_the_others_go_on() -> None:
    talk = Talk("a", "b", "c")
    talk.ask(0, "initialize", protocolVersion="2025-11-25", capabilities={})
    talk.reply("a", code=-32000, message="no")
    talk.end("b")
    talk.reply("c", hello())
    assert talk.last()["result"]["serverInfo"]["name"] == "dev"
    assert talk.left_out == ["a", "b"]
    assert talk.router.present == ("c",)


def test_a_server_that_is_late_is_left_out() -> None:
    talk = Talk("a", "b", patience=5)
    talk.ask(0, "initialize", protocolVersion="2025-11-25", capabilities={})
    talk.reply("a", hello())
    talk.later(4.0)
    assert talk.client == []
    talk.later(6.0)
    assert "result" in talk.last()
    assert talk.left_out == ["b"]
    talk.reply("b", hello())
    assert talk.router.present == ("a",)


def test_without_any_server_the_answer_is_an_error() -> None:
    talk = Talk("a")
    talk.ask(0, "initialize", protocolVersion="2025-11-25", capabilities={})
    talk.end("a")
    assert talk.last()["error"]["code"] == -32000
    assert talk.router.present == ()


def test_what_is_asked_before_they_have_answered_waits() -> None:
    talk = Talk("a")
    talk.ask(0, "initialize", protocolVersion="2025-11-25", capabilities={})
    talk.ask(1, "tools/list")
    talk.ask(2, "ping")
    assert [message["id"] for message in talk.client] == [2]
    assert not talk.router.is_settled
    talk.reply("a", hello())
    assert talk.servers["a"][-1]["method"] == "tools/list"


def test_a_second_hello_is_refused() -> None:
    talk = started()
    talk.ask(1, "initialize", protocolVersion="2025-11-25", capabilities={})
    assert talk.last()["error"]["code"] == -32600


# Listings and calls


def test_all_pages_of_all_servers_are_one_page_with_names_of_their_own() -> None:
    talk = started()
    talk.ask(7, "tools/list")
    talk.reply("b", {"tools": [{"name": "two", "x": 1}]})
    talk.reply("a", {"tools": [{"name": "one"}], "nextCursor": "more"})
    assert talk.servers["a"][-1]["params"] == {"cursor": "more"}
    talk.reply("a", {"tools": [{"name": "three"}]})
    names = [tool["name"] for tool in talk.last()["result"]["tools"]]
    assert (talk.last()["id"], names) == (7, ["a__one", "a__three", "b__two"])
    assert "nextCursor" not in talk.last()["result"]


def test_definitions_are_as_they_were_sent_but_for_the_name() -> None:
    talk = started("a")
    talk.ask(1, "tools/list")
    number = talk.servers["a"][-1]["id"]
    definition = b'{"x": 1.50,\t"name"  : "on\\u0065", "inputSchema": {"name": "n"}, "y":"\\u202e"}'
    talk.say("a", b'{"result":{"tools":[' + definition + b'],"_meta":{}},"jsonrpc":"2.0","id":%d}' % number)
    assert definition.replace(b'"on\\u0065"', b'"a__one"') in talk.raw[-1]


def test_a_definition_with_two_names_or_none_is_left_out() -> None:
    talk = started("a")
    talk.ask(1, "tools/list")
    number = talk.servers["a"][-1]["id"]
    talk.say(
        "a",
        b'{"result":{"tools":[{"name":"x","name":"y"},{"name":1},[],{"name":"z"}]},"jsonrpc":"2.0","id":%d}' % number,
    )
    assert [tool["name"] for tool in talk.last()["result"]["tools"]] == ["a__z"]
    assert talk.notes == ["tools/list of a: 3 without a clear name are left out"]


def test_a_server_that_lists_badly_or_never_is_missing_in_the_listing() -> None:
    talk = started("a", "b", "c", patience=5)
    talk.ask(1, "tools/list")
    talk.reply("a", code=-32603, message="\x1b[31m")
    talk.reply("b", {"tools": [{"name": "two"}]})
    talk.later(6.0)
    assert [tool["name"] for tool in talk.last()["result"]["tools"]] == ["b__two"]
    assert [note.partition(" is left")[0] for note in talk.notes] == ["tools/list of a", "tools/list of c"]
    assert "\x1b" not in "".join(talk.notes)


def test_a_server_has_its_time_for_all_pages_together() -> None:
    talk = started("a", "b", patience=5)
    talk.ask(1, "tools/list")
    talk.reply("b", {"tools": [{"name": "two"}]})
    for number in range(1, 4):
        request = talk.servers["a"][-1]["id"]
        page = {"tools": [{"name": f"n{number}"}], "nextCursor": str(number)}
        talk.say("a", {"id": request, "result": page}, now=number * 2.0)
        talk.later(number * 2.0)
    assert [tool["name"] for tool in talk.last()["result"]["tools"]] == ["a__n1", "a__n2", "a__n3", "b__two"]


def test_names_that_a_server_lists_no_more_are_forgotten() -> None:
    owners = Owners({"a": "a", "b": "b"})
    first, other = owners.name("tools", "a", "x" * 80), owners.name("tools", "b", "x" * 80)
    prompt = owners.name("prompts", "a", "x" * 80)
    owners.forget("a", "tools")
    assert owners.named("tools", first) is None
    assert owners.is_unlisted("tools", first)
    assert owners.named("tools", other) == ("b", "x" * 80)
    assert owners.named("prompts", prompt) == ("a", "x" * 80)
    owners.forget("a")
    assert owners.named("prompts", prompt) is None


def test_a_server_that_lists_more_than_a_message_can_have_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LONGEST_MESSAGE", 100)
    talk = started("a", "b")
    talk.ask(1, "tools/list")
    talk.reply("b", {"tools": [{"name": "two"}]})
    for cursor in ("1", "2"):
        talk.reply("a", {"tools": [{"name": cursor, "title": "x" * 40}], "nextCursor": cursor})
    assert [tool["name"] for tool in talk.last()["result"]["tools"]] == ["a__1", "b__two"]
    assert talk.notes == ["tools/list of a is left out: with it the answer is too long for a message"]
    assert len(talk.servers["a"]) == 4


def test_a_cursor_that_we_never_gave_is_refused() -> None:
    talk = started()
    talk.ask(1, "tools/list", cursor="x")
    assert talk.last()["error"]["code"] == -32602


@pytest.mark.parametrize("method", ["tools/call", "prompts/get"])
def test_a_call_goes_to_its_server_with_the_name_that_it_has_there(method: str) -> None:
    talk = started()
    talk.send(
        b'{"jsonrpc":"2.0", "id":"x", "method":"%b", "params":{"arguments":{"n":1.0}, "name":"b__two__x"}}'
        % method.encode()
    )
    assert talk.servers["b"][-1]["params"] == {"arguments": {"n": 1.0}, "name": "two__x"}
    assert b'"n":1.0' in talk.raw[-1]
    talk.reply("b", {"content": []})
    assert talk.last() == {"jsonrpc": "2.0", "id": "x", "result": {"content": []}}


@pytest.mark.parametrize("name", ["two", "c__two", "b__", "__two", "", "B__two", None, 3])
def test_a_name_that_nobody_has_is_an_error(name: Any) -> None:
    talk = started()
    before = len(talk.servers["b"])
    talk.ask(1, "tools/call", name=name)
    assert talk.last()["error"]["code"] == -32602
    assert len(talk.servers["b"]) == before


def test_a_long_name_is_known_once_it_was_listed() -> None:
    talk = started("a")
    long = "x" * 80
    name = offered("a", long)
    talk.ask(1, "tools/call", name=name)
    assert talk.last()["error"]["code"] == -32602
    talk.ask(2, "tools/list")
    talk.reply("a", {"tools": [{"name": long}]})
    assert [tool["name"] for tool in talk.last()["result"]["tools"]] == [name]
    talk.ask(3, "tools/call", name=name)
    assert talk.servers["a"][-1]["params"]["name"] == long


def test_a_request_with_a_member_twice_goes_nowhere() -> None:
    talk = started()
    talk.send(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__x","name":"b__x"}}')
    talk.send(b'{"jsonrpc":"2.0","id":2,"method":"ping","method":"tools/list","params":{}}')
    assert [message["error"]["code"] for message in talk.client[-2:]] == [-32600, -32600]


def test_methods_that_cannot_be_kept_apart_are_refused() -> None:
    talk = started()
    talk.ask(1, "tasks/get", taskId="x")
    talk.ask(2, "server/discover")
    assert [message["error"]["code"] for message in talk.client[-2:]] == [-32601, -32601]


def test_a_batch_is_taken_one_by_one() -> None:
    talk = started()
    talk.send([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "ping"}])
    assert [message["id"] for message in talk.client[-2:]] == [1, 2]


# Resources, completion, levels


def test_a_resource_is_asked_of_whoever_listed_it() -> None:
    talk = started()
    talk.ask(1, "resources/list")
    talk.reply("a", {"resources": [{"uri": "x://1"}]})
    talk.reply("b", {"resources": [{"uri": "x://1"}, {"uri": "x://2"}]})
    assert [item["uri"] for item in talk.last()["result"]["resources"]] == ["x://1", "x://2"]
    assert len(talk.notes) == 1
    talk.ask(2, "resources/read", uri="x://2")
    assert talk.servers["b"][-1]["method"] == "resources/read"


def test_a_resource_of_nobody_known_is_asked_of_one_after_the_other() -> None:
    talk = started()
    talk.ask("u", "resources/subscribe", uri="x://3")
    talk.reply("a", code=-32002, message="none here")
    talk.reply("b", {})
    assert talk.last() == {"jsonrpc": "2.0", "id": "u", "result": {}}
    talk.ask("v", "resources/read", uri="x://3")
    talk.reply("a", code=-32002, message="none here")
    talk.reply("b", code=-32002, message="nor here")
    assert talk.last()["error"]["message"] == "nor here"


def test_completion_goes_to_the_prompts_server() -> None:
    talk = started()
    talk.ask(1, "completion/complete", ref={"type": "ref/prompt", "name": "b__p"}, argument={})
    assert talk.servers["b"][-1]["params"]["ref"] == {"type": "ref/prompt", "name": "p"}
    talk.ask(2, "completion/complete", ref={"type": "ref/prompt", "name": "p"}, argument={})
    assert talk.last()["error"]["code"] == -32602


def test_a_level_is_set_for_all() -> None:
    talk = started()
    talk.ask(1, "logging/setLevel", level="debug")
    talk.reply("a", {})
    count = len(talk.client)
    talk.reply("b", code=-1, message="no")
    assert len(talk.client) == count + 1
    assert talk.last()["result"] == {}


# What servers say by themselves


def test_requests_of_servers_do_not_mix_and_their_answers_find_back() -> None:
    talk = started()
    for server in "ab":
        meta = {"progressToken": 1}
        talk.say(server, {"id": 1, "method": "sampling/createMessage", "params": {"_meta": meta, "of": server}})
    first, second = talk.client[-2:]
    assert first["id"] != second["id"]
    assert first["params"]["_meta"]["progressToken"] != second["params"]["_meta"]["progressToken"]

    progress = {"progressToken": second["params"]["_meta"]["progressToken"], "progress": 1}
    talk.send({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
    assert talk.servers["b"][-1]["params"] == {"progressToken": 1, "progress": 1}
    talk.send({"jsonrpc": "2.0", "id": first["id"], "result": {"role": "assistant"}})
    assert talk.servers["a"][-1] == {"jsonrpc": "2.0", "id": 1, "result": {"role": "assistant"}}
    talk.send({"jsonrpc": "2.0", "id": first["id"], "result": {}})
    assert talk.servers["a"][-1]["result"] == {"role": "assistant"}


def test_a_server_takes_its_request_back() -> None:
    talk = started()
    talk.say("a", {"id": "r", "method": "elicitation/create", "params": {}})
    number = talk.last()["id"]
    talk.say("b", {"method": "notifications/cancelled", "params": {"requestId": "r"}})
    assert talk.last()["id"] == number
    talk.say("a", {"method": "notifications/cancelled", "params": {"requestId": "r"}})
    assert talk.last()["params"]["requestId"] == number


def test_notifications_pass_up() -> None:
    talk = started()
    talk.say("b", {"method": "notifications/tools/list_changed"})
    assert talk.last() == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


def test_notifications_of_the_client_reach_all() -> None:
    talk = started()
    talk.send({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
    assert [talk.servers[name][-1]["method"] for name in "ab"] == ["notifications/roots/list_changed"] * 2


def test_a_server_answers_only_what_it_was_asked() -> None:
    talk = started()
    talk.ask(1, "tools/call", name="a__x")
    number = talk.servers["a"][-1]["id"]
    count = len(talk.client)
    talk.say("b", {"id": number, "result": {"content": "forged"}})
    talk.say("b", {"id": 4711, "result": {}})
    talk.say("b", b'{"jsonrpc":"2.0"')
    assert len(talk.client) == count
    talk.reply("a", {"content": "real"})
    assert talk.last()["result"] == {"content": "real"}
    talk.reply("a", {"content": "again"})
    assert talk.last()["result"] == {"content": "real"}


# Cancelling and ending


def test_a_call_and_a_listing_are_taken_back() -> None:
    talk = started()
    talk.ask("c", "tools/call", name="a__x")
    number = talk.servers["a"][-1]["id"]
    talk.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c"}})
    assert talk.servers["a"][-1]["params"] == {"requestId": number}
    talk.ask(5, "tools/list")
    asked = [talk.servers[name][-1]["id"] for name in "ab"]
    talk.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
    assert [talk.servers[name][-1]["params"]["requestId"] for name in "ab"] == asked
    assert talk.router.is_settled


def test_a_server_that_ends_leaves_nobody_waiting() -> None:
    talk = started()
    talk.ask(1, "tools/call", name="a__x")
    talk.ask(2, "tools/list")
    talk.say("a", {"id": "r", "method": "roots/list"})
    talk.reply("b", {"tools": []})
    talk.end("a")
    found = {message.get("id", message.get("method")) for message in talk.client}
    assert {1, 2, "notifications/cancelled", "notifications/tools/list_changed"} <= found
    talk.ask(3, "tools/call", name="a__x")
    assert talk.last()["error"]["code"] == -32602
    talk.ask(4, "tools/call", name="b__x")
    assert talk.servers["b"][-1]["params"]["name"] == "x"


# Names

SERVERS = st.sets(st.from_regex(r"[a-z0-9]{1,4}(?:[._-][a-z0-9]{1,40})?", fullmatch=True), min_size=1, max_size=4)
TOOLS = st.one_of(st.text(max_size=80), st.from_regex(r"[a-z]_{0,3}[a-z]{0,3}_[0-9a-f]{10}", fullmatch=True))


@given(SERVERS, st.lists(TOOLS, max_size=8, unique=True))
def test_names_never_collide_and_clients_take_them(servers: set[str], tools: list[str]) -> None:
    known = labels(servers)
    names = [offered(label, tool) for label in known.values() for tool in tools]
    assert len(set(names)) == len(servers) * len(tools)
    assert all(len(name) <= LONGEST and name.replace("_", "a").replace("-", "a").isalnum() for name in names)
    assert all(name.isascii() for name in names)
    for server, label in known.items():
        owners = Owners(known)
        for tool in tools:
            name = offered(label, tool)
            assert parted(name)[0] == label
            assert owners.named("tools", name) in {None, (server, tool)}
            assert owners.name("tools", server, tool) == name
            assert owners.named("tools", name) == (server, tool)


def test_a_name_that_looks_like_a_shortened_one_is_another_one() -> None:
    long = "x" * 80
    shortened = parted(offered("a", long))
    assert shortened == ("a", "")
    tail = offered("a", long).removeprefix("a__")
    assert offered("a", tail) != offered("a", long)


def test_only_names_that_were_offered_are_taken_apart() -> None:
    owners = Owners({"a": "a"})
    assert owners.named("tools", "a__x") == ("a", "x")
    assert owners.named("tools", "a__x y") is None
    assert owners.named("tools", f"a__{'x' * 80}") is None


def test_a_plain_name_is_what_people_expect() -> None:
    assert labels(["time", "web.search"]) == {
        "time": "time",
        "web.search": "web_search_" + labels(["web.search"])["web.search"][-10:],
    }
    assert offered("time", "get_current_time") == "time__get_current_time"


@pytest.mark.parametrize(
    ("template", "address", "fits"),
    [
        ("x://{id}/data", "x://7/data", True),
        ("x://{id}/data", "x://7/date", False),
        ("x://{a}/{b}", "x://1/2", True),
        ("x://{a}/-/{b}", "x://1/2", False),
        ("x://{+path}", "x://a/b/c", True),
        ("{a}{b}", "anything", True),
        ("x://", "x://", True),
        ("x://{a}x", "x://x", True),
        ("x:{a}x", "x:", False),
    ],
)
def test_a_template_says_whose_an_address_is(template: str, address: str, fits: bool) -> None:
    owners = Owners({"a": "a", "b": "b"})
    assert owners.own("resourceTemplates", "b", template)
    assert owners.of_address(address) == ("b" if fits else None)
