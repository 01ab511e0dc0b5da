"""What a network list needs of this machine: relays, proxies, certificates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Address
from hatchlock.launch import LaunchRecord, Relay, Sandbox
from hatchlock.lock.images import ImagePlatform
from hatchlock.net.trust import Certificates, own_certificates
from hatchlock.paths import Home
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.resources.machine import Machine
from hatchlock.resources.network_target import ProxyUnusable, RelayImageMissing, with_network, with_relay
from hatchlock.resources.server import ServerSpec
from hatchlock.security.network import CA_INSIDE

MACHINE = Machine(
    platform="linux/amd64",
    system="linux",
    home=Home(root=Path("/store"), is_default=False),
    user_home=Path("/home/ada"),
    directory=Path("/project"),
    environ={},
    interpreters={},
    programs={},
    engine="unix:///run/engine.sock",
)
NETWORK = ("api.example.com:443", "intra.example.org:443", "localhost:8080")
BASE = ImagePlatform(digest="sha256:d", config="sha256:c", config_size=1, layers=())
PYTHON = replace(BASE, python="3.11.2", python_path="/usr/bin/python3.11")
NODE = replace(BASE, node="22.1.0")


def record(*network: str, **fields: Any) -> LaunchRecord:
    sandbox = Sandbox(network=network or NETWORK)
    values: dict[str, Any] = {"runtime": "container", "argv": ("x",), "key": "k", "sandbox": sandbox}
    return LaunchRecord(project="p", server="shop", **{**values, **fields})


def image(server: str, base: ImagePlatform) -> ImageSpec:
    return ImageSpec(server=server, reference="r:1", platform="linux/amd64", key=f"{server}-key", base=base)


def server(**fields: Any) -> ServerSpec:
    return ServerSpec(record=record(**fields), needs=Address.parse("image:shop"))


def test_a_relay_is_made_of_the_servers_own_image_where_that_has_an_interpreter() -> None:
    spec = with_relay(server(), [image("other", PYTHON), image("shop", NODE)], "p")
    assert spec.record.relay == Relay(image="hatchlock/p/shop:shop-key", interpreter="node", language="node")
    assert spec.relay is None
    assert with_relay(server(), [image("shop", PYTHON)], "p").record.relay == Relay(
        image="hatchlock/p/shop:shop-key", interpreter="/usr/bin/python3.11", language="python"
    )


def test_else_of_another_image_of_the_project_which_has_to_be_there_first() -> None:
    spec = with_relay(server(), [image("relay", PYTHON), image("shop", BASE)], "p")
    assert spec.record.relay == Relay(
        image="hatchlock/p/relay:relay-key", interpreter="/usr/bin/python3.11", language="python"
    )
    assert spec.depends_on == (Address.parse("image:shop"), Address.parse("image:relay"))


def test_without_any_it_says_what_to_declare() -> None:
    with pytest.raises(RelayImageMissing) as caught:
        with_relay(server(), [image("shop", BASE)], "p")
    assert "[environments.relay]" in caught.value.hint


@pytest.mark.parametrize("fields", [{"runtime": "process"}, {"sandbox": Sandbox()}])
def test_what_has_no_list_in_a_container_has_no_relay(fields: dict[str, Any]) -> None:
    spec = server(**fields)
    assert with_relay(spec, [], "p") == spec


def test_each_host_has_the_proxy_that_the_environment_says_without_its_password() -> None:
    environ = {"HTTPS_PROXY": "http://me:secret@proxy:3128", "NO_PROXY": ".example.org"}
    found = with_network(record(), replace(MACHINE, environ=environ))
    assert found.proxies == {"api.example.com:443": "http://proxy:3128"}
    assert b"me:" not in found.to_json()


def test_a_proxy_of_another_kind_is_refused() -> None:
    with pytest.raises(ProxyUnusable, match="socks5://proxy:1080"):
        with_network(record(), replace(MACHINE, environ={"ALL_PROXY": "socks5://proxy:1080"}))


def test_certificates_of_this_machine_are_for_servers_with_a_network() -> None:
    machine = replace(MACHINE, certificates=Certificates(path="/etc/ca.pem"))
    found = with_network(record(env={"SSL_CERT_FILE": "/mine"}), machine)
    assert found.ca == "/etc/ca.pem"
    assert (found.env["SSL_CERT_FILE"], found.env["REQUESTS_CA_BUNDLE"]) == ("/mine", CA_INSIDE)
    assert with_network(record("none"), machine) == record("none")


def test_certificates_that_are_only_added_are_for_those_who_add_them() -> None:
    machine = replace(MACHINE, certificates=Certificates(path="/etc/ca.pem", adds=True))
    assert with_network(record(), machine).env == {"NODE_EXTRA_CA_CERTS": CA_INSIDE}


def test_a_process_without_isolation_has_them_where_they_are() -> None:
    machine = replace(MACHINE, certificates=Certificates(path="/etc/ca.pem"), isolation="no bubblewrap")
    found = with_network(record(runtime="process", isolation="best-effort"), machine)
    assert (found.ca, found.env["SSL_CERT_FILE"]) == ("", "/etc/ca.pem")


def test_records_of_servers_without_these_are_as_they_were() -> None:
    plain = record("none")
    assert with_network(plain, MACHINE).to_json() == plain.to_json()
    internet = record("internet")
    assert with_network(internet, MACHINE).to_json() == internet.to_json()


def test_only_a_file_that_is_there_counts(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    environ = {"SSL_CERT_FILE": str(bundle), "NODE_EXTRA_CA_CERTS": str(bundle)}
    assert own_certificates(environ) == Certificates()
    bundle.write_text("certificate")
    assert own_certificates(environ) == Certificates(path=str(bundle.resolve()))
    assert own_certificates({"NODE_EXTRA_CA_CERTS": str(bundle)}).adds
