"""Whatever is typed wrongly, on every command: the answer is ours, names command and word, and says where to go on."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hatchlock.cli.help import COMMANDS
from hatchlock.cli.main import main
from hatchlock.cli.parser import command_parsers, parse
from hatchlock.errors import UsageError

ALL = sorted(name for group in COMMANDS.values() for name in group)
ARGPARSE = ("argument", "unrecognized", "expected", "invalid choice", "usage:", "explicit", "required")
"""Words of argparse that no sentence of ours has."""


def needed(command: argparse.ArgumentParser) -> list[str]:
    """Words that are right where there is a place for one."""
    if command.prog.endswith(" status"):
        return ["images"]
    places = [action for action in command._actions if not action.option_strings]
    return [
        str(next(iter(action.choices or ()), "1")) for action in places if action.nargs not in {"*", argparse.REMAINDER}
    ]


def wrong_lines(name: str) -> Iterator[tuple[list[str], str]]:
    """Command lines that are wrong, each with the word that has to be named."""
    command = command_parsers([name])[name]
    yield [name, "--zzz"], "--zzz"
    yield [name, "--zzz=1"], "--zzz"
    yield [name, "-Z"], "-Z"
    yield ["-Z", name], "-Z"
    yield [name, "--jsno"], "--json"
    right = needed(command)
    if not any(action.nargs in {"*", "+"} for action in command._actions if not action.option_strings):
        yield [name, *right, "surplus", "more"], "value" if name == "secret" else "surplus"
    for action in command._actions:
        if not action.option_strings:
            if action.choices and action.nargs != "*":
                yield [name, "zzz"], "'zzz'"
            continue
        option = action.option_strings[-1]
        if action.nargs == 0:
            yield [name, *right, f"{action.option_strings[0]}=zzz"], "zzz"
        elif action.nargs is None:
            yield [name, *right, option], option
            yield [name, *right, option, "-Z"], f"{option}=-Z"
            if action.choices or action.type:
                yield [name, *right, option, "zzz"], "'zzz'"


@pytest.mark.parametrize("name", ALL)
def test_every_wrong_word_is_told_in_words_of_ours(name: str) -> None:
    for words, named in wrong_lines(name):
        with pytest.raises(UsageError) as wrong:
            parse(words)
        said = f"{wrong.value}\n{wrong.value.hint}"
        assert named in said, words
        assert f"hatchlock {name}" in said, words
        assert wrong.value.hint, words
        assert wrong.value.exit_status == 64
        assert not [word for word in ARGPARSE if word in said], (words, said)


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        ("lock time", "`hatchlock lock` takes no 'time'", "see `hatchlock lock --help`"),
        ("run a b", "`hatchlock run` takes NAME, and no 'b'", "see `hatchlock run --help`"),
        ("plan check", "`hatchlock plan` takes no 'check'", "did you mean --check? else see `hatchlock plan --help`"),
        ("serve a b c", "`hatchlock serve` takes NAME, and no 'b', 'c'", "see `hatchlock serve --help`"),
        ("rollback 3 4", "`hatchlock rollback` takes N, and no '4'", "see `hatchlock rollback --help`"),
        (
            "secret set token hunter2",
            "`hatchlock secret` takes ACTION and NAME, and no value: whoever lists processes could read it there",
            "type it when it is asked for, or hand it over on stdin: hatchlock secret set token < FILE",
        ),
        ("plan -Y", "`hatchlock plan` has no option -Y", "see `hatchlock plan --help`"),
        ("apply -Y", "`hatchlock apply` has no option -Y", "did you mean -y?"),
        ("apply -yes", "`hatchlock apply` has no option -yes", "did you mean --yes?"),
        ("remove -Z", "`hatchlock remove` has no option -Z", "see `hatchlock remove --help`"),
        ("--verison", "`hatchlock` has no option --verison", "did you mean --version?"),
        ("-C /tmp --verison", "`hatchlock` has no option --verison", "did you mean --version?"),
        ("-n", "`hatchlock` has no option -n", "see `hatchlock --help`"),
        ("-C /tmp", "COMMAND is missing", "see `hatchlock --help`"),
        ("statsu --jsno", "there is no command 'statsu'", "did you mean `hatchlock status`?"),
        ("plan --json=yes", "--json takes no value, and 'yes' is one", "see `hatchlock plan --help`"),
        (
            "import --keep-secrets --no-secrets",
            "--no-secrets does not go with --keep-secrets",
            "see `hatchlock import --help`",
        ),
        (
            "try pypi:x --arg --verbos",
            "--arg: its value is missing",
            "if --verbos is it, write --arg=--verbos; see `hatchlock try --help`",
        ),
        ("lock --upgrade --zzz", "`hatchlock lock` has no option --zzz", "see `hatchlock lock --help`"),
    ],
)
def test_the_answer_fits_the_mistake(words: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as wrong:
        parse(words.split())
    assert (str(wrong.value), wrong.value.hint) == (what, hint)


@pytest.mark.parametrize("name", ALL)
def test_an_empty_value_is_not_passed_over(name: str) -> None:
    command = command_parsers([name])[name]
    right = needed(command)
    for option in command.options_with_value:
        for words in ([name, *right, option, ""], [option, "", name, *right], [name, *right, f"{option}="]):
            if words[-1] == "-C=":
                continue  # a short option has its value behind it: that is the directory "="
            with pytest.raises(UsageError) as wrong:
                parse(words)
            assert option in str(wrong.value) or "''" in str(wrong.value), words
            assert wrong.value.hint, words


@pytest.mark.parametrize("name", ["apply", "diff", "export", "import", "logs", "probe", "show", "tree", "verify"])
def test_an_empty_word_is_not_passed_over(name: str) -> None:
    with pytest.raises(UsageError) as wrong:
        parse([name, ""])
    assert (str(wrong.value), "variable of the shell" in wrong.value.hint) == (
        f"a word of `hatchlock {name}` is empty",
        True,
    )
    assert parse(["try", "pypi:a", ""]).command == "try"  # the server's own argument


def test_what_is_right_stays_right() -> None:
    assert parse(["logs", "time", "-n5"]).lines == 5
    assert parse(["-vg", "plan"]).use_global
    assert parse(["try", "pypi:x", "--arg=--verbose"]).answers == ["--verbose"]
    assert parse(["history", "3"]).number == 3


@pytest.mark.parametrize("name", sorted({*ALL} - {"add", "exec", "try"}))
def test_a_command_line_behind_dashes_is_not_passed_over(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, *needed(command_parsers([name])[name]), "--", "python", "-V"]) == 64
    said = capsys.readouterr().err
    assert f"`hatchlock {name}` takes no command line behind `--`" in said
    assert f"hatchlock {name} --help" in said


def test_help_of_a_command_can_be_asked_for_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "--help"])
    usual = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["help", "plan"])
    assert capsys.readouterr().out == usual
    assert main(["help", "plna"]) == 64
    assert "there is no command 'plna'\n\nhint: did you mean `hatchlock plan`?" in capsys.readouterr().err


def test_the_answer_is_an_error_and_a_status() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchlock", "lock", "time"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "error: `hatchlock lock` takes no 'time'\n\nhint: see `hatchlock lock --help`\n"
