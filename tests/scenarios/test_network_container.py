"""A network list in the container runtime, from inside, on both engines: what is in it is reached, nothing else is."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Engine
from hatchlock.launch import LaunchRecord, Relay, Sandbox
from hatchlock.resources.container import ContainerResource
from hatchlock.security.network import CA_INSIDE, ca_environment
from hatchlock.state.project import ProjectState
from hatchlock.usecases.gc_networks import networks_of, remove_network, unused_networks
from support.faulty import certificate
from support.network_hosts import echoing, trail
from support.ports import free_port
from support.python_image import SERVER, python_image
from support.runs import BARE, PATIENCE, Run, apply_records, run_command, wait_for

pytestmark = pytest.mark.engine
only_docker = pytest.mark.parametrize("image", ["engine"], indirect=True)
"""For what is the same on Podman, or that Podman has not got."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """An engine with an image that has a Python, and a project of its own."""

    engine: str
    image: str
    interpreter: str
    project: str
    home: Path

    def record(self, *network: str, **fields: Any) -> LaunchRecord:
        values: dict[str, Any] = {
            "project": self.project,
            "server": "caller",
            "runtime": "container",
            "argv": (self.interpreter, "-I", "-S", SERVER),
            "key": "0" * 64,
            "sandbox": Sandbox(network=tuple(sorted(network)), stop_grace=0.3, reason="tried"),
            "image": self.image,
            "engine": self.engine,
            "directory": "/",
            "relay": Relay(image=self.image, interpreter=self.interpreter, language="python"),
        }
        return LaunchRecord(**{**values, **fields})

    def session(self, record: LaunchRecord, *before: str) -> Run:
        apply_records(self.home, [record])
        return Run(command=[*before, *run_command(self.home, "caller", self.project)], env=BARE)

    def containers(self) -> list[str]:
        found = Engine(self.engine).list({"dev.hatchlock.project": self.project})
        return sorted(item.name for item in found)

    def passages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in trail(self.home, self.project, "caller").read_bytes().splitlines()]


@pytest.fixture(params=["engine", "podman"], scope="module")
def image(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, str]]:
    address: str = request.getfixturevalue(request.param)
    with python_image(address) as (tag, interpreter):
        yield address, tag, interpreter


@pytest.fixture
def place(image: tuple[str, str, str], tmp_path: Path) -> Iterator[Place]:
    engine, tag, interpreter = image
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    found = Place(engine=engine, image=tag, interpreter=interpreter, project=f"trial-{secrets.token_hex(4)}", home=home)
    yield found
    left = found.containers()
    for name in left:
        Engine(engine).remove(name)
    for name in networks_of(found.project, engine):
        remove_network(engine, name)
    assert left == []


def call(run: Run, *words: str) -> str:
    return run.call("call", words=list(words))


def test_only_what_is_listed_is_reached(place: Place, tmp_path: Path) -> None:
    """From inside: listed hosts by their bytes, over TLS too; no other port of this machine, no address, no name, no route."""
    cert, context = certificate(tmp_path / "ca", host="api.test")
    cert.chmod(0o644)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost api.test\n")
    named = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    closed = free_port()
    with echoing(context) as secure, echoing() as port, echoing() as other:
        record = place.record(
            *(f"api.test:{secure}", f"localhost:{port}", f"localhost:{closed}", "a.test:443"),
            ca=str(cert),
            env=ca_environment(CA_INSIDE, adds=False),
        )
        with place.session(record, *named) as run:
            run.hello()
            assert call(run, "ask", "localhost", str(port), "some words") == "SOME WORDS"
            assert call(run, "tls", "api.test", str(secure)) == "HELLO"
            assert call(run, "ask", "localhost", str(closed)).startswith("denied: ConnectionResetError")
            assert call(run, "ask", "127.0.0.1", str(other)).startswith("denied: ConnectionRefusedError")
            assert call(run, "ask", "a.test", "80").startswith("denied: ConnectionRefusedError")
            for address in ("172.17.0.1", "198.18.0.1", "169.254.169.254"):  # no packet leaves: there is no route
                assert "Network is unreachable" in call(run, "ask", address, "80")
            assert call(run, "find", "b.test").startswith("denied: gaierror")
            assert call(run, "routes") == ""
            lines = call(run, "files").splitlines()
            assert lines == [
                *(
                    "127.0.0.1 localhost",
                    "127.0.0.2 a.test",
                    "127.0.0.3 api.test",
                    "127.0.0.1 hatchlock",
                    "::1 hatchlock",
                ),
                *("nameserver 127.0.0.1", "options timeout:1 attempts:1"),
            ]
            assert len(place.containers()) == 2
            status, _, said = run.end()
    assert status == 0
    assert b"not allowed to reach b.test" in said
    found = {(item["host"], item["port"]): item["outcome"] for item in place.passages()}
    assert found["localhost", port] == found["api.test", secure] == "carried"
    assert found["localhost", closed] == "failed: Connection refused"


@only_docker
def test_the_relay_has_the_default_sandbox_and_nothing_of_the_server(place: Place) -> None:
    record = place.record("a.test:443", env={"ONLY": "for the server"})
    with place.session(record) as run:
        run.hello()
        server, relay = place.containers()
        assert relay == f"{server}-relay"
        facts = Engine(place.engine).inspect(relay)
        host = facts["HostConfig"]
        assert (host["NetworkMode"], host["ReadonlyRootfs"], facts["Config"]["User"]) == ("none", True, "10001:10001")
        assert host["CapAdd"] in (None, [])
        assert host["Memory"] == 512 << 20
        assert not any("ONLY" in item for item in facts["Config"]["Env"] or ())
        assert facts["Config"]["Labels"]["dev.hatchlock.role"] == "relay"
        state = ProjectState(place.home / "projects" / place.project)
        running = ContainerResource(project=place.project, engine=place.engine, state=state)
        assert list(running.observe()) == []  # as a plan compares them: neither was changed by hand
        assert running.unknown == {}
        assert [mount["Destination"] for mount in facts["Mounts"] if mount["Type"] == "bind"] == [
            "/run/hatchlock/relay"
        ]
        assert run.end()[0] == 0


@only_docker
def test_a_relay_that_is_killed_ends_the_session_and_says_so(place: Place) -> None:
    with place.session(place.record("a.test:443")) as run:
        run.hello()
        _, relay = place.containers()
        Engine(place.engine).kill(relay)
        assert run.wait() == 1
        assert b"the relay of caller's network was killed, so caller was stopped" in run.end()[2]
    assert place.containers() == []


@only_docker
def test_the_death_of_run_by_kill_leaves_nothing(place: Place) -> None:
    with place.session(place.record("a.test:443")) as run:
        run.hello()
        [mount] = [
            item["Source"]
            for item in Engine(place.engine).inspect(place.containers()[1])["Mounts"]
            if item["Destination"] == "/run/hatchlock/relay"
        ]
        run.process.send_signal(signal.SIGKILL)
        assert wait_for(lambda: place.containers() == [])
        assert wait_for(lambda: not Path(mount).exists())


def test_a_relay_without_an_interpreter_is_an_error_and_nothing_starts(place: Place) -> None:
    relay = Relay(image=place.image, interpreter="/no/python", language="python")
    with place.session(place.record("a.test:443", relay=relay)) as run:
        assert run.wait() == 1
        said = run.end()[2].decode()
    assert "the relay of its network list, made of the image" in said
    assert "did not start" in said
    assert place.containers() == []


PUBLISHING = """
import os, sys
from dataclasses import replace
from pathlib import Path
from hatchlock.launch import Endpoint, LaunchRecord
from hatchlock.serve.stdio import serve
record = LaunchRecord.from_json(Path(sys.argv[1]).read_bytes())
record = replace(record, endpoint=Endpoint(host_port=int(sys.argv[2]), port=8000))
sys.exit(serve(record, environ=os.environ, stdin=0, stdout=1, stderr=2, log=None, store=Path(sys.argv[3])))
"""


def test_a_port_of_the_server_is_reached_without_a_way_out(place: Place, tmp_path: Path) -> None:
    here = free_port()
    path = tmp_path / "record"
    path.write_bytes(place.record("none").to_json())
    with Run(command=[sys.executable, "-c", PUBLISHING, str(path), str(here), str(place.home)]) as run:
        run.hello()
        assert call(run, "serve", "8000") == "serving"
        with socket.create_connection(("127.0.0.1", here), PATIENCE) as connection:
            connection.sendall(b"one")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b"served one"
        assert call(run, "routes") == ""
        assert run.end()[0] == 0


@only_docker
def test_servers_with_the_internet_do_not_see_each_other(place: Place) -> None:
    """They are on a bridge of their project's, which Docker keeps free of traffic between them; Podman has none like it."""
    record = place.record("internet")
    engine = Engine(place.engine)
    name = f"hatchlock-{place.project}"
    try:
        with place.session(record) as one, place.session(record) as other:
            one.hello()
            other.hello()
            assert call(one, "serve", "8000", "0.0.0.0") == "serving"
            addresses = {
                engine.inspect(container)["NetworkSettings"]["Networks"][name]["IPAddress"]
                for container in place.containers()
            }
            said = [call(other, "ask", address, "8000", "hi", "0.5") for address in addresses]
            assert len(said) == 2
            assert all(item.startswith("denied: ") for item in said)
            assert call(other, "routes") != ""
            assert one.end()[0] == other.end()[0] == 0
        assert engine.ask("GET", f"/networks/{name}")["Labels"] == {"dev.hatchlock.project": place.project}
        state = ProjectState(place.home / "projects" / place.project)
        assert list(unused_networks(state, place.project, place.engine)) == []
        (place.home / "projects" / place.project / "active.json").unlink()
        assert list(unused_networks(state, place.project, place.engine)) == [name]
    finally:
        assert wait_for(lambda: place.containers() == [])
        assert remove_network(place.engine, name) == ""
