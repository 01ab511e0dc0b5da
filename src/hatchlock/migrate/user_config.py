"""What a bundle or a plugin asks its user (`user_config`), put into what it says of its server.

As in `MANIFEST.md` and `src/shared/config.ts` of MCP bundles: `${user_config.KEY}` and `${HOME}`, `${DESKTOP}`, `${DOCUMENTS}`,
`${DOWNLOADS}`, `${pathSeparator}`, `${/}`; a list is as many arguments. Directories and files that are chosen are mounted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hatchlock.migrate.document import Part
from hatchlock.migrate.model import Left, Secret, Table
from hatchlock.migrate.values import at_home

__all__ = ["Choices"]

_NAME = re.compile(r"\$\{(?:user_config\.(?P<key>[^}]+)|(?P<place>[^}]+))\}")
_PATHS = frozenset({"directory", "file"})
_ENCRYPTED = "__encrypted__:"
"""What Claude Desktop puts before a value that only it can read."""


class Choices:
    """What was chosen, and what becomes of texts that refer to it.

    Attributes:
        mounts: What the texts that were filled so far make the server see of this machine.
        left: What of them cannot be carried over.
    """

    def __init__(self, options: Part | None, given: Mapping[str, Any], places: Mapping[str, str]) -> None:
        """Begin with nothing filled.

        Args:
            options: The options, by name.
            given: What the user has chosen, by name; what is not there has its default.
            places: What other names stand for: `__dirname`.
        """
        home = str(Path.home())
        below = {name.upper(): f"{home}/{name}" for name in ("Desktop", "Documents", "Downloads")}
        self._options = {part.key: part for part in options.members()} if options else {}
        self._given = given
        self._places = {"HOME": home, "pathSeparator": "/", "/": "/", **below, **places}
        self.mounts: list[dict[str, str]] = []
        self.left: list[Left] = []

    def is_secret(self, texts: Iterable[str]) -> bool:
        """Return whether a text refers to something that is to be kept secret."""
        return any(self._is_sensitive(match["key"]) for text in texts for match in _NAME.finditer(text) if match["key"])

    def arguments(self, texts: Iterable[str]) -> list[str]:
        """Return arguments with what was chosen; one for which nothing was is left out, with the option before it."""
        words: list[str] = []
        for text in texts:
            match = _NAME.fullmatch(text)
            if match and match["key"] and isinstance(chosen := self._chosen(match["key"]), list):
                words += [self._seen(match["key"], str(item)) for item in chosen]
                continue
            filled = self._filled(text)
            if filled is not None:
                words.append(filled)
            elif words and words[-1].startswith("-") and "=" not in words[-1]:
                words.pop()
        return words

    def texts(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return variables or headers with what was chosen; without secrets, and without those for which nothing was."""
        filled = {name: self._filled(text) for name, text in values.items() if not self.is_secret([text])}
        return {name: text for name, text in filled.items() if text is not None}

    def secrets(self, values: Mapping[str, str], table: Table = "env") -> tuple[Secret, ...]:
        """Return the variables or headers that refer to something that is to be kept secret."""
        return tuple(self._secret(table, name, text) for name, text in values.items() if self.is_secret([text]))

    def _secret(self, table: Table, name: str, text: str) -> Secret:
        matches = [match for match in _NAME.finditer(text) if match["key"] and self._is_sensitive(match["key"])]
        before, after = text[: matches[0].start()], text[matches[0].end() :]
        around = f"{self._filled(before)}{{}}{self._filled(after)}" if before or after else ""
        chosen = self._chosen(matches[0]["key"])
        value = chosen if isinstance(chosen, str) and not chosen.startswith(_ENCRYPTED) else ""
        return Secret(table=table, key=name, value=value, format=around)

    def _is_sensitive(self, key: str) -> bool:
        option = self._options.get(key)
        sensitive = option.get("sensitive") if option else None
        return sensitive is not None and sensitive.value is True

    def _chosen(self, key: str) -> Any:
        option = self._options.get(key)
        values = (self._given.get(key), option.table().get("default") if option else None)
        return next((value for value in values if value not in (None, "", [])), None)

    def _filled(self, text: str) -> str | None:
        """Return a text with everything put in; None if something that it needs was not chosen."""
        filled, at = "", 0
        for match in _NAME.finditer(text):
            filled += text[at : match.start()]
            at = match.end()
            if match["key"] is None:
                filled += self._places.get(match["place"], match[0])
                continue
            chosen = self._chosen(match["key"])
            if chosen is None or isinstance(chosen, list | dict):
                self._missing(match["key"], chosen)
                return None
            filled += self._seen(match["key"], _written(chosen))
        return filled + text[at:]

    def _seen(self, key: str, value: str) -> str:
        """Return a chosen value; a path is mounted where it is on this machine."""
        option = self._options.get(key)
        kind = option.get("type") if option else None
        if kind is None or kind.text() not in _PATHS:
            return value
        path = str(Path(at_home(self._filled(value) or value)))
        mount = {"source": path, "target": path, "mode": "ro"}
        if path.startswith("/") and mount not in self.mounts:
            self.mounts.append(mount)
        return path

    def _missing(self, key: str, chosen: Any) -> None:
        """Say what nothing can be put in for: something required that was not chosen, or several values at one place."""
        option = self._options.get(key)
        if option is None:
            return
        required, title = option.get("required"), option.get("title")
        if chosen is not None:
            self._say(option.left("several values have no place in one text; write there what the server is to get"))
        elif required is not None and required.value is True:
            asked = f"{title.text()!r} is asked of the user" if title else "it is asked of the user"
            self._say(option.left(f"{asked}, and has no default; write it where the server gets it"))

    def _say(self, left: Left) -> None:
        self.left += [] if left in self.left else [left]


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
