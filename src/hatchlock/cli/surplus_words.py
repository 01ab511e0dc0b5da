"""Words that a command has no place for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.cli.command_parser import CommandParser

__all__ = ["refuse_foreign_words", "surplus_words"]

_CLOSE = 0.85
_WITH_COMMAND_LINES = frozenset({"add", "exec", "try"})


def surplus_words(arguments: argparse.Namespace, words: Sequence[str], parser: CommandParser) -> UsageError:
    """Return what is wrong with words that are too many.

    Args:
        arguments: What was understood of the command line.
        words: The words; no options.
        parser: The command's.
    """
    command, takes = f"hatchlock {arguments.command}", " and ".join(parser.places)
    before = f"`{command}` takes {takes}, and " if takes else f"`{command}` takes "
    if arguments.command == "secret":
        advice = f"type it when it is asked for, or hand it over on stdin: {command} set {arguments.name} < FILE"
        return UsageError(what=f"{before}no value: whoever lists processes could read it there", advice=advice)
    from difflib import get_close_matches

    from hatchlock.clients.masked import masked_words

    close = get_close_matches(f"--{words[0]}", parser.options, n=1, cutoff=_CLOSE)
    see = f"see `{command} --help`"
    advice = f"did you mean {close[0]}? else {see}" if close else see
    return UsageError(what=f"{before}no {', '.join(map(repr, masked_words(words)))}", advice=advice)


def refuse_foreign_words(command: str, words: Sequence[str]) -> None:
    """Refuse a command line behind `--` where nobody would look at it.

    Args:
        command: The command.
        words: What stands behind `--`.

    Raises:
        UsageError: It takes none.
    """
    if words and command not in _WITH_COMMAND_LINES:
        advice = f"see `hatchlock {command} --help`"
        raise UsageError(what=f"`hatchlock {command}` takes no command line behind `--`", advice=advice)
