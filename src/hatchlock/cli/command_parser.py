"""argparse with what it does not tell: which words a command takes, in what place."""

from __future__ import annotations

import argparse
from typing import NoReturn

from hatchlock.cli.wrong_words import wrong_word

__all__ = ["CommandParser"]


class CommandParser(argparse.ArgumentParser):
    """Reads the words of a command; what is wrong with them is said in words of ours."""

    def error(self, message: str) -> NoReturn:
        """Raise what a message of argparse stands for.

        Raises:
            UsageError: Always.
        """
        raise wrong_word(message, self.prog)

    @property
    def options(self) -> tuple[str, ...]:
        """The options that it takes, each in all of its forms."""
        return tuple(self._option_string_actions)

    @property
    def options_with_value(self) -> frozenset[str]:
        """Those of them behind which a value has to follow."""
        return frozenset(option for option, action in self._option_string_actions.items() if action.nargs is None)

    @property
    def places(self) -> tuple[str, ...]:
        """What the words are that are no options, in their order, as its help calls them."""
        return tuple(str(action.metavar or action.dest) for action in self._get_positional_actions())
