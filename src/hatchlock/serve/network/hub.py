"""Where a container's relay meets `run`: a socket in the file system that only the relay sees."""

from __future__ import annotations

import contextlib
import queue
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.serve.network.forwarder import Forwarder, connections
from hatchlock.serve.scratch import RELAY, left_directories, make_directory, remove_left

__all__ = ["Hub", "RelayFailed"]

CONNECTED = b"+"
"""The byte by which a relay knows that a connection was made: without it, it breaks off its own."""

_LONGEST_LINE = 512
_LINE_SECONDS = 10.0
_START_SECONDS = 30.0
_BACKLOG = 512
_MOST = 512
"""Connections at once. The relay runs in somebody's image, so it is believed nothing."""


@dataclass(kw_only=True, eq=False)
class RelayFailed(HatchlockError):
    """What listens in a container's network for the hosts of its list did not start; the server was not started."""

    code: ClassVar[str] = "relay-failed"

    image: str
    why: str

    def __str__(self) -> str:
        made = f", made of the image {self.image}," if self.image else ""
        return f"the relay of its network list{made} did not start: {self.why}"

    def _hint(self) -> str:
        if not self.image or "has not got it" in self.why:
            return "run `hatchlock apply`"
        return 'its image must have a Python or Node that runs by itself; [environments.relay] with python = "3.11" and a base is one that does'


class Hub:
    """The socket, and what comes to it. Starts threads with `open`: whoever forks does so before.

    Attributes:
        path: The socket, in a directory that only we can read; the socket itself is for everybody who sees it.
    """

    def __init__(self) -> None:
        for left in left_directories():
            remove_left(left)
        self.directory = make_directory(RELAY)
        self.path = self.directory / "relay"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self.path.chmod(0o666)
        self._control: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._connected: socket.socket | None = None
        self._lock = threading.Lock()
        self._back: dict[str, Callable[[socket.socket | None], None]] = {}
        self._number = 0
        self._room = threading.BoundedSemaphore(_MOST)

    def place(self, files: Mapping[str, str]) -> dict[str, str]:
        """Write files for the server that everybody who sees them may read; return path inside -> path here."""
        placed = {}
        for path, content in files.items():
            place = self.directory / path.rpartition("/")[2]
            place.write_text(content, encoding="utf-8")
            place.chmod(0o644)
            placed[path] = str(place)
        return placed

    def open(self, forwarder: Forwarder, lost: Callable[[], None]) -> None:
        """Take what the relay hands on.

        Args:
            forwarder: Who carries it.
            lost: Called, in a thread, when the relay has gone.
        """
        self._listener.listen(_BACKLOG)

        def accept() -> None:
            for connection in connections(self._listener):
                if not self._room.acquire(blocking=False):
                    connection.close()
                    continue
                threading.Thread(target=self._take, args=(connection, forwarder, lost), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def wait(self, image: str, failed: Callable[[], str]) -> None:
        """Wait until the relay listens.

        Args:
            image: What it is made of.
            failed: Says why it will not, as soon as that is known; "" while it may.

        Raises:
            RelayFailed: It does not.
        """
        waited = 0.0
        step = 0.2
        while waited < _START_SECONDS:
            try:
                self._connected = self._control.get(timeout=step)
            except queue.Empty:
                waited += step
                if why := failed():
                    raise RelayFailed(image=image, why=why) from None
                continue
            return
        raise RelayFailed(image=image, why=f"it has not answered within {_START_SECONDS:g} s")

    def connect(self, port: int) -> socket.socket:
        """Connect to a port of the server's own.

        Raises:
            OSError: Nobody listens there, or the relay has gone.
        """
        answer: queue.SimpleQueue[socket.socket | None] = queue.SimpleQueue()
        with self._lock:
            if self._connected is None:
                raise ConnectionRefusedError("there is no relay")
            self._number += 1
            number = str(self._number)
            self._back[number] = answer.put
            self._connected.sendall(f"open {port} {number}\n".encode())
        try:
            connection = answer.get(timeout=_LINE_SECONDS)
        except queue.Empty:
            connection = None
        if connection is None:
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        return connection

    def close(self) -> None:
        """Take nothing more, and remove the socket."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._connected is not None:
            self._connected.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _take(self, connection: socket.socket, forwarder: Forwarder, lost: Callable[[], None]) -> None:
        try:
            self._understand(connection, forwarder, lost)
        finally:
            self._room.release()

    def _understand(self, connection: socket.socket, forwarder: Forwarder, lost: Callable[[], None]) -> None:
        connection.settimeout(_LINE_SECONDS)
        word, _, rest = _line(connection).partition(" ")
        connection.settimeout(None)
        name, _, port = rest.rpartition(" ")
        if word == "to" and port.isdecimal():
            forwarder.carry(connection, name, int(port), greeting=CONNECTED)
        elif word == "back" and (take := self._back.pop(rest, None)):
            take(connection)
        elif word == "ready" and self._connected is None:
            self._control.put(connection)
            self._listen(connection, forwarder)
            lost()
        else:
            connection.close()

    def _listen(self, control: socket.socket, forwarder: Forwarder) -> None:
        """Hear what the relay tells, until it has gone."""
        while line := _line(control):
            word, _, rest = line.partition(" ")
            if word == "asked":
                forwarder.refused(rest, 0)
            elif word == "closed" and (take := self._back.pop(rest, None)):
                take(None)


def _line(connection: socket.socket) -> str:
    """Read a line and no more: what comes behind it is not for us. "" if there is none."""
    line = b""
    with contextlib.suppress(OSError):
        while not line.endswith(b"\n"):
            seen = connection.recv(_LONGEST_LINE, socket.MSG_PEEK)
            piece = connection.recv(seen.find(b"\n") + 1 or len(seen))
            line += piece
            if not piece or len(line) > _LONGEST_LINE:
                return ""
        return line.decode(errors="replace").removesuffix("\n")
    return ""
