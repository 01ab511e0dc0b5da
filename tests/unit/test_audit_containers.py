"""What engines say of containers, as facts for the audit."""

from __future__ import annotations

from typing import Any

import pytest

from hatchlock.security.audit.containers import container_facts
from hatchlock.security.audit.facts import ContainerFacts


def facts(labels: dict[str, str] | None = None, *, podman: bool = False, **host: Any) -> ContainerFacts | None:
    inspected = {
        "Name": "/hatchlock-p-time-1",
        "State": {"Running": True},
        "Config": {"User": "10001:10001", "Labels": {"dev.hatchlock.server": "time", **(labels or {})}},
        "HostConfig": host,
        "Mounts": [
            {"Type": "bind", "Source": "/data", "Destination": "/data", "RW": True},
            {"Type": "bind", "Source": "/in", "Destination": "/in", "RW": False},
            {"Type": "tmpfs", "Destination": "/tmp", "RW": True},
        ],
    }
    return container_facts(inspected, owner_gone=True, podman=podman)


def test_names_and_what_it_can_write_to() -> None:
    found = facts({"dev.hatchlock.role": "relay"}, Tmpfs={"/tmp": "size=1"})
    assert found
    assert (found.name, found.server, found.role, found.owner_gone) == ("hatchlock-p-time-1", "time", "relay", True)
    assert (found.writable, found.temporary) == (("/data",), ("/tmp",))


def test_a_container_that_apply_works_in_is_no_servers() -> None:
    assert facts({"dev.hatchlock.purpose": "bytecode"}) is None


def test_capabilities_are_those_that_are_left() -> None:
    found, dropped = facts(CapAdd=["NET_RAW"], CapDrop=["ALL"]), facts()
    assert found
    assert dropped
    assert found.capabilities == ("NET_RAW",)
    assert "CHOWN" in dropped.capabilities


@pytest.mark.parametrize(
    ("options", "can"), [(["no-new-privileges"], False), (["no-new-privileges:true"], False), ([], True)]
)
def test_whether_privileges_can_be_gained(options: list[str], can: bool) -> None:
    found = facts(SecurityOpt=options)
    assert found
    assert found.new_privileges is can


def test_what_of_the_machine_it_has() -> None:
    found = facts(PidMode="host", IpcMode="private", Devices=[{"PathOnHost": "/dev/sda"}])
    assert found
    assert found.shares == ("the machine's own pid namespace", "the device /dev/sda")


def test_guards_and_limits() -> None:
    found = facts(SecurityOpt=["seccomp=unconfined", "label=disable"], Memory=512, MemorySwap=-1, PidsLimit=-1)
    assert found
    assert (found.seccomp, found.apparmor, found.selinux) == ("unconfined", "default", "disable")
    assert (found.memory, found.swap, found.pids, found.cpus) == (512, -1, 0, 0.0)
