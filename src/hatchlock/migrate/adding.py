"""Command lines by which an application is given a server: `claude mcp add …`, `codex mcp add …`, `code --add-mcp …`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hatchlock.clients.shape import Address, Start
from hatchlock.manifest.takeover import CannotTakeOver
from hatchlock.migrate.options import program_name

__all__ = ["Added", "added", "is_adding"]

_PROGRAMS = frozenset({"claude", "codex", "gemini", "qwen", "amp", "droid", "copilot", "opencode", "kimi", "auggie"})
_EDITORS = frozenset({"code", "code-insiders", "codium", "cursor", "windsurf", "kiro"})
_FLAGS = frozenset(
    {"--trust", "--no-trust", "--disabled", "-y", "--yes", "--force", "--global", "--project", "--replace", "-r"}
)
_VALUES = {
    **dict.fromkeys(("-s", "--scope"), "scope"),
    **dict.fromkeys(("-t", "--transport", "--type"), "transport"),
    **dict.fromkeys(("-e", "--env"), "env"),
    **dict.fromkeys(("-H", "--header"), "header"),
    **dict.fromkeys(("--timeout", "--description", "--include-tools", "--exclude-tools", "--client-id"), "other"),
    "--callback-port": "other",
    "--url": "url",
    "--bearer-token-env-var": "bearer",
    "--command": "command",
    "--args": "args",
}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_URL = re.compile(r"https?://")
_HEADER = re.compile(r"[A-Za-z][\w-]*:.*", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """What an application is given.

    Attributes:
        name: The server's name; "" where it is in `text`.
        server: The server; None where `text` has it.
        text: JSON, as it was given.
    """

    name: str
    server: Start | Address | None = None
    text: str = ""


def is_adding(words: Sequence[str]) -> bool:
    """Return whether a command line gives an application a server."""
    program = program_name(words[0]) if words else ""
    if program in _EDITORS:
        return any(word.partition("=")[0] == "--add-mcp" for word in words[1:])
    return program in _PROGRAMS and list(words[1:2]) == ["mcp"] and list(words[2:3]) in (["add"], ["add-json"])


def added(words: Sequence[str]) -> list[Added]:
    """Return the servers that a command line gives to an application.

    Args:
        words: One of which `is_adding` says that it does.

    Raises:
        CannotTakeOver: It has an option that is not known, or says neither what to start nor where the server is.
    """
    program = program_name(words[0])
    if program in _EDITORS:
        return [Added(name="", text=text) for text in _after("--add-mcp", words[1:])]
    if words[2] == "add-json":
        name, *rest = [word for word in _Line(f"{program} mcp add-json", words[3:]).words if word]
        if not rest:
            raise CannotTakeOver(what=f"`{program} mcp add-json` is not NAME JSON")
        return [Added(name=name, text=rest[0])]
    return [_Line(f"{program} mcp add", words[3:]).added()]


def _after(option: str, words: Sequence[str]) -> list[str]:
    found = [following for word, following in pairwise(words) if word == option]
    return found + [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]


class _Line:
    """What stands behind `mcp add`: options anywhere in front of `--`, then the command."""

    def __init__(self, program: str, words: Sequence[str]) -> None:
        self.words: list[str] = []
        self._program = program
        self._options: dict[str, list[str]] = {}
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                self.words += rest
                break
            if word.startswith("-") and (
                not self.words[1:] or _URL.match(self.words[1])
            ):  # else they are the command's
                self._take(word, rest)
            else:
                self.words.append(word)

    def _take(self, word: str, rest: list[str]) -> None:
        option, equals, value = word.partition("=")
        if option in _FLAGS:
            return
        if option not in _VALUES:
            raise CannotTakeOver(what=f"`{self._program}` has the option {option}, which is not known")
        if not equals and not rest:
            raise CannotTakeOver(what=f"`{self._program}` has the option {option} without its value")
        kind = _VALUES[option]
        values = self._options.setdefault(kind, [])
        values.append(value if equals else rest.pop(0))
        several = {"env": _ASSIGNMENT, "header": _HEADER}.get(kind)
        while several and rest and several.fullmatch(rest[0]):
            values.append(rest.pop(0))

    def added(self) -> Added:
        name, *command = self.words or [""]
        command = [*self._options.get("command", ()), *command]
        command += [word for text in self._options.get("args", ()) for word in text.split()]
        url = next(iter(self._options.get("url", ())), "")
        transport = next(iter(self._options.get("transport", ())), "")
        if not url and command and _URL.match(command[0]):
            url = command[0]
        if not name or not (url or command):
            raise CannotTakeOver(
                what=f"`{self._program}` says neither what to start nor where the server is",
                advice=f"write all of it: {self._program} NAME -- COMMAND ARGUMENT…",
            )
        if url:
            return Added(
                name=name,
                server=Address(url=url, transport="sse" if transport == "sse" else "http", headers=self._headers()),
            )
        env = dict(text.partition("=")[::2] for text in self._options.get("env", ()))
        return Added(name=name, server=Start(command=command[0], args=tuple(command[1:]), env=env))

    def _headers(self) -> dict[str, str]:
        pairs = (text.partition(":")[::2] for text in self._options.get("header", ()))
        headers = {name.strip(): value.strip() for name, value in pairs}
        for variable in self._options.get("bearer", ()):
            headers["Authorization"] = f"Bearer ${{{variable}}}"
        return headers
