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

from hatchlock.engines.locate import EngineNotFound, answers, find_engine


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
    assert caught.value.looked_in == (f"DOCKER_HOST unix://{home}/none.sock: No such file or directory",)


def test_the_current_context_of_the_docker_client_is_used(home: Path) -> None:
    with engine_at(home / "b.sock") as address:
        write_context(home, "remote", address)
        (home / ".docker/config.json").write_text('{"currentContext": "remote"}')
        assert find_engine({"HOME": str(home)}) == address


def test_a_context_that_is_not_defined_is_named(home: Path) -> None:
    with pytest.raises(EngineNotFound, match="Docker context gone no address: it is not defined"):
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
