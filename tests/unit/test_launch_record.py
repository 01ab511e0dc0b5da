from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from hatchlock.launch import (
    Endpoint,
    LaunchRecord,
    Mount,
    Relay,
    Remote,
    Sandbox,
    SecretReference,
    SourceTree,
    SurfaceRules,
    size_in_bytes,
)
from hatchlock.surface import Pins

RECORD = LaunchRecord(
    project="p",
    server="a",
    runtime="container",
    argv=("/bin/a", "--x"),
    cwd="/tmp",
    env={"B": "2", "A": "1"},
    secrets={"TOKEN": SecretReference(secret="env:T", format="Bearer {}", required=False)},
    sandbox=Sandbox(mounts=(Mount(source="/d", target="/data", mode="rw"),), cpus=2.0, reason="why"),
    key="k",
    read_only_paths=("/usr",),
    image="i",
    engine="unix:///e",
    directory="/srv",
    startup_timeout=30.0,
)


def test_a_record_is_read_back() -> None:
    assert LaunchRecord.from_json(RECORD.to_json()) == RECORD


def test_its_bytes_do_not_depend_on_how_numbers_or_mappings_were_made() -> None:
    turned = replace(RECORD, env={"A": "1", "B": "2"}, startup_timeout=30)
    assert turned.to_json() == RECORD.to_json()
    assert turned.digest == RECORD.digest


OTHERS: dict[str, Any] = {
    "project": "q",
    "server": "b",
    "runtime": "process",
    "isolation": "best-effort",
    "argv": ("/bin/b",),
    "cwd": "",
    "env": {},
    "secrets": {},
    "sandbox": Sandbox(),
    "key": "l",
    "read_only_paths": (),
    "image": "",
    "engine": "",
    "directory": "",
    "startup_timeout": 1.5,
    "trust": "internal",
    "source": SourceTree(directory="/envs/k/src/a", live="/home/a", sha256="0" * 64),
    "relay": Relay(image="i", interpreter="/usr/bin/python3", language="python"),
    "ca": "/etc/ssl/own.pem",
    "proxies": {"api.example.com:443": "http://proxy.example:3128"},
    "volumes": {"/data": "v"},
    "surface": SurfaceRules(allow=("get_*",), pins=Pins(tools={"get": "0" * 64}, instructions="1" * 64)),
    "remote": Remote(url="https://mcp.example/mcp", headers={"A": "b"}, secrets={"C": SecretReference(secret="env:C")}),
    "endpoint": Endpoint(host_port=8931, port=80),
    "audit": "calls",
}


def test_a_record_with_everything_is_read_back() -> None:
    record = replace(RECORD, **OTHERS)
    assert LaunchRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("name", [item.name for item in fields(LaunchRecord)])
def test_every_field_counts_for_its_name(name: str) -> None:
    assert replace(RECORD, **{name: OTHERS[name]}).digest != RECORD.digest


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"{}", b'{"format_version": 2}'])
def test_what_is_no_record_of_this_version_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        LaunchRecord.from_json(data)


def test_the_default_profile_has_no_deviations() -> None:
    assert Sandbox().deviations() == {}
    assert Sandbox(reason="only a reason").deviations() == {}
    assert Sandbox(pids=64, network=("internet",)).deviations() == {"pids": 64, "network": ("internet",)}


def test_the_default_profile_is_the_one_of_its_version() -> None:
    """A default never changes under the same number: then `SANDBOX_RULES` has to change, too."""
    document = json.loads(replace(RECORD, sandbox=Sandbox()).to_json())["sandbox"]
    assert document == {
        "network": ["none"],
        "user": "10001:10001",
        "run_as": "user",
        "read_only": True,
        "memory": "512m",
        "swap": "0",
        "cpus": 1,
        "pids": 128,
        "files": 1024,
        "tmp": "64m",
        "log_size": "10m",
        "mounts": [],
        "writable": [],
        "capabilities": [],
        "seccomp": "default",
        "apparmor": "default",
        "selinux": "default",
        "stop_signal": "SIGTERM",
        "stop_grace": 5,
        "reason": "",
    }


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1024", 1024), ("64k", 65536), ("512m", 512 << 20), ("1g", 1 << 30)]
)
def test_sizes_are_in_powers_of_two(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "1.5g", "1G", "-1", "1gb", " 1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        size_in_bytes(text)
