"""How an application writes one server: the members of an entry, whatever form the file around it has."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Address", "Shape", "Start", "Transport", "UrlShape"]

Transport = Literal["http", "sse"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A server that the application starts, and speaks to over stdio.

    Attributes:
        command: The program.
        args: Its arguments.
        env: Variables that it gets.
        cwd: Its working directory; "" for the application's own choice.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A server that the application connects to.

    Attributes:
        url: Where it is.
        transport: Streamable HTTP, or the older server-sent events.
        headers: What every request has.
    """

    url: str
    transport: Transport = "http"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class UrlShape:
    """The members of an entry of a server that is connected to.

    Attributes:
        url: The member with the address.
        headers: The member with the headers.
        below: The member of the entry in whose table the headers are; "" where they are in the entry itself.
        beside: What that table has beside them.
        fixed: Members that every such entry has, by which it is known where two transports share the other names.
    """

    url: str = "url"
    headers: str = "headers"
    below: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def members(self) -> frozenset[str]:
        """The names of the entry's members that say where the server is and what it is sent."""
        return frozenset({self.url, self.headers, self.below, *self.fixed} - {""})

    def headers_of(self, value: Mapping[str, Any]) -> dict[str, str]:
        """Return the headers of an entry, wherever it has them: who moves a place goes on reading the older one."""
        table = value.get(self.below) if self.below else None
        below = table.get(self.headers) if isinstance(table, Mapping) else None
        return {**_texts(below), **_texts(value.get(self.headers))}

    def written(self, server: Address) -> dict[str, Any]:
        """Return the entry of a server, without what is empty."""
        headers: dict[str, Any] = {self.headers: dict(server.headers)} if server.headers else {}
        table = {self.below: {**self.beside, **headers}} if headers and self.below else headers
        return {**self.fixed, self.url: server.url, **table}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The members of an entry.

    Attributes:
        command: The member with the program.
        args: The member with its arguments; "" where `command` is a list of all words.
        splits: Whether the application splits the text of `command` into words, as a shell does, and takes a list as well.
        env: The member with its variables.
        cwd: The member with its working directory; "" where the application has none.
        fixed: Members that every entry of a server that is started has; they come first.
        http: Of a server that is connected to over streamable HTTP; None where the application cannot.
        sse: Likewise, over server-sent events.
    """

    command: str = "command"
    args: str = "args"
    splits: bool = False
    env: str = "env"
    cwd: str = "cwd"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    http: UrlShape | None = None
    sse: UrlShape | None = None

    def written(self, server: Start | Address) -> dict[str, Any]:
        """Return the entry of a server, without what is empty.

        Raises:
            ValueError: The application cannot have such a server; the text says what it lacks.
        """
        return self._started(server) if isinstance(server, Start) else self._addressed(server)

    def read(self, value: Any) -> Start | Address | None:
        """Return what an entry means, as far as it is one; what the application does besides is somebody else's affair."""
        if not isinstance(value, Mapping):
            return None
        if start := self._start(value):
            return start
        shapes: list[tuple[Transport, UrlShape | None]] = [("http", self.http), ("sse", self.sse)]
        found = [(how, shape) for how, shape in shapes if shape and isinstance(value.get(shape.url), str)]
        fitting = [item for item in found if item[1].fixed.items() <= value.items()] or found
        if not fitting:
            return None
        how, shape = fitting[0]
        return Address(url=value[shape.url], transport=how, headers=shape.headers_of(value))

    def _started(self, server: Start) -> dict[str, Any]:
        if server.cwd and not self.cwd:
            raise ValueError("it starts every server in a directory of its own choice")
        command = shlex.quote(server.command) if self.splits else server.command
        words = (
            {self.command: command, self.args: list(server.args)}
            if self.args
            else {self.command: [server.command, *server.args]}
        )
        beside = {self.env: dict(server.env), self.cwd: server.cwd}
        return {**self.fixed, **words, **{name: item for name, item in beside.items() if item}}

    def _addressed(self, server: Address) -> dict[str, Any]:
        shape = self.http if server.transport == "http" else self.sse
        if shape is None:
            how = "streamable HTTP" if server.transport == "http" else "server-sent events"
            raise ValueError(f"it connects to no server over {how}")
        return shape.written(server)

    def _start(self, value: Mapping[str, Any]) -> Start | None:
        words = self._words(value.get(self.command))
        args = value.get(self.args, []) if self.args else []
        if not words or not isinstance(args, list):
            return None
        words = [*words, *args]
        if not all(isinstance(word, str) for word in words):
            return None
        cwd = value.get(self.cwd) if self.cwd else ""
        return Start(
            command=words[0],
            args=tuple(words[1:]),
            env=_texts(value.get(self.env)),
            cwd=cwd if isinstance(cwd, str) else "",
        )

    def _words(self, command: Any) -> list[Any]:
        """Return the words of the member with the program, or none where that is not one."""
        if isinstance(command, list):
            return command if self.splits or not self.args else []
        if not isinstance(command, str) or not self.args:
            return []
        if not self.splits:
            return [command]
        try:
            return list(shlex.split(command))
        except ValueError:  # a quotation mark too many
            return []


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {name: item for name, item in value.items() if isinstance(name, str) and isinstance(item, str)}
