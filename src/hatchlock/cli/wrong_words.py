"""What argparse says of words that do not fit, in words of ours."""

from __future__ import annotations

import re

from hatchlock.errors import UsageError

__all__ = ["wrong_word"]

_CHOICE = re.compile(r"argument (.+?): invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)
_VALUE = re.compile(r"argument (.+?): invalid (.+?) value: '(.*)'", re.DOTALL)
_REQUIRED = re.compile(r"the following arguments are required: (.+)")
_OTHERS = (
    (re.compile(r"argument (.+?): expected (?:one|at least one) argument"), "{}: its value is missing"),
    (re.compile(r"argument (.+?): ignored explicit argument (.*)", re.DOTALL), "{} takes no value, and {} is one"),
    (re.compile(r"argument (.+?): not allowed with argument (.+)"), "{} does not go with {}"),
)


def wrong_word(message: str, command: str) -> UsageError:
    """Return the error that a message of argparse stands for.

    Args:
        message: What argparse says, as Python 3.11 or later does.
        command: `hatchlock COMMAND`, whose help is pointed at.
    """
    see = f"see `{command} --help`"
    if match := _CHOICE.fullmatch(message):
        name, word, listed = match.groups()
        return _no_command(word, see) if name == "COMMAND" else _no_choice(name, word, listed, see)
    return UsageError(what=_sentence(message), advice=see)


def _no_command(word: str, see: str) -> UsageError:
    from hatchlock.cli.help import COMMANDS
    from hatchlock.manifest.problem import closest

    # argparse lists only those that stand on the command line
    close = closest(word, (name for group in COMMANDS.values() for name in group))
    return UsageError(
        what=f"there is no command {word!r}", advice=f"did you mean `hatchlock {close}`?" if close else see
    )


def _no_choice(name: str, word: str, listed: str, see: str) -> UsageError:
    from hatchlock.manifest.problem import closest

    known = [choice.strip("'") for choice in listed.split(", ")]
    close = closest(word, known)
    advice = f"did you mean {close!r}? else {see}" if close else see
    return UsageError(what=f"{name}: {word!r} is none of {', '.join(known)}", advice=advice)


def _sentence(message: str) -> str:
    if match := _VALUE.fullmatch(message):
        name, kind, word = match.groups()
        return f"{name}: {word!r} is no {'number' if kind == 'int' else kind}"
    if match := _REQUIRED.fullmatch(message):
        names = match[1].split(", ")
        return f"{' and '.join(names)} {'are' if names[1:] else 'is'} missing"
    found = ((pattern.fullmatch(message), words) for pattern, words in _OTHERS)
    return next((words.format(*match.groups()) for match, words in found if match), message)
