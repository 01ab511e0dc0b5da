"""What argparse says of words that do not fit, in words of ours."""

from __future__ import annotations

import re

from hatchlock.errors import UsageError

__all__ = ["wrong_word"]

_CHOICE = re.compile(r"argument (.+?): invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)
_VALUE = re.compile(r"argument (.+?): invalid (.+?) value: '(.*)'", re.DOTALL)
_REQUIRED = re.compile(r"the following arguments are required: (.+)")
_MISSING = re.compile(r"argument (.+?): expected (?:one|at least one) argument")


def wrong_word(message: str, command: str) -> UsageError:
    """Return the error that a message of argparse stands for.

    Args:
        message: What argparse says, as Python 3.11 or later does.
        command: `hatchlock COMMAND`, whose help is pointed at.
    """
    advice = f"see `{command} --help`"
    if match := _CHOICE.fullmatch(message):
        from difflib import get_close_matches

        name, word, listed = match.groups()
        known = [choice.strip("'") for choice in listed.split(", ")]
        close = get_close_matches(word, known, n=1)
        what = f"{name}: {word!r} is none of {', '.join(known)}"
        return UsageError(what=what, advice=f"did you mean {close[0]!r}?" if close else advice)
    if match := _VALUE.fullmatch(message):
        name, kind, word = match.groups()
        return UsageError(what=f"{name}: {word!r} is no {'number' if kind == 'int' else kind}", advice=advice)
    if match := _MISSING.fullmatch(message):
        return UsageError(what=f"{match[1]}: its value is missing", advice=advice)
    if match := _REQUIRED.fullmatch(message):
        names = match[1].split(", ")
        return UsageError(what=f"{' and '.join(names)} {'are' if names[1:] else 'is'} missing", advice=advice)
    return UsageError(what=message, advice=advice)
