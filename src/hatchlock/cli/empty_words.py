"""Words with nothing in them, as `"$PLAN"` of a shell is where PLAN is not set."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hatchlock.errors import UsageError

__all__ = ["refuse_empty_words"]

_OWN = frozenset({"new", "validate", "try"})
"""Commands that say something better of an empty word themselves, or pass it on."""


def refuse_empty_words(command: str, words: Sequence[str], options: Collection[str]) -> None:
    """Refuse an empty word: it would count as one that was not said, and another thing would be done than was meant.

    Args:
        command: The command.
        words: The command line.
        options: What has a value.

    Raises:
        UsageError: A word is empty, or the value of an option is.
    """
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        option, is_joined, value = word.partition("=")
        if option in options and is_joined and not value:
            raise _empty(option)
        if not word and before in options:
            raise _empty(before)
        if not word and command not in _OWN:
            raise UsageError(what=f"a word of `hatchlock {command}` is empty", advice=_ADVICE)


_ADVICE = "leave it out if nothing is meant; a variable of the shell may not be set"


def _empty(option: str) -> UsageError:
    return UsageError(what=f"{option}: its value is empty", advice=_ADVICE)
