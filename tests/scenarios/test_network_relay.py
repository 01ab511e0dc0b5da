"""The relay of a container's network, in Python and in Node, without an engine: in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from hatchlock.launch import LaunchRecord, Relay, Sandbox
from hatchlock.security.container import EngineTraits, HostFacts
from hatchlock.security.denials import Denial
from hatchlock.security.provided import RELAY_INSIDE
from hatchlock.serve.network.hub import RelayFailed
from hatchlock.serve.network.network import Network, network_of
from hatchlock.serve.network.sidecar import relay_config
from support.network_hosts import echoing
from support.ports import free_port
from support.runs import PATIENCE, wait_for
from support.unavailable import unavailable

HOST = HostFacts(uid=0, gid=0, max_files=1024, max_processes=1024)
CLIENT = """
import contextlib, socket, sys
def everything(connection):
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))
def ask(host, port, size=5):
    with socket.create_connection((host, port), 60) as connection:
        connection.sendall(b"x" * size)
        with contextlib.suppress(OSError):  # it was reset in this instant, which the next call says
            connection.shutdown(socket.SHUT_WR)
        return everything(connection)
def named(name):
    query = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes([len(name)]) + name + b"\\4test\\0\\0\\1\\0\\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(60)
        asked.sendto(query, ("127.0.0.1", 53))
        return asked.recv(1000)
print(eval(sys.argv[1]))
"""


def interpreters() -> dict[str, str]:
    return {"python": sys.executable, "node": shutil.which("node") or ""}


@dataclass(kw_only=True)
class Inside:
    """A relay that runs, and what is seen of it."""

    relay: subprocess.Popen[bytes]
    network: Network
    port: int
    reports: list[Denial] = field(default_factory=list)
    lost: list[None] = field(default_factory=list)

    def enter(self, *command: str) -> str:
        entered = ["nsenter", f"--net=/proc/{self.relay.pid}/ns/net", "--", *command]
        return subprocess.run(entered, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def failure(self, words: str) -> str:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            self.run(words)
        return str(caught.value.stderr).splitlines()[-1]

    def run(self, words: str) -> str:
        return self.enter(sys.executable, "-c", CLIENT, words)


@pytest.fixture(params=["python", "node"], scope="module")
def inside(request: pytest.FixtureRequest) -> Iterator[Inside]:
    interpreter = interpreters()[request.param]
    if os.geteuid() != 0 or not interpreter:
        unavailable("only root makes network namespaces, and a relay needs its interpreter")
    with ExitStack() as stack:
        port, here = stack.enter_context(echoing()), free_port()
        network = (f"localhost:{port}", "a.test:443", "b.test:443")
        record = LaunchRecord(
            project="p", server="s", runtime="container", argv=("s",), key="k", sandbox=Sandbox(network=network)
        )
        reports: list[Denial] = []
        lost: list[None] = []
        found = stack.enter_context(
            network_of(
                record,
                environ={},
                log=None,
                report=reports.append,
                lost=lambda: lost.append(None),
                published={here: 8000},
            )
        )
        assert found is not None
        hub = found.hub()
        found.receive(hub)
        relay = Relay(image="i", interpreter=interpreter, language=request.param)
        config = relay_config(record, relay, socket=str(hub.path), host=HOST, labels={}, engine=EngineTraits())
        command = [str(hub.path) if word == RELAY_INSIDE else word for word in config["Entrypoint"]]
        up = 'ip link set lo up && exec "$@"'
        process = subprocess.Popen(["unshare", "-n", "sh", "-c", up, "sh", *command])
        stack.callback(process.wait)
        stack.callback(process.kill)
        hub.wait("i", lambda: "" if process.poll() is None else "it ended")
        yield Inside(relay=process, network=found, port=here, reports=reports, lost=lost)
        process.kill()
        assert wait_for(lambda: lost == [None])


def test_what_is_listed_is_reached(inside: Inside) -> None:
    [port] = [way.port for way in inside.network.ways if way.name == "localhost"]
    assert inside.run(f"ask('127.0.0.1', {port})") == "b'XXXXX'"
    assert inside.run(f"len(ask('127.0.0.1', {port}, 1 << 22))") == str(1 << 22)


def test_what_fails_is_a_failure(inside: Inside) -> None:
    assert inside.failure("ask('127.0.0.2', 443)").startswith("ConnectionResetError")
    assert inside.failure("ask('127.0.0.2', 80)").startswith("ConnectionRefusedError")


def test_names_have_their_addresses_and_others_none(inside: Inside) -> None:
    assert inside.run("named(b'b')[-4:], named(b'b')[3] & 15") == r"(b'\x7f\x00\x00\x03', 0)"
    assert inside.run("named(b'other')[3] & 15") == "3"
    assert wait_for(lambda: inside.reports == [Denial(kind="network", what="other.test")])


def test_a_port_inside_is_reached_from_here(inside: Inside) -> None:
    """Before anybody listens there it is a failure."""
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", inside.port), PATIENCE) as early:
        early.recv(10)
    server = (
        "import socket\nwith socket.create_server(('127.0.0.1', 8000)) as l:\n print(flush=True)\n c = l.accept()[0]\n"
        " c.sendall(b'got ' + c.recv(10)); c.close()"
    )
    entered = ["nsenter", f"--net=/proc/{inside.relay.pid}/ns/net", "--", sys.executable, "-c", server]
    with subprocess.Popen(entered, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with socket.create_connection(("127.0.0.1", inside.port), PATIENCE) as connection:
            connection.sendall(b"it")
            assert connection.recv(10) == b"got it"


def test_a_relay_that_does_not_start_is_said() -> None:
    record = LaunchRecord(
        project="p", server="s", runtime="container", argv=("s",), key="k", sandbox=Sandbox(network=("a.test:1",))
    )
    with network_of(record, environ={}, log=None, report=lambda _: None, lost=lambda: None) as network:
        assert network is not None
        hub = network.hub()
        network.receive(hub)
        with pytest.raises(RelayFailed, match="made of the image i, did not start: it ended"):
            hub.wait("i", lambda: "it ended with status 127")
        directory = hub.directory
        assert directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()
