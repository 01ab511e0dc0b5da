"""A network list in the process runtime, from inside: what is in it is reached, nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.security.network import CA_INSIDE, ca_environment
from support.everybodys import copy_ourselves, everybodys_directory
from support.faulty import certificate
from support.network_hosts import echoing, trail
from support.ports import free_port
from support.runs import BARE, PATIENCE, SERVERS, Run, apply_records, python_record, run_command, wait_for
from support.unavailable import need_isolation, unavailable

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echoing() as found:
        yield found


def caller(*network: str, **fields: Any) -> LaunchRecord:
    sandbox = Sandbox(network=tuple(sorted(network)), stop_grace=0.3, reason="tried")
    return python_record(script="caller.py", server="caller", sandbox=sandbox, **fields)


def session(home: Path, record: LaunchRecord, *, env: dict[str, str] | None = None) -> Run:
    apply_records(home, [record])
    return Run(command=run_command(home, "caller"), env={**BARE, **(env or {})})


def call(run: Run, *words: str) -> str:
    return run.call("call", words=list(words))


def passages(home: Path, count: int) -> list[dict[str, Any]]:
    path = trail(home, "trial", "caller")
    assert wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") >= count)
    assert path.stat().st_mode & 0o777 == 0o600
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_only_what_is_listed_is_reached_and_all_of_it_is_noted_down(home: Path, port: int) -> None:
    """From inside: a listed service by its bytes; no other port of this machine, no address, no name, no route."""
    closed = free_port()
    with echoing() as other, session(home, caller(f"localhost:{port}", f"localhost:{closed}", "a.test:443")) as run:
        run.hello()
        assert call(run, "ask", "localhost", str(port), "some words") == "SOME WORDS"
        assert call(run, "ask", "127.0.0.1", str(other)).startswith("denied: ConnectionRefusedError")
        assert call(run, "ask", "localhost", str(closed)).startswith("denied: ConnectionResetError")
        assert call(run, "ask", "a.test", "80").startswith("denied: ConnectionRefusedError")
        for address in ("198.18.0.1", "10.0.0.1", "169.254.169.254"):  # no packet leaves: there is no route
            assert "Network is unreachable" in call(run, "ask", address, "80")
        assert call(run, "find", "a.test") == "127.0.0.2"
        assert call(run, "find", "b.test").startswith("denied: gaierror")
        assert call(run, "routes") == ""
        assert call(run, "files").splitlines()[:2] == ["127.0.0.1 localhost", "127.0.0.2 a.test"]
        status, _, said = run.end()
    assert status == 0
    assert b"not allowed to reach b.test" in said
    found = {(item["host"], item["port"]): item for item in passages(home, 3)}
    carried = found["localhost", port]
    assert (carried["outcome"], carried["sent"], carried["received"]) == ("carried", 10, 10)
    assert found["localhost", closed]["outcome"] == "failed: Connection refused"
    assert found["b.test", 0]["outcome"] == "refused: not in the list"
    assert {item["server"] for item in found.values()} == {"caller"}


@pytest.mark.skipif(not ROOT, reason="only root can give a process names of its own")
def test_hosts_by_name_with_certificates_of_this_machine(home: Path, port: int, tmp_path: Path) -> None:
    """Two names with one port lead to two hosts; one speaks TLS with a certificate that only this machine trusts."""
    cert, context = certificate(tmp_path / "ca", host="api.test")
    cert.chmod(0o644)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost api.test\n127.0.0.1 other.test\n")
    with echoing(context) as secure:
        record = caller(
            *(f"api.test:{secure}", f"api.test:{port}", f"other.test:{port}"),
            ca=str(cert),
            env=ca_environment(CA_INSIDE, adds=False),
        )
        apply_records(home, [record])
        named = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
        with Run(command=[*named, *run_command(home, "caller")]) as run:
            run.hello()
            assert call(run, "tls", "api.test", str(secure)) == "HELLO"
            assert call(run, "ask", "api.test", str(port), "one") == "ONE"
            assert call(run, "ask", "other.test", str(port), "two") == "TWO"
            assert call(run, "ask", "other.test", str(secure)).startswith("denied: ConnectionRefusedError")
            # by the session, which ends with this block
            assert [item["outcome"] for item in passages(home, 3)] == ["carried"] * 3


def test_a_proxy_leads_to_a_host_that_this_machine_does_not_know(home: Path, port: int) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        proxies = {"far.invalid:443": f"http://{place}"}
        record = caller("far.invalid:443", f"localhost:{port}", proxies=proxies)
        with session(home, record, env={"HTTPS_PROXY": f"http://me:pass@{place}"}) as run:
            run.hello()
            run.write(
                {
                    "jsonrpc": "2.0",
                    "id": 2,
                    "method": "tools/call",
                    "params": {"name": "call", "arguments": {"words": ["ask", "far.invalid", "443", "hi"]}},
                }
            )
            connection, _ = listener.accept()
            with connection:
                while b"\r\n\r\n" not in b"".join(asked):
                    asked.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                assert connection.recv(10) == b"hi"
                connection.sendall(b"from afar")
            assert b"from afar" in run.line()
            assert call(run, "ask", "localhost", str(port)) == "HELLO"  # not by the proxy
    head = b"".join(asked)
    assert head.startswith(b"CONNECT far.invalid:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==\r\n" in head


@pytest.fixture
def everybodys() -> Iterator[Path]:
    with everybodys_directory() as directory:
        yield directory


@pytest.mark.skipif(not ROOT, reason="it is about root becoming somebody else")
def test_an_ordinary_user_has_it_too(everybodys: Path, port: int) -> None:
    """Started by a user without any privilege, inside of user namespaces; also for ports below 1024."""
    python = "/usr/bin/python3"
    if not shutil.which(python):
        unavailable("no Python that every user can read")
    home = everybodys / "home"
    home.mkdir(mode=0o700)
    shutil.copy(SERVERS / "caller.py", everybodys)
    copy_ourselves(everybodys / "src")
    record = caller(f"localhost:{port}", "a.test:443")
    argv = (python, "-I", str(everybodys / "caller.py"))
    apply_records(home, [replace(record, argv=argv, read_only_paths=(str(everybodys),))])
    subprocess.run(["chown", "-R", "12345:12345", str(home)], check=True)
    command = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", python, *run_command(home, "caller")[1:]]
    env = {**BARE, "PYTHONPATH": str(everybodys / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    with Run(command=command, env=env) as run:
        run.hello()
        assert call(run, "ask", "localhost", str(port), "from a user") == "FROM A USER"
        assert call(run, "ask", "a.test", "443").startswith("denied: ConnectionResetError")
        assert call(run, "ask", "127.0.0.1", str(free_port())).startswith("denied: ConnectionRefusedError")
        assert run.end()[0] == 0


def test_nothing_is_left_when_run_is_killed(home: Path, port: int) -> None:
    with session(home, caller(f"localhost:{port}")) as run:
        run.hello()
        call(run, "ask", "localhost", str(port))
        run.process.kill()
        run.process.wait()
        assert wait_for(lambda: run.watchdogs() == [])


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


def test_a_port_of_the_server_is_reached_without_a_way_out(tmp_path: Path, home: Path) -> None:
    """What servers that speak HTTP will have: their port on this machine's loopback, and no network of their own."""
    here = free_port()
    path = tmp_path / "record"
    path.write_bytes(caller("none").to_json())
    with Run(command=[sys.executable, "-c", PUBLISHING, str(path), str(here), str(home)]) as run:
        run.hello()
        with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", here), PATIENCE) as early:
            assert early.recv(10) != b""
        assert call(run, "serve", "8000") == "serving"
        for text in ("one", "two"):
            with socket.create_connection(("127.0.0.1", here), PATIENCE) as connection:
                connection.sendall(text.encode())
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(100) == f"served {text}".encode()
        assert call(run, "routes") == ""
        assert run.end()[0] == 0
