"""What engines say of containers in the same words: forms that no engine of the test machines uses are given as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from hatchlock.launch import LaunchRecord, Mount, Sandbox, SecretReference
from hatchlock.security.container import EngineTraits, HostFacts, bridge_name, container_config
from hatchlock.security.posture import differences, found_posture, own_posture
from hatchlock.security.provided import SECRETS_INSIDE

HOST = HostFacts(uid=1000, gid=1000, max_files=20_000, max_processes=4_000)
RECORD = LaunchRecord(
    project="p",
    server="s",
    runtime="container",
    argv=("/bin/server",),
    key="0" * 64,
    image="hatchlock/p/s:1",
    sandbox=Sandbox(mounts=(Mount(source="/data", target="/data"),)),
)
USUAL = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split()  # noqa: SIM905


def inspected(record: LaunchRecord, *, mounts: Any = None, podman: bool = False, **changes: Any) -> Mapping[str, Any]:
    """Return what an engine says that describes a container as we do, but for some fields."""
    config = container_config(record, env={}, host=HOST, labels={}, engine=EngineTraits(podman=podman))
    usual = [
        {"Type": "bind", "Source": item["Source"], "Destination": item["Target"], "RW": not item["ReadOnly"]}
        for item in config["HostConfig"]["Mounts"]
    ]
    return {
        "Config": config,
        "HostConfig": {**config["HostConfig"], **changes},
        "Mounts": usual if mounts is None else mounts,
        "NetworkSettings": {"Networks": {"none": {}}},
    }


def found(record: LaunchRecord, facts: Mapping[str, Any], *, podman: bool = False, live: Any = None) -> list[str]:
    expected = own_posture(record, host=HOST, podman=podman)
    return [str(item) for item in differences(expected, found_posture(facts, podman=podman), live=live)]


def bind(source: str, target: str, *, writable: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Destination": target, "RW": writable}


def test_what_was_asked_for_is_what_should_be() -> None:
    assert found(RECORD, inspected(RECORD)) == []


@pytest.mark.parametrize(
    "dropped", [USUAL, [*USUAL, "AUDIT_WRITE", "MKNOD", "NET_RAW"], [f"CAP_{name}" for name in USUAL]]
)
def test_podman_lists_what_it_took_away(dropped: list[str]) -> None:
    assert found(RECORD, inspected(RECORD, podman=True, CapDrop=dropped), podman=True) == []


def test_a_capability_that_podman_left_is_named() -> None:
    dropped = [*USUAL, "AUDIT_WRITE", "MKNOD"]
    assert found(RECORD, inspected(RECORD, podman=True, CapDrop=dropped), podman=True) == [
        "capabilities NET_RAW, should be none"
    ]


def test_a_capability_of_the_profile_is_no_difference_however_it_is_written() -> None:
    record = replace(RECORD, sandbox=replace(RECORD.sandbox, capabilities=("NET_BIND_SERVICE",)))
    assert found(record, inspected(record, CapAdd=["CAP_NET_BIND_SERVICE"])) == []
    less = [name for name in USUAL if name != "NET_BIND_SERVICE"]
    assert found(record, inspected(record, podman=True, CapAdd=[], CapDrop=less), podman=True) == []


def test_nothing_and_null_are_the_same() -> None:
    nothing: dict[str, Any] = {
        "OomKillDisable": None,
        "Devices": None,
        "CapAdd": None,
        "MaskedPaths": None,
        "RestartPolicy": None,
    }
    assert found(RECORD, inspected(RECORD, **nothing)) == []


@pytest.mark.parametrize("option", ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])
def test_the_forms_of_no_new_privileges(option: str) -> None:
    assert found(RECORD, inspected(RECORD, SecurityOpt=[option])) == []
    assert found(RECORD, inspected(RECORD, SecurityOpt=["no-new-privileges=false"])) != []


def test_hidden_paths_that_were_opened_are_named() -> None:
    assert found(RECORD, inspected(RECORD, MaskedPaths=[])) == ["hidden system paths no, should be yes"]


def test_limits_that_do_not_exist_are_unlimited() -> None:
    facts = inspected(RECORD, Memory=0, MemorySwap=-1, NanoCpus=0, PidsLimit=None)
    assert found(RECORD, facts) == [
        "memory unlimited, should be 512m",
        "swap unlimited, should be 0",
        "cpus unlimited, should be 1",
        "pids unlimited, should be 128",
    ]


def test_processors_are_counted_by_quota_too() -> None:
    assert found(RECORD, inspected(RECORD, NanoCpus=0, CpuQuota=200_000, CpuPeriod=200_000)) == []
    assert found(RECORD, inspected(RECORD, NanoCpus=0, CpuQuota=150_000, CpuPeriod=0)) == ["cpus 1.5, should be 1"]


def test_fewer_open_files_than_the_profile_allows_are_no_difference() -> None:
    few = [{"Name": "nofile", "Soft": 100, "Hard": 100}, {"Name": "nproc", "Soft": 100, "Hard": 100}]
    assert found(RECORD, inspected(RECORD, Ulimits=few)) == []
    assert len(found(RECORD, inspected(RECORD, Ulimits=[]))) == 2


def test_docker_desktop_has_another_name_for_our_files() -> None:
    assert found(RECORD, inspected(RECORD, mounts=[bind("/host_mnt/data", "/data")])) == []


def test_what_an_image_would_have_as_volumes_may_be_memory_too_but_no_other_memory() -> None:
    tmpfs = inspected(RECORD)["HostConfig"]["Tmpfs"]
    assert found(RECORD, inspected(RECORD, Tmpfs={**tmpfs, "/var/lib/x": tmpfs["/tmp"]})) == []
    assert found(RECORD, inspected(RECORD, Tmpfs={**tmpfs, "/var/lib/x": "rw,size=1g"})) != []


def test_a_workspace_may_be_any_directory_with_its_own_mode() -> None:
    record = replace(RECORD, sandbox=Sandbox(mounts=(Mount(source="workspace", target="/w"),)))
    assert found(record, inspected(record, mounts=[bind("/home/me/project", "/w")])) == []
    assert found(record, inspected(record, mounts=[bind("/home/me/project", "/w", writable=True)])) != []
    assert found(record, inspected(record, mounts=[])) != []


def test_where_a_server_is_developed_may_be_mounted_besides() -> None:
    mounts = [bind("/data", "/data"), bind("/home/me/src", "/opt/src")]
    assert found(RECORD, inspected(RECORD, mounts=mounts), live=("/home/me/src", "/opt/src")) == []
    assert found(RECORD, inspected(RECORD, mounts=mounts), live=("/home/me/other", "/opt/src")) != []


def test_secrets_may_be_there_as_files_that_nobody_writes_to() -> None:
    secret = SecretReference(secret="env:A", as_="file")
    record = replace(RECORD, secrets={"A": secret})
    mounts = [bind("/data", "/data"), bind("/run/user/1000/x", SECRETS_INSIDE)]
    assert found(record, inspected(record, mounts=mounts)) == []
    writable = [mounts[0], bind("/run/user/1000/x", SECRETS_INSIDE, writable=True)]
    assert found(record, inspected(record, mounts=writable)) != []


def test_a_seccomp_profile_of_its_own_is_told_by_its_content() -> None:
    profile = '{"defaultAction": "SCMP_ACT_ERRNO"}'
    digest = sha256(profile.encode()).hexdigest()
    record = replace(RECORD, sandbox=Sandbox(seccomp="./s.json", seccomp_sha256=digest))
    right = ["no-new-privileges", f"seccomp={profile}"]
    assert found(record, inspected(record, SecurityOpt=right)) == []
    for wrong in (
        ["no-new-privileges"],
        ["no-new-privileges", "seccomp={}"],
        ["no-new-privileges", "seccomp=unconfined"],
    ):
        assert [item.split()[0] for item in found(record, inspected(record, SecurityOpt=wrong))] == ["seccomp"]


def test_a_list_of_hosts_is_a_network_of_another_container() -> None:
    record = replace(RECORD, sandbox=Sandbox(network=("api.example.com:443",)))
    own = replace(RECORD, sandbox=Sandbox())
    # by these its names have addresses; the session knows where they are
    files = [bind(f"/run/x/{name}", f"/etc/{name}") for name in ("hosts", "nsswitch.conf", "resolv.conf")]
    facts = {**inspected(own), "Mounts": files, "NetworkSettings": {"Networks": {}}}
    joined = {**facts, "HostConfig": {**facts["HostConfig"], "NetworkMode": "container:0123456789ab"}}
    assert found(record, joined) == []
    assert found(record, facts) == ["network none, should be container"]
    assert found(own, {**joined, "Mounts": []}) == ["network container, should be none"]


def test_the_internet_is_a_bridge_of_the_project() -> None:
    record = replace(RECORD, sandbox=Sandbox(network=("internet",)))
    facts = inspected(record, podman=True)
    own = bridge_name(record.project)
    assert found(record, {**facts, "NetworkSettings": {"Networks": {own: {}}}}, podman=True) == []
    others: tuple[tuple[dict[str, Any], str], ...] = (({}, "none"), ({"podman": {}}, "bridge"))
    for networks, said in others:
        other = {**facts, "NetworkSettings": {"Networks": networks}}
        assert found(record, other, podman=True) == [f"networks {said}, should be {own}"]
