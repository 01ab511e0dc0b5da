"""Servers that are images, in the forms of other runtimes: how closed they are there, and what is said of what they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hatchlock.launch import WORKSPACE, Mount, Sandbox, SecretReference
from hatchlock.migrate.outgoing.commands import docker_run, docker_run_notes
from hatchlock.migrate.outgoing.compose import compose_file
from hatchlock.migrate.outgoing.docker_mcp import docker_profile
from hatchlock.migrate.outgoing.model import Contained, Started, Withheld
from hatchlock.migrate.outgoing.setting import Setting
from hatchlock.migrate.outgoing.toolhive import toolhive_files

SETTING = Setting(
    project="acme", directory=Path("/srv/acme"), user_home=Path("/home/ada"), beside=Path("/srv/acme/deploy")
)
SHOP = Contained(name="shop", image=f"ghcr.io/acme/shop@sha256:{'a' * 64}", argv=("/shop", "-v"), after_own=("-v",))
NONE, INTERNET, HOST = ("none",), ("internet",), ("host",)
LIST = ("api.example.com:443", "other.example.com:8443")


def closed(*network: str, **fields: Any) -> Contained:
    return replace(SHOP, sandbox=Sandbox(network=network, reason="so"), **fields)


def service(server: Contained) -> Any:
    (text,) = compose_file([server], SETTING).files.values()
    return value(text)["services"]["shop"]


def value(text: str) -> Any:
    return yaml.safe_load(text)


def run_config(server: Contained) -> Any:
    (text,) = toolhive_files([server], SETTING, ports={"shop": 20_000}).files.values()
    return json.loads(text)


def entry(server: Contained) -> Any:
    (text,) = docker_profile([server], SETTING).files.values()
    line = next(line for line in text.splitlines() if line.startswith("  - "))
    return json.loads(line.removeprefix("  - "))["snapshot"]["server"]


def command(server: Contained) -> tuple[str, ...]:
    found = docker_run(server, SETTING)
    assert isinstance(found, Started)
    return found.words


def after(words: tuple[str, ...], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


def test_a_server_without_network_has_none_anywhere() -> None:
    assert service(SHOP)["network_mode"] == "none"
    config = run_config(SHOP)
    assert config["isolate_network"] is True
    assert config["permission_profile"]["network"] == {
        "outbound": {"insecure_allow_all": False, "allow_host": [], "allow_port": []}
    }
    assert entry(SHOP)["disableNetwork"] is True
    assert after(command(SHOP), "--network") == ["none"]
    for made in (compose_file([SHOP], SETTING), toolhive_files([SHOP], SETTING, ports={"shop": 1})):
        assert [note for note in made.notes if note.server] == []


def test_the_internet_is_the_internet() -> None:
    server = closed(*INTERNET)
    assert "network_mode" not in service(server)
    (text,) = compose_file([server], SETTING).files.values()
    options = {"com.docker.network.bridge.enable_icc": "false"}
    assert value(text)["networks"]["default"] == {"driver": "bridge", "driver_opts": options}
    assert run_config(server)["isolate_network"] is False
    assert run_config(server)["permission_profile"]["network"]["outbound"]["insecure_allow_all"] is True
    assert "disableNetwork" not in entry(server)
    assert after(command(server), "--network") == []


def test_this_machines_network_is_what_it_is_or_no_entry() -> None:
    server = closed(*HOST)
    assert service(server)["network_mode"] == "host"
    assert run_config(server)["permission_profile"]["network"]["mode"] == "host"
    assert after(command(server), "--network") == ["host"]
    (withheld,) = docker_profile([server], SETTING).withheld
    assert "shares this machine's network" in withheld.why


def test_a_list_is_held_where_it_can_be_and_said_to_be_open_where_not() -> None:
    server = closed(*LIST)
    config = run_config(server)
    assert config["isolate_network"] is True
    assert config["permission_profile"]["network"]["outbound"] == {
        "insecure_allow_all": False,
        "allow_host": ["api.example.com", "other.example.com"],
        "allow_port": [443, 8443],
    }
    assert entry(server)["allowHosts"] == list(LIST)
    assert "disableNetwork" not in entry(server)
    for notes in (compose_file([server], SETTING).notes, tuple(docker_run_notes(server))):
        assert [note.what for note in notes if "reaches every host" in note.what]


def test_a_server_on_a_port_is_led_to_by_loopback_only() -> None:
    server = closed(*INTERNET, port=8080, host_port=28_000, path="/mcp")
    found = service(server)
    assert found["ports"] == ["127.0.0.1:28000:8080"]
    assert "stdin_open" not in found
    assert (run_config(server)["transport"], run_config(server)["target_port"]) == ("streamable-http", 8080)
    assert "speaks HTTP" in docker_profile([server], SETTING).withheld[0].why
    assert isinstance(docker_run(server, SETTING), Withheld)
    alone = closed(*NONE, port=8080)
    assert "network_mode" not in service(alone)
    assert "a port leads to it" in compose_file([alone], SETTING).notes[0].what


def test_paths_are_seen_from_the_file_or_are_this_machines() -> None:
    mounts = (Mount(source="./data", target="/data"), Mount(source="~/notes", target="/notes", mode="rw"))
    server = replace(SHOP, sandbox=Sandbox(mounts=mounts, seccomp="./profile.json", reason="so"))
    assert service(server)["volumes"] == [
        {"type": "bind", "source": "../data", "target": "/data", "read_only": True},
        {"type": "bind", "source": "~/notes", "target": "/notes"},
    ]
    assert "seccomp=../profile.json" in service(server)["security_opt"]
    profile = run_config(server)["permission_profile"]
    assert (profile["read"], profile["write"]) == (["/srv/acme/data:/data"], ["/home/ada/notes:/notes"])
    assert entry(server)["volumes"] == ["/srv/acme/data:/data:ro", "/home/ada/notes:/notes"]
    assert after(command(server), "--mount") == [
        "type=bind,source=/srv/acme/data,target=/data,readonly",
        "type=bind,source=/home/ada/notes,target=/notes",
    ]
    comma = replace(SHOP, sandbox=Sandbox(mounts=(Mount(source='/a,"b', target="/b"),), reason="so"))
    assert after(command(comma), "--mount") == ['type=bind,"source=/a,""b",target=/b,readonly']


def test_a_workspace_is_asked_for_or_a_reason() -> None:
    server = replace(SHOP, sandbox=Sandbox(mounts=(Mount(source=WORKSPACE, target="/work"),), reason="so"))
    assert service(server)["volumes"][0]["source"] == "${WORKSPACE:?the directory to work in}"
    for made in (docker_profile([server], SETTING), toolhive_files([server], SETTING, ports={"shop": 1})):
        assert made.files == {}
        assert "directory that it is started from" in made.withheld[0].why
    assert isinstance(docker_run(server, SETTING), Withheld)


def test_what_it_keeps_is_a_volume_of_its_own() -> None:
    server = replace(SHOP, sandbox=Sandbox(writable=("/var/lib/shop",), reason="so"))
    (text,) = compose_file([server], SETTING).files.values()
    assert value(text)["volumes"] == {"shop-var-lib-shop": {}}
    assert service(server)["volumes"][0] == {"type": "volume", "source": "shop-var-lib-shop", "target": "/var/lib/shop"}
    assert entry(server)["volumes"] == ["acme-shop-var-lib-shop:/var/lib/shop"]
    assert "begins as root's" in compose_file([server], SETTING).notes[0].what
    assert "keeps data" in toolhive_files([server], SETTING, ports={"shop": 1}).withheld[0].why


def test_a_secret_as_a_file_is_a_file_or_a_reason() -> None:
    server = replace(SHOP, secrets={"CERT": SecretReference(secret="file:./cert", as_="file")})
    (text,) = compose_file([server], SETTING).files.values()
    assert value(text)["secrets"] == {"shop_cert": {"file": "${SHOP_CERT_FILE:?a file with what shop needs}"}}
    found = service(server)
    assert found["secrets"] == [{"source": "shop_cert", "target": "CERT"}]
    assert found["environment"] == {"CERT_FILE": "/run/secrets/CERT"}
    assert "as a file" in docker_profile([server], SETTING).withheld[0].why
    assert "as a file" in toolhive_files([server], SETTING, ports={"shop": 1}).withheld[0].why
    assert isinstance(docker_run(server, SETTING), Withheld)


def test_values_of_secrets_are_on_no_command_line() -> None:
    server = replace(SHOP, env={"ZONE": "UTC"}, secrets={"KEY": SecretReference(secret="env:K", format="Bearer {}")})
    found = docker_run(server, SETTING)
    assert isinstance(found, Started)
    assert after(found.words, "--env") == ["ZONE", "KEY"]
    assert not any("UTC" in word or "Bearer" in word for word in found.words)
    assert found.secrets == server.secrets


def test_another_program_is_started_where_that_can_be_said() -> None:
    server = replace(SHOP, argv=("/other", "-x"), after_own=None)
    words = command(server)
    assert after(words, "--entrypoint") == ["/other"]
    assert words[-2:] == (server.image, "-x")
    assert service(server)["entrypoint"] == ["/other", "-x"]
    for made in (docker_profile([server], SETTING), toolhive_files([server], SETTING, ports={"shop": 1})):
        assert "something else than its image" in made.withheld[0].why


@pytest.mark.parametrize(("env", "args"), [({"A": "$b"}, ()), ({}, ("{{x}}",))])
def test_what_dockers_gateway_would_replace_is_a_reason(env: dict[str, str], args: tuple[str, ...]) -> None:
    (withheld,) = docker_profile([replace(SHOP, env=env, after_own=args)], SETTING).withheld
    assert "would replace" in withheld.why


def test_nobody_knows_who_will_start_it() -> None:
    server = replace(SHOP, sandbox=Sandbox(run_as="host", reason="so"))
    assert service(server)["user"].startswith("${HOST_USER:?")
    assert "user" not in entry(server)
    assert "--user" not in command(server)
    assert "not as whoever starts it" in next(docker_run_notes(server)).what


def test_tools_that_pass_are_named_where_messages_are_looked_at() -> None:
    server = replace(SHOP, tools=("get", "list"))
    assert run_config(server)["tools_filter"] == ["get", "list"]
    (text,) = docker_profile([server], SETTING).files.values()
    assert '"tools": ["get", "list"]' in text
    assert "all of its tools pass" in compose_file([server], SETTING).notes[0].what
