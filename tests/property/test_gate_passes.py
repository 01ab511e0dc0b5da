"""What is as it was pinned passes byte for byte, however it comes; and nothing else passes, however it is spelled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.serve import gate as gate_module
from hatchlock.serve import long_messages
from hatchlock.serve.gate import Gate
from hatchlock.serve.lines import LONGEST_MESSAGE, Lines, is_message
from hatchlock.serve.outline import Edit, edited, items, members, whole
from hatchlock.serve.passages import Passing
from support.rug_pulls import EVIL, QUESTIONS, request, rugpull, rules

SURFACE = rugpull.SURFACE


@pytest.fixture(scope="module", autouse=True)
def _short_messages_are_long() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_messages, "_FIRST_LOOK", 0)
        yield


texts = st.text() | st.sampled_from(["tools", "Tools", 'tools"', "prompts", "instructions", "\u202e", "to\u017fols"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
ids = st.integers() | texts
pages = st.sampled_from([("tools", SURFACE["tools"]), ("prompts", SURFACE["prompts"])])
listings = pages.map(lambda page: {page[0]: page[1]})
results = st.fixed_dictionaries({"content": anything, "structuredContent": anything}) | listings
answers = st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": ids, "result": results})
requests = st.builds(request, ids, st.sampled_from(["ping", "sampling/createMessage", "roots/list"]), x=anything)
asked = st.sampled_from(QUESTIONS) | requests
styles: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    ensure_ascii=st.booleans(),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :  ")]),
)
endings = st.sampled_from(["\n", "\r\n", "  \n"])


def line(message: Any, style: dict[str, Any], ending: str) -> bytes:
    try:
        return (json.dumps(message, **style) + ending).encode()
    except UnicodeEncodeError:  # a lone surrogate, which cannot be said otherwise
        return (json.dumps(message) + ending).encode()


def lines(messages: st.SearchStrategy[Any]) -> st.SearchStrategy[list[bytes]]:
    batches = st.lists(messages, min_size=1, max_size=3)
    return st.lists(st.builds(line, messages | batches, styles, endings), max_size=8)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


@settings(max_examples=60)
@given(
    lines(asked), lines(answers | requests), st.lists(st.integers(0), max_size=4), st.lists(st.booleans(), max_size=20)
)
def test_what_matches_comes_out_as_it_went_in(
    sent: list[bytes], received: list[bytes], places: list[int], turns: list[bool]
) -> None:
    to_server: list[bytes] = []
    to_client: list[bytes] = []
    gate = Gate(rules(), server="calc", report=lambda *_: None)
    passing = Passing(gate, send=to_server.append, put=to_client.append, end=lambda _: None)
    sides = [
        [(passing.sent, Lines(LONGEST_MESSAGE), cut(b"".join(sent), places))],
        [(passing.received, Lines(LONGEST_MESSAGE), cut(b"".join(received), places))],
    ]
    for turn in [*turns, *([True, False] * 20)]:
        for take, pieces, chunks in sides[turn]:
            if chunks:
                for found in pieces.feed(chunks.pop(0)):
                    assert turn == 0 or is_message(found)
                    take(found)
    assert b"".join(to_server) == b"".join(sent)
    assert b"".join(to_client) == b"".join(received)


SPELLINGS = (
    '"tools"',
    '"Tools"',
    '"\\u0074ools"',
    '"tool\u017f"',
    '"tool\\u017f"',
    '"TOOLS\\u0000x"',
    '"prompts"',
    '"Prompts"',
)
OTHERS = ('"content"', '"_meta"', '"x"', '"nextCursor"', '"NextCursor"')
DEFINITIONS = tuple(json.dumps(item) for item in [*SURFACE["tools"], rugpull.tool("evil", EVIL), {"name": EVIL}])
lists = st.lists(st.sampled_from(DEFINITIONS), max_size=3).map(lambda found: f"[{','.join(found)}]")
listed = st.tuples(st.sampled_from(SPELLINGS), lists)
others = st.tuples(st.sampled_from(OTHERS), st.sampled_from(['"x"', "{}", "[]", "5"]))


def as_object(found: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{name}:{value}" for name, value in found) + "}"


objects = st.lists(listed | others, max_size=4).map(as_object)
envelopes = st.lists(
    st.tuples(st.sampled_from(['"result"', '"Result"', '"re\\u0073ult"']), objects)
    | st.tuples(st.sampled_from(['"id"', '"ID"']), st.sampled_from(["1", '"1"', "null"])),
    max_size=3,
).map(lambda found: as_object([('"jsonrpc"', '"2.0"'), *found]))


@settings(max_examples=150)
@given(st.lists(envelopes, min_size=1, max_size=2), st.booleans(), st.sampled_from(["refuse", "filter"]))
def test_no_spelling_of_what_was_not_pinned_comes_through(messages: list[str], is_batch: bool, changed: Any) -> None:
    gate = Gate(rules(changed=changed), server="calc", report=lambda *_: None)
    gate.sent(json.dumps(request(1, "tools/list")).encode())
    for text in [f"[{','.join(messages)}]"] if is_batch else messages:
        verdict = gate.received(text.encode() + b"\n")
        assert EVIL.encode() not in verdict.forward + verdict.answer


ENVELOPE_ORDERS = (
    '{"jsonrpc":"2.0","id":1,"result":RESULT}',
    '{"result":RESULT,"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","result":RESULT,"id":1,"ID":2}',
    '{"jsonrpc":"2.0","id":1,"result":RESULT,"result":{}}',
    '{"jsonrpc":"2.0","id":1, "result" : RESULT , "Result":{}}',
)
contents = st.lists(
    st.text() | st.sampled_from(['\\"', "\\\\", '"tools":[', "\u017f", "😀" * 9, "x" * 99]), max_size=4
).map("".join)
deep = st.lists(st.tuples(st.just('"text"'), contents.map(json.dumps)) | others, max_size=3).map(as_object)
deeps = st.lists(deep, min_size=1, max_size=3).map(lambda found: f"[{','.join(found)}]")
long_objects = st.lists(
    st.tuples(st.sampled_from(['"content"', '"structuredContent"']), deeps) | listed | others, max_size=4
).map(as_object)
long_answers = st.tuples(st.sampled_from(ENVELOPE_ORDERS), long_objects).map(
    lambda drawn: drawn[0].replace("RESULT", drawn[1])
)


def judged(line: bytes, changed: Any, places: list[int] | None) -> tuple[bytes, list[Any], list[type]]:
    """Return what an application gets of a line, as a whole or in pieces; what was found; and why the session ended."""
    put: list[bytes] = []
    found: list[Any] = []
    ends: list[type] = []
    gate = Gate(rules(changed=changed), server="calc", report=lambda difference, _: found.append(difference))
    passing = Passing(gate, send=lambda _: None, put=put.append, end=lambda error: ends.append(type(error)))
    passing.sent(json.dumps(request(1, "tools/list")).encode())
    first, *pieces = filter(None, [*cut(line[:-1], places or []), b"\n"])
    take = None if places is None else passing.begun([first], found.append)
    if take is None:
        passing.received(line)
    else:
        for piece in pieces:
            take(piece)
    return b"".join(put), found, ends


@settings(max_examples=100, deadline=None)
@given(long_answers, st.lists(st.integers(0), max_size=6), st.sampled_from(["refuse", "filter", "warn"]))
def test_a_message_that_goes_on_while_it_comes_is_judged_as_it_is_when_it_is_whole(
    text: str, places: list[int], changed: Any
) -> None:
    line = f"{text}\n".encode()
    put, *_ = judged(line, changed, places)
    assert changed == "warn" or EVIL.encode() not in put
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_module, "may_list", lambda _: True)  # each is looked at, however it is
        whole_put, *whole_found = judged(line, changed, None)
        put, *found = judged(line, changed, places)
    assert found == whole_found
    if put != whole_put:
        begun, rest = put.split(b"\n", 1)
        assert line.startswith(begun)
        assert rest == whole_put
        assert EVIL.encode() not in put
        with pytest.raises(json.JSONDecodeError):
            json.loads(begun)


@given(st.dictionaries(texts, st.lists(anything, max_size=4), max_size=4), styles)
def test_an_outline_finds_what_parsing_finds(value: dict[str, list[Any]], style: dict[str, Any]) -> None:
    text = f" {json.dumps(value, **style)}\t"
    found = whole(text, members({name: items(members({})) for name in value}))
    assert {member.name: json.loads(text[member.at : member.end]) for member in found} == value
    for member in found:
        assert [json.loads(text[item.at : item.end]) for item in member.value] == value[member.name]
        cut_out = edited(text, [Edit(member.at, member.end, "[]")])
        assert json.loads(cut_out) == {**value, member.name: []}
