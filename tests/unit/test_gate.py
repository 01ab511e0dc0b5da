"""What the gate lets pass: lines in, verdicts out."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from hatchlock.serve.gate import Gate, SurfaceDiffers
from hatchlock.serve.messages import may_list
from hatchlock.serve.passage import Chain, Verdict
from hatchlock.state.surfaces import Difference
from hatchlock.surface import Changed, Pins, SurfaceRules, definition_hash, instructions_hash
from support.rug_pulls import EVIL, QUESTIONS, TOOLS, TRICKS, hello, honest_pins, request, rugpull, rules

MODES: tuple[Changed, ...] = ("refuse", "filter", "warn")


class Session:
    """A gate between a client and `rugpull`, with everything that came out of it."""

    def __init__(self, surface: SurfaceRules, trick: str = "") -> None:
        self.found: list[Difference] = []
        self.details: list[str] = []
        self.gate = Gate(surface, server="calc", report=self._report)
        self.server = rugpull.Server(trick, "always")
        self.ends: list[object] = []
        self.said: list[bytes] = []
        self.received: list[bytes] = []

    def _report(self, difference: Difference, details: tuple[str, ...]) -> None:
        self.found.append(difference)
        self.details += details

    def ask(self, *questions: Mapping[str, Any]) -> bytes:
        """Let the client ask and the server answer; return what the client got."""
        return b"".join(self.pass_on(line(question)) for question in questions)

    def pass_on(self, sent: bytes) -> bytes:
        verdict = self.gate.sent(sent)
        got = verdict.answer
        for asked in verdict.forward.splitlines():
            value = json.loads(asked)
            for message in value if isinstance(value, list) else [value]:
                # a server's lines end at \n alone
                got += b"".join(self.answer(part) for part in self.server.answer(message).encode().split(b"\n"))
        return got

    def answer(self, text: bytes) -> bytes:
        self.said.append(text + b"\n")
        verdict = self.gate.received(text + b"\n")
        if verdict.end:
            self.ends.append(verdict.end)
        return verdict.forward + verdict.answer


def line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def errors(got: bytes) -> list[Any]:
    return [message for message in map(json.loads, got.splitlines()) if "error" in message]


def names(got: bytes) -> list[str]:
    results = [json.loads(text)["result"] for text in got.splitlines()]
    return [tool["name"] for result in results for tool in result.get("tools", ())]


@pytest.mark.parametrize("changed", MODES)
def test_what_matches_passes_as_the_very_bytes(changed: Changed) -> None:
    session = Session(rules(changed=changed))
    assert session.ask(*QUESTIONS) == b"".join(session.said)
    assert session.found == [Difference()]
    again = line({"jsonrpc": "2.0", "id": 9, "result": {"tools": rugpull.SURFACE["tools"]}})
    assert session.gate.received(again).forward is again


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_refused(trick: str) -> None:
    session = Session(rules(), trick)
    got = session.ask(*QUESTIONS)
    assert EVIL.encode() not in got
    assert b"evil" not in got
    assert len(session.ends) == 1
    assert isinstance(session.ends[0], SurfaceDiffers)
    assert any(session.found)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_filter_lets_nothing_of_a_trick_through_and_goes_on(trick: str) -> None:
    session = Session(rules(changed="filter"), trick)
    got = session.ask(*QUESTIONS)
    assert EVIL.encode() not in got
    assert session.ends == []
    assert any(session.found)
    answered = {json.loads(text).get("id") for text in got.splitlines() if text[:1] == b"{"}
    assert answered >= {"hello", 4}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_warning_changes_nothing(trick: str) -> None:
    session = Session(rules(changed="warn"), trick)
    assert session.ask(*QUESTIONS) == b"".join(session.said)
    assert any(session.found)


@pytest.mark.parametrize(
    ("trick", "difference"),
    [
        ("description", Difference(changed=("tool add",))),
        ("added", Difference(added=("tool evil",))),
        ("removed", Difference(removed=("tool mul",))),
        ("repeated", Difference(unhashable=("tool mul",))),
        ("no-name", Difference(unhashable=("tool",))),
        ("prompt", Difference(changed=("prompt sum",))),
        ("instructions", Difference(changed=("instructions",))),
        ("no-instructions", Difference(removed=("instructions",))),
        ("long-s", Difference(unhashable=("message",))),
        ("in-a-line", Difference(unhashable=("message",))),
    ],
)
def test_what_differs_is_named(trick: str, difference: Difference) -> None:
    session = Session(rules(), trick)
    session.ask(*QUESTIONS)
    assert [found for found in session.found if found] == [difference]


def test_what_is_said_of_a_trick_can_do_nothing_to_a_terminal() -> None:
    session = Session(rules(), "")
    tool = {**rugpull.SURFACE["tools"][0], "description": "\u202e\x1b[2J\u200b", "name": "a\u2066\x07" * 100}
    session.answer(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool]}}, ensure_ascii=False).encode())
    said = "".join(session.details) + str(session.ends[0])
    assert said.isprintable()
    assert len(said) < 2500


@pytest.mark.parametrize("identity", [1, 1.5, "1", "hello \u202e", -7, None, [1]])
def test_an_error_answers_the_request_by_its_id_as_it_was_written(identity: Any) -> None:
    session = Session(rules(), "added")
    got = session.ask(request(identity, "tools/list", cursor="2"))
    assert [error["id"] for error in errors(got)] == [identity]


def test_the_client_is_told_counts_and_approved_names_alone() -> None:
    session = Session(rules(), "description")
    session.server.surface = lambda: rugpull.added(rugpull.changed(json.loads(json.dumps(rugpull.SURFACE)), "add", x=1))
    got = session.ask(TOOLS[0])
    assert errors(got)[0]["error"]["message"] == (
        'hatchlock withholds this answer: what calc offers is not what was pinned: 1 changed (tool "add"). '
        "Its user finds out with: hatchlock logs calc"
    )
    session = Session(rules(), "added")
    assert "1 added." in errors(session.ask(TOOLS[1]))[0]["error"]["message"]


def test_nothing_passes_once_the_session_is_over() -> None:
    session = Session(rules(), "description")
    assert errors(session.ask(TOOLS[0]))
    assert session.gate.sent(line(request(1, "ping"))) == Verdict()
    assert session.gate.received(line({"jsonrpc": "2.0", "id": 1, "result": {}})) == Verdict()


@pytest.mark.parametrize("trick", ["description", "schema", "bidi"])
def test_what_was_right_once_is_looked_at_again(trick: str) -> None:
    session = Session(rules())
    assert not errors(session.ask(*TOOLS))
    session.server.trick = trick
    assert errors(session.ask(TOOLS[0]))


# Pages


def test_what_is_missing_is_missed_on_the_last_page_only() -> None:
    session = Session(rules(), "removed")
    assert b"error" not in session.ask(hello())
    session.server.result = lambda *_: {"tools": rugpull.SURFACE["tools"][:2], "nextCursor": "x"}
    assert not errors(session.ask(request(1, "tools/list")))
    session.server.result = lambda *_: {"tools": []}
    assert errors(session.ask(request(2, "tools/list", cursor="x")))
    assert session.found == [Difference(removed=("tool mul",))]


def test_a_page_that_comes_out_of_nowhere_does_not_say_what_is_missing() -> None:
    session = Session(rules())
    assert not errors(session.ask(request(1, "tools/list", cursor="2")))
    assert session.found == []


def test_an_empty_cursor_is_the_end_of_a_listing() -> None:
    session = Session(rules())
    session.server.result = lambda *_: {"tools": rugpull.SURFACE["tools"], "nextCursor": ""}
    session.ask(request(1, "tools/list"))
    assert session.found == [Difference()]


def test_a_listing_of_which_a_page_was_wrong_does_not_match() -> None:
    session = Session(rules(changed="filter"), "description")
    session.ask(TOOLS[0])
    session.server.trick = ""
    session.ask(TOOLS[1])
    assert session.found == [Difference(changed=("tool add",))]


def test_a_listing_that_never_ends_is_not_remembered_for_ever() -> None:
    session = Session(rules())
    for number in range(300):
        session.server.result = lambda *_, number=number: {"tools": [], "nextCursor": str(number + 1)}
        session.ask(request(number, "tools/list", **({"cursor": str(number)} if number else {})))
    assert len(session.gate._pages) <= 100


def test_the_first_answer_of_the_newer_protocol_is_held_against_the_pins() -> None:
    discover = request("d", "server/discover")
    assert not errors(Session(rules()).ask(discover))
    assert errors(Session(rules(), "instructions").ask(discover))
    assert errors(Session(rules(), "no-instructions").ask(discover))


def test_a_server_without_instructions_that_had_none_is_as_it_was() -> None:
    session = Session(rules(pins=honest_pins_without_instructions()), "no-instructions")
    assert not errors(session.ask(hello()))


@pytest.mark.parametrize(
    ("result", "cut"),
    [
        ('{"instructions":"x" ,"a":1}', '{"a":1}'),
        ('{"a":1, "instructions":"x"}', '{"a":1}'),
        ('{"a":1, "instructions":"x", "tools":[{"name":"evil"}]}', '{"a":1, "tools":[]}'),
        ('{"instructions":"x"}', "{}"),
    ],
)
def test_instructions_are_cut_out_as_a_member(result: str, cut: str) -> None:
    gate = Gate(rules(changed="filter"), server="calc", report=lambda *_: None)
    assert gate.received(f'{{"jsonrpc":"2.0","id":1,"result":{result}}}'.encode()).forward.endswith(f"{cut}}}".encode())


@pytest.mark.parametrize("definition", ["5", "null", '"add"', "[]", '[{"name":"add"}]'])
def test_a_definition_that_is_no_object_is_refused(definition: str) -> None:
    session = Session(rules())
    got = session.answer(f'{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{definition}]}}}}'.encode())
    assert [error["id"] for error in errors(got)] == [1]
    assert b"result" not in got
    assert session.found == [Difference(unhashable=("tool",))]


@pytest.mark.parametrize("instructions", [["Numbers only"], {"0": "x"}, 5, True])
def test_instructions_that_are_no_text_are_refused(instructions: Any) -> None:
    session = Session(rules(pins=honest_pins_without_instructions()))
    got = session.answer(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"instructions": instructions}}).encode())
    assert ([error["error"]["code"] for error in errors(got)], len(session.ends)) == ([-32001], 1)
    assert b"result" not in got


def honest_pins_without_instructions() -> Pins:
    pins = honest_pins()
    return Pins(tools=pins.tools, prompts=pins.prompts, instructions=instructions_hash(None))


# Filters


@pytest.mark.parametrize("pins", [None, honest_pins()])
def test_a_hidden_tool_is_neither_listed_nor_called(pins: Pins | None) -> None:
    session = Session(SurfaceRules(allow=("a*", "mul"), deny=("mul",), pins=pins))
    assert names(session.ask(*TOOLS)) == ["add"]
    assert [error["error"]["code"] for error in errors(session.ask(request(1, "tools/call", name="mul")))] == [-32602]
    assert not errors(session.ask(request(2, "tools/call", name="add")))


def test_only_the_listing_is_cut_out_of_an_answer() -> None:
    gate = Gate(SurfaceRules(deny=("b",)), server="calc", report=lambda *_: None)
    text = '{ "id":1e0, "result" : {"x":1.00, "tools" :[ {"name":"a"} ,{"name":"b"}, { "name":"c\\/" } ] }, "jsonrpc":"2.0"}\r\n'
    cut = '{ "id":1e0, "result" : {"x":1.00, "tools" :[{"name":"a"},{ "name":"c\\/" }] }, "jsonrpc":"2.0"}\r\n'
    assert gate.received(text.encode()).forward == cut.encode()


def test_a_denied_tool_may_differ_from_its_pin() -> None:
    session = Session(rules(deny=("add",)), "description")
    assert names(session.ask(*TOOLS)) == ["sub", "mul"]
    assert session.ends == []


@pytest.mark.parametrize("name", ['"name":"a","name":"b"', '"name":"a","Name":"b"', '"name":["a"]', '"title":"a"'])
def test_a_tool_whose_name_is_not_clear_is_hidden_where_some_are(name: str) -> None:
    gate = Gate(SurfaceRules(allow=("a",)), server="calc", report=lambda *_: None)
    forward = gate.received(f'{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{{name}}}]}}}}\n'.encode()).forward
    assert forward == b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}\n'


def test_an_answer_that_cannot_be_filtered_is_withheld() -> None:
    session = Session(SurfaceRules(deny=("sub",)))
    session.gate.sent(line(TOOLS[0]))
    got = session.answer(b'{"jsonrpc":"2.0","id":2,"result":{"tools":[],"Tools":[{"name":"sub"}]}}')
    assert [error["error"]["code"] for error in errors(got)] == [-32001]
    assert session.ends == []
    warned = Session(rules(changed="warn", deny=("sub",)), "other-case")
    assert len(errors(warned.ask(*TOOLS))) == 1


UNCLEAR = '"result":{"content":[],"tools":[],"Tools":[{"name":"evil"}]}'


@pytest.mark.parametrize("written", ["7", "-1", '"a b"'])
def test_whoever_called_is_told_that_its_answer_is_withheld(written: str) -> None:
    session = Session(rules(changed="filter"))
    got = session.answer(f'{{"jsonrpc":"2.0","id":{written},{UNCLEAR}}}'.encode())
    assert [(error["id"], error["error"]["code"]) for error in errors(got)] == [(json.loads(written), -32001)]
    assert b"evil" not in got


@pytest.mark.parametrize("written", ['{"evil":1}', "[1]", "1.5", "null", '"\\u0065vil"', f'"{"x" * 129}"', '"\u00e9"'])
def test_what_a_server_writes_as_an_id_goes_on_only_if_it_is_a_usual_one(written: str) -> None:
    session = Session(rules(changed="filter"))
    assert session.answer(f'{{"jsonrpc":"2.0","id":{written},{UNCLEAR}}}'.encode()) == b""


def test_a_request_of_the_servers_that_is_withheld_is_not_answered_to_the_application() -> None:
    session = Session(rules(changed="filter"))
    repeated = '"params":{"x":"tools"},"params":{}'
    assert session.answer(f'{{"jsonrpc":"2.0","id":7,"method":"elicitation/create",{repeated}}}'.encode()) == b""


def test_a_request_of_the_servers_answers_nothing_that_the_application_asked() -> None:
    session = Session(rules(), "removed")
    session.gate.sent(line(TOOLS[0]))
    asking = {"jsonrpc": "2.0", "id": TOOLS[0]["id"], "method": "elicitation/create", "params": {"message": "tools"}}
    assert session.answer(line(asking).rstrip())
    [listing] = session.server.answer(TOOLS[0]).splitlines()
    session.answer(listing.encode())
    assert session.found == [Difference(removed=("tool mul",))]


def test_where_nothing_is_pinned_prompts_and_instructions_pass() -> None:
    session = Session(SurfaceRules(deny=("sub",)), "instructions")
    assert EVIL.encode() in session.ask(hello())
    prompts = session.ask(request(4, "prompts/list"), request(5, "prompts/get", name="any"), request(6, "prompts/get"))
    assert prompts == b"".join(session.said[-3:])
    session.ask(*TOOLS)
    assert session.found == []


def test_what_was_listed_wrong_is_not_called_until_it_is_right_again() -> None:
    session = Session(rules(changed="filter"), "description")
    call = request(7, "tools/call", name="add")
    assert not errors(session.ask(call))
    session.ask(TOOLS[0])
    assert errors(session.ask(call))
    session.server.trick = ""
    session.ask(TOOLS[0])
    assert not errors(session.ask(call))


# Calls


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":1,"method":"tools\\/call","params":{"name":"evil"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"e\\u0076il"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","name":"evil"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","Name":"evil"}}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"evil"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{"name":"evil"},"params":{"name":"add"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["evil"]}}',
        '{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"evil"}}',
        '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"evil"}}',
        '[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"evil"}}]',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"evil"}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"evil"}}{}',
        '[[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"evil"}}]]',
        '{"jsonrpc":"2.0","method":"ping"}{"jsonrpc":"2.0","method":"tools/call","params":{"name":"evil"}}',
        '{"jsonrpc":"2.0","method":"ping",5:"x"}',
        "{'method': 'tools/call'}",
        "\ufeff{}",
        "[" * 100_000,
    ],
)
def test_a_call_of_what_is_not_offered_goes_nowhere(text: str) -> None:
    gate = Gate(rules(), server="calc", report=lambda *_: None)
    verdict = gate.sent(text.encode() + b"\n")
    assert verdict.forward == b""
    assert b"evil" not in verdict.answer
    if '"id":1' in text:
        assert json.loads(verdict.answer)["error"]["code"] in {-32602, -32600, -32700}


def test_of_a_batch_only_what_is_offered_goes_on() -> None:
    gate = Gate(rules(), server="calc", report=lambda *_: None)
    good, bad = (json.dumps(request(name, "tools/call", name=name)) for name in ("add", "evil"))
    verdict = gate.sent(f"[ {good} , {bad},{good}]\n".encode())
    assert verdict.forward == f"[{good},{good}]\n".encode()
    assert [error["id"] for error in errors(verdict.answer)] == ["evil"]


@pytest.mark.parametrize(
    "text",
    ["\n", "  \n", '{"jsonrpc":"2.0","id":1,"result":{"name":"x"}}\n', '{"method":"notifications/cancelled"}\n'],
)
def test_everything_else_of_the_application_passes(text: str) -> None:
    line = text.encode()
    assert Gate(rules(), server="calc", report=lambda *_: None).sent(line).forward is line


def test_where_nothing_is_guarded_the_application_may_send_what_it_likes() -> None:
    gate = Gate(rules(changed="warn"), server="calc", report=lambda *_: None)
    for line in (b"what\n", b'{"method":"tools/call","params":{"name":"x","name":"y"}}\n', b"\xff\n"):
        assert gate.sent(line).forward is line


def test_a_line_that_is_longer_than_any_message_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatchlock.serve.gate.LONGEST_MESSAGE", 10)
    gate = Gate(rules(), server="calc", report=lambda *_: None)
    assert gate.sent(b"{}" + b" " * 7 + b"\n").forward
    assert gate.sent(b"{}" + b" " * 9).forward == b""


# A quick look


@pytest.mark.parametrize(
    "text",
    [
        '{"result":{"tools":[]}}',
        '{"result":{"Prompts" :[]}}',
        '{"result":{"INSTRUCTIONS":""}}',
        '{"result":{"\\u0074ools":[]}}',
        '{"result":{"tool\\u0073":[]}}',
        '{"result":{"too\\u006Cs":[]}}',
        '{"result":{"tools\\u0000x":[]}}',
        '{"result":{"tool\u017f":[]}}',
        '{"result":{"tool\\u017F":[]}}',
    ],
)
@pytest.mark.parametrize("padding", ["", "x" * (1 << 20), "x" * ((2 << 20) - 12)])
def test_a_listing_in_any_spelling_is_looked_at(text: str, padding: str) -> None:
    assert may_list(f'{{"padding":"{padding}",{text[1:]}'.encode())


@pytest.mark.parametrize(
    "name", [b"to\xed\xa0\x80ols", b"\xfftools", b"t\xc5ools", b"tool\xff\xc5\xbf", b"inst\xe2\x82ructions"]
)
def test_what_a_client_reads_that_passes_over_what_is_no_utf_8_is_looked_at(name: bytes) -> None:
    """As the SDK for Python does with `encoding_error_handler="ignore"`; halves of pairs are UTF-8 for some, for us too."""
    gate = Gate(rules(), server="calc", report=lambda *_: None)
    for before in (b"", b"1," * (1 << 19)):
        line = b'{"jsonrpc":"2.0","id":2,"result":{"x":[' + before + b'1],"' + name + b'":[{"name":"evil"}]}}\n'
        assert gate.received(line).forward == b""


@pytest.mark.parametrize(
    "name", [b"t\\ools", b"\\instructions", b"\\x74ools", b"\\u{74}ools", b"too\\l\\s", b"promp\\'ts"]
)
def test_escapes_that_json_does_not_have_are_looked_at_where_nobody_has_parsed(name: bytes) -> None:
    """Ruby's parser takes them for the letter behind the backslash."""
    start = b'{"jsonrpc":"2.0","id":2,"result":{"' + name + b'":[{"name":"evil"}],"x":['
    assert may_list(start + b"1," * (1 << 19) + b"1]}}\n")
    assert may_list(start.replace(name, b"x") + b"1," * (1 << 19) + b'1],"' + name + b'":[]}}\n')
    assert not may_list(b'{"x":["C:\\\\other\\\\u","\\n\\\\\\"",' + b"1," * (1 << 19) + b"1]}\n")


def test_a_listing_across_the_pieces_of_a_large_message_is_seen() -> None:
    for before in range((1 << 20) - 20, (1 << 20) + 4):
        assert may_list(b"x" * before + b'"tools":[]' + b"y" * 100)


@pytest.mark.parametrize(
    "text", ['{"result":{"content":[{"text":"the \\"tools\\" of instructions, gr\\u00fc\\u00dfe, \\ud83d"}]}}', "{}"]
)
def test_ordinary_answers_are_not_looked_at(text: str) -> None:
    assert not may_list(text.encode())


# A chain


class Spelling:
    """A passage that writes down what it sees."""

    def __init__(self, name: str, log: list[str], keeps: bytes = b"") -> None:
        self.name, self.log, self.keeps = name, log, keeps

    def sent(self, line: bytes) -> Verdict:
        self.log.append(f"{self.name} sent {line.decode()}")
        return Verdict(b"", b"no\n") if line == self.keeps else Verdict(line)

    def received(self, line: bytes) -> Verdict:
        self.log.append(f"{self.name} received {line.decode()}")
        return Verdict(line)


def chained(*keeps: bytes) -> tuple[Chain, list[str]]:
    log: list[str] = []
    return Chain([Spelling("ab"[at], log, item) for at, item in enumerate(keeps)]), log


def test_a_chain_passes_in_order_and_back() -> None:
    chain, log = chained(b"", b"")
    assert (chain.sent(b"x"), chain.received(b"y")) == (Verdict(b"x"), Verdict(b"y"))
    assert log == ["a sent x", "b sent x", "b received y", "a received y"]


def test_what_an_inner_passage_keeps_of_the_server_s_goes_no_further() -> None:
    gate = Gate(rules(), server="calc", report=lambda *_: None)
    log: list[str] = []
    chain = Chain([Spelling("a", log), gate])
    chain.sent(line(TOOLS[0]))
    verdict = chain.received(b'{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"evil"}]}}\n')
    assert isinstance(verdict.end, SurfaceDiffers)
    assert verdict.forward == b""
    assert [text.split()[1] for text in log] == ["sent", "received"]
    assert b"evil" not in verdict.answer
    assert verdict.end.hint


def test_what_an_inner_passage_answers_is_seen_by_the_outer_ones() -> None:
    chain, log = chained(b"", b"x")
    assert chain.sent(b"x") == Verdict(b"", b"no\n")
    assert log == ["a sent x", "b sent x", "a received no\n"]
    chain, log = chained(b"x", b"")
    assert chain.sent(b"x") == Verdict(b"", b"no\n")
    assert log == ["a sent x"]


def listing_of(count: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": f"t{number}"} for number in range(count)]}}


def test_however_much_differs_people_get_as_much_as_they_read() -> None:
    session = Session(rules(changed="warn"))
    session.gate.received(line(listing_of(5000)))
    assert len(session.found[0].added) == 5000
    assert len(session.details) == 100


def test_the_work_for_a_batch_grows_with_it() -> None:
    def calls(count: int) -> int:
        session = Session(rules(changed="warn"))
        batch = [{**listing_of(1), "result": {"tools": [{"name": f"t{number}"}]}} for number in range(count)]
        text = line(batch)  # type: ignore[arg-type]
        events = itertools.count()
        sys.setprofile(lambda *_: next(events) and None)
        try:
            session.gate.received(text)
        finally:
            sys.setprofile(None)
        return next(events)

    assert calls(800) < 5 * calls(200)


def test_a_tool_that_is_denied_is_hidden_also_where_it_has_another_name_beside_it() -> None:
    definition = {"name": "add", "NAME": "sub"}
    pins = Pins(tools={"add": definition_hash(definition)})
    session = Session(SurfaceRules(deny=("add",), pins=pins))
    answer = line({"jsonrpc": "2.0", "id": 1, "result": {"tools": [definition]}})
    assert json.loads(session.gate.received(answer).forward)["result"] == {"tools": []}
    assert not session.found


def test_what_only_some_applications_are_shown_may_be_missing() -> None:
    definition = {"name": "ask"}
    listed = line({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}})
    for varying in ((), ("tool ask",)):
        pins = Pins(tools={"ask": definition_hash(definition)}, varying=varying)
        session = Session(SurfaceRules(pins=pins))
        session.gate.sent(line(request(1, "tools/list")))
        verdict = session.gate.received(listed)
        assert (verdict.end is None) == bool(varying)
        other = line({"jsonrpc": "2.0", "id": 2, "result": {"tools": [{**definition, "title": EVIL}]}})
        assert Session(SurfaceRules(pins=pins)).gate.received(other).end
