"""A group for clients and servers of either era, as a value: what each side says, and what the other side gets of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.serve.envelope import messages_of
from hatchlock.serve.group import listing
from hatchlock.serve.group import parked as parking
from hatchlock.serve.group.asking import Out
from hatchlock.serve.group.both_eras import Group
from hatchlock.serve.group.eras import completed, with_meta
from hatchlock.serve.group.names import offered

KEY = "io.modelcontextprotocol/"
NEWEST = "2026-07-28"
ABLE: dict[str, Any] = {"elicitation": {}, "roots": {}, "sampling": {}}
CAN: dict[str, Any] = {
    "completions": {},
    "logging": {},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "tools": {"listChanged": True},
}
ELICITATION: dict[str, Any] = {"method": "elicitation/create", "params": {"message": "Who?"}}


class Talk:
    """A group whose servers answer when they are told to."""

    def __init__(self, *servers: str) -> None:
        self.group = Group("dev", servers, version="1", patience=dict.fromkeys(servers, 10.0))
        self.client: list[Any] = []
        self.servers: dict[str, list[Any]] = {server: [] for server in servers}
        self.raw: list[bytes] = []
        self.left_out: list[tuple[str, str]] = []
        self.numbers = iter(range(1, 10_000))

    def take(self, out: Out) -> None:
        for to, line in out.lines:
            (self.servers[to] if to else self.client).append(json.loads(line))
            self.raw.append(line)
        self.left_out += out.left_out

    def send(self, message: Any) -> None:
        line = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.take(self.group.sent(line + b"\n", 0.0))

    def ask(self, method: str, *, meta: Any = None, able: Any = ABLE, **params: Any) -> str:
        """Ask as a client of 2026-07-28 does; return the id."""
        identity = f"c{next(self.numbers)}"
        found = {f"{KEY}protocolVersion": NEWEST, f"{KEY}clientCapabilities": able, **(meta or {})}
        self.send({"id": identity, "method": method, "params": {"_meta": found, **params}})
        return identity

    def hello(self) -> None:
        """Begin a session, as clients of 2025-11-25 do."""
        info = {"name": "old", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": ABLE, "clientInfo": info}
        self.send({"id": "hello", "method": "initialize", "params": params})

    def old(self, method: str, **params: Any) -> str:
        """Ask as a client with a session does; return the id."""
        identity = f"o{next(self.numbers)}"
        self.send({"id": identity, "method": method, "params": params})
        return identity

    def say(self, server: str, message: Any) -> None:
        line = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.take(self.group.said(server, line + b"\n", 0.0))

    def tell(self, server: str, method: str, **params: Any) -> None:
        self.say(server, {"method": method, "params": params})

    def reply(self, server: str, result: Any = None, *, to: Any = None, **error: Any) -> None:
        """Answer what a server was asked last, or another request of its."""
        request = to or next(item for item in reversed(self.servers[server]) if "method" in item and "id" in item)
        self.say(server, {"id": request["id"], **({"error": error} if error else {"result": result or {}})})

    def cancel(self, identity: str) -> None:
        self.send({"method": "notifications/cancelled", "params": {"requestId": identity}})

    def last(self, server: str = "") -> Any:
        return (self.servers[server] if server else self.client)[-1]

    def last_result(self) -> Any:
        return self.last()["result"]


def with_session(talk: Talk, server: str, can: Any = None, **more: Any) -> None:
    """Let a server say hello as one of 2025-11-25."""
    info = {"name": "x", "version": "1"}
    talk.reply(server, {"protocolVersion": "2025-11-25", "capabilities": can or CAN, "serverInfo": info, **more})


def without_session(talk: Talk, server: str, can: Any = None, **more: Any) -> None:
    """Let a server say that it speaks 2026-07-28 and nothing else."""
    talk.reply(server, code=-32022, message="no", data={"supported": [NEWEST]})
    assert talk.last(server)["method"] == "server/discover"
    talk.reply(server, {"supportedVersions": [NEWEST], "capabilities": can or CAN, "resultType": "complete", **more})


@pytest.fixture
def mixed() -> Talk:
    """A client of 2026-07-28, with a server `a` that has sessions and a server `b` that has none."""
    talk = Talk("a", "b")
    talk.ask("server/discover", meta={f"{KEY}clientInfo": {"name": "new", "version": "2"}})
    with_session(talk, "a", instructions="Use a")
    without_session(talk, "b")
    return talk


@pytest.fixture
def older() -> Talk:
    """A client with a session, with the same servers."""
    talk = Talk("a", "b")
    talk.hello()
    with_session(talk, "a")
    without_session(talk, "b")
    talk.send({"method": "notifications/initialized"})
    return talk


# Who is who


def test_a_client_without_a_session_is_told_what_its_servers_are_together(mixed: Talk) -> None:
    hello = mixed.servers["a"][0]
    assert hello["method"] == "initialize"
    assert hello["params"] == {
        "protocolVersion": "2025-11-25",
        "capabilities": ABLE,
        "clientInfo": {"name": "new", "version": "2"},
    }
    assert mixed.servers["a"][1]["method"] == "notifications/initialized"
    assert mixed.last() == {
        "jsonrpc": "2.0",
        "id": "c1",
        "result": {
            "supportedVersions": [NEWEST],
            "capabilities": CAN,
            "instructions": "# a (its tools and prompts begin with a__)\n\nUse a",
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {f"{KEY}serverInfo": {"name": "dev", "version": "1"}},
        },
    }


def test_a_server_without_sessions_gets_what_this_version_wants_and_no_greeting(mixed: Talk) -> None:
    assert [item["method"] for item in mixed.servers["b"]] == ["initialize", "server/discover", "subscriptions/listen"]
    assert mixed.servers["b"][1]["params"]["_meta"] == {
        f"{KEY}protocolVersion": NEWEST,
        f"{KEY}clientCapabilities": ABLE,
        f"{KEY}clientInfo": {"name": "new", "version": "2"},
    }
    wanted = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
    assert mixed.servers["b"][2]["params"]["notifications"] == wanted


def test_a_client_with_a_session_meets_a_server_without(older: Talk) -> None:
    assert older.last()["id"] == "hello"
    assert older.last_result()["protocolVersion"] == "2025-11-25"
    assert older.last_result()["capabilities"] == CAN
    assert older.servers["a"][-1]["method"] == "notifications/initialized"
    assert older.servers["b"][-1]["method"] == "subscriptions/listen"


def test_a_server_without_sessions_holds_nobody_back_to_an_older_version() -> None:
    talk = Talk("a", "b")
    talk.hello()
    without_session(talk, "b")
    talk.reply("a", {"protocolVersion": "2025-06-18", "capabilities": CAN, "serverInfo": {}})
    assert talk.last_result()["protocolVersion"] == "2025-06-18"


@pytest.mark.parametrize("answer", [{"supportedVersions": ["2031-01-01"], "capabilities": {}}, {}, None])
def test_a_server_that_speaks_neither_is_left_out(answer: Any) -> None:
    talk = Talk("a", "b")
    talk.ask("tools/list")
    with_session(talk, "a")
    talk.reply("b", code=-32601, message="no")
    talk.reply("b", answer) if answer is not None else talk.reply("b", code=-32601, message="neither")
    assert [server for server, _ in talk.left_out] == ["b"]
    assert talk.group.present == ("a",)
    assert talk.last("a")["method"] == "tools/list"


def test_a_first_request_need_not_be_a_greeting() -> None:
    talk = Talk("a")
    talk.ask("tools/call", name="a__x", arguments={})
    assert [item["method"] for item in talk.servers["a"]] == ["initialize"]
    assert not talk.group.is_settled
    with_session(talk, "a")
    methods = [item["method"] for item in talk.servers["a"]]
    assert methods == ["initialize", "notifications/initialized", "tools/call"]
    assert talk.group.is_settled


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({f"{KEY}protocolVersion": "2031-01-01"}, -32022),
        ({f"{KEY}protocolVersion": 1}, -32602),
        ({f"{KEY}clientCapabilities": []}, -32602),
    ],
)
def test_a_request_of_no_known_version_is_refused_and_decides_nothing(meta: Any, code: int) -> None:
    talk = Talk("a")
    talk.ask("server/discover", meta=meta)
    assert talk.last()["error"]["code"] == code
    if code == -32022:
        data = {
            "supported": [NEWEST, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"],
            "requested": "2031-01-01",
        }
        assert talk.last()["error"]["data"] == data
    talk.hello()
    with_session(talk, "a")
    assert talk.last_result()["protocolVersion"] == "2025-11-25"


def test_a_session_cannot_begin_where_there_is_none(mixed: Talk) -> None:
    mixed.hello()
    assert mixed.last()["error"]["data"] == {"supported": [NEWEST], "requested": "2025-11-25"}
    mixed.send(b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"},{"jsonrpc":"2.0","id":2,"method":"tools/list"}]')
    assert mixed.last()["error"]["code"] == -32600


@pytest.mark.parametrize("method", ["ping", "logging/setLevel", "resources/subscribe", "tasks/get", "x"])
def test_what_this_version_has_given_up_is_no_method(mixed: Talk, method: str) -> None:
    mixed.ask(method)
    assert mixed.last()["error"]["code"] == -32601


def test_without_any_server_each_waiting_request_is_answered() -> None:
    talk = Talk("a")
    first, second = talk.ask("server/discover"), talk.ask("tools/list")
    talk.take(talk.group.ended("a", 0.0))
    third = talk.ask("server/discover")
    found = [(item["id"], item["error"]["code"]) for item in talk.client]
    assert found == [(first, -32000), (second, -32000), (third, -32000)]


# Requests and results


def test_each_server_gets_what_its_version_knows_and_the_client_what_its_own_does(mixed: Talk) -> None:
    meta = {"progressToken": 7, f"{KEY}clientInfo": {"name": "new", "version": "2"}, "com.example/x": 1}
    identity = mixed.ask("tools/call", meta=meta, name="a__x", arguments={"n": 1})
    assert mixed.last("a")["params"] == {
        "_meta": {"progressToken": 7, "com.example/x": 1},
        "name": "x",
        "arguments": {"n": 1},
    }
    mixed.say("a", b'{"jsonrpc":"2.0","result": {"content":[],"n":1.50},"id":%d}' % mixed.last("a")["id"])
    assert mixed.last() == {
        "jsonrpc": "2.0",
        "id": identity,
        "result": {"resultType": "complete", "content": [], "n": 1.5},
    }
    assert b'"content":[],"n":1.50}' in mixed.raw[-1]

    identity = mixed.ask("tools/call", meta=meta, name="b__x", arguments={})
    assert mixed.last("b")["params"]["_meta"] == {
        f"{KEY}protocolVersion": NEWEST,
        f"{KEY}clientCapabilities": ABLE,
        **meta,
    }
    mixed.reply("b", {"resultType": "complete", "content": []})
    assert mixed.last() == {"jsonrpc": "2.0", "id": identity, "result": {"resultType": "complete", "content": []}}


def test_a_client_with_a_session_is_translated_for_a_server_without(older: Talk) -> None:
    identity = older.old("tools/call", name="b__x", arguments={}, _meta={"progressToken": 1})
    assert older.last("b")["params"]["_meta"] == {
        "progressToken": 1,
        f"{KEY}protocolVersion": NEWEST,
        f"{KEY}clientCapabilities": ABLE,
        f"{KEY}clientInfo": {"name": "old", "version": "1"},
    }
    older.reply("b", {"resultType": "complete", "content": []})
    assert older.last()["id"] == identity
    older.old("tools/list")
    assert "_meta" not in older.last("a").get("params", {})
    assert older.last("b")["params"]["_meta"][f"{KEY}protocolVersion"] == NEWEST


@pytest.mark.parametrize(
    ("pages", "kept"),
    [
        (({"ttlMs": 500, "cacheScope": "public"}, {"ttlMs": 90, "cacheScope": "public"}), (90, "public")),
        (({"ttlMs": 500, "cacheScope": "private"}, {"ttlMs": 900, "cacheScope": "public"}), (500, "private")),
        (({"ttlMs": 500, "cacheScope": "public"}, {}), (0, "private")),
        (({"ttlMs": -5, "cacheScope": "public"}, {"ttlMs": 1, "cacheScope": "public"}), (0, "private")),
        (({"ttlMs": 500, "cacheScope": "public"}, None), (0, "private")),
    ],
)
def test_a_listing_may_be_kept_as_long_as_all_of_it(pages: Any, kept: Any) -> None:
    talk = Talk("a", "b")
    talk.ask("tools/list")
    for server in "ab":
        without_session(talk, server)
    for server, page in zip("ab", pages, strict=True):
        asked = next(item for item in reversed(talk.servers[server]) if item["method"] == "tools/list")
        if page is None:
            talk.reply(server, to=asked, code=-32603, message="no")
        else:
            talk.reply(server, {"tools": [{"name": "x"}], **page}, to=asked)
    assert (talk.last_result()["ttlMs"], talk.last_result()["cacheScope"]) == kept
    assert talk.last_result()["_meta"] == {f"{KEY}serverInfo": {"name": "dev", "version": "1"}}
    assert talk.last_result()["resultType"] == "complete"


def test_a_listing_that_was_cut_may_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_MOST_PAGES", 1)
    talk = Talk("a")
    talk.ask("tools/list")
    without_session(talk, "a")
    asked = talk.last("a") if talk.last("a")["method"] == "tools/list" else talk.servers["a"][-2]
    talk.reply("a", {"tools": [{"name": "x"}], "nextCursor": "2", "ttlMs": 5, "cacheScope": "public"}, to=asked)
    assert (len(talk.last_result()["tools"]), talk.last_result()["ttlMs"]) == (1, 0)


def test_what_a_server_says_of_a_resource_is_kept(mixed: Talk) -> None:
    mixed.ask("resources/list")
    mixed.reply("a", {"resources": [{"uri": "x://a"}]})
    mixed.reply("b", {"resources": [{"uri": "x://b"}]})
    mixed.ask("resources/read", uri="x://b")
    mixed.reply("b", {"contents": [], "ttlMs": 7, "cacheScope": "public", "resultType": "complete"})
    assert mixed.last_result() == {"contents": [], "ttlMs": 7, "cacheScope": "public", "resultType": "complete"}
    mixed.ask("resources/read", uri="x://a")
    mixed.reply("a", {"contents": []})
    assert mixed.last_result() == {"contents": [], "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}


@pytest.mark.parametrize(("code", "instead"), [(-32002, -32602), (-32042, -32603), (-32603, -32603), (7, 7)])
def test_codes_that_were_given_up_are_replaced(mixed: Talk, code: int, instead: int) -> None:
    identity = mixed.ask("tools/call", name="a__x")
    mixed.reply("a", code=code, message="no", data={"x": 1})
    error = {"code": instead, "message": "no", "data": {"x": 1}}
    assert mixed.last() == {"jsonrpc": "2.0", "id": identity, "error": error}


def test_a_shortened_name_is_listed_first_since_no_request_follows_another() -> None:
    talk = Talk("a")
    long = "x" * 80
    talk.ask("tools/call", name=offered("a", long))
    with_session(talk, "a")
    assert talk.last("a")["method"] == "tools/list"
    assert not talk.group.is_settled
    talk.reply("a", {"tools": [{"name": long}]})
    assert talk.last("a")["params"]["name"] == long
    talk.reply("a", {"content": []})
    assert talk.last_result()["content"] == []
    talk.ask("tools/call", name=offered("a", long))
    assert talk.last("a")["method"] == "tools/call"
    talk.reply("a", {"content": []})
    talk.ask("tools/call", name=offered("a", "y" * 80))
    talk.reply("a", {"tools": []})
    assert talk.last()["error"]["code"] == -32602
    count = len(talk.servers["a"])
    talk.cancel(talk.ask("tools/call", name=offered("a", "z" * 80)))
    talk.reply("a", {"tools": [{"name": "z" * 80}]})
    assert len(talk.servers["a"]) == count + 1


# Cancelling


@pytest.mark.parametrize("server", ["a", "b"])
def test_calls_and_listings_are_taken_back(mixed: Talk, server: str) -> None:
    identity = mixed.ask("tools/call", name=f"{server}__x")
    asked = mixed.last(server)["id"]
    count = len(mixed.client)
    mixed.cancel(identity)
    assert mixed.last(server) == {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": asked},
    }
    mixed.say(server, {"id": asked, "result": {}})
    identity = mixed.ask("tools/list")
    mixed.cancel(identity)
    assert mixed.last(server)["method"] == "notifications/cancelled"
    assert mixed.group.is_settled
    assert len(mixed.client) == count


def test_what_waits_for_the_servers_is_taken_back() -> None:
    talk = Talk("a")
    gone, wanted = talk.ask("tools/call", name="a__x"), talk.ask("server/discover")
    talk.cancel(gone)
    with_session(talk, "a")
    assert [item["id"] for item in talk.client] == [wanted]
    assert "tools/call" not in {item["method"] for item in talk.servers["a"]}


def test_a_client_with_a_session_takes_a_call_back_from_a_server_without(older: Talk) -> None:
    identity = older.old("tools/call", name="b__x")
    asked = older.last("b")["id"]
    older.cancel(identity)
    assert older.last("b")["params"] == {"requestId": asked}


# What servers tell


def test_a_level_is_set_once_and_logs_go_to_whoever_wants_them(mixed: Talk) -> None:
    mixed.ask("tools/call", name="a__x")
    count = len(mixed.client)
    mixed.tell("a", "notifications/message", level="error", data="x")
    assert len(mixed.client) == count
    mixed.reply("a", {})
    for _ in range(2):
        mixed.ask("tools/call", name="a__x", meta={f"{KEY}logLevel": "warning"})
    levels = [item for item in mixed.servers["a"] if item["method"] == "logging/setLevel"]
    assert [item["params"] for item in levels] == [{"level": "warning"}]
    mixed.reply("a", {}, to=levels[0])
    mixed.tell("a", "notifications/message", level="info", data="too little")
    mixed.tell("a", "notifications/message", level="warning", data="enough")
    mixed.tell("b", "notifications/message", level="error", data="of another server")
    mixed.tell("a", "notifications/message", level="error", data="x")
    logged = [item["params"]["data"] for item in mixed.client if item.get("method") == "notifications/message"]
    assert logged == ["enough", "x"]


def test_no_level_is_set_where_nothing_is_logged() -> None:
    talk = Talk("a")
    talk.ask("tools/call", name="a__x", meta={f"{KEY}logLevel": "debug"})
    with_session(talk, "a", {"tools": {}})
    assert [item["method"] for item in talk.servers["a"]][2:] == ["tools/call"]


def test_a_level_of_a_session_goes_with_each_request(older: Talk) -> None:
    older.old("logging/setLevel", level="warning")
    older.reply("a", {})
    assert older.last_result() == {}
    older.old("tools/call", name="b__x")
    assert older.last("b")["params"]["_meta"][f"{KEY}logLevel"] == "warning"


def test_progress_passes(mixed: Talk) -> None:
    mixed.ask("tools/call", name="a__x", meta={"progressToken": "t"})
    mixed.tell("a", "notifications/progress", progressToken="t", progress=1)
    assert mixed.last()["params"] == {"progressToken": "t", "progress": 1}
    count = len(mixed.client)
    mixed.tell("a", "notifications/progress", progressToken="other", progress=1)
    mixed.tell("a", "notifications/elicitation/complete", elicitationId="x")
    assert len(mixed.client) == count
    mixed.reply("a", {})
    mixed.ask("tools/call", name="a__x", meta={"progressToken": "t"})
    mixed.tell("a", "notifications/progress", progressToken="t", progress=2)
    assert mixed.last()["params"] == {"progressToken": "t", "progress": 2}


def test_changes_go_to_whoever_listens_for_them(mixed: Talk) -> None:
    for server in "ab":
        mixed.tell(server, "notifications/tools/list_changed")
    assert len(mixed.client) == 1
    tools = mixed.ask("subscriptions/listen", notifications={"toolsListChanged": True, "promptsListChanged": False})
    assert mixed.last()["method"] == "notifications/subscriptions/acknowledged"
    assert mixed.last()["params"] == {
        "_meta": {f"{KEY}subscriptionId": tools},
        "notifications": {"toolsListChanged": True},
    }
    both = mixed.ask("subscriptions/listen", notifications={"toolsListChanged": True, "promptsListChanged": True})
    count = len(mixed.client)
    ours = mixed.servers["b"][2]["id"]
    mixed.tell("b", "notifications/tools/list_changed", _meta={f"{KEY}subscriptionId": ours, "x": 1})
    assert [item["params"]["_meta"] for item in mixed.client[count:]] == [
        {"x": 1, f"{KEY}subscriptionId": tools},
        {"x": 1, f"{KEY}subscriptionId": both},
    ]
    mixed.cancel(both)
    mixed.tell("a", "notifications/prompts/list_changed")
    assert len(mixed.client) == count + 2
    mixed.take(mixed.group.ended("a", 0.0))
    assert mixed.last()["method"] == "notifications/tools/list_changed"
    mixed.take(mixed.group.ending(0.0))
    assert mixed.last()["id"] == tools
    assert mixed.last_result() == {"resultType": "complete", "_meta": {f"{KEY}subscriptionId": tools}}


def test_nobody_is_promised_what_no_server_tells() -> None:
    talk = Talk("a")
    asked = {"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["x://a"]}
    talk.ask("subscriptions/listen", notifications=asked)
    without_session(talk, "a", {"tools": {"listChanged": False}, "resources": {}})
    assert talk.last()["params"]["notifications"] == {"toolsListChanged": True}
    assert [item["method"] for item in talk.servers["a"]] == ["initialize", "server/discover"]


@pytest.mark.parametrize("server", ["a", "b"])
def test_changes_of_a_resource_are_wanted_while_somebody_listens(mixed: Talk, server: str) -> None:
    mixed.ask("resources/list")
    for name in "ab":
        mixed.reply(name, {"resources": [{"uri": f"x://{name}"}]})
    uri = f"x://{server}"
    first = mixed.ask("subscriptions/listen", notifications={"resourceSubscriptions": [uri]})
    assert mixed.last()["params"]["notifications"] == {"resourceSubscriptions": [uri]}
    asked = mixed.last(server)
    count = len(mixed.servers[server])
    second = mixed.ask("subscriptions/listen", notifications={"resourceSubscriptions": [uri]})
    assert len(mixed.servers[server]) == count
    if server == "a":
        assert (asked["method"], asked["params"]["uri"]) == ("resources/subscribe", uri)
        mixed.reply("a", {})
        mixed.tell("a", "notifications/resources/updated", uri=uri)
    else:
        assert asked["params"]["notifications"] == {"resourceSubscriptions": [uri]}
        meta = {f"{KEY}subscriptionId": asked["id"]}
        mixed.tell(
            "b", "notifications/subscriptions/acknowledged", _meta=meta, notifications=asked["params"]["notifications"]
        )
        mixed.tell("b", "notifications/resources/updated", _meta=meta, uri=uri)
    told = [item["params"] for item in mixed.client[-2:]]
    assert told == [{"uri": uri, "_meta": {f"{KEY}subscriptionId": identity}} for identity in (first, second)]
    mixed.cancel(first)
    assert len(mixed.servers[server]) == count
    mixed.cancel(second)
    ended = mixed.last(server)
    if server == "a":
        assert (ended["method"], ended["params"]["uri"]) == ("resources/unsubscribe", uri)
    else:
        assert (ended["method"], ended["params"]) == ("notifications/cancelled", {"requestId": asked["id"]})


def test_nobody_is_listened_to_any_more_when_the_group_ends(mixed: Talk) -> None:
    mixed.ask("subscriptions/listen", notifications={"resourceSubscriptions": ["x://b"]})
    mixed.reply("a", code=-32002, message="none here")
    listened = {item["id"] for item in mixed.servers["b"] if item["method"] == "subscriptions/listen"}
    counts = {server: len(said) for server, said in mixed.servers.items()}
    mixed.take(mixed.group.ending(0.0))
    assert {item["params"]["requestId"] for item in mixed.servers["b"][counts["b"] :]} == listened
    assert len(listened) == 2
    assert len(mixed.servers["a"]) == counts["a"]


def test_a_client_with_a_session_subscribes_at_a_server_without(older: Talk) -> None:
    older.old("resources/list")
    older.reply("a", {"resources": []})
    older.reply("b", {"resources": [{"uri": "x://b"}, {"uri": "x://c"}]})
    identity = older.old("resources/subscribe", uri="x://b")
    asked = older.last("b")
    assert asked["method"] == "subscriptions/listen"
    meta = {f"{KEY}subscriptionId": asked["id"]}
    older.tell(
        "b", "notifications/subscriptions/acknowledged", _meta=meta, notifications=asked["params"]["notifications"]
    )
    assert older.last() == {"jsonrpc": "2.0", "id": identity, "result": {}}
    older.tell("b", "notifications/resources/updated", _meta=meta, uri="x://b")
    assert older.last() == {
        "jsonrpc": "2.0",
        "method": "notifications/resources/updated",
        "params": {"_meta": {}, "uri": "x://b"},
    }
    count = len(older.servers["b"])
    older.old("resources/subscribe", uri="x://b")
    assert older.last_result() == {}
    assert len(older.servers["b"]) == count
    older.old("resources/unsubscribe", uri="x://b")
    assert older.last("b") == {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": asked["id"]},
    }
    assert older.last_result() == {}

    refused = older.old("resources/subscribe", uri="x://c")
    meta = {f"{KEY}subscriptionId": older.last("b")["id"]}
    older.tell("b", "notifications/subscriptions/acknowledged", _meta=meta, notifications={})
    assert (older.last()["id"], older.last()["error"]["code"]) == (refused, -32601)
    refused = older.old("resources/subscribe", uri="x://c")
    older.reply("b", code=-32603, message="no")
    assert (older.last()["id"], older.last()["error"]["code"]) == (refused, -32603)
    older.tell("b", "notifications/tools/list_changed", _meta={f"{KEY}subscriptionId": older.servers["b"][2]["id"]})
    assert older.last()["method"] == "notifications/tools/list_changed"


# What servers demand of clients without a session


def parked(talk: Talk, **params: Any) -> Any:
    """Call `a__x`, whose server asks who it is; return what the client gets."""
    identity = talk.ask("tools/call", name="a__x", **params)
    talk.say("a", {"id": "who", **ELICITATION})
    assert talk.last()["id"] == identity
    return talk.last_result()


def test_what_a_server_asks_in_a_call_is_the_answer_to_it_until_the_client_comes_back(mixed: Talk) -> None:
    demanded = parked(mixed, meta={"progressToken": 1})
    call = mixed.last("a")
    assert demanded["resultType"] == "input_required"
    (name,) = demanded["inputRequests"]
    assert demanded["inputRequests"][name] == ELICITATION
    answer = {"action": "accept", "content": {"n": 1}}
    identity = mixed.ask(
        "tools/call",
        name="a__x",
        meta={"progressToken": 2},
        inputResponses={name: answer},
        requestState=demanded["requestState"],
    )
    assert mixed.last("a") == {"jsonrpc": "2.0", "id": "who", "result": answer}
    mixed.tell("a", "notifications/progress", progressToken=1, progress=1)
    assert mixed.last()["params"]["progressToken"] == 2
    mixed.reply("a", {"content": []}, to=call)
    assert mixed.last() == {"jsonrpc": "2.0", "id": identity, "result": {"resultType": "complete", "content": []}}


def test_what_a_server_asks_meanwhile_and_what_was_not_brought_is_demanded_next(mixed: Talk) -> None:
    demanded = parked(mixed)
    mixed.say("a", {"id": 1, "method": "roots/list"})
    count = len(mixed.servers["a"])
    mixed.ask("tools/call", name="a__x", requestState=demanded["requestState"])
    assert len(mixed.servers["a"]) == count
    again = mixed.last_result()
    assert list(again["inputRequests"].values()) == [ELICITATION, {"method": "roots/list"}]
    answers = {name: {"n": name} for name in again["inputRequests"]}
    mixed.ask("tools/call", name="a__x", inputResponses=answers, requestState=again["requestState"])
    assert {item["id"] for item in mixed.servers["a"][count:]} == {"who", 1}


def test_a_demand_belongs_to_the_newest_call_of_its_server(mixed: Talk) -> None:
    first = mixed.ask("tools/call", name="a__x", able={})
    second = mixed.ask("tools/call", name="a__x")
    mixed.ask("tools/call", name="b__x")
    mixed.say("a", {"id": 1, **ELICITATION})
    assert mixed.last()["id"] == second
    mixed.reply("a", {}, to=next(item for item in mixed.servers["a"] if item.get("method") == "tools/call"))
    assert mixed.last()["id"] == first
    third = mixed.ask("tools/call", name="a__y")
    mixed.say("a", {"id": 2, **ELICITATION})
    assert mixed.last()["id"] == third
    state = mixed.last_result()["requestState"]
    for number in range(3, 40):
        mixed.say("a", {"id": number, **ELICITATION})
    assert (mixed.last("a")["id"], mixed.last("a")["error"]["code"]) == (39, -32601)
    mixed.ask("tools/call", name="a__y", requestState=state)
    assert len(mixed.last_result()["inputRequests"]) == 32


def test_an_answer_that_comes_meanwhile_waits_for_the_client(mixed: Talk) -> None:
    demanded = parked(mixed)
    count = len(mixed.client)
    mixed.reply("a", {"content": "too late"})
    assert len(mixed.client) == count
    identity = mixed.ask("tools/call", name="a__x", requestState=demanded["requestState"])
    assert (mixed.last()["id"], mixed.last_result()["content"]) == (identity, "too late")


def test_a_state_is_good_once_and_for_the_same_call(mixed: Talk) -> None:
    demanded = parked(mixed)
    state = demanded["requestState"]
    mixed.ask("tools/call", name="a__y", requestState=state)
    assert mixed.last("a")["params"]["name"] == "y"
    mixed.ask("tools/call", name="a__x", inputResponses={}, requestState="made up")
    assert mixed.last("a")["params"]["requestState"] == "made up"
    mixed.ask("tools/call", name="a__x", inputResponses={"input-1": {}}, requestState=state)
    assert mixed.last("a") == {"jsonrpc": "2.0", "id": "who", "result": {}}
    mixed.ask("tools/call", name="a__x", inputResponses={"input-1": {}}, requestState=state)
    assert mixed.last("a")["method"] == "tools/call"


def test_what_a_client_cannot_do_is_refused_to_the_server(mixed: Talk) -> None:
    count = len(mixed.client)
    mixed.ask("tools/call", name="a__x", able={"sampling": {}})
    for method in ("elicitation/create", "tasks/list"):
        mixed.say("a", {"id": 1, "method": method, "params": {}})
        assert mixed.last("a")["error"]["code"] == -32601
    mixed.say("a", {"id": 2, "method": "ping"})
    assert mixed.last("a") == {"jsonrpc": "2.0", "id": 2, "result": {}}
    mixed.reply("a", {}, to=next(item for item in mixed.servers["a"] if item.get("method") == "tools/call"))
    mixed.say("a", {"id": 3, **ELICITATION})
    assert mixed.last("a")["error"]["code"] == -32601
    assert len(mixed.client) == count + 1


def test_a_server_takes_back_what_it_has_asked_for(mixed: Talk) -> None:
    demanded = parked(mixed)
    mixed.tell("a", "notifications/cancelled", requestId="who")
    count = len(mixed.servers["a"])
    mixed.ask("tools/call", name="a__x", inputResponses={"input-1": {}}, requestState=demanded["requestState"])
    assert len(mixed.servers["a"]) == count
    mixed.reply("a", {"content": []})
    assert mixed.last_result()["content"] == []


def test_of_too_many_that_do_not_come_back_the_oldest_is_given_up(mixed: Talk) -> None:
    for number in range(33):
        mixed.ask("tools/call", name="a__x")
        mixed.say("a", {"id": number, **ELICITATION})
    refused = [item for item in mixed.servers["a"] if "error" in item]
    assert [(item["id"], item["error"]["code"]) for item in refused] == [(0, -32603)]
    assert sum(item.get("method") == "notifications/cancelled" for item in mixed.servers["a"]) == 1


def test_a_demand_of_a_server_without_sessions_passes_as_it_is(mixed: Talk) -> None:
    mixed.ask("tools/call", name="b__x")
    demand = {"resultType": "input_required", "inputRequests": {"k": ELICITATION}, "requestState": "s"}
    mixed.reply("b", demand)
    assert mixed.last_result() == demand
    mixed.ask("prompts/get", name="b__x")
    mixed.reply("b", demand)
    assert mixed.last_result() == demand
    mixed.ask("resources/read", uri="x://b")
    mixed.reply("a", code=-32002, message="none here")
    mixed.reply("b", demand)
    assert mixed.last_result() == demand
    mixed.ask("tools/call", name="b__x", inputResponses={"k": {"action": "cancel"}}, requestState="s")
    params = mixed.last("b")["params"]
    assert (params["inputResponses"], params["requestState"]) == ({"k": {"action": "cancel"}}, "s")


# What servers without sessions demand of clients with one


def demand(talk: Talk, *requests: Any, state: str = "s") -> str:
    """Call `b__x`, which demands something; return the id of the call."""
    identity = talk.old("tools/call", name="b__x", arguments={"n": 1})
    wanted = {f"k{number}": request for number, request in enumerate(requests)}
    talk.reply("b", {"resultType": "input_required", "inputRequests": wanted, "requestState": state})
    return identity


def test_what_a_server_demands_is_asked_of_the_client_and_it_is_called_again(older: Talk) -> None:
    identity = demand(older, ELICITATION, {"method": "roots/list"})
    first = older.last("b")
    asked = older.client[-2:]
    assert [item["method"] for item in asked] == ["elicitation/create", "roots/list"]
    assert asked[0]["params"] == ELICITATION["params"]
    for item in asked:
        older.send({"id": item["id"], "result": {"of": item["method"]}})
    again = older.last("b")
    assert again["id"] != first["id"]
    assert again["params"] == {
        **first["params"],
        "inputResponses": {"k0": {"of": "elicitation/create"}, "k1": {"of": "roots/list"}},
        "requestState": "s",
    }
    older.reply("b", {"resultType": "input_required", "requestState": "t"})
    assert older.last("b")["params"]["requestState"] == "t"
    assert "inputResponses" not in older.last("b")["params"]
    older.reply("b", {"resultType": "complete", "content": []})
    assert older.last() == {"jsonrpc": "2.0", "id": identity, "result": {"resultType": "complete", "content": []}}


def test_what_the_client_refuses_ends_the_call(older: Talk) -> None:
    identity = demand(older, ELICITATION, ELICITATION)
    first, second = older.client[-2:]
    older.send({"id": first["id"], "error": {"code": -1, "message": "no"}})
    assert older.client[-1] == {"jsonrpc": "2.0", "id": identity, "error": {"code": -1, "message": "no"}}
    taken_back = older.client[-2]
    assert (taken_back["method"], taken_back["params"]) == ("notifications/cancelled", {"requestId": second["id"]})
    count = len(older.servers["b"])
    older.send({"id": second["id"], "result": {}})
    assert len(older.servers["b"]) == count


def test_a_call_is_taken_back_before_and_after_it_was_made_again(older: Talk) -> None:
    identity = demand(older, ELICITATION)
    asked = older.last()
    older.cancel(identity)
    assert older.last()["params"] == {"requestId": asked["id"]}
    identity = demand(older, ELICITATION)
    older.send({"id": older.last()["id"], "result": {}})
    again = older.last("b")["id"]
    older.cancel(identity)
    assert older.last("b")["params"] == {"requestId": again}


@pytest.mark.parametrize(
    "requests", [[{"method": "tools/list"}], [{}], ["x"], [ELICITATION] * 33], ids=["method", "none", "text", "many"]
)
def test_what_nobody_can_give_ends_the_call(older: Talk, requests: Any) -> None:
    identity = demand(older, *requests)
    assert (older.last()["id"], older.last()["error"]["code"]) == (identity, -32603)


def test_a_server_that_demands_without_end_is_not_called_for_ever(older: Talk) -> None:
    identity = older.old("tools/call", name="b__x")
    while older.last("b")["method"] == "tools/call" and older.last().get("id") != identity:
        older.reply("b", {"resultType": "input_required", "requestState": "s"})
    assert older.last()["error"]["code"] == -32603
    assert len(older.servers["b"]) < 50


def test_a_server_without_sessions_sends_no_requests(older: Talk) -> None:
    older.say("b", {"id": 1, "method": "sampling/createMessage", "params": {}})
    assert (older.last("b")["id"], older.last("b")["error"]["code"]) == (1, -32601)


# Servers that mean harm


@pytest.mark.parametrize("method", [[], {}, 1, None])
def test_a_demand_whose_method_is_no_text_ends_its_call(older: Talk, method: Any) -> None:
    identity = demand(older, {"method": method})
    assert (older.last()["id"], older.last()["error"]["code"]) == (identity, -32603)


@pytest.mark.parametrize(("able", "count"), [({}, 0), ({"roots": {}}, 0), ({"roots": {}, "elicitation": {}}, 2)])
def test_a_client_with_a_session_is_asked_for_what_it_can_do_alone(able: Any, count: int) -> None:
    talk = Talk("b")
    params = {"protocolVersion": "2025-11-25", "capabilities": able, "clientInfo": {}}
    talk.send({"id": "hello", "method": "initialize", "params": params})
    without_session(talk, "b")
    identity = demand(talk, ELICITATION, {"method": "roots/list"})
    assert sum("method" in item for item in talk.client) == count
    if not count:
        assert (talk.last()["id"], talk.last()["error"]["code"]) == (identity, -32603)


def test_an_answer_to_what_was_not_asked_yet_says_nothing_of_a_server() -> None:
    talk = Talk("b")
    talk.hello()
    early = {"supportedVersions": [NEWEST], "capabilities": CAN, "instructions": "unasked"}
    talk.say("b", {"id": "hatchlock-discover", "result": early})
    assert talk.client == []
    without_session(talk, "b")
    talk.reply("b", code=-32601, message="once more", to=talk.servers["b"][0])
    assert "instructions" not in talk.last_result()
    assert [item["method"] for item in talk.servers["b"]] == ["initialize", "server/discover", "subscriptions/listen"]


@pytest.mark.parametrize("granted", [True, 7, "not x://b at all", {"x://b": 1}])
def test_what_is_no_list_of_resources_grants_none(older: Talk, granted: Any) -> None:
    identity = older.old("resources/subscribe", uri="x://b")
    older.reply("a", code=-32601, message="no")
    meta = {f"{KEY}subscriptionId": older.last("b")["id"]}
    older.tell(
        "b", "notifications/subscriptions/acknowledged", _meta=meta, notifications={"resourceSubscriptions": granted}
    )
    assert (older.last()["id"], older.last()["error"]["code"]) == (identity, -32601)


@pytest.mark.parametrize("protocol", ["0", "2025-07-01", "2031-01-01"])
def test_a_server_whose_version_nobody_knows_is_left_out(protocol: str) -> None:
    talk = Talk("a", "b")
    talk.hello()
    with_session(talk, "a")
    talk.reply("b", {"protocolVersion": protocol, "capabilities": CAN, "serverInfo": {}})
    assert talk.last_result()["protocolVersion"] == "2025-11-25"
    assert [server for server, _ in talk.left_out] == ["b"]


def test_a_server_that_says_what_a_stream_brings_is_not_passed_on(mixed: Talk) -> None:
    identity = mixed.ask("subscriptions/listen", notifications={"toolsListChanged": True})
    count = len(mixed.client)
    meta = {f"{KEY}subscriptionId": identity}
    mixed.tell("a", "notifications/subscriptions/acknowledged", _meta=meta, notifications={})
    assert len(mixed.client) == count


def test_progress_is_of_the_server_that_has_the_call(mixed: Talk) -> None:
    mixed.ask("tools/call", name="a__x", meta={"progressToken": 1})
    count = len(mixed.client)
    mixed.tell("b", "notifications/progress", progressToken=1, progress=1)
    assert len(mixed.client) == count
    mixed.tell("a", "notifications/progress", progressToken=1, progress=1)
    assert len(mixed.client) == count + 1


def test_a_server_that_has_answered_gets_an_error_for_what_it_has_asked_for(mixed: Talk) -> None:
    demanded = parked(mixed)
    mixed.reply("a", {"content": []})
    mixed.ask("tools/call", name="a__x", requestState=demanded["requestState"])
    assert mixed.last_result()["content"] == []
    assert (mixed.last("a")["id"], mixed.last("a")["error"]["code"]) == ("who", -32603)


def test_what_waits_for_a_client_has_its_bounds(mixed: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "_MOST_HELD", 1000)
    first = parked(mixed)
    mixed.say("a", {"id": "more", "method": "sampling/createMessage", "params": {"x": "y" * 1000}})
    assert (mixed.last("a")["id"], mixed.last("a")["error"]["code"]) == ("more", -32601)
    parked(mixed, arguments={})
    mixed.reply("a", {"content": "y" * 1000})
    given_up = [item for item in mixed.servers["a"] if "error" in item and item["id"] == "who"]
    assert [item["error"]["code"] for item in given_up] == [-32603]
    count = len(mixed.servers["a"])
    mixed.ask("tools/call", name="a__x", inputResponses={"input-1": {}}, requestState=first["requestState"])
    assert mixed.servers["a"][count]["method"] == "tools/call"


def test_what_was_brought_for_one_server_is_not_shown_to_another(mixed: Talk) -> None:
    mixed.ask("resources/read", uri="x://b")
    mixed.reply("a", code=-32002, message="none here")
    mixed.reply("b", {"resultType": "input_required", "inputRequests": {"k": ELICITATION}, "requestState": "s"})
    count = len(mixed.servers["a"])
    brought: dict[str, Any] = {"inputResponses": {"k": {"content": {"password": "p"}}}, "requestState": "s"}
    mixed.ask("resources/read", uri="x://b", **brought)
    assert len(mixed.servers["a"]) == count
    assert {**brought, **mixed.last("b")["params"]} == mixed.last("b")["params"]
    mixed.reply("b", {"resultType": "complete", "contents": []})

    mixed.ask("resources/read", uri="x://b", **brought)
    assert mixed.last("a")["params"] == {"_meta": {}, "uri": "x://b"}
    mixed.reply("a", code=-32002, message="none here")
    mixed.reply("b", {"resultType": "input_required", "inputRequests": {"k": ELICITATION}, "requestState": "s"})
    mixed.take(mixed.group.ended("b", 0.0))
    mixed.ask("resources/read", uri="x://b", **brought)
    assert mixed.last("a")["params"] == {"_meta": {}, "uri": "x://b"}


# Clients that mean harm


def test_what_comes_before_a_client_has_said_how_it_speaks_is_refused() -> None:
    talk = Talk("a")
    talk.send({"id": 0, "method": "tools/list"})
    assert (talk.last()["id"], talk.last()["error"]["code"]) == (0, -32600)
    talk.send({"id": 1, "method": "ping"})
    assert talk.last() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    talk.send({"method": "notifications/cancelled", "params": {"requestId": 1}})
    identity = talk.ask("tools/list")
    with_session(talk, "a")
    assert [item["method"] for item in talk.servers["a"]] == ["initialize", "notifications/initialized", "tools/list"]
    talk.reply("a", {"tools": []})
    assert (talk.last()["id"], talk.last_result()["tools"]) == (identity, [])


def test_many_calls_by_names_that_were_not_listed_cost_one_listing() -> None:
    talk = Talk("a")
    talk.ask("server/discover")
    with_session(talk, "a")
    first, other = "x" * 60, "y" * 60
    calls = [talk.ask("tools/call", name=offered("a", name)) for name in (first, first, other)]
    talk.cancel(calls[1])
    assert [item["method"] for item in talk.servers["a"][2:]] == ["tools/list"]
    talk.reply("a", {"tools": [{"name": first}]})
    assert [item["params"]["name"] for item in talk.servers["a"][3:]] == [first]
    assert (talk.last()["id"], talk.last()["error"]["code"]) == (calls[2], -32602)


def test_a_subscription_is_taken_back_where_it_is(older: Talk) -> None:
    older.old("resources/subscribe", uri="x://a")
    older.reply("a", code=-32602, message="no")
    meta = {f"{KEY}subscriptionId": older.last("b")["id"]}
    granted = {"resourceSubscriptions": ["x://a"]}
    older.tell("b", "notifications/subscriptions/acknowledged", _meta=meta, notifications=granted)
    pending = older.old("resources/subscribe", uri="x://p")
    older.reply("a", code=-32602, message="no")
    for uri in ("x://a", "x://p"):
        older.old("resources/unsubscribe", uri=uri)
        older.reply("a", code=-32602, message="no")
        assert older.last("b")["method"] == "notifications/cancelled"
    assert pending in [item.get("id") for item in older.client if "result" in item]
    refused = older.old("resources/unsubscribe", uri="x://a")
    older.reply("a", code=-32602, message="no")
    assert (older.last()["id"], older.last()["error"]["code"]) == (refused, -32602)


# Text


@pytest.mark.parametrize("server", ["a", "b"])
def test_nesting_that_can_only_just_be_parsed_breaks_nothing(mixed: Talk, server: str) -> None:
    begins = f'{{"{KEY}protocolVersion":"{NEWEST}","{KEY}clientCapabilities":{{}}'.encode()
    for depth in range(860, 1000):
        nested = b'{"x":' * depth + b"1" + b"}" * depth
        params = b'{"name":"%b__x","_meta":%b,"x":%b}}' % (server.encode(), begins, nested)
        mixed.send(b'{"jsonrpc":"2.0","id":"n%d","method":"tools/call","params":%b}' % (depth, params))
        mixed.ask("tools/call", name=f"{server}__x")
        mixed.say(server, b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (mixed.last(server)["id"], nested))
        demanded = b'{"resultType":"input_required","inputRequests":{"a":%b}}' % nested
        mixed.say(server, b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (mixed.last(server)["id"], demanded))
        mixed.say(server, b'{"jsonrpc":"2.0","method":"notifications/progress","params":%b}' % nested)
    mixed.ask("tools/call", name="a__x")
    mixed.reply("a", {"content": []})
    assert mixed.last_result()["content"] == []


def test_nesting_of_what_is_demanded_and_brought_breaks_nothing(older: Talk) -> None:
    for depth in range(860, 1000):
        nested = b'{"x":' * depth + b"1" + b"}" * depth
        older.old("tools/call", name="b__x")
        demanded = b'{"resultType":"input_required","inputRequests":{"a":%b}}' % nested
        older.say("b", b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (older.last("b")["id"], demanded))
    newer = Talk("a")
    newer.ask("server/discover")
    with_session(newer, "a")
    begins = f'{{"{KEY}protocolVersion":"{NEWEST}","{KEY}clientCapabilities":{{}}}}'.encode()
    for depth in range(860, 1000):
        nested = b'{"x":' * depth + b"1" + b"}" * depth
        brought = b'{"input-1":%b},"requestState":"%b"' % (nested, parked(newer)["requestState"].encode())
        params = b'{"name":"a__x","_meta":%b,"inputResponses":%b}' % (begins, brought)
        newer.send(b'{"jsonrpc":"2.0","id":"n%d","method":"tools/call","params":%b}' % (depth, params))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)
SPACES = st.sampled_from([None, 1])


def written(value: Any, indent: int | None) -> str:
    return json.dumps(value, indent=indent)


@given(st.none() | OBJECTS, st.none() | OBJECTS, st.dictionaries(st.text(max_size=4), st.none() | VALUES), SPACES)
def test_members_of_meta_are_exchanged_and_nothing_else(params: Any, meta: Any, new: Any, indent: int | None) -> None:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "x"}
    if params is not None:
        message["params"] = {**params, **({"_meta": meta} if meta is not None else {})}
    (found,) = messages_of(written(message, indent).encode())
    given_meta = {name: "" if value is None else json.dumps(value) for name, value in new.items()}
    got = json.loads(with_meta(found, given_meta))
    old = message.get("params", {}).get("_meta")
    kept = {name: value for name, value in (old if isinstance(old, dict) else {}).items() if name not in new}
    wanted = {**kept, **{name: value for name, value in new.items() if value is not None}}
    if wanted or old is not None:
        message.setdefault("params", {})["_meta"] = wanted
    assert got == message


@given(OBJECTS, OBJECTS, SPACES)
def test_a_result_gets_what_it_lacks(result: Any, expected: Any, indent: int | None) -> None:
    (answer,) = messages_of(written({"jsonrpc": "2.0", "id": 1, "result": result}, indent).encode())
    got = json.loads(completed(answer, {name: json.dumps(value) for name, value in expected.items()}))
    assert got == {**expected, **result}
