"""Sockets inside of the network of a process: made there by a child of ours, and handed back.

A socket belongs to the network that it was made in, wherever its descriptor goes. So no program runs inside besides the
server, and nobody there can take our place. The child enters the network's user namespace first, if it has one of its own: that
is allowed to whoever made it, and only to a process of one thread, which a fork is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from hatchlock.errors import HatchlockError
from hatchlock.security.network import Way

__all__ = ["Inside", "NetworkFailed", "enter"]

_USER, _NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
_OWNER = 0xB701  # NS_GET_USERNS
_FREE_BIND = 15  # IP_FREEBIND: the loopback inside may not be up yet
_BACKLOG = 128
_MOST_AT_ONCE = 64
_NAMES = ("127.0.0.1", 53)


@dataclass(kw_only=True, eq=False)
class NetworkFailed(HatchlockError):
    """The listeners for the hosts that a server may reach could not be made; it was not started."""

    code: ClassVar[str] = "network-failed"

    why: str

    def __str__(self) -> str:
        return f"the hosts that it may reach cannot be offered inside of its sandbox: {self.why}"

    def _hint(self) -> str:
        return 'use runtime = "container", or network = "none" or "internet"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Inside:
    """Sockets of a server's network.

    Attributes:
        listeners: One for each way, in their order.
        questions: Where questions for names come (UDP).
        connect: Connects to a port of the server's own; raises `OSError`.
        close: Gives that up.
    """

    listeners: tuple[socket.socket, ...]
    questions: socket.socket
    connect: Callable[[int], socket.socket]
    close: Callable[[], None]


def enter(pid: int, ways: Sequence[Way], *, connects: bool = False) -> Inside:
    """Make the sockets in the network of a process.

    To be called in a process without threads that matter: it forks.

    Args:
        pid: The process; it waits before it starts anything.
        ways: What to listen for.
        connects: Whether `connect` will be used: then the child stays.

    Raises:
        NetworkFailed: The network cannot be entered.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        _work(theirs, pid, ways, connects=connects)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    try:
        sockets = _received(ours, len(ways) + 1)
    except BaseException:
        ours.close()
        os.waitpid(child, 0)
        raise
    if not connects:
        ours.close()
        os.waitpid(child, 0)

    one_at_a_time = threading.Lock()

    def connect(port: int) -> socket.socket:
        with one_at_a_time:
            return _connected(ours, port)

    def close() -> None:
        if connects:
            ours.close()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)

    return Inside(listeners=tuple(sockets[:-1]), questions=sockets[-1], connect=connect, close=close)


def _received(ours: socket.socket, count: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    while len(sockets) < count:
        said, descriptors, _, _ = socket.recv_fds(ours, 1024, _MOST_AT_ONCE)
        sockets += [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if not descriptors:
            for item in sockets:
                item.close()
            raise NetworkFailed(why=said.decode(errors="replace") or "the one who made them died")
    return sockets


def _connected(ours: socket.socket, port: int) -> socket.socket:
    ours.send(str(port).encode())
    said, descriptors, _, _ = socket.recv_fds(ours, 1024, 1)
    if not descriptors:
        raise ConnectionRefusedError(said.decode(errors="replace"))
    return socket.socket(fileno=descriptors[0])


def _work(theirs: socket.socket, pid: int, ways: Sequence[Way], *, connects: bool) -> NoReturn:
    """Be the child."""
    try:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            with contextlib.suppress(OSError):  # the C library keeps some for itself
                signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            _enter(pid)
            made = [_listener(way) for way in ways]
            questions = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            _bind(questions, _NAMES)
            made.append(questions)
        except OSError as error:
            theirs.send((error.strerror or str(error)).encode())
            os._exit(1)
        for at in range(0, len(made), _MOST_AT_ONCE):
            socket.send_fds(theirs, [b"s"], [item.fileno() for item in made[at : at + _MOST_AT_ONCE]])
        if connects:
            _keep_only(theirs.fileno())
            _connect_for(theirs)
    finally:
        os._exit(0)


def _enter(pid: int) -> None:
    import fcntl  # noqa: PLC0415  here only

    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.geteuid() != 0:
        _set_namespace(fcntl.ioctl(network, _OWNER), _USER)
    _set_namespace(network, _NETWORK)


def _set_namespace(descriptor: int, kind: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, kind):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _listener(way: Way) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _bind(listener, (way.address, way.port))
    listener.listen(_BACKLOG)
    return listener


def _bind(item: socket.socket, address: tuple[str, int]) -> None:
    item.setsockopt(socket.IPPROTO_IP, _FREE_BIND, 1)
    item.bind(address)


def _keep_only(kept: int) -> None:
    """The server must see the end of its stdin when `run` is gone, and the application that of our stdout."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  plain names are wanted
        if int(name) != kept:
            with contextlib.suppress(OSError):  # the one by which the directory was read
                os.close(int(name))


def _connect_for(theirs: socket.socket) -> None:
    while port := theirs.recv(64):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(("127.0.0.1", int(port)))
                socket.send_fds(theirs, [b"s"], [connection.fileno()])
            except OSError as error:
                theirs.send((error.strerror or str(error)).encode())
