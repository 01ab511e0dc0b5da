"""What stands around what people copy: a README's fences, prompts and remarks. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from hatchlock.manifest.takeover import CannotTakeOver
from hatchlock.migrate.document import Unreadable
from hatchlock.place import Place

__all__ = ["command_of", "unfenced"]

_FENCE = re.compile(r"\s*(```+|~~~+)[^`]*")
_PROMPT = re.compile(r"\s*\$\s+")
_CONTINUED = re.compile(r"\\\s*$")


def unfenced(text: str, *, file: str) -> str:
    """Return what stands between fences, with empty lines in the place of all before it; a text without them as it is.

    Raises:
        Unreadable: Several places of it are between fences; with the line of the second one.
    """
    lines = text.splitlines()
    fences = [number for number, line in enumerate(lines) if _FENCE.fullmatch(line)]
    if not fences:
        return text
    first, end, *more = (*fences, len(lines))
    if len(more) > 1:
        place = Place(file=file, line=more[0] + 1)
        raise Unreadable(place=place, why="another block begins here", advice="paste one of them at a time")
    return "\n".join([*([""] * (first + 1)), *lines[first + 1 : end]])


def command_of(text: str, *, file: str) -> list[str]:
    """Return the words of the one command that a text is, without prompt and remarks.

    Args:
        text: A command, as a shell takes it: over several lines where these are continued, or a quotation is.
        file: What it is called where it is shown.

    Raises:
        Unreadable: It is several commands, or a quotation is not closed; with the line.
        CannotTakeOver: It is none.
    """
    commands = list(_commands(text, file))
    if not commands:
        raise CannotTakeOver(what="there is no command", advice="write hatchlock add -- COMMAND ARGUMENT…")
    if len(commands) > 1:
        place = Place(file=file, line=commands[1][0])
        advice = "paste one command, or an application's JSON, TOML or YAML"
        raise Unreadable(place=place, why="a second line begins here that does not go on with the first", advice=advice)
    return commands[0][1]


def _commands(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each command, with the line on which it begins."""
    whole, begin = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not whole and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begin = begin if whole else number
        whole = f"{whole}{line}" if whole else _PROMPT.sub("", line, count=1)
        if _CONTINUED.search(whole):
            whole = _CONTINUED.sub(" ", whole)
            continue
        try:
            words = shlex.split(whole)
        except ValueError:  # a quotation goes on
            whole += "\n"
            continue
        yield begin, words
        whole = ""
    if whole.strip():
        try:
            yield begin, shlex.split(whole)
        except ValueError as error:
            why = "its words cannot be told apart: a quotation is not closed"
            raise Unreadable(place=Place(file=file, line=begin), why=why) from error
