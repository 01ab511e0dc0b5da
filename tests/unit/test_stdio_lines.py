"""Lines out of bytes, and what counts as a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.serve.lines import LONGEST_MESSAGE, Lines, begins_as_message, failure_in, is_message, streamed


@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"a", b"\n")), max_size=20))
def test_lines_do_not_depend_on_the_chunks_and_lose_nothing(chunks: list[bytes]) -> None:
    lines = Lines(1 << 20)
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    rest = lines.rest()
    assert b"".join((*found, rest)) == b"".join(chunks)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in found)
    assert b"\n" not in rest


def test_a_line_comes_out_as_soon_as_it_is_complete() -> None:
    lines = Lines(100)
    assert list(lines.feed(b'{"a"')) == []
    assert list(lines.feed(b": 1}\n{")) == [b'{"a": 1}\n']


def test_a_line_beyond_the_limit_comes_out_in_pieces() -> None:
    lines = Lines(10)
    found = [line for _ in range(5) for line in lines.feed(b"xxxx")]
    assert [len(line) for line in found] == [12]
    assert lines.rest() == b"xxxxxxxx"


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{}}\n',
        b'  {"id": 1, "jsonrpc" : "2.0"} \r\n',
        b'[{"jsonrpc":"2.0","id":1,"result":{}}]\n',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b"}\n",
        json.dumps({"jsonrpc": "2.0", "result": "x" * 2_000_000}).encode(),
    ],
)
def test_messages_and_batches_are_messages(line: bytes) -> None:
    assert is_message(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"Server started\n",
        b'{"level": "info", "message": "started"}\n',
        b"{'jsonrpc': '2.0'}\n",
        b'{"jsonrpc": "2.0"} trailing\n',
        b'{"jsonrpc": "2.0", }\n',
        b'{"jsonrpc": "1.0"}\n',
        b'"jsonrpc"\n',
        b"[]\n",
        b'["jsonrpc"]\n',
        b'[{"jsonrpc":"2.0"}, {"level": "jsonrpc"}]\n',
        b'{"jsonrpc": "2.0", "x": "\xff"}\n',
        b'{"jsonrpc": "2.0", "x": ' + b"[" * 100_000 + b"}\n",
        b'\x1b[32m{"jsonrpc":"2.0","id":1}\x1b[0m\n',
    ],
)
def test_anything_else_is_not(line: bytes) -> None:
    assert not is_message(line)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("failed", [{"result": {"isError": True}}, {"error": {"code": -32603}}])
def test_what_a_tool_could_not_do_is_read_line_by_line(failed: dict[str, object], separators: tuple[str, str]) -> None:
    text = "cannot: \"x\"\nOSError: [Errno 30] Read-only file system: '/x'"
    first, second = failure_in(json.dumps({"text": text, **failed}, separators=separators).encode())
    assert first.endswith('cannot: "x"')
    assert second.startswith("OSError: [Errno 30] Read-only file system: '/x'")


@pytest.mark.parametrize(
    "message", [b'{"result": {"text": "OSError"}}', b'{"isError":true, "text": "' + b"x" * 20_000 + b'"}', b""]
)
def test_no_other_message_is_read(message: bytes) -> None:
    assert failure_in(message) == ()


LONG = b'{"jsonrpc":"2.0","method":"' + b"x" * (3 << 20) + b'"}\n'
FIRST = b' { "result" : {"x":"' + b"x" * (3 << 20) + b'"},"jsonrpc":"2.0"}\n'
LATE = b'{"id":"' + b"x" * (3 << 20) + b'","jsonrpc":"2.0"}\n'


@pytest.mark.parametrize("size", [1 << 10, 65_536, (1 << 20) + 1, 9 << 20])
def test_a_long_message_is_passed_on_before_its_end_and_nothing_else_is(size: int) -> None:
    short, noise = b'{"jsonrpc":"2.0","method":"a"}\n', b"n" * (2 << 20) + b"\n"
    said = short + LONG + noise + LATE + short + FIRST + LONG + short
    put: list[bytes] = []
    taken: list[bytes] = []
    begun: list[bytes] = []

    def both(data: bytes) -> None:
        taken.append(data)
        put.append(data)

    def begin(pieces: Sequence[bytes]) -> Callable[[bytes], None] | None:
        beginning = b"".join(pieces)
        if not begins_as_message(beginning):
            return None
        begun.append(beginning)
        put.append(beginning)
        return put.append

    lines = Lines(LONGEST_MESSAGE)
    feed, end = streamed(lines, both, begin)
    for at in range(0, len(said), size):
        feed(said[at : at + size])
        feed(b"")
    end()
    assert b"".join(put) == said
    if size <= 65_536:
        assert taken == [short, noise, LATE, short, short]
        assert len(begun) == 3
        assert max(len(piece) for piece in put if piece not in taken) < (1 << 20) + size + 1
    assert lines.held == 0


def test_the_end_of_a_stream_is_the_end_of_what_is_unfinished() -> None:
    taken: list[bytes] = []
    rest: list[bytes] = []
    for pieces in ([b"a\nb"], [LONG[:-1]], [LONG[: 2 << 20], LONG[2 << 20 : -1]], [LONG]):
        feed, end = streamed(Lines(LONGEST_MESSAGE), taken.append, lambda _: rest.append)
        for piece in pieces:
            feed(piece)
        end()
    assert taken == [b"a\n", b"b", LONG]
    assert rest == [b"", LONG[2 << 20 : -1], b""]


@pytest.mark.parametrize("end", [b"}\n", b"}", b"} \n", b"}\r\n", b"]\n", b"x\n", b"\n", b"}}\n\n"])
@pytest.mark.parametrize("start", [b"{", b" {", b"[", b"x"])
@pytest.mark.parametrize("name", [b'"jsonrpc"', b'"json"'])
def test_a_long_line_is_judged_by_its_ends(start: bytes, name: bytes, end: bytes) -> None:
    line = start + name + b" " * (1 << 20) + end
    ends = (line.strip()[:1], line.strip()[-1:])
    assert is_message(line) == (ends in {(b"{", b"}"), (b"[", b"]")} and name == b'"jsonrpc"')
