"""Hosts in network namespaces: a machine on which servers run, and a host outside, which is all of the internet that it reaches.

Nothing that is tried in here, stopped or not, ever leaves this computer.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from support.unavailable import unavailable

__all__ = ["World", "greeting", "inside", "made_world", "world"]

_Made = TypeVar("_Made")

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_OUTSIDE = "198.18.0.2"
_METADATA = "169.254.169.254"
_MACHINE = ("198.18.0.1", "198.18.7.1", "fd00:18::1")
_PATIENCE = 30
"""Seconds for what comes at once, and later on a machine that has much else to do."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What stands where.

    Attributes:
        machine: The network namespace in which servers are started.
        outside: Address of the host outside; it serves on `web`, and is a name server.
        metadata: Address of the metadata service, outside as well.
        addresses: All addresses of the machine besides loopback; a service listens on each, on `port`.
        port: Of that service, which listens on loopback too.
        web: Port of the services outside.
        name: Of the host outside, which only its own name server knows.
        abstract: Name of the machine's abstract Unix socket, with its `@`.
        enter: What starts a program on the machine, as its beginning.
        arrived: Who got something, once for each: `outside`, `metadata`, `names`, `machine`, `abstract`.
    """

    machine: str
    outside: str = _OUTSIDE
    metadata: str = _METADATA
    addresses: tuple[str, ...] = _MACHINE
    port: int = 8801
    web: int = 80
    name: str = "outside.test"
    abstract: str
    enter: tuple[str, ...]
    arrived: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield a machine and what is around it."""
    with made_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@contextlib.contextmanager
def made_world(directory: Path) -> Iterator[World]:
    """Make the namespaces and all services inside the block; `directory` is for files of theirs."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("nsenter")):
        unavailable("no network namespaces can be made: that needs root, iproute2 and util-linux")
    tag = secrets.token_hex(3)
    machine, outside = f"machine-{tag}", f"outside-{tag}"
    resolver = directory / "resolv.conf"
    resolver.write_text(f"nameserver {_OUTSIDE}\noptions timeout:{_PATIENCE} attempts:1\n")
    resolver.chmod(0o644)
    made = World(machine=machine, abstract=f"@hostile-{tag}", enter=_entering(machine, resolver))
    try:
        _ip("netns", "add", machine)
        _ip("netns", "add", outside)
        _connect(machine, outside)
        with _serving(made, outside):
            yield made
    finally:
        for name in (machine, outside):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def inside(namespace: str, work: Callable[[], _Made]) -> _Made:
    """Do something in a network namespace, such as making a socket, which then belongs there."""
    import ctypes

    made: list[_Made] = []

    def enter() -> None:
        with Path(f"/run/netns/{namespace}").open("rb") as handle:
            assert ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _NEW_NETWORK) == 0
        made.append(work())

    # a thread of its own: a namespace is one thread's, and nobody else is to be moved
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return made[0]


def _entering(machine: str, resolver: Path) -> tuple[str, ...]:
    # with mounts of its own, for its resolv.conf; `ip netns exec` would mount another /sys, in which engines find nothing
    network = ("nsenter", f"--net=/run/netns/{machine}", "unshare", "--mount")
    return (*network, "sh", "-c", f'mount --bind {resolver} "$(readlink -f /etc/resolv.conf)" && exec "$@"', "sh")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _connect(machine: str, outside: str) -> None:
    _ip("-n", machine, "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", outside)
    for namespace, devices in ((machine, ("lo", "out")), (outside, ("lo", "in"))):
        for device in devices:
            _ip("-n", namespace, "link", "set", device, "up")
    first, second, third = _MACHINE
    for namespace, address, device in (
        (machine, f"{first}/24", "out"),
        (machine, f"{second}/32", "lo"),
        (machine, f"{third}/64", "out"),
        (outside, f"{_OUTSIDE}/24", "in"),
        (outside, f"{_METADATA}/32", "lo"),
    ):
        _ip("-n", namespace, "address", "add", address, "dev", device, *(("nodad",) if ":" in address else ()))
    _ip("-n", machine, "route", "add", "default", "via", _OUTSIDE)


@contextlib.contextmanager
def _serving(world: World, outside: str) -> Iterator[None]:
    def listener(family: int, address: Any) -> Callable[[], socket.socket]:
        def make() -> socket.socket:
            made = socket.socket(family, socket.SOCK_STREAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind(address)
            made.listen()
            return made

        return make

    def names() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((_OUTSIDE, 53))
        return made

    abstract = world.abstract.replace("@", "\0")
    listeners = [
        ("outside", inside(outside, listener(socket.AF_INET, (_OUTSIDE, world.web)))),
        ("metadata", inside(outside, listener(socket.AF_INET, (_METADATA, world.web)))),
        ("machine", inside(world.machine, listener(socket.AF_INET, ("0.0.0.0", world.port)))),
        ("machine", inside(world.machine, listener(socket.AF_INET6, ("::", world.port)))),
        ("abstract", inside(world.machine, listener(socket.AF_UNIX, abstract))),
    ]
    server = inside(outside, names)
    with contextlib.ExitStack() as stack:
        for name, made in listeners:
            stack.enter_context(greeting(made, name, world.arrived))
        stack.enter_context(_in_background(server, lambda: _answer(server, world.arrived)))
        yield


def greeting(listener: socket.socket, name: str, arrived: list[str]) -> AbstractContextManager[None]:
    """Say to everybody who comes who one is, inside the block, and note that somebody came."""
    return _in_background(listener, lambda: _greet(listener, name, arrived))


@contextlib.contextmanager
def _in_background(listener: socket.socket, work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _greet(listener: socket.socket, name: str, arrived: list[str]) -> None:
    while True:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            arrived.append(name)
            connection.settimeout(_PATIENCE)
            connection.recv(1024)
            connection.sendall(f"HTTP/1.0 200 OK\r\n\r\nthis is {name}".encode())


def _answer(server: socket.socket, arrived: list[str]) -> None:
    """Answer every question for an address with that of the host outside, until the socket is closed."""
    while True:
        try:
            data, peer = server.recvfrom(512)
        except OSError:
            return
        if not data:
            return
        arrived.append("names")
        end = data.index(0, 12) + 5
        is_address = data[end - 4 : end - 2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4" + socket.inet_aton(_OUTSIDE) if is_address else b""
        head = data[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_address else b"\0\0") + b"\0\0\0\0"
        with contextlib.suppress(OSError):
            server.sendto(head + data[12:end] + answer, peer)
