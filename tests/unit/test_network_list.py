"""A list of hosts: what stands for them inside, what answers questions for names, and how bytes are carried."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from hatchlock.launch import Sandbox
from hatchlock.process import owner
from hatchlock.security.denials import Denial
from hatchlock.security.network import hosts_of, is_listed, resolver_files, ways
from hatchlock.serve.network import dial as dialling_module
from hatchlock.serve.network import forwarder as forwarder_module
from hatchlock.serve.network import hub as hub_module
from hatchlock.serve.network.dial import NotConnectedError, dial
from hatchlock.serve.network.forwarder import Forwarder
from hatchlock.serve.network.names import answer
from hatchlock.serve.network.splice import splice
from hatchlock.serve.network.trail import Passage, Trail, trail_path
from hatchlock.serve.talk import LogFile
from support.ports import free_port
from support.runs import PATIENCE, wait_for
from support.unavailable import unavailable

NETWORK = ("b.test:443", "a.test:443", "a.test:80", "localhost:8080")


def test_each_name_has_an_address_of_its_own_and_localhost_its_usual_one() -> None:
    found = ways(Sandbox(network=NETWORK))
    assert [(str(way), way.address) for way in found] == [
        ("a.test:80", "127.0.0.2"),
        ("a.test:443", "127.0.0.2"),
        ("b.test:443", "127.0.0.3"),
        ("localhost:8080", "127.0.0.1"),
    ]
    assert hosts_of(found) == {"a.test": "127.0.0.2", "b.test": "127.0.0.3"}
    assert ways(Sandbox(network=tuple(reversed(NETWORK)))) == found


def test_many_names_get_different_addresses_of_the_loopback() -> None:
    found = ways(Sandbox(network=tuple(f"n{number}.test:1" for number in range(600))))
    assert len({way.address for way in found}) == 600
    assert all(way.address.startswith("127.") for way in found)


@pytest.mark.parametrize("word", ["none", "internet", "host"])
def test_a_word_is_no_list(word: str) -> None:
    assert not is_listed(Sandbox(network=(word,)))
    assert ways(Sandbox(network=(word,))) == ()


def test_the_files_name_the_hosts_and_a_name_server_inside() -> None:
    files = resolver_files({"a.test": "127.0.0.2"})
    assert files["/etc/hosts"] == "127.0.0.1 localhost\n127.0.0.2 a.test\n"
    own = resolver_files({"a.test": "127.0.0.2"}, own="here")["/etc/hosts"]
    assert own == "127.0.0.1 localhost\n127.0.0.2 a.test\n127.0.0.1 here\n::1 here\n"
    assert resolver_files({"a.test": "127.0.0.2"}, own="a.test") == files
    assert files["/etc/resolv.conf"].startswith("nameserver 127.0.0.1\n")


def question(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0" + struct.pack(">HH", kind, 1)


def test_a_listed_name_has_its_address_and_no_other_kind_of_record() -> None:
    packet, unknown = answer(question("A.test"), {"a.test": "127.0.0.2"})
    assert (packet[:2], packet[3] & 15, packet[-4:], unknown) == (b"\x12\x34", 0, b"\x7f\0\0\x02", "")
    packet, unknown = answer(question("a.test", kind=28), {"a.test": "127.0.0.2"})
    assert (packet[3] & 15, packet[7], unknown) == (0, 0, "")


def test_no_other_name_is_there() -> None:
    packet, unknown = answer(question("other.test"), {"a.test": "127.0.0.2"})
    assert (packet[3] & 15, unknown) == (3, "other.test")


@pytest.mark.parametrize(
    "packet", [b"", b"\0" * 12, question("a.test")[:-3], question("a.test")[:12] + b"\xc0\x0c" * 9]
)
def test_what_is_no_question_has_no_answer(packet: bytes) -> None:
    assert answer(packet, {"a.test": "127.0.0.2"}) == (b"", "")


class Carried:
    """A splice between two pairs of sockets."""

    def __init__(self) -> None:
        self.client, near = socket.socketpair()
        self.server, far = socket.socketpair()
        self.totals: tuple[int, int] = (0, 0)
        self.thread = threading.Thread(target=self._work, args=(near, far), daemon=True)
        self.thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def _work(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            self.totals = splice(near, far, b"early ")


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_side_may_end_and_still_be_answered() -> None:
    with Carried() as carried:
        carried.client.sendall(b"question")
        carried.client.shutdown(socket.SHUT_WR)
        assert read_all(carried.server) == b"question"
        carried.server.sendall(b"answer")
        carried.server.close()
        assert read_all(carried.client) == b"early answer"
        carried.thread.join(PATIENCE)
        assert carried.totals == (8, 12)


def test_who_does_not_read_slows_down_the_one_who_writes() -> None:
    with Carried() as carried:
        carried.client.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 1 << 26:
                sent += carried.client.send(b"x" * (1 << 16))
                threading.Event().wait(0.001)
        assert sent < 1 << 22, "it piled up somewhere"
        carried.client.setblocking(True)
        carried.client.shutdown(socket.SHUT_WR)
        assert len(read_all(carried.server)) == sent


def test_much_goes_both_ways_at_once() -> None:
    with Carried() as carried:
        data = os.urandom(1 << 22)
        got: dict[str, bytes] = {}

        def talk(name: str, connection: socket.socket) -> None:
            reader = threading.Thread(target=lambda: got.update({name: read_all(connection)}))
            reader.start()
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            reader.join(PATIENCE)

        threads = [
            threading.Thread(target=talk, args=item)
            for item in (("client", carried.client), ("server", carried.server))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert got == {"client": b"early " + data, "server": data}


def test_an_end_that_broke_off_ends_the_other() -> None:
    with Carried() as carried:
        carried.server.close()
        with contextlib.suppress(OSError):
            for _ in range(100):
                carried.client.sendall(b"x" * 1000)
                threading.Event().wait(0.01)
        carried.client.close()


@pytest.fixture
def echo() -> Iterator[int]:
    """Yield the port of a server on loopback that sends back what it gets, in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:  # who asks may break off
                while data := connection.recv(1000):
                    connection.sendall(data.upper())

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def asked(port: int, message: bytes = b"hello") -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(message)
        with contextlib.suppress(OSError):  # reset already: reading says so
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def forwarder(tmp_path: Path, reports: list[Denial], network: tuple[str, ...], dial: Any) -> Forwarder:
    log = LogFile(trail_path(tmp_path / "logs" / "x.log"), 1 << 20)
    trail = Trail(log, server="x", session="1")
    return Forwarder(ways(Sandbox(network=network)), dial=dial, trail=trail, report=reports.append)


def entries(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "logs" / "x.network.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def waited_for(tmp_path: Path, count: int) -> list[dict[str, Any]]:
    assert wait_for(lambda: len(entries(tmp_path)) >= count), entries(tmp_path)
    return entries(tmp_path)


def test_a_connection_is_carried_and_noted_down(tmp_path: Path, echo: int) -> None:
    made = forwarder(tmp_path, [], (f"localhost:{echo}",), lambda name, port: dial(name, port, proxy="", environ={}))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    [way] = ways(Sandbox(network=(f"localhost:{echo}",)))
    made.serve(listener, way)
    assert asked(port) == b"HELLO"
    [entry] = waited_for(tmp_path, 1)
    assert (entry["host"], entry["port"], entry["outcome"]) == ("localhost", echo, "carried")
    assert (entry["sent"], entry["received"], entry["server"]) == (5, 5, "x")
    made.close()
    for _ in range(100):
        try:
            asked(port)
        except OSError:
            break
    else:
        pytest.fail("it still listens")


def test_what_is_not_in_the_list_is_refused_and_reported(tmp_path: Path) -> None:
    reports: list[Denial] = []
    made = forwarder(tmp_path, reports, ("a.test:443",), lambda *_: pytest.fail("it was dialled"))
    for name, port in (("a.test", 80), ("b.test", 443)):
        near, client = socket.socketpair()
        with client:
            made.carry(near, name, port)
            assert client.recv(10) == b""
    assert reports == [Denial(kind="network", what="a.test:80"), Denial(kind="network", what="b.test:443")]
    assert {item["outcome"] for item in entries(tmp_path)} == {"refused: not in the list"}


def test_a_host_that_does_not_answer_is_a_failure_for_the_server(tmp_path: Path) -> None:
    port = free_port()
    made = forwarder(tmp_path, [], (f"localhost:{port}",), lambda name, to: dial(name, to, proxy="", environ={}))
    listener = socket.create_server(("127.0.0.1", 0))
    [way] = ways(Sandbox(network=(f"localhost:{port}",)))
    made.serve(listener, way)
    with pytest.raises(ConnectionError):  # when it writes or when it reads
        asked(listener.getsockname()[1])
    [entry] = waited_for(tmp_path, 1)
    assert entry["outcome"] == "failed: Connection refused"
    made.close()


def test_a_flood_of_connections_to_a_host_that_does_not_answer_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a thread and descriptors of `run`'s, which is not in the sandbox."""
    monkeypatch.setattr(forwarder_module, "_MOST", 8)
    answers = threading.Event()

    def never(*_: object) -> Any:
        answers.wait(PATIENCE)
        raise NotConnectedError("too late")

    made = forwarder(tmp_path, [], ("a.test:443",), never)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    [way] = ways(Sandbox(network=("a.test:443",)))
    made.serve(listener, way)
    clients = [socket.create_connection(listener.getsockname(), PATIENCE) for _ in range(24)]
    found = waited_for(tmp_path, 1)
    answers.set()
    made.close()
    for client in clients:
        client.close()
    assert found[0]["outcome"] == "failed: more than 8 connections at once"


def test_what_is_refused_is_noted_down_once(tmp_path: Path) -> None:
    reports: list[Denial] = []
    made = forwarder(tmp_path, reports, ("a.test:443",), lambda *_: pytest.fail("it was dialled"))
    for name in ("b.test", "b.test", "\x1b[2Jc.test", "b.test"):
        made.refused(name, 0)
    assert [item["host"] for item in entries(tmp_path)] == ["b.test", "?[2Jc.test"]
    assert [item.what for item in reports] == ["b.test", "?[2Jc.test"]


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fe80::1", "0.0.0.0", "127.0.0.1", "::1", "::ffff:169.254.169.254"),
        *("100.100.100.200", "fd00:ec2::254"),
    ],
)
def test_a_name_of_others_may_not_lead_here_or_to_a_metadata_service(tmp_path: Path, address: str) -> None:
    """Asked before anything is dialled, so that a failure of this test sends nothing there either."""
    assert not dialling_module._may_be("evil.test", address, tmp_path / "hosts")


def test_nor_to_any_other_address_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service that listens on all addresses is reached by each of them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("198.18.0.9", 9))  # nothing is sent: the kernel says only what it would speak from
        except OSError:
            unavailable("this machine has no address besides loopback")
        own = asked.getsockname()[0]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (own, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NotConnectedError, match="its name leads to"):
        dial("evil.test", 443, proxy="", environ={}, known=tmp_path / "hosts")


def test_what_killed_sessions_left_is_removed_by_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where the application has not noticed that its `run` has ended."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left, kept = hub_module.Hub(), hub_module.Hub()
    (left.directory / "owner").write_text(owner(ended.pid))
    stranger = tmp_path / "hatchlock-relay-link"
    stranger.symlink_to(left.directory)
    again = hub_module.Hub()
    assert left.directory.exists()
    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked
    last = hub_module.Hub()
    assert not left.directory.exists()
    assert kept.directory.exists()
    ended.communicate()
    for hub in (left, kept, again, last):
        hub.close()


def test_a_relay_that_says_nothing_or_nonsense_costs_a_few_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It runs in an image that somebody made: what it connects is counted, and what it says is no number only because it looks so."""
    monkeypatch.setattr(hub_module, "_MOST", 8)
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    made = hub_module.Hub()
    made.open(forwarder(tmp_path, [], ("a.test:443",), lambda *_: pytest.fail("it was dialled")), lambda: None)
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        silent = []
        for _ in range(40):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(made.path))
            connection.settimeout(PATIENCE)
            silent.append(connection)
        refused = [item for item in silent[8:] if item.recv(1) == b""]
        assert len(refused) == 32
        assert threading.active_count() <= before + 8
        for connection, line in zip(
            silent, ("to a.test \u00b2\n", "to a.test 99999999\n", "back 7\n", "\n"), strict=False
        ):
            connection.sendall(line.encode())
            assert connection.recv(1) == b""
    made.close()
    assert not failures


def test_a_name_that_this_machine_has_given_itself_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, echo: int
) -> None:
    known = tmp_path / "hosts"
    known.write_text("127.0.0.1 localhost mine.test # comment\n")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", echo))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    connection, _ = dial("mine.test", echo, proxy="", environ={}, known=known)
    connection.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the address of a proxy whose every CONNECT leads to `echo`, and the heads of what it was asked."""
    heads: list[bytes] = []

    def carry(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, socket.create_connection(("127.0.0.1", echo)) as far:
            splice(connection, far)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(1)
                    heads.append(head)
                    if b"closed.test" in head:
                        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                        connection.close()
                        continue
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\nbanner ")
                    threading.Thread(target=carry, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads


def test_a_proxy_is_asked_for_the_name_and_may_have_said_something_already(proxy: tuple[str, list[bytes]]) -> None:
    address, heads = proxy
    connection, early = dial("far.test", 443, proxy=address, environ={})
    with connection:
        connection.sendall(b"hi")
        assert early + connection.recv(100) in {b"banner HI", b"banner "}
    assert heads[0].startswith(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n")
    assert b"Proxy-Authorization" not in heads[0]


@pytest.mark.parametrize("where", ["variable", "netrc"])
def test_its_password_comes_from_the_environment_or_netrc(
    proxy: tuple[str, list[bytes]], tmp_path: Path, where: str
) -> None:
    address, heads = proxy
    place = address.removeprefix("http://")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password pass\n")
    environ = {"https_proxy": f"http://user:pass@{place}"} if where == "variable" else {"HOME": str(tmp_path)}
    dial("far.test", 443, proxy=address, environ=environ)[0].close()
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in heads[0]


def test_what_a_proxy_says_instead_is_said(proxy: tuple[str, list[bytes]]) -> None:
    with pytest.raises(NotConnectedError, match=r"answered 407 .*wants a user name and password"):
        dial("closed.test", 443, proxy=proxy[0], environ={})


class SlowTrail(Trail):
    """One whose disk takes its time."""

    def __init__(self) -> None:
        super().__init__(None, server="s", session="x")
        self.begun = threading.Event()
        self.noted: list[str] = []

    def write(self, passage: Passage) -> None:
        self.begun.set()
        threading.Event().wait(0.2)
        self.noted.append(passage.outcome)


def test_what_was_carried_is_noted_down_before_a_session_ends() -> None:
    trail = SlowTrail()
    far, theirs = socket.socketpair()
    near, server = socket.socketpair()
    forwarder = Forwarder(
        ways(Sandbox(network=("a.test:80",))), dial=lambda *_: (far, b""), trail=trail, report=lambda _: None
    )
    threading.Thread(target=lambda: forwarder.carry(near, "a.test", 80)).start()
    theirs.close()
    server.close()
    assert trail.begun.wait(PATIENCE)
    forwarder.close()
    assert trail.noted == ["carried"]
