"""Where a command's words go: results to stdout, talk to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import Any, Literal

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.events import Event

__all__ = ["JSON_FORMAT", "Ui", "error_to_dict", "printable"]

JSON_FORMAT = 1
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}
_PROGRESS = {
    "fetch.start": "fetching",
    "push.start": "pushing",
    "resolve.start": "resolving",
    "step.start": "working on",
    "verify.start": "checking",
    "image.start": "assembling the image of",
    "gc.start": "cleaning",
    "audit.start": "looking at",
}
_SIGNS = {"+ ": "green", "- ": "red", "~ ": "yellow", "! ": "red"}

Colour = Literal["red", "green", "yellow", "cyan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ui:
    """How to talk to whoever started the command.

    Attributes:
        json: Print JSON documents instead of text.
        stream: With `json`, print each event, and an error, as a line (NDJSON).
        color: "auto", "always" or "never".
        verbose: Say more.
    """

    json: bool = False
    stream: bool = False
    color: str = "auto"
    verbose: bool = False

    def result(self, text: str) -> None:
        """Print a result for people."""
        self._clear_progress()
        if text:
            print(self._coloured(_shown(text), sys.stdout.isatty()), flush=True)

    def document(self, document: Mapping[str, Any]) -> None:
        """Print a result for programs."""
        print(json.dumps({"format_version": JSON_FORMAT, **document}, indent=2), flush=True)

    def raw(self, text: str) -> None:
        """Print a document of a form that is not ours."""
        print(text, flush=True)

    def line(self, document: Mapping[str, Any]) -> None:
        """Print one line of a stream for programs (NDJSON)."""
        print(json.dumps({"format_version": JSON_FORMAT, **document}), flush=True)

    def say(self, text: str) -> None:
        """Say something on stderr."""
        self._clear_progress()
        print(self._coloured(_shown(text), sys.stderr.isatty()), file=sys.stderr, flush=True)

    def ask(self, text: str) -> None:
        """Ask something on stderr; the answer is typed behind it."""
        self._clear_progress()
        print(_shown(text), end="", file=sys.stderr, flush=True)

    def event(self, event: Event) -> None:
        """Tell of an event: as a line for programs; or to people, if it is a step or takes time.

        What only says that work goes on is shown on a terminal, in one line that the next words replace.
        """
        if self.json and self.stream:
            self.line({"event": event.name, "address": event.address, "message": event.message, **event.data})
        if self.json:
            return
        if event.name == "step.done":
            self.say(f"  {event.address}  {event.message}d")
        elif event.name == "lease.wait":
            self.say(f"waiting for {printable(event.message)}")
        elif event.name in {"cache.stale", "resolve.note"}:
            # one line: what an index says must not look like a line of ours
            note = f"{event.address}: {event.message}" if event.address else event.message
            self.say(f"note: {printable(note)}")
        elif self.verbose:
            self.say(f"  {event.name}  {event.address}  {event.message}".rstrip())
        elif event.name in _PROGRESS and sys.stderr.isatty():
            self._clear_progress()
            shown = printable(f"  {_PROGRESS[event.name]} {event.address} {event.message}")
            print(shown[: get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)

    def _clear_progress(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def error(self, error: HatchlockError) -> None:
        """Show an error, or each of several: place or address, what and why; then, after a blank line, a hint."""
        if self.json:
            show = self.line if self.stream else self.document
            show({"error": error_to_dict(error)})
            return
        errors = error.errors if isinstance(error, ManyErrors) else (error,)
        for number, item in enumerate(errors):
            if number:
                self.say("")
            where = str(item.place) if item.place else item.address
            self.say(f"{where}: {item}" if where else f"error: {item}")
            if item.hint:
                self.say(f"\nhint: {item.hint}")

    def _coloured(self, text: str, is_terminal: bool) -> str:
        wanted = self.color == "always" or (self.color == "auto" and is_terminal and not os.environ.get("NO_COLOR"))
        if not wanted:
            return text
        return "\n".join(_coloured_line(line) for line in text.split("\n"))


def printable(text: str) -> str:
    """Return a stranger's text with control, bidirectional and invisible characters escaped, line ends among them."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _shown(text: str) -> str:
    """Whatever a server, a package or a file name smuggled into a sentence: the terminal gets lines of plain text."""
    return "\n".join(line if line.isprintable() else printable(line) for line in text.split("\n"))


def _coloured_line(line: str) -> str:
    colour = _SIGNS.get(line.lstrip()[:2])
    return f"\x1b[{_COLOURS[colour]}m{line}\x1b[0m" if colour else line


def error_to_dict(error: HatchlockError) -> dict[str, Any]:
    """Return an error as JSON values."""
    if isinstance(error, ManyErrors):
        return {"code": error.code, "message": str(error), "errors": [error_to_dict(item) for item in error.errors]}
    return {
        "code": error.code,
        "address": error.address,
        "place": str(error.place) if error.place else "",
        "message": str(error),
        "hint": error.hint,
    }
