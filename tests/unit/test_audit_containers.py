"""What engines say of containers, each in its own words, as facts."""

from __future__ import annotations

from typing import Any

import pytest

from hatchlock.security.audit.containers import container_facts


def inspected(config: dict[str, Any] | None = None, **host: Any) -> dict[str, Any]:
    return {
        "Name": "/hatchlock-p-time-1",
        "State": {"Running": True},
        "Config": {"User": "10001:10001", "Labels": {"dev.hatchlock.server": "time"}, **(config or {})},
        "HostConfig": host,
        "Mounts": [
            {"Type": "bind", "Destination": "/data", "RW": True},
            {"Type": "bind", "Destination": "/in", "RW": False},
            {"Type": "tmpfs", "Destination": "/tmp", "RW": True},
        ],
    }


def test_names_and_what_it_can_write_to() -> None:
    found = container_facts(inspected(), owner_gone=True)
    assert (found.name, found.server, found.owner_gone, found.writable) == (
        "hatchlock-p-time-1",
        "time",
        True,
        ("/data",),
    )


@pytest.mark.parametrize(
    ("dropped", "all_of_them"),
    [
        (["ALL"], True),
        (["all"], True),
        (
            [f"CAP_{name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE")]
            + [f"CAP_{name}" for name in ("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")],
            True,
        ),
        (["CAP_CHOWN"], False),
        (None, False),
        ([], False),
    ],
)
def test_capabilities_are_dropped_by_one_word_or_by_name(dropped: list[str] | None, all_of_them: bool) -> None:
    assert container_facts(inspected(CapDrop=dropped), owner_gone=False).drops_all is all_of_them


@pytest.mark.parametrize(
    ("option", "normal"),
    [
        ("no-new-privileges", "no-new-privileges"),
        ("no-new-privileges:true", "no-new-privileges"),
        ("no-new-privileges=true", "no-new-privileges"),
        ("seccomp:unconfined", "seccomp=unconfined"),
        ("seccomp=unconfined", "seccomp=unconfined"),
        ('seccomp={"defaultAction": "SCMP_ACT_ERRNO"}', "seccomp=profile"),
        ("label=disable", "label=disable"),
        ("label=type:mine_t", "label=type:mine_t"),
    ],
)
def test_security_options_have_one_form(option: str, normal: str) -> None:
    assert container_facts(inspected(SecurityOpt=[option]), owner_gone=False).options == (normal,)


@pytest.mark.parametrize(
    ("memory", "total", "swap"),
    [(512, 512, 0), (512, 1024, 512), (512, -1, -1), (0, 0, -1), (512, 0, 0)],
)
def test_swap_is_what_goes_beyond_memory(memory: int, total: int, swap: int) -> None:
    found = container_facts(inspected(Memory=memory, MemorySwap=total), owner_gone=False)
    assert (found.memory, found.swap) == (memory, swap)


def test_processors_are_told_in_two_ways() -> None:
    assert container_facts(inspected(NanoCpus=1_500_000_000), owner_gone=False).cpus == 1.5
    assert container_facts(inspected(CpuQuota=150_000, CpuPeriod=100_000), owner_gone=False).cpus == 1.5
    assert container_facts(inspected(CpuQuota=-1), owner_gone=False).cpus == 0
    assert container_facts(inspected(PidsLimit=-1), owner_gone=False).pids == 0
