"""What the command line refuses: times that no wait can have, and words that it does not know."""

from __future__ import annotations

import pytest

from hatchlock.cli.parser import parse
from hatchlock.errors import UsageError


@pytest.mark.parametrize("text", ["nan", "-1", "inf", "1e300", "soon", ""])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    for words in (["probe", "x", f"--timeout={text}"], ["apply", f"--lock-timeout={text}"]):
        with pytest.raises(UsageError, match="is no number of seconds"):
            parse(words)


def test_a_time_may_be_none_at_all_and_has_fractions() -> None:
    assert parse(["probe", "x", "--timeout", "0.5"]).timeout == 0.5
    assert parse(["apply", "--lock-timeout", "0"]).lock_timeout == 0


def test_a_word_too_many_leads_to_the_help_of_its_command() -> None:
    with pytest.raises(UsageError) as caught:
        parse(["audit", "files"])
    assert str(caught.value) == "`hatchlock audit` takes no 'files'"
    assert caught.value.hint == "see `hatchlock audit --help`"


@pytest.mark.parametrize(
    ("words", "option", "hint"),
    [
        ("status --only x", "--only", "see `hatchlock status --help`"),
        ("import --dryrun", "--dryrun", "did you mean --dry-run?"),
        ("--jsn plan", "--jsn", "did you mean --json?"),
        ("add --runtme=process pypi:x", "--runtme", "did you mean --runtime?"),
    ],
)
def test_an_option_that_a_command_does_not_have_is_named_and_not_what_follows_it(
    words: str, option: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words.split())
    assert str(caught.value).endswith(f" has no option {option}")
    assert caught.value.hint == hint


def test_a_value_that_is_called_like_a_command_is_a_value() -> None:
    assert parse(["--project", "plan", "probe", "x", "--timeout", "1"]).command == "probe"
