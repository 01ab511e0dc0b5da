"""What carries a server's connections to the hosts of its list: on this side, in `run`, where names mean something.

    server ─▶ listener inside, of one name and port ─▶ forwarder ─▶ that name and port, or the proxy that leads there

Listeners are sockets that were made inside of the server's network; what comes there can go to one place only. A container's
relay hands on what came to its own listeners and says to which (`accept_relayed`): the list is asked again.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from hatchlock.security.denials import Denial, Report
from hatchlock.security.network import Way, hosts_of
from hatchlock.serve.network.dial import Connected, NotConnectedError, dial
from hatchlock.serve.network.names import answer
from hatchlock.serve.network.splice import splice
from hatchlock.serve.network.trail import Passage, Trail

__all__ = ["Dial", "Forwarder", "connections", "dialling"]

Dial = Callable[[str, int], Connected]

_MOST = 256
_MOST_REFUSED = 1000
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED}
_PAUSE_SECONDS = 0.05
_PAUSE_AFTER_ANSWER = 0.001
"""A server that asks without end costs itself more than us."""
_PACKET = 4096
_NOTE_SECONDS = 1.0
"""For what was carried to be noted down at the end; far more than that takes."""


class Forwarder:
    """Carries connections until it is closed. Starts threads: whoever forks does so before.

    Args:
        ways: What the server may reach.
        dial: Connects to a name and port; raises `NotConnectedError`.
        trail: Where connections are noted down.
        report: Told of what the server asked for in vain.
    """

    def __init__(self, ways: Iterable[Way], *, dial: Dial, trail: Trail, report: Report) -> None:
        self._allowed = {(way.name, way.port) for way in ways}
        self._hosts = hosts_of(ways)
        self._dial = dial
        self._trail = trail
        self._report = report
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._refused: set[tuple[str, int]] = set()
        self._closed = False
        self._carried = threading.Condition()
        self._carrying = 0

    def serve(self, listener: socket.socket, way: Way) -> None:
        """Carry what comes to a listener, which is ours from now on."""
        self._accept(listener, lambda connection: self.carry(connection, way.name, way.port))

    def publish(self, listener: socket.socket, port: int, connect: Callable[[int], socket.socket]) -> None:
        """Carry what comes to a listener of this machine, which is ours from now on, to a port of the server's own.

        Args:
            listener: On this machine's loopback.
            port: The server's.
            connect: Connects to it; raises `OSError`.
        """

        def take(near: socket.socket) -> None:
            with near:
                try:
                    with connect(port) as far:
                        self._spliced(near, far, b"")
                except OSError:
                    _reset(near)

        self._accept(listener, take)

    def serve_names(self, questions: socket.socket) -> None:
        """Answer the questions for names that come to a socket (UDP), which is ours from now on."""
        self._keep(questions)
        _thread(lambda: self._answer(questions))

    def carry(self, near: socket.socket, name: str, port: int, *, greeting: bytes = b"") -> None:
        """Carry one connection to its end, which is ours from now on.

        Args:
            near: What the server has connected to.
            name: Where it leads, as the server said.
            port: Its port.
            greeting: What to send to `near` as soon as there is a connection.
        """
        began = time.monotonic()
        outcome, sent, received = "carried", 0, 0
        with contextlib.ExitStack() as until_noted:
            with near:
                if (name, port) not in self._allowed:
                    self.refused(name, port)
                    return
                try:
                    self._enter(near)
                    far, early = self._dial(name, port)
                    until_noted.enter_context(self._noted_before_the_end())
                    with far:
                        sent, received = self._spliced(near, far, greeting + early)
                except NotConnectedError as error:
                    outcome = f"failed: {error}"
                    _reset(near)
                finally:
                    self._forget(near)
            seconds, received = time.monotonic() - began, max(received - len(greeting), 0)
            self._trail.write(
                Passage(host=name, port=port, outcome=outcome, sent=sent, received=received, seconds=seconds)
            )

    def refused(self, name: str, port: int) -> None:
        """Note down and report, once, what is not in the list; port 0: a name that was asked for, a stranger's text."""
        name = "".join(character if character.isprintable() else "?" for character in name)
        with self._lock:
            # once: a server that tries again and again would push everything else out of the file
            if (name, port) in self._refused or len(self._refused) >= _MOST_REFUSED:
                return
            self._refused.add((name, port))
        self._trail.write(Passage(host=name, port=port, outcome="refused: not in the list"))
        self._report(Denial(kind="network", what=f"{name}:{port}" if port else name))

    def close(self) -> None:
        """End all connections and listeners, and wait, not for long, until each that was carried is noted down."""
        with self._lock:
            self._closed = True
            ended, self._open = self._open, set()
        for item in ended:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
        with self._carried:
            self._carried.wait_for(lambda: not self._carrying, _NOTE_SECONDS)

    @contextlib.contextmanager
    def _noted_before_the_end(self) -> Iterator[None]:
        with self._carried:
            self._carrying += 1
        try:
            yield
        finally:
            with self._carried:
                self._carrying -= 1
                self._carried.notify_all()

    def _spliced(self, near: socket.socket, far: socket.socket, early: bytes) -> tuple[int, int]:
        self._keep(near, far)
        try:
            return splice(near, far, early)
        finally:
            self._forget(near, far)

    def _enter(self, near: socket.socket) -> None:
        """Keep a connection before there is a far side to it: what cannot be reached takes its time."""
        self._keep(near)
        with self._lock:
            if len(self._open) > 2 * _MOST:
                raise NotConnectedError(f"more than {_MOST} connections at once")

    def _accept(self, listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
        def work() -> None:
            with listener:
                for connection in connections(listener):
                    _thread(lambda taken=connection: take(taken))  # type: ignore[misc]

        self._keep(listener)
        _thread(work)

    def _answer(self, questions: socket.socket) -> None:
        with questions:
            while True:
                try:
                    query, asker = questions.recvfrom(_PACKET)
                except OSError:
                    return
                packet, unknown = answer(query, self._hosts)
                if unknown:
                    self.refused(unknown, 0)
                with contextlib.suppress(OSError):  # it did not wait
                    if packet:
                        questions.sendto(packet, asker)
                time.sleep(_PAUSE_AFTER_ANSWER)

    def _keep(self, *items: socket.socket) -> None:
        with self._lock:
            self._open.update(items)
            closed = self._closed
        if closed:
            self.close()

    def _forget(self, *items: socket.socket) -> None:
        with self._lock:
            self._open.difference_update(items)


def connections(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield what comes to a listener until it is closed; having no descriptors left passes."""
    while True:
        try:
            yield listener.accept()[0]
        except OSError as error:
            if error.errno not in _PASSING:
                return
            time.sleep(_PAUSE_SECONDS)


def dialling(proxies: Mapping[str, str], environ: Mapping[str, str]) -> Dial:
    """Return what connects: by `host:port` -> proxy, the others directly."""
    return lambda name, port: dial(name, port, proxy=proxies.get(f"{name}:{port}", ""), environ=environ)


def _thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def _reset(near: socket.socket) -> None:
    """Let the server see a failure and not an empty answer."""
    with contextlib.suppress(OSError):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
