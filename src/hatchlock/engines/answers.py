"""What an engine answers over a socket: the head, why it refuses, and the bytes behind it as they come."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["Attached", "Download", "EngineError", "answering", "parse_head", "read_head", "refusal", "without_frames"]

_CHUNK = 1 << 16
_OK = 200
_FRAME_HEAD = 8
_STDERR_FRAME = 2

_NO_ADDRESSES = ("non-overlapping IPv4 address pool", "predefined address pools", "find free subnet")
"""How Docker before 27, since then, and Podman say that no range of addresses is free."""


@dataclass(kw_only=True, eq=False)
class EngineError(HatchlockError):
    """The engine answered with an error.

    Attributes:
        status: The HTTP status.
        message: The engine's own words.
        request: What it was asked.
    """

    code: ClassVar[str] = "engine-error"

    status: int
    message: str
    request: str

    def __str__(self) -> str:
        return f"the container engine refused {self.request}: {self.message} (status {self.status})"

    def _hint(self) -> str:
        if "container-init binary not found" in self.message:
            return "Podman has no program that a container's first process can be: install catatonit"
        if any(words in self.message for words in _NO_ADDRESSES):
            return (
                "the engine has no addresses left for one more network, or others of this machine, such as a VPN's, take them "
                "all: remove networks that nobody needs (docker network prune), or give it more (default-address-pools)"
            )
        return "if the engine has been changed or cleaned by hand, `hatchlock apply` puts things right; else see its own log"


class Attached:
    """The stdin, stdout and stderr of a container, over one connection. One thread may send while another reads."""

    def __init__(self, connection: socket.socket, early: bytes) -> None:
        self._connection = connection
        self._early = early

    def send(self, data: bytes) -> None:
        """Write to the container's stdin; blocks while the container does not read.

        Raises:
            OSError: The container is gone, or its stdin was ended.
        """
        self._connection.sendall(data)

    def end_input(self) -> None:
        """End the container's stdin; output keeps coming."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            return  # already gone, which ends it as well

    def read(self, out: Callable[[bytes], None], err: Callable[[bytes], None]) -> None:
        """Hand on what the container writes, as it comes, until it ends.

        The stream consists of frames with a header of eight bytes (stream, three zeros, length big-endian); a frame is
        no line.
        """
        try:
            with self._connection.makefile("rb") as stream:
                while len(header := self._take(stream.read, _FRAME_HEAD)) == _FRAME_HEAD:
                    data = self._take(stream.read, int.from_bytes(header[4:], "big"))
                    (err if header[0] == _STDERR_FRAME else out)(data)
        except (ConnectionError, ValueError):
            return  # closed by us or by the engine: the end

    def hang_up(self) -> None:
        """End both directions, also for one who is reading; what has not been read is lost."""
        with contextlib.suppress(OSError):  # already gone
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()

    def _take(self, read: Callable[[int], bytes], size: int) -> bytes:
        early, self._early = self._early[:size], self._early[size:]
        return early + read(size - len(early)) if len(early) < size else early


class Download:
    """Bytes that an engine sends."""

    def __init__(self, early: bytes, stream: BinaryIO) -> None:
        self._early = early
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; b"" at the end."""
        if self._early:
            part, self._early = self._early[:size], self._early[size:]
            return part
        return self._stream.read(size)


def without_frames(data: bytes) -> bytes:
    """Return what a container wrote to its stdout and stderr, in one, of frames like those of `Attached`."""
    parts = []
    while len(data) >= _FRAME_HEAD:
        size = int.from_bytes(data[4:_FRAME_HEAD], "big")
        parts.append(data[_FRAME_HEAD : _FRAME_HEAD + size])
        data = data[_FRAME_HEAD + size :]
    return b"".join(parts)


@contextlib.contextmanager
def answering(connection: socket.socket, method: str, path: str) -> Iterator[tuple[bytes, BinaryIO]]:
    """Have what was read behind the head of an answer, and the stream of all that follows.

    Raises:
        EngineError: The engine refuses.
        ConnectionError: It closed the connection before the head was complete.
    """
    head, early = read_head(connection)
    status, _ = parse_head(head)
    with connection.makefile("rb") as stream:
        if status != _OK:
            raise refusal(status, early + stream.read(), method, path)
        yield early, stream


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of an answer, and what came with it of the bytes behind.

    Raises:
        ConnectionError: The engine closed the connection before.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise ConnectionError("the engine closed the connection")
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return the status and the headers, by their names in small letters; the status is 0 if it is no head of HTTP."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/") or len(words) < 2 or not words[1].isdigit():  # noqa: PLR2004  version, status
        return 0, {}
    headers = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in headers}


def refusal(status: int, data: bytes, method: str, path: str) -> EngineError:
    """Return the error for an answer with such a status: the engine's own words, as JSON or as plain text."""
    try:
        message = str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        message = data.decode(errors="replace").strip()
    return EngineError(status=status, message=message, request=f"{method} {path.partition('?')[0]}")
