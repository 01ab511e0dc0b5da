"""Server-sent events, and what a bridge reads of messages."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.launch_parts import url_problem
from hatchlock.net.exchange import address_from, same_origin
from hatchlock.serve.remote import events as events_module
from hatchlock.serve.remote.events import Event, Events, EventTooLong
from hatchlock.serve.remote.messages import Said, answers, error_line, one_line, read


def events_of(*pieces: bytes) -> list[Event]:
    events = Events()
    return [event for piece in pieces for event in events.feed(piece)]


STREAM = (
    b"\xef\xbb\xbf: hello\nevent: endpoint\ndata: /messages?x=1\n\n"
    b'id: 7\r\nretry: 250\r\ndata: {"a":\r\ndata:1}\r\n\r\n'
    b"id: 8\rdata: \r\r"
    b"unknown: x\n\ndata: last\n\nid\n\n"
)
EXPECTED = [
    Event(kind="endpoint", data=b"/messages?x=1"),
    Event(kind="message", data=b'{"a": 1}', id="7", retry=0.25),
    Event(kind="message", data=b"", id="8"),
    Event(kind="message", data=b"last"),
]


def test_events_are_read_whatever_ends_their_lines() -> None:
    assert events_of(STREAM) == EXPECTED


@given(cuts=st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=8))
def test_events_are_the_same_in_whatever_pieces_they_come(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(places)]

    assert events_of(*pieces) == EXPECTED


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 100 + b"\n", b"data: x\n", b"data:\n", b"data: x"])
def test_an_event_without_end_ends_its_stream(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "LONGEST_MESSAGE", 1000)

    with pytest.raises(EventTooLong):
        events_of(*[piece] * 1100)


def test_an_event_may_be_as_long_as_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "LONGEST_MESSAGE", 1000)

    assert [
        len(event.data) for event in events_of(b"data: " + b"x" * 499 + b"\n", b"data: " + b"y" * 500 + b"\n\n")
    ] == [1000]


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_pause_that_is_no_number_of_ours_is_none(digits: int) -> None:
    assert events_of(b"retry: " + b"9" * digits + b"\ndata: x\n\n") == [Event(kind="message", data=b"x")]


@pytest.mark.parametrize("text", ["http://[bad", "//[", "http://h:99999/", "http://h:port/", "http://me@h/"])
def test_what_is_no_address_is_of_no_origin(text: str) -> None:
    assert not same_origin("http://h/mcp", address_from("http://h/mcp", text))


def test_what_a_bridge_reads_of_messages() -> None:
    assert read(b'{"jsonrpc":"2.0","id":"1","method":"tools/list"}') == Said(method="tools/list", requests=('"1"',))
    assert read(b'[{"id":1,"method":"a"},{"method":"b"},{"id":2,"result":{}}]') == Said(requests=("1",))
    assert read(b'{"method":"notifications/cancelled","params":{"requestId":1}}') == Said(
        method="notifications/cancelled", cancels="1"
    )
    assert read(b"no json") is None
    modern = {"id": 3, "method": "tools/call", "params": {"name": "größe", "_meta": {}}}
    modern["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2026-07-28"  # type: ignore[index]
    said = read(json.dumps(modern).encode())
    assert said is not None
    assert (said.version, said.name) == ("2026-07-28", "=?base64?Z3LDtsOfZQ==?=")


def test_ids_keep_their_type() -> None:
    assert answers(b'[{"id":1,"result":{}},{"id":"1","error":{}},{"id":2,"method":"ping"}]') == {"1", '"1"'}


def test_an_error_is_one_line_of_json() -> None:
    line = error_line('"a\\nb"', 'no "way"\n')

    assert line.count(b"\n") == 1
    assert json.loads(line) == {"jsonrpc": "2.0", "id": "a\nb", "error": {"code": -32000, "message": 'no "way"\n'}}


def test_pretty_json_becomes_one_line_and_stays_the_same_value() -> None:
    value = {"a": ["x\ny", 1.50], "b": None}
    line = one_line(json.dumps(value, indent=2).encode())

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == value


@pytest.mark.parametrize(
    "url", ["https://mcp.example.com/mcp", "http://localhost:8000/mcp", "http://127.3.2.1/", "http://[::1]:80/x"]
)
def test_addresses_that_can_be_used(url: str) -> None:
    assert url_problem(url) == ""


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://mcp.example.com/mcp", "read and changed on its way"),
        ("http://localhost.example.com/", "read and changed on its way"),
        ("https://user:password@mcp.example.com/", "user name"),
        ("https://mcp.example.com/#part", "never leaves"),
        ("ftp://mcp.example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://", "no address"),
        ("https://a b/", "no address"),
        ("https://a:b/", "no address"),
        ("https://a/\u202e", "no address"),
    ],
)
def test_addresses_that_cannot(url: str, why: str) -> None:
    assert why in url_problem(url)
