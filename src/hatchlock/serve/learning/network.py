"""What a server asks of the network: a process of ours in its network namespace, which leads nowhere.

It answers every name with an address of its own on loopback, makes every other address lead to loopback as well, and
reads which of them the server tries to reach. Nobody listens there, so each attempt is refused at once; nothing is ever
sent, because the namespace has no other interface.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import NoReturn

__all__ = ["NetworkWatch", "Tried", "is_of_container"]

_NEW_NETWORK = 0x40000000
_NEW_USERS = 0x10000000
_OWNER_OF = 0xB701  # NS_GET_USERNS
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS
_UP = 1
_SECONDS = 5.0
_GLANCE = 0.001
_PORT = 53
_IP = 0x0800
_OUTGOING = 4
_TCP = 6
_SYN, _ACK = 0x02, 0x10
_A, _ANY_CLASS = 1, 1
_FIRST_ADDRESS = int(IPv4Address("11.77.0.1"))
"""An ordinary one, which is this namespace's own: some servers refuse names that lead to a private address."""
_MOST_NAMES = 4096
_MOST_ATTEMPTS = 1 << 14
"""A server that tries every name and every address must not fill our memory, which no limit of its own holds."""
_PACKET_INFO = 8  # IP_PKTINFO


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What was tried.

    Attributes:
        connections: `host:port`, sorted.
        lookups: Names that were asked for and not connected to, sorted.
        problem: Why nothing can be said; "" if it can.
    """

    connections: tuple[str, ...] = ()
    lookups: tuple[str, ...] = ()
    problem: str = ""


def is_of_container(pid: int, container: str) -> bool:
    """Whether that process of this machine is the container's: an engine elsewhere has numbers of its own."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


class NetworkWatch:
    """The process that watches, seen from `run`."""

    def __init__(self, control: int, answers: int, pid: int) -> None:
        self._control = control
        self._answers = answers
        self._pid = pid
        self._problem = "the server was not started"

    @classmethod
    def fork(cls) -> NetworkWatch:
        """Fork it. The caller has no threads yet."""
        orders, control = os.pipe()
        answers, replies = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(control)
            os.close(answers)
            _watch(orders, replies)
        os.close(orders)
        os.close(replies)
        return cls(control, answers, pid)

    def enter(self, pid: int) -> None:
        """Let it enter the network namespace of a process, and wait until it watches there, or cannot."""
        self._order(str(pid))
        self.wait()

    def expect(self, container: str) -> None:
        """Let it enter the network namespace of a container of this machine as soon as that has one: before its program runs.

        Args:
            container: The engine's id of it, not started yet.
        """
        self._order(container)

    def wait(self) -> None:
        """Wait until it watches where it was sent, or cannot."""
        with contextlib.suppress(OSError):
            ready, _, _ = select.select([self._answers], [], [], _SECONDS)
            self._problem = os.read(self._answers, 4096).decode().strip() if ready else "it does not answer"
            self._problem = "" if self._problem == "ready" else self._problem

    def _order(self, place: str) -> None:
        with contextlib.suppress(OSError):  # it has ended, which its answer says
            os.write(self._control, f"{place}\n".encode())

    def finish(self) -> Tried:
        """End it, and return what it saw."""
        os.close(self._control)
        with os.fdopen(self._answers, "rb") as stream:
            data = b"" if self._problem else stream.read()
        os.waitpid(self._pid, 0)
        if self._problem:
            return Tried(problem=self._problem)
        try:
            seen = json.loads(data)
        except ValueError:
            return Tried(problem="what watched it has ended")
        return Tried(connections=tuple(seen["connections"]), lookups=tuple(seen["lookups"]))


@dataclass(slots=True)
class _Seen:
    """Names by the address that was made up for them, and attempts by address and port."""

    names: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    attempts: set[tuple[str, int]] = field(default_factory=set)
    answered: set[tuple[str, int]] = field(default_factory=set)

    def address(self, name: str) -> str:
        if name not in self.names:
            made = str(IPv4Address(_FIRST_ADDRESS + len(self.names)))
            if len(self.names) == _MOST_NAMES:
                return made  # the same for all others
            self.names[name] = made
            self.addresses[made] = name
        return self.names[name]

    def connections(self) -> list[str]:
        refused = self.attempts - self.answered
        return sorted({f"{self._host(address)}:{port}" for address, port in refused if port != _PORT})

    def lookups(self) -> list[str]:
        reached = {address for address, _ in self.attempts}
        return sorted(name for name, address in self.names.items() if address not in reached)

    def _host(self, address: str) -> str:
        if address in self.addresses:
            return self.addresses[address]
        return "localhost" if address.startswith("127.") else address


def _watch(orders: int, replies: int) -> NoReturn:
    """The life of the process that watches."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # `run` handles them; the end of the pipe is what ends this one
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    try:
        place = os.read(orders, 256).decode().strip()
        pid = int(place) if place.isdecimal() else _first_process(place, orders)
        if pid:
            _enter(pid)
            _start_loopback()
            _route_everything_to_loopback()
            with _name_server() as names, _packets() as packets:
                os.write(replies, b"ready\n")
                seen = _follow(orders, names, packets)
            document = {"connections": seen.connections(), "lookups": seen.lookups()}
            _write_all(replies, json.dumps(document).encode())
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(replies, (error.strerror or str(error)).encode())
    finally:
        os._exit(0)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _first_process(container: str, orders: int) -> int:
    """Return a process of a container that is just being started, once it is in the network of its own; 0 if nobody waits.

    It is still the runtime's there, which makes the container around itself before it becomes the server.
    """
    while container:
        for pid in (int(place.name) for place in Path("/proc").glob("[0-9]*")):
            with contextlib.suppress(OSError):  # it has ended
                if is_of_container(pid, container) and _network_of(pid) != _network_of(os.getpid()):
                    return pid
        if select.select([orders], [], [], _GLANCE)[0]:
            break
    return 0


def _network_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


def _enter(pid: int) -> None:
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.geteuid() != 0:
        # what a user made is entered through the user namespace that owns it
        _set_namespace(fcntl.ioctl(network, _OWNER_OF), _NEW_USERS)
    _set_namespace(network, _NEW_NETWORK)


def _set_namespace(descriptor: int, kind: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _start_loopback() -> None:
    """Do what whoever makes a namespace does last: routes lead only to what is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack_from("=H", fcntl.ioctl(kernel, _GET_FLAGS, name + bytes(24)), 16)[0]
        fcntl.ioctl(kernel, _SET_FLAGS, name + struct.pack("=H", flags | _UP) + bytes(22))


def _route_everything_to_loopback() -> None:
    """Add `local default dev lo`, as a request to the kernel: there may be no `ip` on this machine."""
    loopback = socket.if_nametoindex("lo")
    route = struct.pack(
        "=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 255, 3, 254, 2, 0
    )  # table local, boot, scope host, local
    device = struct.pack("=HHI", 8, 4, loopback)
    body = route + device
    header = struct.pack("=IHHII", 16 + len(body), 24, 0x1 | 0x4 | 0x400, 1, 0)  # RTM_NEWROUTE; request, ack, create
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.sendall(header + body)
        answer = kernel.recv(4096)
    number = -struct.unpack_from("=i", answer, 16)[0]
    if number:
        raise OSError(number, os.strerror(number))


def _name_server() -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IP, _PACKET_INFO, 1)
    server.bind(("0.0.0.0", _PORT))  # noqa: S104  in a namespace that leads nowhere
    return server


def _packets() -> socket.socket:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_IP))
    packets.bind(("lo", _IP))
    return packets


def _follow(orders: int, names: socket.socket, packets: socket.socket) -> _Seen:
    seen = _Seen()
    sources: list[int | socket.socket] = [orders, names, packets]
    while True:
        ready = select.select(sources, [], [])[0]
        if names in ready:
            _answer(names, seen)
        if packets in ready:
            _note(packets, seen)
        if orders in ready and not (names in ready or packets in ready):
            return seen


def _answer(server: socket.socket, seen: _Seen) -> None:
    query, extra, _, sender = server.recvmsg(4096, 256)
    answer = _name_answer(query, seen)
    if answer:
        # from the address that was asked: the client takes an answer from nobody else
        info = [struct.pack("=I4s4s", 0, data[8:12], b"") for _, kind, data in extra if kind == _PACKET_INFO]
        with contextlib.suppress(OSError):
            server.sendmsg([answer], [(socket.IPPROTO_IP, _PACKET_INFO, item) for item in info], 0, sender)


def _name_answer(query: bytes, seen: _Seen) -> bytes:
    try:
        name, end = _question(query)
        kind, group = struct.unpack_from(">HH", query, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        return b""
    question = query[12 : end + 4]
    if not name or name.endswith((".in-addr.arpa", ".ip6.arpa")):
        return query[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0) + question
    address = seen.address(name)
    if (kind, group) != (_A, _ANY_CLASS):
        return query[:2] + struct.pack(">HHHHH", 0x8180, 1, 0, 0, 0) + question
    record = struct.pack(">HHHIH", 0xC00C, _A, _ANY_CLASS, 1, 4) + IPv4Address(address).packed
    return query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question + record


def _question(query: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels).lower(), at + 1


def _note(packets: socket.socket, seen: _Seen) -> None:
    packet, (_, _, direction, _, _) = packets.recvfrom(256)
    if direction == _OUTGOING or len(packet) < 40 or packet[9] != _TCP:  # noqa: PLR2004  two headers
        return
    start = (packet[0] & 0x0F) * 4
    source, target = struct.unpack_from(">HH", packet, start)
    flags = packet[start + 13] & (_SYN | _ACK)
    if len(seen.attempts) + len(seen.answered) >= _MOST_ATTEMPTS:
        return
    if flags == _SYN:
        seen.attempts.add((str(IPv4Address(packet[16:20])), target))
    elif flags == _SYN | _ACK:
        seen.answered.add((str(IPv4Address(packet[12:16])), source))
