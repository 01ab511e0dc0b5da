"""A launch record as the engine's description of a container."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.security.container import EngineTraits, HostFacts, container_config, podmans_seccomp
from hatchlock.security.provided import NOTHING, Provided

RECORD = LaunchRecord(
    project="p", server="s", runtime="container", argv=("/venv/bin/tool", "--flag"), key="k", image="hatchlock/p/s:k"
)
HOST = HostFacts(uid=1000, gid=100, max_files=20_000, max_processes=4_000)


PODMAN = EngineTraits(podman=True)
PROFILE = Provided(seccomp=b'{"defaultAction":"SCMP_ACT_ALLOW"}', seccomp_path="/store/blobs/profile")


def config(
    record: LaunchRecord = RECORD,
    host: HostFacts = HOST,
    provided: Provided = NOTHING,
    engine: EngineTraits = EngineTraits(),  # noqa: B008  a value
) -> dict[str, Any]:
    return container_config(
        record, env={"B": "2", "A": "1"}, host=host, labels={"session": "0123abcd"}, provided=provided, engine=engine
    )


def host_config(**sandbox: Any) -> dict[str, Any]:
    found: dict[str, Any] = config(replace(RECORD, sandbox=Sandbox(**sandbox)))["HostConfig"]
    return found


def test_the_whole_profile_of_a_server_that_declares_nothing() -> None:
    memory = "rw,noexec,nosuid,nodev,mode=1777,size=67108864"
    assert config()["HostConfig"] == {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "Privileged": False,
        "SecurityOpt": ["no-new-privileges"],
        "NetworkMode": "none",
        "PublishAllPorts": False,
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "CgroupnsMode": "private",
        "Memory": 512 << 20,
        "MemorySwap": 512 << 20,
        "OomKillDisable": False,
        "NanoCpus": 1_000_000_000,
        "PidsLimit": 128,
        "Ulimits": [
            {"Name": "nofile", "Soft": 1024, "Hard": 1024},
            {"Name": "nproc", "Soft": 4_000, "Hard": 4_000},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "Init": True,
        "Devices": [],
        "ShmSize": 64 << 20,
        "Tmpfs": {"/tmp": memory, "/home/hatchlock": memory},
        "Mounts": [],
        "Binds": [],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }
    found = config()
    assert (found["User"], found["StopSignal"], found["StopTimeout"]) == ("10001:10001", "SIGTERM", 5)
    assert found["Healthcheck"] == {"Test": ["NONE"]}


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
    assert host_config(network=("internet",))["NetworkMode"] == "hatchlock-p"
    assert host_config(network=("host",))["NetworkMode"] == "host"
    assert config(replace(RECORD, sandbox=Sandbox(run_as="host")))["User"] == "1000:100"
    assert host_config(mounts=(Mount(source="/a", target="/in"),))["Mounts"] == [
        {"Type": "bind", "Source": "/a", "Target": "/in", "ReadOnly": True, "BindOptions": {"NonRecursive": True}}
    ]
    assert host_config(mounts=(Mount(source="/a", target="/in", mode="rw"),))["Mounts"] == [
        {"Type": "bind", "Source": "/a", "Target": "/in", "ReadOnly": False}
    ]


def test_security_options_are_added_and_no_new_privileges_stays() -> None:
    """AppArmor and SELinux as engines document them: the kernel that this was written on has neither."""
    assert host_config(seccomp="unconfined", apparmor="mine", selinux="disable")["SecurityOpt"] == [
        *("no-new-privileges", "seccomp=unconfined", "apparmor=mine", "label=disable")
    ]
    assert host_config(apparmor="unconfined", selinux="container_t")["SecurityOpt"] == [
        *("no-new-privileges", "apparmor=unconfined", "label=type:container_t")
    ]


def test_docker_gets_the_content_of_a_profile_and_podman_the_name_of_its_file() -> None:
    record = replace(RECORD, sandbox=Sandbox(seccomp="./strict.json", seccomp_sha256="0" * 64))
    docker = config(record, provided=PROFILE)["HostConfig"]["SecurityOpt"]
    assert docker == ["no-new-privileges", 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']
    podman = config(record, provided=PROFILE, engine=PODMAN)["HostConfig"]["SecurityOpt"]
    assert podman == ["no-new-privileges", "seccomp=/store/blobs/profile"]


def test_volumes_are_mounted_without_what_they_cover_and_without_devices_where_that_can_be_said() -> None:
    record = replace(RECORD, volumes={"/data": "hatchlock-p-s-0"})
    assert config(record)["HostConfig"]["Binds"] == ["hatchlock-p-s-0:/data:rw,nocopy"]
    podman = config(record, engine=PODMAN)["HostConfig"]["Binds"]
    assert podman == ["hatchlock-p-s-0:/data:rw,nocopy,nosuid,nodev"]


def test_a_label_is_changed_in_the_old_notation_and_only_where_it_is_asked_for() -> None:
    """As engines document it: the kernel that this was written on has no SELinux."""
    mounts = (
        Mount(source="/a", target="/in"),
        Mount(source="/b", target="/shared", relabel="shared"),
        Mount(source="/c", target="/own", mode="rw", relabel="private"),
    )
    found = host_config(mounts=mounts)
    assert [item["Target"] for item in found["Mounts"]] == ["/in"]
    assert found["Binds"] == ["/b:/shared:ro,z", "/c:/own:rw,Z"]
    podman = config(replace(RECORD, sandbox=Sandbox(mounts=mounts)), engine=PODMAN)["HostConfig"]["Binds"]
    assert podman == ["/b:/shared:ro,bind,z", "/c:/own:rw,Z"]


def test_what_image_and_engine_would_make_writable_is_memory_with_a_size() -> None:
    wanting = EngineTraits(podman=True, image_volumes=("/data", "/declared", "/in", "/tmp"))
    record = replace(
        RECORD, volumes={"/data": "v"}, sandbox=Sandbox(tmp="1m", mounts=(Mount(source="/a", target="/in"),))
    )
    found = config(record, engine=wanting)["HostConfig"]["Tmpfs"]
    assert found.keys() == {"/tmp", "/home/hatchlock", "/run", "/var/tmp", "/declared"}
    assert set(found.values()) == {"rw,noexec,nosuid,nodev,mode=1777,size=1048576"}
    writable = replace(RECORD, sandbox=Sandbox(read_only=False))
    assert config(writable, engine=wanting)["HostConfig"]["Tmpfs"].keys() == {"/tmp", "/home/hatchlock"}


def test_a_description_can_never_be_privileged_or_restart() -> None:
    found = host_config(capabilities=("NET_RAW",))
    assert (found["Privileged"], found["CapDrop"], found["CapAdd"]) == (False, ["ALL"], ["NET_RAW"])
    assert found["RestartPolicy"] == {"Name": "no"}


def test_a_podman_of_this_machine_reads_our_filter_and_others_have_their_own() -> None:
    file = podmans_seccomp("unix:///run/podman.sock", podman=True)
    assert Path(file).exists()
    options = {
        seccomp: config(
            replace(RECORD, sandbox=Sandbox(seccomp=seccomp)), engine=EngineTraits(podman=True, seccomp_file=file)
        )["HostConfig"]["SecurityOpt"]
        for seccomp in ("default", "unconfined")
    }
    assert options["default"] == ["no-new-privileges", f"seccomp={file}"]
    assert options["unconfined"] == ["no-new-privileges", "seccomp=unconfined"]
    assert podmans_seccomp("ssh://far.example", podman=True) == podmans_seccomp("unix:///sock", podman=False) == ""
