"""Where a command's words go: results to stdout, talk to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hatchlock.cli.layout import printable
from hatchlock.cli.progress import Progress
from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.events import Event, event_to_dict

__all__ = ["JSON_FORMAT", "Ui", "error_to_dict", "printable"]

JSON_FORMAT = 1
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}
_SLOW = 1.0
"""Seconds from which a step says how long it took."""
_SIGNS = {"+ ": "green", "- ": "red", "~ ": "yellow", "! ": "red"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ui:
    """How to talk to whoever started the command.

    Attributes:
        json: Print JSON documents instead of text.
        stream: With `json`, print each event, and an error, as a line (NDJSON).
        color: "auto", "always" or "never".
        verbose: Say more.
        progress: Shows what goes on.
    """

    json: bool = False
    stream: bool = False
    color: str = "auto"
    verbose: bool = False
    progress: Progress = field(default_factory=lambda: Progress(shown=False), compare=False)

    def result(self, text: str) -> None:
        """Print a result for people."""
        with self.progress.aside():
            if text:
                print(self._coloured(_shown(text), sys.stdout.isatty()), flush=True)

    def document(self, document: Mapping[str, Any]) -> None:
        """Print a result for programs."""
        print(json.dumps({"format_version": JSON_FORMAT, **document}, indent=2), flush=True)

    def raw(self, text: str) -> None:
        """Print a document of a form that is not ours."""
        print(text, flush=True)

    def line(self, document: Mapping[str, Any]) -> None:
        """Print one line of a stream for programs (NDJSON), whole, whichever thread it is."""
        with self.progress.aside():
            print(json.dumps({"format_version": JSON_FORMAT, **document}), flush=True)

    def say(self, text: str) -> None:
        """Say something on stderr."""
        with self.progress.aside():
            print(self._coloured(_shown(text), sys.stderr.isatty()), file=sys.stderr, flush=True)

    def ask(self, text: str) -> None:
        """Ask something on stderr; the answer is typed behind it."""
        with self.progress.aside():
            print(_shown(text), end="", file=sys.stderr, flush=True)

    def event(self, event: Event) -> None:
        """Tell of an event: as a line for programs; or to people, if it is a step or takes time.

        What only says that work goes on is left to the progress.
        """
        if self.json and self.stream:
            self.line(event_to_dict(event))
        if self.json:
            return
        if not self.verbose:
            self.progress.heard(event)
        if event.name == "step.done":
            seconds = float(event.data.get("seconds", 0))
            self.say(f"  {event.address}  {event.message}d{f' ({seconds:.1f} s)' if seconds >= _SLOW else ''}")
        elif event.name == "interrupt":
            self.say(event.message)
        elif event.name == "lease.wait":
            self.say(f"waiting for {printable(event.message)}")
        elif event.name in {"cache.stale", "resolve.note", "client.note", "state.aside"}:
            # one line: what an index says must not look like a line of ours
            note = f"{event.address}: {event.message}" if event.address else event.message
            self.say(f"note: {printable(note)}")
        elif self.verbose and not event.name.endswith(".progress"):
            self.say(f"  {event.name}  {event.address}  {event.message}".rstrip())

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
