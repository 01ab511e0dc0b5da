"""Which engine is used, and what is said when none answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.connect import EngineUnreachable, engine_is_local, parse_place, secured
from hatchlock.engines.locate import EngineNotFound, answers, find_engine, found_engines


class Ping(BaseHTTPRequestHandler):
    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/_ping" else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")


@contextlib.contextmanager
def engine_at(path: Path) -> Iterator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socketserver.ThreadingUnixStreamServer(str(path), Ping) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hl-") as directory:  # a socket's path must be short
        yield Path(directory)


def write_context(home: Path, name: str, host: str) -> None:
    meta = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


def test_docker_host_is_the_first_and_only_candidate(home: Path) -> None:
    with engine_at(home / "a.sock") as address, engine_at(home / ".docker/run/docker.sock"):
        assert find_engine({"HOME": str(home), "DOCKER_HOST": address}) == address
        with pytest.raises(EngineNotFound) as caught:
            find_engine({"HOME": str(home), "DOCKER_HOST": f"unix://{home}/none.sock"})
    assert caught.value.looked_in == (f"DOCKER_HOST at unix://{home}/none.sock: No such file or directory",)


def test_the_current_context_of_the_docker_client_is_used(home: Path) -> None:
    with engine_at(home / "b.sock") as address:
        write_context(home, "remote", address)
        (home / ".docker/config.json").write_text('{"currentContext": "remote"}')
        assert find_engine({"HOME": str(home)}) == address


def test_a_context_that_is_not_defined_is_named(home: Path) -> None:
    with pytest.raises(EngineNotFound, match="Docker context gone: it is not defined"):
        find_engine({"HOME": str(home), "DOCKER_CONTEXT": "gone"})


def test_an_address_that_we_cannot_speak_to_is_said_so(home: Path) -> None:
    with pytest.raises(EngineNotFound, match="only unix://, tcp:// and ssh://"):
        find_engine({"HOME": str(home), "DOCKER_HOST": "fd://"})
    with pytest.raises(EngineNotFound, match="a pipe of Windows"):
        find_engine({"HOME": str(home), "DOCKER_HOST": "npipe:////./pipe/docker_engine"})


def test_a_socket_that_nobody_serves_does_not_answer(home: Path) -> None:
    with engine_at(home / "c.sock") as address:
        assert answers(address)
    assert not answers(address)


def test_the_sockets_of_a_rootless_engine_are_looked_at(home: Path) -> None:
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    if Path("/var/run/docker.sock").exists():
        pytest.skip("this machine has an engine of its own, which goes first")
    with engine_at(home / "run/podman/podman.sock") as address:
        assert find_engine(environ) == address
    with pytest.raises(EngineNotFound, match=r"(?s)/var/run/docker\.sock.*podman/podman\.sock") as caught:
        find_engine(environ)
    assert "work without an engine" in caught.value.hint


def test_looking_for_an_engine_loads_no_sdk() -> None:
    code = "import sys, hatchlock.engines.locate; print([n for n in ('docker', 'requests', 'urllib3') if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (".docker/run/docker.sock", "Docker Desktop"),
        (".docker/desktop/docker.sock", "Docker Desktop"),
        (".colima/default/docker.sock", "Colima (profile default)"),
        (".colima/build/docker.sock", "Colima (profile build)"),
        (".config/colima/build/docker.sock", "Colima (profile build)"),
        (".colima/docker.sock", "Colima"),
        (".orbstack/run/docker.sock", "OrbStack"),
        (".rd/docker.sock", "Rancher Desktop"),
        (".lima/docker/sock/docker.sock", "Lima (instance docker)"),
        (".lima/podman/sock/podman.sock", "Lima (instance podman)"),
        (".finch/finch.sock", "Finch"),
        (".local/share/containers/podman/machine/podman.sock", "Podman machine"),
        (".local/share/containers/podman/machine/qemu/podman.sock", "Podman machine (qemu)"),
        ("tmp/podman/podman-machine-default-api.sock", "Podman machine (podman-machine-default)"),
        ("lima/old/sock/docker.sock", "Lima (instance old)"),
        ("colima/old/docker.sock", "Colima (profile old)"),
        ("run/docker.sock", "rootless Docker"),
        ("run/podman/podman.sock", "rootless Podman"),
    ],
)
def test_whose_engine_answers_has_a_name(home: Path, path: str, name: str) -> None:
    environ = {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "TMPDIR": str(home / "tmp"),
        "LIMA_HOME": str(home / "lima"),
        "COLIMA_HOME": str(home / "colima"),
    }
    with engine_at(home / path) as address:
        found = [item for item in found_engines(environ) if item.address == address]
    assert [(item.name, item.problem) for item in found] == [(name, "")]
    assert str(found[0]) == f"{name} at {address}"
    (again,) = [item for item in found_engines(environ) if item.address == address]
    assert again.problem == "Connection refused"  # the socket is there, and its program is not


def test_all_profiles_are_looked_at_and_named_when_none_answers(home: Path) -> None:
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "TMPDIR": str(home / "tmp")}
    if any(not item.problem for item in found_engines(environ)):
        pytest.skip("this machine has an engine of its own, which goes first")
    for profile in ("default", "work"):
        with engine_at(home / f".colima/{profile}/docker.sock"):
            pass
    with pytest.raises(EngineNotFound) as caught:
        find_engine(environ)
    assert [line for line in caught.value.looked_in if "Colima" in line] == [
        f"Colima (profile {profile}) at unix://{home}/.colima/{profile}/docker.sock: Connection refused"
        for profile in ("default", "work")
    ]


def test_a_socket_with_two_names_is_looked_at_once(home: Path) -> None:
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "TMPDIR": str(home / "tmp")}
    with engine_at(home / ".colima/default/docker.sock"):
        (home / ".colima/docker.sock").symlink_to(home / ".colima/default/docker.sock")
        names = [item.name for item in found_engines(environ) if "Colima" in item.name]
    assert names == ["Colima (profile default)"]


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost:2376?certificates=/c", True),
        ("tcp://[::1]:2375", True),
        ("tcp://engine.lan:2375", False),
        ("ssh://me@127.0.0.1", False),
        ("fd://", False),
        ("", False),
    ],
)
def test_an_engine_is_local_if_its_paths_are_ours(address: str, local: bool) -> None:
    assert engine_is_local(address) is local


def test_a_password_in_an_address_is_neither_used_nor_shown(home: Path) -> None:
    with pytest.raises(EngineNotFound) as caught:
        find_engine({"HOME": str(home), "DOCKER_HOST": "ssh://me:hunter2@nowhere.invalid"})
    assert "hunter2" not in str(caught.value)
    assert "DOCKER_HOST at ssh://me:…@nowhere.invalid: a password does not belong into an address" in str(caught.value)
    with pytest.raises(EngineUnreachable) as refused:
        Engine("ssh://me:hunter2@nowhere.invalid").ping()
    assert "hunter2" not in str(refused.value)


def test_addresses_are_taken_apart_as_they_are_written() -> None:
    place = parse_place("ssh://Ada@Build-Host:2222/run/user/1000/docker.sock")
    assert (place.user, place.host, place.port, place.path) == ("Ada", "Build-Host", 2222, "/run/user/1000/docker.sock")
    assert parse_place("tcp://[fe80::1]:2375").host == "fe80::1"
    assert parse_place(secured("tcp://h", "/my certs/é", verify=False)).certificates == "/my certs/é"
    assert (parse_place("tcp://h").port, parse_place(secured("tcp://h", "/c", verify=True)).port) == (2375, 2376)
    assert secured("unix:///s", "/c", verify=True) == "unix:///s"
    for address, why in (
        ("ssh://me:secret@h", "a password does not belong into an address"),
        ("tcp://", "only unix://"),
        ("unix://", "only unix://"),
        ("", "it is not defined"),
        ("npipe:////./pipe/docker_engine", "WSL2"),
    ):
        with pytest.raises(ValueError, match=why):
            parse_place(address)
