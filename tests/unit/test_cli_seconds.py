"""What the command line refuses: times that no wait can have, and words that it does not know."""

from __future__ import annotations

import pytest

from hatchlock.cli.parser import parse
from hatchlock.errors import UsageError


@pytest.mark.parametrize("text", ["nan", "-1", "inf", "1e300", "soon", ""])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    for words in (["probe", "x", f"--timeout={text}"], ["apply", f"--lock-timeout={text}"]):
        with pytest.raises(UsageError, match="invalid number of seconds"):
            parse(words)


def test_a_time_may_be_none_at_all_and_has_fractions() -> None:
    assert parse(["probe", "x", "--timeout", "0.5"]).timeout == 0.5
    assert parse(["apply", "--lock-timeout", "0"]).lock_timeout == 0


def test_a_word_too_many_leads_to_the_help_of_its_command() -> None:
    with pytest.raises(UsageError) as caught:
        parse(["audit", "files", "--netwrok"])
    assert str(caught.value) == "unrecognized arguments: files --netwrok"
    assert caught.value.hint == "see `hatchlock audit --help`"
