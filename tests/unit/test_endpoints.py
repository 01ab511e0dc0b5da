"""Which port of this machine leads to a server that stays, and what of a manifest does not fit together for one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.launch import Endpoint, LaunchRecord, Sandbox
from hatchlock.lock.model import Server
from hatchlock.manifest.load import load
from hatchlock.resources.endpoints import (
    FIRST_PORT,
    LAST_PORT,
    NoPortLeft,
    PortShared,
    PortUnsaid,
    choose_port,
    endpoint_of,
    is_reached,
)
from hatchlock.security.network import published

HTTP = Server(name="web", source="pypi:web==1", runtime="process", transport="http", port=8080)
STDIO = Server(name="web", source="pypi:web==1", runtime="process", serve="http")


def record(*network: str, runtime: str = "process", endpoint: Endpoint | None = None) -> LaunchRecord:
    return LaunchRecord(
        project="acme",
        server="web",
        runtime="container" if runtime == "container" else "process",
        argv=("/bin/web",),
        key="0",
        sandbox=Sandbox(network=network or ("none",)),
        endpoint=endpoint,
    )


def test_a_server_keeps_its_port_whatever_others_there_are() -> None:
    port = choose_port("acme", "web")

    assert FIRST_PORT <= port <= LAST_PORT
    assert choose_port("acme", "web", lambda taken: taken == port + 1) == port
    assert choose_port("acme", "other") != port
    assert choose_port("other", "web") != port


def test_where_its_port_is_taken_it_gets_the_next_one() -> None:
    port = choose_port("acme", "web")

    assert choose_port("acme", "web", lambda taken: taken == port) == port + 1


def test_where_all_are_taken_that_is_said() -> None:
    with pytest.raises(NoPortLeft):
        choose_port("acme", "web", lambda _: True)


def test_a_server_with_a_network_of_its_own_is_led_to() -> None:
    found = endpoint_of(HTTP, record(), 24001)

    assert found == Endpoint(host_port=24001, path="/mcp", port=8080)
    assert found.url == "http://127.0.0.1:24001/mcp"
    assert published(record(endpoint=found)) == {24001: 8080}
    assert published(record("api.example.com:443", endpoint=found)) == {24001: 8080}


@pytest.mark.parametrize(("runtime", "network"), [("process", "internet"), ("process", "host"), ("container", "host")])
def test_a_server_that_shares_this_machines_network_is_reached_at_its_own_port(runtime: str, network: str) -> None:
    shared = record(network, runtime=runtime)

    assert endpoint_of(HTTP, shared, 24001) == Endpoint(host_port=8080, port=8080)
    assert published(record(network, runtime=runtime, endpoint=Endpoint(host_port=8080, port=8080))) == {}
    with pytest.raises(PortShared):
        endpoint_of(replace(HTTP, host_port=9000), shared, 0)


def test_a_container_on_the_bridge_is_published_by_its_engine() -> None:
    found = endpoint_of(HTTP, record("internet", runtime="container"), 24001)

    assert found == Endpoint(host_port=24001, port=8080)
    assert published(record("internet", runtime="container", endpoint=found)) == {}


def test_the_one_port_that_an_image_declares_is_its_own() -> None:
    unsaid = replace(HTTP, port=0)

    assert endpoint_of(unsaid, record(), 24001, declared=("9000/tcp", "9000/udp")).port == 9000
    for declared in ((), ("9000/tcp", "9001/tcp")):
        with pytest.raises(PortUnsaid):
            endpoint_of(unsaid, record(), 24001, declared=declared)


def test_a_server_that_is_served_has_no_port_of_its_own() -> None:
    assert endpoint_of(STDIO, record(), 24001) == Endpoint(host_port=24001, port=0)
    assert published(record(endpoint=Endpoint(host_port=24001))) == {}


def test_who_is_remote_or_speaks_stdio_is_not_reached() -> None:
    assert is_reached(HTTP)
    assert is_reached(STDIO)
    assert not is_reached(Server(name="a", source="", runtime="process", transport="http", url="https://example.com"))
    assert not is_reached(Server(name="a", source="pypi:a==1", runtime="process"))


def test_a_record_without_an_endpoint_keeps_its_name() -> None:
    assert b"endpoint" not in record().to_json()
    assert LaunchRecord.from_json(record(endpoint=Endpoint(host_port=1, port=2)).to_json()).speaks_http


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('transport = "http"', "does not say the port"),
        ('transport = "sse"', "not spoken to over sse"),
        ("port = 80", "speaks stdio has no port"),
        ('serve = "http"\nport = 80', "speaks stdio has no port"),
        ('path = "/x"', "'path' is for a server that is reached over HTTP"),
        ("host-port = 9000", "'host-port' is for a server that is reached over HTTP"),
        ('transport = "http"\nport = 80\nserve = "http"', "this one speaks HTTP by itself"),
    ],
)
def test_what_does_not_fit_together_is_said_where_it_is(tmp_path: Path, lines: str, said: str) -> None:
    text = f'[project]\nname = "p"\nplatforms = ["linux/amd64"]\n[servers.web]\nsource = "pypi:web==1"\n{lines}\n'
    (tmp_path / "hatchlock.toml").write_text(text)
    with pytest.raises(ManyErrors) as caught:
        load(tmp_path / "hatchlock.toml")

    (error,) = caught.value.errors
    assert said in str(error)
    assert error.hint


def test_two_servers_do_not_share_a_host_port(tmp_path: Path) -> None:
    server = 'source = "pypi:web==1"\nserve = "http"\nhost-port = 9000\n'
    text = f'[project]\nname = "p"\nplatforms = ["linux/amd64"]\n[servers.a]\n{server}[servers.b]\n{server}'
    (tmp_path / "hatchlock.toml").write_text(text)
    with pytest.raises(ManyErrors) as caught:
        load(tmp_path / "hatchlock.toml")

    assert [str(error) for error in caught.value.errors] == [
        "servers.b.host-port: the host-port 9000 is that of server 'a' too"
    ]


@pytest.mark.parametrize("lines", ['transport = "http"\nport = 80\nhost-port = 9000\npath = "/x"', 'serve = "http"'])
def test_what_fits_together_is_taken(tmp_path: Path, lines: str) -> None:
    text = f'[project]\nname = "p"\nplatforms = ["linux/amd64"]\n[servers.web]\nsource = "pypi:web==1"\n{lines}\n'
    (tmp_path / "hatchlock.toml").write_text(text)

    assert load(tmp_path / "hatchlock.toml").manifest.servers["web"].path in {"/x", ""}
