from __future__ import annotations

import pytest

from hatchlock.cli.ui import Ui, printable
from hatchlock.events import Event


@pytest.mark.parametrize("say", [Ui.say, Ui.result])
def test_what_a_stranger_smuggled_into_a_sentence_reaches_the_terminal_as_plain_text(
    say: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(say)
    say(Ui(), "tool \x1b]0;owned\x07 \u202eevil\u200b\r\udcff\nnext line")
    shown = "".join(capsys.readouterr())
    assert shown == "tool \\x1b]0;owned\\x07 \\u202eevil\\u200b\\r\\udcff\nnext line\n"


def test_our_own_colours_are_not_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    Ui(color="always").result("+ server:time\x1b[0m")
    assert capsys.readouterr().out == "\x1b[32m+ server:time\\x1b[0m\x1b[0m\n"


def test_a_name_with_a_line_end_stays_on_its_line() -> None:
    assert printable("a\nb") == "a\\nb"


def test_a_note_is_one_line_whatever_an_index_says(capsys: pytest.CaptureFixture[str]) -> None:
    """A second one could be taken for one of ours."""
    Ui().event(Event(name="resolve.note", address="mcp:a/b", message="it is\r\nnote: everything was verified"))
    assert capsys.readouterr().err == "note: mcp:a/b: it is\\r\\nnote: everything was verified\n"
