"""Long messages of a server's on their way through a gate: what an application gets, and when."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hatchlock.serve.gate import Gate, SurfaceDiffers
from hatchlock.serve.passages import Passing
from hatchlock.surface import Changed
from support.rug_pulls import EVIL, TOOLS, request, rugpull, rules

BEFORE = b'{"jsonrpc":"2.0","id":2,"result":{"content":[{"text":"'
AFTER = b'"}]}}\n'
LISTED = b'"}],"tools":[' + json.dumps(rugpull.tool("evil", EVIL)).encode() + b"]}}\n"


class Session:
    """What passes, and everything that came of it."""

    def __init__(self, changed: Changed = "refuse") -> None:
        self.put: list[bytes] = []
        self.noise: list[bytes] = []
        self.ends: list[Exception] = []
        gate = Gate(rules(changed=changed), server="calc", report=lambda *_: None)
        self.passing = Passing(gate, send=lambda _: None, put=self.put.append, end=self.ends.append)
        self.passing.sent(json.dumps(TOOLS[0]).encode())

    def begun(self, *pieces: bytes) -> Callable[[bytes], None]:
        take = self.passing.begun(pieces, self.noise.append)
        assert take is not None
        return take

    @property
    def got(self) -> bytes:
        return b"".join(self.put)


def refused_call(identity: int) -> bytes:
    return json.dumps(request(identity, "tools/call", name="evil")).encode()


def test_each_piece_goes_on_when_it_comes() -> None:
    session = Session()
    take = session.begun(BEFORE, b"one")
    assert session.got == BEFORE + b"one"
    take(b" two")
    assert session.got == BEFORE + b"one two"
    take(AFTER)
    assert session.got == BEFORE + b"one two" + AFTER


def test_answers_of_ours_wait_for_the_end_of_the_line() -> None:
    session = Session()
    take = session.begun(BEFORE)
    for identity in (7, 8):
        session.passing.sent(refused_call(identity))
    assert session.got == BEFORE
    take(AFTER)
    line, *answers = session.got.splitlines(keepends=True)
    assert line == BEFORE + AFTER
    assert [json.loads(answer)["id"] for answer in answers] == [7, 8]
    session.passing.sent(refused_call(9))
    assert json.loads(session.put[-1])["id"] == 9
    session.begun(BEFORE)(AFTER)
    assert session.put[-1] == AFTER


def test_a_listing_at_the_end_ends_the_session_and_the_line_stays_unfinished() -> None:
    session = Session()
    take = session.begun(BEFORE, b"one")
    take(LISTED)
    begun, answer = session.got.splitlines()
    assert begun == BEFORE + b"one"
    assert json.loads(answer)["error"]["code"] == -32001
    assert [type(end) for end in session.ends] == [SurfaceDiffers]
    assert session.passing.refused is session.ends[0]
    assert session.passing.begun([BEFORE], session.noise.append) is None
    assert session.got == begun + b"\n" + answer + b"\n"


@pytest.mark.parametrize(("changed", "rest"), [("filter", b'"}],"tools":[]}}\n'), ("warn", LISTED)])
def test_what_differs_at_the_end_is_left_out_or_passes(changed: Any, rest: bytes) -> None:
    session = Session(changed)
    session.begun(BEFORE, b"one")(LISTED)
    assert session.got == BEFORE + b"one" + rest
    assert not session.ends


@pytest.mark.parametrize("after", [b'"}}}\n', b"\n", b"", b'"}]},"x":\xff}\n', b'"}]},"jsonrpc":"1.0"}\n'])
def test_what_turns_out_to_be_no_message_is_not_finished(after: bytes) -> None:
    session = Session()
    session.begun(BEFORE, b"one")(after)
    assert session.got == BEFORE + b"one\n"
    assert session.noise == [BEFORE + after]


def test_a_last_message_needs_no_end_of_line() -> None:
    session = Session()
    take = session.begun(BEFORE, b"one")
    take(AFTER[:-1])
    assert session.got == BEFORE + b"one"
    take(b"")
    assert session.got == BEFORE + b"one" + AFTER[:-1]


def test_a_message_that_has_to_be_whole_is_not_begun() -> None:
    session = Session()
    assert (
        session.passing.begun([b'{"jsonrpc":"2.0","id":1,', b'"result":{"tools":[{"name":"'], session.noise.append)
        is None
    )
    assert session.got == b""
    session.passing.sent(refused_call(1))
    assert session.got != b""
