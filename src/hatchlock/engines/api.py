"""The part of the Docker Engine API that `run` needs, over plain sockets: cheap to import, no SDK.

Requests are HTTP/1.0, so that an answer ends where its connection ends; only attaching speaks HTTP/1.1, to turn the
connection into a stream. Versions: the API of 2021 (1.41), which Docker 20.10 and Podman speak; engines that have 1.44
may refuse older ones, so they are asked for that; an engine that is older still is asked for its own.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from hatchlock.engines.answers import (
    Attached,
    Download,
    EngineError,
    answering,
    parse_head,
    read_head,
    refusal,
    without_frames,
)
from hatchlock.engines.connect import EngineUnreachable, connect, connect_stream, said

__all__ = ["Attached", "Container", "Download", "Engine", "EngineError", "EngineUnreachable"]

_PING_SECONDS = 10.0
_ANSWER_SECONDS = 60.0
_CHUNK = 1 << 16
_VERSIONS = ((1, 41), (1, 44))
_OK = 200
_Body = Mapping[str, Any] | bytes | None
_NOT_FOUND = 404
_CONFLICT = 409


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """One line of the engine's list.

    Attributes:
        id: 64 hex digits.
        name: Without the leading slash.
        labels: All of its labels.
        state: "created", "running", "exited", ….
        image: The engine's name for the content of its image, `sha256:…`.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    image: str = ""


class Engine:
    """A container engine at an address (`engines.connect`). Connections are made per request."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._version = ""
        self._is_podman = False

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman behind Docker's API.

        Raises:
            EngineUnreachable: It does not answer.
        """
        self.ping()
        return self._is_podman

    def ask(self, method: str, path: str, body: _Body = None) -> Any:
        """Ask for what has no method here, and return the JSON that is answered, or None.

        Args:
            method: HTTP's.
            path: Behind the version: `/volumes`.
            body: A document, or a tar archive.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: The engine does not answer.
        """
        return self._call(method, path, body)

    def look_up(self, path: str) -> Any | None:
        """Ask for one thing, and return the JSON that is answered; None if there is no such thing.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: The engine does not answer.
        """
        return self._if_there("GET", path)

    def _if_there(self, method: str, path: str) -> Any | None:
        try:
            return self._call(method, path)
        except EngineError as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def read(self, path: str) -> bytes:
        """Return the bytes of an answer that is no JSON: an archive.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: The engine does not answer.
        """
        return self._raw("GET", path, None, _ANSWER_SECONDS)

    def ping(self) -> str:
        """Ask whether the engine is there, and return the API version to speak with it.

        Raises:
            EngineUnreachable: It does not answer.
        """
        if not self._version:
            status, headers, _ = self._exchange("GET", "/_ping", None, _PING_SECONDS)
            if status != _OK:
                raise EngineUnreachable(engine=self.address, why=f"it answers with status {status}")
            self._version = _version_for(headers.get("api-version", ""))
            self._is_podman = "libpod-api-version" in headers
        return self._version

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container and return its id.

        Raises:
            EngineError: There is no such image (404), the name is taken (409), or the description is refused.
            EngineUnreachable: The engine does not answer.
        """
        answer = self._call("POST", f"/containers/create?{urlencode({'name': name})}", config)
        return str(answer["Id"])

    def attach(self, container: str) -> Attached:
        """Connect to a container's three streams; done before it starts, nothing that it writes is missed.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: The engine does not answer.
        """
        path = f"/v{self.ping()}/containers/{quote(container)}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        connection = connect_stream(self.address)
        try:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode()
            )
            head, early = read_head(connection)
            status, headers = parse_head(head)
            if status not in {101, 200}:
                length = int(headers.get("content-length", "0"))
                raise refusal(status, early + connection.recv(max(length - len(early), 0)), "POST", path)
        except OSError as error:
            connection.close()
            raise EngineUnreachable(engine=self.address, why=str(error)) from error
        except EngineError:
            connection.close()
            raise
        return Attached(connection, early)

    def start(self, container: str) -> None:
        """Start a container."""
        self._call("POST", f"/containers/{quote(container)}/start")

    def wait(self, container: str) -> int:
        """Wait for a started container's end and return its exit status.

        Raises:
            EngineUnreachable: The engine has ended before; it begins its answer at once, and then says no more.
        """
        answer = self._call("POST", f"/containers/{quote(container)}/wait?condition=not-running", timeout=None)
        if not isinstance(answer, dict) or "StatusCode" not in answer:
            raise EngineUnreachable(engine=self.address, why="it ended while a container was waited for")
        return int(answer["StatusCode"])

    def stop(self, container: str, *, grace: float) -> None:
        """Let the engine stop a container: its stop signal, then a kill after `grace` seconds."""
        self._call("POST", f"/containers/{quote(container)}/stop?t={round(grace)}", timeout=_ANSWER_SECONDS + grace)

    def kill(self, container: str, signal_name: str = "SIGKILL") -> None:
        """Send a signal to a container; one that has ended is left as it is."""
        try:
            self._call("POST", f"/containers/{quote(container)}/kill?signal={signal_name}")
        except EngineError as error:
            # Podman 4 answers with 500 for one that has ended
            if error.status not in {_NOT_FOUND, _CONFLICT} and "can only kill running containers" not in error.message:
                raise

    def remove(self, container: str) -> bool:
        """Kill and remove a container with its anonymous volumes, and return whether there was one; then it is gone."""
        path = f"/containers/{quote(container)}"
        try:
            self._call("DELETE", f"{path}?force=1&v=1")
        except EngineError as error:
            if error.status == _NOT_FOUND:
                return False
            if error.status != _CONFLICT:
                raise
            # somebody else has begun to remove it: until that is done it is in the list
            self._if_there("POST", f"{path}/wait?condition=removed")
        return True

    def inspect(self, container: str) -> dict[str, Any]:
        """Return everything that the engine knows of a container."""
        answer: dict[str, Any] = self._call("GET", f"/containers/{quote(container)}/json")
        return answer

    def list(self, labels: Mapping[str, str]) -> list[Container]:
        """Return all containers, running or not, that have all these labels (without prefix nothing is added)."""
        filters = json.dumps({"label": [f"{name}={value}" for name, value in sorted(labels.items())]})
        found = self._call("GET", f"/containers/json?{urlencode({'all': '1', 'filters': filters})}")
        return [
            Container(
                id=item["Id"],
                name=item["Names"][0].lstrip("/"),
                labels=item.get("Labels") or {},
                state=item["State"],
                # Podman leaves the algorithm out
                image=f"sha256:{item.get('ImageID', '').removeprefix('sha256:')}",
            )
            for item in found
        ]

    def logs(self, container: str, *, tail: int = 100) -> bytes:
        """Return the last lines of a container's stdout and stderr as the engine kept them, in one."""
        query = urlencode({"stdout": "1", "stderr": "1", "tail": str(tail)})
        return without_frames(self._raw("GET", f"/containers/{quote(container)}/logs?{query}", None, _ANSWER_SECONDS))

    @contextlib.contextmanager
    def download(self, path: str) -> Iterator[Download]:
        """Have the bytes of an answer inside the block, as they come, for as long as it takes.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: The engine does not answer, or broke off.
        """
        path = f"/v{self.ping()}{path}"
        try:
            with connect(self.address, None) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
                with answering(connection, "GET", path) as (early, stream):
                    yield Download(early, stream)
        except ConnectionError as error:
            raise EngineUnreachable(engine=self.address, why=error.strerror or str(error)) from error

    def post(self, path: str, body: BinaryIO, *, content_type: str, method: str = "POST") -> Iterator[bytes]:
        """Send a file, and yield the lines of what is answered as they come, for as long as it takes.

        Args:
            path: Behind the version: `/build?…`.
            body: What to send, from its beginning.
            content_type: What that is.
            method: HTTP's.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: The engine does not answer, or broke off.
        """
        path = f"/v{self.ping()}{path}"
        size = body.seek(0, os.SEEK_END)
        body.seek(0)
        head = f"{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
        try:
            with connect(self.address, None) as connection:
                connection.sendall(head.encode())
                connection.sendfile(body)
                with answering(connection, method, path) as (early, stream):
                    *lines, last = early.split(b"\n")
                    yield from lines
                    yield last + stream.readline()
                    yield from stream
        except OSError as error:
            raise EngineUnreachable(engine=self.address, why=error.strerror or str(error)) from error

    def _call(self, method: str, path: str, body: _Body = None, *, timeout: float | None = _ANSWER_SECONDS) -> Any:
        data = self._raw(method, path, body, timeout)
        # Podman says OK to some things, in plain text
        return json.loads(data) if data.lstrip()[:1] in {b"{", b"["} else None

    def _raw(self, method: str, path: str, body: _Body, timeout: float | None) -> bytes:
        path = f"/v{self.ping()}{path}"
        status, _, data = self._exchange(method, path, body, timeout)
        if status >= 400:  # noqa: PLR2004  HTTP's client and server errors
            raise refusal(status, data, method, path)
        return data

    def _exchange(
        self, method: str, path: str, body: _Body, timeout: float | None
    ) -> tuple[int, dict[str, str], bytes]:
        kind = "x-tar" if isinstance(body, bytes) else "json"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/{kind}\r\nContent-Length: {len(data)}\r\n\r\n"
        with connect(self.address, timeout) as connection:
            try:
                connection.sendall(head.encode() + data)
                answer = b"".join(iter(lambda: connection.recv(_CHUNK), b""))
            except OSError as error:
                why = said(connection) or error.strerror or str(error)
                raise EngineUnreachable(engine=self.address, why=why) from error
            complaint = "" if answer else said(connection)
        answer_head, _, content = answer.partition(b"\r\n\r\n")
        status, headers = parse_head(answer_head)
        if not status:
            raise EngineUnreachable(engine=self.address, why=complaint or "what answers there does not speak HTTP")
        return status, headers, content


def _version_for(offered: str) -> str:
    major, _, minor = offered.partition(".")
    if not (major.isdigit() and minor.isdigit()):
        return "{}.{}".format(*_VERSIONS[0])
    newest = (int(major), int(minor))
    return "{}.{}".format(*max((version for version in _VERSIONS if version <= newest), default=newest))
