"""What of a long message goes on before its end has come."""

from __future__ import annotations

import json

import pytest

from hatchlock.serve import long_messages
from hatchlock.serve.long_messages import LongMessage

string_open_in = long_messages._string_open_in
BEFORE = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"'
AFTER = '"}]}}\n'


def fed(*pieces: str | bytes) -> tuple[LongMessage, list[bytes]]:
    message = LongMessage()
    return message, [message.feed(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long is what each look is at; there is one soon after each string."""
    lengths: list[int] = []

    def look(data: bytes) -> int:
        lengths.append(len(data))
        return string_open_in(data)

    monkeypatch.setattr(long_messages, "_string_open_in", look)
    monkeypatch.setattr(long_messages, "_FIRST_LOOK", 4)
    return lengths


def test_a_string_goes_on_as_it_comes_and_is_not_judged() -> None:
    message, passed = fed(BEFORE + "one", " two", AFTER)
    assert passed == [BEFORE.encode() + b"one", b" two", b""]
    assert (message.gone, message.kept) == (BEFORE.encode(), AFTER.encode())


def test_what_names_a_listing_inside_of_a_string_names_none() -> None:
    inside = json.dumps('{"tools":[],"instructions":1} \\" \\')[1:-1]
    message, passed = fed(BEFORE, inside, AFTER)
    assert passed == [BEFORE.encode(), inside.encode(), b""]
    assert message.gone + message.kept == (BEFORE + AFTER).encode()


@pytest.mark.parametrize(
    "text",
    [
        *('\\"', "\\\\", "\\\\\\n", "\\u0074", "\\\\u0074", "\\ud83d\\ude00", "\\\\\\\\\\u00e9"),
        *("é€😀", "é\\u00e9é", "x\x7fy", "\u2028"),
    ],
)
def test_an_escape_and_a_character_are_cut_nowhere(text: str) -> None:
    data = text.encode()
    for at in range(len(data) + 1):
        for pieces in ([BEFORE.encode() + data[:at], data[at:]], [BEFORE, data[:at], data[at:]]):
            message, passed = fed(*pieces, "x", AFTER)
            assert b"".join(passed) == BEFORE.encode() + data + b"x"
            for so_far in range(len(passed)):
                json.loads(b"".join(passed[: so_far + 1]) + AFTER.encode())
            assert message.kept == AFTER.encode()


@pytest.mark.parametrize(
    "before",
    [
        '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"description":"',
        '{"jsonrpc":"2.0","id":1,"result":{"Too\\u006cs":[],"content":[{"text":"',
        '{"jsonrpc":"2.0","id":1,"result":{"content":[{"tools":"',
        '{"jsonrpc":"2.0","id":1,"result":{"instructions":"',
        '{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"',
        '{"jsonrpc":"2.0","id":1,"result":{"content":[{"',
        '{"jsonrpc":"2.0","id":"',
        '[{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"',
        '{"level":"info","jsonrpc":"2.0","result":{"content":[{"text":"',
        '{"jsonrpc":"2.0","id":1,"result":{"content":[{text:"',
        '{"jsonrpc":"2.0","id":1,"result":{"content":[{"a":\'"\',"text":"',
        '{"jsonrpc":"2.0","id":1,"result":{"content":["a""',
        '{"jsonrpc":"2.0","id":1,"result":{"content":[{"a\n":1,"text":"',
        '{"jsonrpc":"2.0","id":1}}"result":{"content":[{"text":"',
        '}]{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"',
        '{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":',
        '{"jsonrpc":"2.0","id":1,"result":{"content":[5, 6',
        b'{"jsonrpc":"2.0","id":"\xff","result":{"content":[{"text":"',
        "Server started: ",
        "[" * 100_000 + '"',
    ],
)
def test_what_is_not_for_everybody_a_message_up_to_a_text_in_it_is_kept(before: str | bytes) -> None:
    message, passed = fed(before, "x" * 100, "x" * 1000)
    assert passed == [b"", b"", b""]
    assert message.gone == b""
    assert message.kept == (before if isinstance(before, bytes) else before.encode()) + b"x" * 1100


@pytest.mark.parametrize("before", ['{"result":{"contents":[{"blob":"', '{"method":"x","params":{"_meta":{"x":"'])
def test_the_members_of_a_message_come_in_any_order(before: str) -> None:
    assert fed(before + "x")[1] == [before.encode() + b"x"]


@pytest.mark.parametrize(
    "bad", [b"\x01", b"\n", b"\r", b"\\x", b"\\u00g0", b"\xff", b"\xe9x", b"\xed\xa0\x80", b"\xc0\xa2"]
)
@pytest.mark.parametrize("after", [b"", b"y" * 10])
def test_from_what_no_string_may_have_on_it_is_kept(bad: bytes, after: bytes) -> None:
    message, passed = fed(BEFORE, b"x", b"\\n" + bad + after, b"tools", AFTER)
    assert b"".join(passed).removeprefix(BEFORE.encode()) in {b"x", b"x\\n"}
    assert message.kept.removeprefix(b"\\n") == bad + after + b"tools" + AFTER.encode()


@pytest.mark.parametrize("bad", ["\n", "\r", "\r\n", '\\"\r\n', '"}\r\n', '"\\\r\n'])
def test_no_end_of_a_line_is_inside_of_a_string(bad: str) -> None:
    message, passed = fed(BEFORE + "one", f"two{bad}")
    assert not {*b"\r\n"} & {*b"".join(passed)}
    assert (b"".join(passed) + message.kept).endswith(f"onetwo{bad}".encode())


def test_a_plain_piece_is_not_copied() -> None:
    message, piece = fed(BEFORE)[0], "é" * 10
    data = piece.encode()
    assert message.feed(data) is data


def test_what_follows_an_escape_of_which_there_is_half_goes_on_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_messages, "_FIRST_LOOK", 4)
    between = '"},{"text":"'
    message, passed = fed(BEFORE + "one\\", "n" + between + "t\\", "u", "00", "e9", AFTER)
    assert passed == [BEFORE.encode() + b"one", b"\\n" + between.encode() + b"t", b"", b"", b"\\u00e9", b""]
    assert message.kept == AFTER.encode()


def test_several_strings_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_messages, "_FIRST_LOOK", 4)
    between = '"},{"text":"'
    message, passed = fed(BEFORE, "one", between + "t", "wo", AFTER)
    assert passed == [BEFORE.encode(), b"one", between.encode() + b"t", b"wo", b""]
    assert message.gone + message.kept == (BEFORE + between + AFTER).encode()


def test_a_name_of_a_listing_behind_a_string_is_kept_and_all_that_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_messages, "_FIRST_LOOK", 4)
    message, passed = fed(BEFORE + "one", '"}],"tools":[{"description":"', "evil", '"}]}}\n')
    assert passed == [BEFORE.encode() + b"one", b"", b"", b""]
    assert message.gone == BEFORE.encode()
    assert message.kept == b'"}],"tools":[{"description":"evil"}]}}\n'


def test_it_is_looked_at_again_when_it_has_doubled() -> None:
    message, passed = fed('{"jsonrpc":"2.0","id":1,', '"r', "e", 'sult":{"content":[{"text":"x')
    assert passed == [b"", b"", b"", BEFORE.encode() + b"x"]
    assert message.kept == b""


@pytest.mark.parametrize("before", ["", BEFORE + "x"])
def test_looks_are_few(before: str, looks: list[int]) -> None:
    fed(before, '"]', *["5"] * 1000)
    assert 8 <= len(looks) <= 11


@pytest.mark.parametrize("text", ['"x",' * 5000, '"' + "\\\\x" * 30_000 + '",' + '"x",' * 1500])
def test_where_there_are_many_strings_none_is_looked_for(text: str) -> None:
    start = '{"jsonrpc":"2.0","id":1,"result":{"content":['
    assert fed(start + text + '"x')[1] == [b""]
    assert fed(start + '"x",' * 900 + '"x')[1] != [b""]


def test_many_quotation_marks_in_a_text_are_one_string() -> None:
    assert fed(BEFORE + '\\"' * 30_000)[1] == [BEFORE.encode() + b'\\"' * 30_000]


def test_what_is_too_long_to_be_kept_is_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_messages, "LONGEST_MESSAGE", 200)
    message, _ = fed(BEFORE + "x", '"}]', *["," * 64] * 9, "}}\n")
    room = 200 - len(message.gone)
    assert 0 < len(message.kept) <= room
    with pytest.raises(ValueError, match="Invalid"):
        json.loads(message.gone + message.kept)
    message, _ = fed(BEFORE + "x", '"}]' + " " * (room - 5), "}}\n")
    assert "\0" in message.kept.decode()
    message, _ = fed(BEFORE + "x", '"}]' + " " * (room - 6), "}}\n")
    assert json.loads(message.gone + message.kept)


@pytest.mark.parametrize("bad", [b"\xff", b"\\x", b"\x01"])
def test_what_is_no_string_is_looked_at_once_however_much_follows(bad: bytes, looks: list[int]) -> None:
    """Else 30 MB of Latin-1 took 18 s of a processor."""
    fed(BEFORE + "x", *[b"y" * 50 + bad + b"y" * 50] * 100)
    assert len(looks) == 1


def test_what_is_around_long_strings_is_not_read_again_without_end(
    looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else 20 MB of spaces between strings took 27 s of a processor, and there was no bound for what was remembered of them."""
    monkeypatch.setattr(long_messages, "_MOST_AROUND", 1000)
    message, passed = fed(BEFORE + "x", *['"},' + " " * 200 + '{"text":"x'] * 100)
    assert 1000 < len(message.gone) < 1400
    assert len(looks) < 8
    assert (b"".join(passed) + message.kept).endswith(b'{"text":"x')


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_messages, "LONGEST_MESSAGE", 500)
    monkeypatch.setattr(long_messages, "_FIRST_LOOK", 4)
    message, _ = fed(BEFORE + "x", *['"},' + " " * 300 + '{"text":"x'] * 20)
    assert len(message.gone) + len(message.kept) <= 500
