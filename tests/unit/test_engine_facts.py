"""What an engine says of itself, and what it lacks; the answers are shortened ones of real engines, but for Finch's."""

from __future__ import annotations

from typing import Any

import pytest

from hatchlock.engines.facts import EngineFacts, engine_facts, lacks

LIMITED = {"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True, "PidsLimit": True}
DOCKER: dict[str, Any] = {
    **LIMITED,
    "ID": "4AIE:IO67",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "CgroupVersion": "1",
    "OSType": "linux",
    "Architecture": "x86_64",
    "InitBinary": "docker-init",
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "Warnings": None,
}
DOCKER_VERSION = {
    "Version": "20.10.24",
    "ApiVersion": "1.41",
    "Components": [{"Name": "Engine"}, {"Name": "containerd"}],
}
PODMAN: dict[str, Any] = {
    **DOCKER,
    "ID": "4c55061d-6c9b-4b9a-b739-150ca41439f3",
    "Driver": "overlay",
    "Architecture": "amd64",
    "InitBinary": "",
    "DefaultRuntime": "/usr/sbin/runc",
    "BuildahVersion": "1.28.2",
    "Rootless": False,
    "Warnings": [],
}
PODMAN_VERSION = {
    "Version": "4.3.1",
    "ApiVersion": "1.41",
    "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}],
}
FINCH_VERSION = {
    "Platform": {"Name": "Finch Daemon - 0.14.0"},
    "Version": "0.14.0",
    "ApiVersion": "1.43",
    "Arch": "x86_64",
    "Components": [{"Name": "containerd"}, {"Name": "runc"}],
}


def about(facts: EngineFacts) -> list[str]:
    return [lack.about for lack in lacks(facts)]


def test_an_engine_is_told_in_one_line() -> None:
    assert str(engine_facts(DOCKER, DOCKER_VERSION)) == (
        "Docker 20.10.24 (API 1.41), linux/amd64, cgroup v1, overlay2 storage, runc, docker-init, id 4AIE:IO67"
    )
    # Podman makes up an id for every answer
    assert str(engine_facts(PODMAN, PODMAN_VERSION)) == (
        "Podman 4.3.1 (API 1.41), linux/amd64, cgroup v1, overlay storage, runc"
    )


def test_an_engine_that_does_everything_lacks_nothing() -> None:
    assert about(engine_facts(DOCKER, DOCKER_VERSION)) == []
    assert about(engine_facts(PODMAN, PODMAN_VERSION)) == []


def test_limits_that_do_not_bind_are_named_once() -> None:
    rootless = {
        **DOCKER,
        "MemoryLimit": False,
        "PidsLimit": False,
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"],
        "Warnings": ["WARNING: No memory limit support", "WARNING: bridge-nf-call-iptables is disabled"],
    }
    facts = engine_facts(rootless, DOCKER_VERSION)
    assert facts.is_rootless
    limits, warning = lacks(facts)
    assert limits.what == "memory and pids would not be limited: its control groups do not allow it"
    assert "Delegate=yes" in limits.mend
    assert (warning.about, warning.what) == ("warning", "bridge-nf-call-iptables is disabled")


def test_swap_alone_has_its_own_way_to_mend_it() -> None:
    (lack,) = lacks(engine_facts({**DOCKER, "SwapLimit": False}, DOCKER_VERSION))
    assert "swapaccount=1" in lack.mend


@pytest.mark.parametrize(
    "options",
    [[], ["name=apparmor"], ["name=seccomp,profile=unconfined"], ["name=seccomp,profile=unconfined", "name=selinux"]],
)
def test_an_engine_without_seccomp_is_told(options: list[str]) -> None:
    assert about(engine_facts({**DOCKER, "SecurityOptions": options}, DOCKER_VERSION)) == ["seccomp"]


def test_what_podman_says_of_being_rootless_counts() -> None:
    assert engine_facts({**PODMAN, "Rootless": True}, PODMAN_VERSION).guards == ("seccomp", "rootless")


def test_finch_is_recognised_and_cannot_serve() -> None:
    facts = engine_facts({**LIMITED, "SecurityOptions": ["name=seccomp,profile=builtin"]}, FINCH_VERSION)
    assert (facts.kind, facts.version, facts.platform) == ("Finch", "0.14.0", "linux/amd64")
    (lack,) = lacks(facts)
    assert lack.is_fatal
    assert "stdin" in lack.what


def test_containers_of_windows_cannot_serve() -> None:
    (lack,) = lacks(engine_facts({**DOCKER, "OSType": "windows"}, DOCKER_VERSION))
    assert lack.is_fatal


def test_the_image_store_of_containerd_is_told() -> None:
    status = [["driver-type", "io.containerd.snapshotter.v1"]]
    assert engine_facts({**DOCKER, "DriverStatus": status}, DOCKER_VERSION).storage == "containerd"


def test_an_engine_with_another_kernel_than_this_machines_is_in_a_virtual_one() -> None:
    facts = engine_facts({**DOCKER, "KernelVersion": "6.6.12-linuxkit"}, DOCKER_VERSION)
    assert lacks(facts, kernel="6.6.12-linuxkit") == ()
    (lack,) = lacks(facts, kernel="25.1.0")
    assert lack.about == "sockets"
    assert "6.6.12-linuxkit" in lack.what
