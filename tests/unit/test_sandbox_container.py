"""A launch record as the engine's description of a container."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.security.container import HostFacts, container_config

RECORD = LaunchRecord(
    project="p", server="s", runtime="container", argv=("/venv/bin/tool", "--flag"), key="k", image="hatchlock/p/s:k"
)
HOST = HostFacts(uid=1000, gid=100, max_files=20_000, max_processes=4_000)


def config(record: LaunchRecord = RECORD, host: HostFacts = HOST) -> dict[str, Any]:
    return container_config(record, env={"B": "2", "A": "1"}, host=host, labels={"session": "0123abcd"})


def host_config(**sandbox: Any) -> dict[str, Any]:
    found: dict[str, Any] = config(replace(RECORD, sandbox=Sandbox(**sandbox)))["HostConfig"]
    return found


def test_the_command_replaces_the_images_own() -> None:
    assert config()["Entrypoint"] == ["/venv/bin/tool", "--flag"]
    assert config()["Cmd"] == []
    assert config()["Env"] == ["A=1", "B=2"]


def test_the_working_directory_is_the_images_unless_declared() -> None:
    assert "WorkingDir" not in config()
    assert config(replace(RECORD, cwd="/data"))["WorkingDir"] == "/data"


def test_stdin_ends_when_its_one_client_goes() -> None:
    found = config()
    assert (found["OpenStdin"], found["StdinOnce"], found["AttachStdin"], found["Tty"]) == (True, True, True, False)


def test_labels_tell_whose_it_is() -> None:
    assert config()["Labels"] == {
        "dev.hatchlock.project": "p",
        "dev.hatchlock.server": "s",
        "dev.hatchlock.key": "k",
        "dev.hatchlock.session": "0123abcd",
    }


def test_limits_come_from_the_profile_and_never_exceed_the_machines() -> None:
    found = host_config(memory="1g", swap="512m", cpus=0.5, pids=9, files=64)
    assert found["Memory"] == 1 << 30
    assert found["MemorySwap"] == (1 << 30) + (512 << 20)
    assert found["NanoCpus"] == 500_000_000
    assert found["PidsLimit"] == 9
    assert found["Ulimits"][:2] == [
        {"Name": "nofile", "Soft": 64, "Hard": 64},
        {"Name": "nproc", "Soft": 4_000, "Hard": 4_000},
    ]
    small = config(host=replace(HOST, max_files=256))["HostConfig"]["Ulimits"][0]
    assert small == {"Name": "nofile", "Soft": 256, "Hard": 256}


def test_networks_and_users_and_mounts_are_as_declared() -> None:
    assert host_config()["NetworkMode"] == "none"
    assert host_config(network=("internet",))["NetworkMode"] == "bridge"
    assert host_config(network=("host",))["NetworkMode"] == "host"
    assert config(replace(RECORD, sandbox=Sandbox(run_as="host")))["User"] == "1000:100"
    assert host_config(mounts=(Mount(source="/a", target="/in"),))["Mounts"] == [
        {"Type": "bind", "Source": "/a", "Target": "/in", "ReadOnly": True}
    ]


def test_security_options_are_added_and_no_new_privileges_stays() -> None:
    assert host_config(seccomp="unconfined", apparmor="mine", selinux="disable")["SecurityOpt"] == [
        *("no-new-privileges", "seccomp=unconfined", "apparmor=mine", "label=disable")
    ]


def test_a_description_can_never_be_privileged_or_restart() -> None:
    found = host_config(capabilities=("NET_RAW",))
    assert (found["Privileged"], found["CapDrop"], found["CapAdd"]) == (False, ["ALL"], ["NET_RAW"])
    assert found["RestartPolicy"] == {"Name": "no"}
