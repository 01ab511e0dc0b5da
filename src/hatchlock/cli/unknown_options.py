"""Options that a command does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hatchlock.errors import UsageError

__all__ = ["refuse_unknown_options"]

_CLOSE = 0.75


def refuse_unknown_options(command: str, words: Sequence[str], options: Mapping[str, Sequence[str]]) -> None:
    """Refuse the first word that is an option which a command does not have, with the one that is probably meant.

    Args:
        command: The command; "" where none of the words is one.
        words: The command line.
        options: Command -> its options.

    Raises:
        UsageError: There is such a word.
    """
    known = options.get(command, ())
    given = [option for word in words if (option := word.partition("=")[0]).startswith("--") and option != "--"]
    unknown = next((option for option in given if option not in known), "")
    if not known or not unknown:
        return
    from difflib import get_close_matches

    close = get_close_matches(unknown, known, n=1, cutoff=_CLOSE)
    advice = f"did you mean {close[0]}?" if close else f"see `hatchlock {command} --help`"
    raise UsageError(what=f"`hatchlock {command}` has no option {unknown}", advice=advice)
