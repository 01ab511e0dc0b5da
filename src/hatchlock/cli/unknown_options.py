"""Options that a command does not have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.cli.command_parser import CommandParser

__all__ = ["refuse_unknown_options"]

_CLOSE = 0.75
_OPTION = re.compile(r"--?[A-Za-z]\S*")
_ALONE = ("-h", "--help", "--version")
"""What is taken without any command."""


def refuse_unknown_options(command: str, words: Sequence[str], parser: CommandParser) -> None:
    """Refuse the first word that is an option which a command does not have, with the one that is probably meant.

    Args:
        command: The command; "" where there is none.
        words: The command line.
        parser: Knows the command's options.

    Raises:
        UsageError: There is such a word; or it may be the value of the option before it.
    """
    known = parser.options if command else (*parser.options, *_ALONE)
    at = next((at for at, word in enumerate(words) if _is_unknown(word, known)), None)
    if at is None:
        return
    name = f"hatchlock {command}".rstrip()
    unknown, before = words[at].partition("=")[0], words[at - 1] if at else ""
    if before in parser.options_with_value:
        advice = f"if {unknown} is it, write {before}={unknown}; see `{name} --help`"
        raise UsageError(what=f"{before}: its value is missing", advice=advice)
    meant = _meant(unknown, known)
    advice = f"did you mean {meant}?" if meant else f"see `{name} --help`"
    raise UsageError(what=f"`{name}` has no option {unknown}", advice=advice)


def _is_unknown(word: str, known: Sequence[str]) -> bool:
    option = word.partition("=")[0]
    if option in known or not _OPTION.fullmatch(word):
        return False
    # -n5 is -n 5, and -vg is -v -g; but -yes is meant to be --yes
    return option.startswith("--") or option[:2] not in known or f"-{option}" in known


def _meant(unknown: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    same = [option for option in (f"-{unknown}", unknown.swapcase()) if option in known]
    return next(iter(same or get_close_matches(unknown, known, n=1, cutoff=_CLOSE)), "")
