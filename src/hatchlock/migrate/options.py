"""The options in front of what a program runs: which say something that matters here, and which say nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hatchlock.manifest.takeover import CannotTakeOver

__all__ = ["Options", "Split", "program_name"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A command line, split into its options and the rest.

    Attributes:
        pairs: The options in their order, with their values; "" for one that has none.
        rest: What stands behind them.
        lost: What of them cannot be carried over, as clauses.
    """

    pairs: tuple[tuple[str, str], ...]
    rest: tuple[str, ...]
    lost: tuple[str, ...] = ()

    def all(self, *options: str) -> list[str]:
        """Return the values of these options, which are one option's names."""
        return [value for option, value in self.pairs if option in options]

    def last(self, *options: str) -> str:
        """Return the value that counts of these options, "" if there is none."""
        return next(iter(reversed(self.all(*options))), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of a program that are known.

    Attributes:
        program: Its name, for messages.
        flags: Options without a value.
        values: Options with one.
        lost: Option -> why what it says is not carried over; each is among the two others.
    """

    program: str
    flags: frozenset[str]
    values: frozenset[str]
    lost: Mapping[str, str] = field(default_factory=dict)

    def split(self, words: Sequence[str], *, needs_rest: bool = True) -> Split:
        """Read the options in front.

        Args:
            words: What stands behind the program's name.
            needs_rest: Whether something must follow them.

        Raises:
            CannotTakeOver: One of them is not known, or lacks its value, or nothing follows.
        """
        pairs: list[tuple[str, str]] = []
        rest = list(words)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word == "--":
                break
            pairs += self._pairs(word, rest)
        if needs_rest and not rest:
            raise CannotTakeOver(what=f"`{self.program}` does not say what to run")
        lost = tuple(f"`{option}`: {self.lost[option]}" for option, _ in pairs if option in self.lost)
        return Split(pairs=tuple(pairs), rest=tuple(rest), lost=tuple(dict.fromkeys(lost)))

    def _pairs(self, word: str, rest: list[str]) -> list[tuple[str, str]]:
        """Read one word of options, and the value behind it if it has one."""
        option, equals, value = word.partition("=")
        if word in self.flags:
            return [(word, "")]
        if equals and option in self.flags:  # --interactive=true
            return [(option, "")] if value.lower() in {"true", "1"} else []
        if option in self.values and (not equals or option.startswith("--")):
            if not equals and not rest:
                raise CannotTakeOver(what=f"`{self.program}` has the option {option} without its value")
            return [(option, value if equals else rest.pop(0))]
        return self._several(word, rest)

    def _several(self, word: str, rest: list[str]) -> list[tuple[str, str]]:
        """Read a word of several short options, of which the last may have its value: -it, -ePORT=80, -ie PORT=80."""
        first, more = word[:2], word[2:]
        if not more or word.startswith("--") or first not in self.flags | self.values:
            option = word.partition("=")[0]
            raise CannotTakeOver(what=f"`{self.program}` has the option {option}, which cannot be taken over")
        if first in self.values:
            return [(first, more.removeprefix("="))]
        return [(first, ""), *self._pairs(f"-{more}", rest)]


def program_name(command: str) -> str:
    """Return a program's own name: without its directory, in either system's spelling, and without Windows' endings."""
    name = re.split(r"[\\/]", command)[-1]
    return re.sub(r"\.(?:exe|cmd|bat|ps1)$", "", name, flags=re.IGNORECASE)
