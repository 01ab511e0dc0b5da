"""Docker and Podman, both real, asked the same questions: is a server's container on it what its profile says?

As its programs see it, as the engine says it, and by what becomes of it. One container each answers most of them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Container, Engine
from hatchlock.engines.facts import lacks, read_facts
from hatchlock.engines.host import host_facts
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.paths import Home
from hatchlock.resources.container import ContainerResource
from hatchlock.security.posture import differences, found_posture, own_posture
from hatchlock.security.sandbox import HOME_INSIDE
from hatchlock.state.project import ProjectState
from hatchlock.usecases.doctor import diagnose
from support.links import links_record
from support.links_image import links_image
from support.runs import Run, apply_records, run_command, wait_for

pytestmark = pytest.mark.engine

PROFILE = Sandbox()
TMPFS = ("/tmp", HOME_INSIDE)
V1 = {
    "memory": "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "swap": "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
    "pids": "/sys/fs/cgroup/pids/pids.max",
    "quota": "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
}
V2 = {
    "memory": "/sys/fs/cgroup/memory.max",
    "swap": "/sys/fs/cgroup/memory.swap.max",
    "pids": "/sys/fs/cgroup/pids.max",
    "quota": "/sys/fs/cgroup/cpu.max",
}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server that is applied in a store of its own, and its engine, which is "docker" or "podman"."""

    kind: str
    engine: Engine
    home: Path
    record: LaunchRecord

    def run(self) -> Run:
        """Return a session as an application begins it."""
        return Run(command=run_command(self.home, project=self.record.project))

    def containers(self) -> list[Container]:
        return self.engine.list({"dev.hatchlock.project": self.record.project})


@pytest.fixture(scope="module", params=["docker", "podman"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    kind: str = request.param
    address: str = request.getfixturevalue("engine" if kind == "docker" else kind)
    home = tmp_path_factory.mktemp(kind)
    with links_image(address) as image:
        record = links_record(address, image, f"trial-{secrets.token_hex(4)}")
        apply_records(home, [record])
        yield Served(kind=kind, engine=Engine(address), home=home, record=record)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one running container and its engine say.

    `facts`, `status`, `mounts`: from inside. `inspected`, `labels`: from the engine.
    """

    served: Served
    run: Run
    facts: Mapping[str, Any]
    status: Mapping[str, str]
    mounts: Mapping[str, tuple[str, str]]
    inspected: Mapping[str, Any]
    labels: Mapping[str, str]

    def read(self, path: str) -> str:
        return self.run.attempt("read", path).strip()

    def differences(self, **changes: Any) -> list[str]:
        """Return the fields that differ, of the container as it is but for some of what its engine says."""
        podman = self.served.kind == "podman"
        expected = own_posture(self.served.record, host=host_facts(), podman=podman)
        found = found_posture({**self.inspected, **changes}, podman=podman)
        return [item.field for item in differences(expected, found)]


@pytest.fixture(scope="module")
def answers(served: Served) -> Iterator[Answers]:
    """Begin a session and ask it everything that needs no container of its own."""
    with served.run() as run:
        run.hello()
        (container,) = served.containers()
        lines = (line.split(":\t", 1) for line in run.attempt("read", "/proc/self/status").splitlines())
        mounts = (line.split() for line in run.attempt("read", "/proc/self/mounts").splitlines())
        yield Answers(
            served=served,
            run=run,
            facts=json.loads(run.attempt("facts")),
            status={pair[0]: pair[1].strip() for pair in lines if len(pair) > 1},
            mounts={words[1]: (words[2], words[3]) for words in mounts},
            inspected=served.engine.inspect(container.id),
            labels={name.removeprefix("dev.hatchlock."): value for name, value in container.labels.items()},
        )
        run.end()
    assert served.containers() == []


def test_it_runs_as_a_numeric_user_of_no_other_group(answers: Answers) -> None:
    assert answers.status["Uid"].split() == answers.status["Gid"].split() == ["10001"] * 4
    assert set(answers.facts["groups"]) <= {10001}


def test_it_has_no_capability_and_gets_none(answers: Answers) -> None:
    sets = [answers.status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    assert [int(bits, 16) for bits in sets] == [0] * 5
    assert answers.status["NoNewPrivs"] == "1"


def test_its_system_calls_are_filtered(answers: Answers) -> None:
    assert answers.status["Seccomp"] == "2"


def test_its_root_is_read_only_and_so_is_what_is_mounted(answers: Answers) -> None:
    assert "ro" in answers.mounts["/"][1].split(",")
    for path in ("/x", "/usr/bin/x", "/etc/x", "/dev/x"):
        assert answers.run.attempt("write", path).startswith("denied"), path


@pytest.mark.parametrize("path", TMPFS)
def test_what_it_may_write_to_is_memory_of_a_size_from_which_nothing_is_run(answers: Answers, path: str) -> None:
    kind, options = answers.mounts[path]
    assert kind == "tmpfs"
    assert {"rw", "nosuid", "nodev", "noexec", "size=65536k"} <= set(options.split(","))
    assert not answers.run.attempt("write", f"{path}/x").startswith("denied")


def test_no_other_place_is_writable(answers: Answers) -> None:
    usual = {*TMPFS, "/dev", "/dev/shm", "/dev/mqueue", "/dev/pts", "/proc", "/run", "/var/tmp"}
    writable = {path for path, (_, options) in answers.mounts.items() if "rw" in options.split(",")}
    # files that an engine makes: the root is read-only, and so are they to a user that is not root's
    assert {path for path in writable - usual if not path.startswith(("/proc/", "/etc/", "/run/"))} <= {
        "/sys/fs/cgroup"
    }


def test_it_has_a_loopback_and_no_other_network(answers: Answers) -> None:
    assert answers.facts["interfaces"] == ["lo"]
    assert answers.read("/proc/net/route").splitlines()[1:] == []


def test_its_limits_bind(answers: Answers) -> None:
    facts = read_facts(answers.served.engine)
    assert (facts.unbound, lacks(facts)) == ((), ())
    files = V2 if facts.cgroups == "2" else V1
    values = {name: answers.read(path) for name, path in files.items()}
    assert values["memory"] == str(512 << 20)
    assert values["swap"] == ("0" if facts.cgroups == "2" else str(512 << 20))
    assert values["pids"] == "128"
    quota, period = values["quota"].split() if facts.cgroups == "2" else (values["quota"], "100000")
    assert int(quota) == int(period)
    assert answers.facts["nofile"] == [1024, 1024]


def test_more_processes_than_it_may_have_are_refused(answers: Answers) -> None:
    started = re.search(r"\d+", answers.run.attempt("processes", "200"))
    assert started
    assert int(started[0]) < 128


def test_its_first_process_is_an_init(answers: Answers) -> None:
    assert answers.read("/proc/1/comm") in {"docker-init", "tini", "catatonit", "podman-init", "dumb-init"}


def test_it_sees_no_process_but_its_own(answers: Answers) -> None:
    processes = [name for name in answers.run.attempt("list", "/proc").split() if name.isdigit()]
    assert len(processes) <= 3


def test_its_namespaces_are_its_own(answers: Answers) -> None:
    ours = {name: Path(f"/proc/self/ns/{name}").readlink() for name in ("pid", "ipc", "net", "mnt", "uts")}
    pid = int(answers.inspected["State"]["Pid"])
    theirs = {name: Path(f"/proc/{pid}/ns/{name}").readlink() for name in ours}
    assert {name for name in ours if ours[name] == theirs[name]} == set()


def test_the_engine_says_that_it_is_as_its_profile_says(answers: Answers) -> None:
    assert answers.differences() == []


def test_a_plan_finds_nothing_to_put_right_and_nobody_unknown(answers: Answers) -> None:
    served = answers.served
    state = ProjectState(served.home / "projects" / served.record.project)
    running = ContainerResource(project=served.record.project, engine=served.engine.address, state=state)
    assert (list(running.observe()), running.unknown) == ([], {})


@pytest.mark.parametrize(
    ("field", "section", "key", "value"),
    [
        ("memory", "HostConfig", "Memory", 1 << 30),
        ("swap", "HostConfig", "MemorySwap", -1),
        ("cpus", "HostConfig", "NanoCpus", 2 * 10**9),
        ("pids", "HostConfig", "PidsLimit", 0),
        ("privileged", "HostConfig", "Privileged", True),
        ("read-only root", "HostConfig", "ReadonlyRootfs", False),
        ("capabilities", "HostConfig", "CapAdd", ["CAP_SYS_ADMIN"]),
        ("capabilities", "HostConfig", "CapDrop", []),
        ("new privileges", "HostConfig", "SecurityOpt", []),
        ("seccomp", "HostConfig", "SecurityOpt", ["no-new-privileges", "seccomp=unconfined"]),
        ("apparmor", "HostConfig", "SecurityOpt", ["no-new-privileges", "apparmor=unconfined"]),
        ("selinux", "HostConfig", "SecurityOpt", ["no-new-privileges", "label=disable"]),
        ("init", "HostConfig", "Init", False),
        ("network", "HostConfig", "NetworkMode", "host"),
        ("networks", "NetworkSettings", "Networks", {"other": {}}),
        ("pid namespace", "HostConfig", "PidMode", "host"),
        ("ipc namespace", "HostConfig", "IpcMode", "host"),
        ("uts namespace", "HostConfig", "UTSMode", "host"),
        ("user namespace", "HostConfig", "UsernsMode", "host"),
        ("cgroup namespace", "HostConfig", "CgroupnsMode", "host"),
        ("open files", "HostConfig", "Ulimits", [{"Name": "nofile", "Soft": 1, "Hard": 4096}]),
        ("processes", "HostConfig", "Ulimits", [{"Name": "RLIMIT_NPROC", "Soft": 1, "Hard": 1 << 20}]),
        ("tmpfs", "HostConfig", "Tmpfs", {"/tmp": "rw,exec"}),
        ("shared memory", "HostConfig", "ShmSize", 1 << 30),
        ("devices", "HostConfig", "Devices", [{"PathOnHost": "/dev/kvm"}]),
        ("ports", "HostConfig", "PortBindings", {"80/tcp": [{}]}),
        ("volumes of others", "HostConfig", "VolumesFrom", ["other"]),
        ("groups", "HostConfig", "GroupAdd", ["0"]),
        ("restart", "HostConfig", "RestartPolicy", {"Name": "always"}),
        ("log", "HostConfig", "LogConfig", {"Type": "json-file"}),
        ("survives without memory", "HostConfig", "OomKillDisable", True),
        ("user", "Config", "User", "0:0"),
        ("image", "Config", "Image", "another"),
        ("command", "Config", "Entrypoint", ["/bin/sh"]),
        ("stop signal", "Config", "StopSignal", "9"),
        ("stop grace", "Config", "StopTimeout", 600),
    ],
)
def test_every_field_that_is_another_is_named(answers: Answers, field: str, section: str, key: str, value: Any) -> None:
    named = answers.differences(**{section: {**answers.inspected[section], key: value}})
    assert field in named
    # one value may say several things: no memory limit is no swap limit
    assert len(named) <= 2 or key in {"SecurityOpt", "Ulimits"}


def test_a_mount_more_or_a_writable_one_is_named(answers: Answers) -> None:
    first, *others = answers.inspected["Mounts"]
    socket = {"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/s", "RW": True}
    for mounts in ([*answers.inspected["Mounts"], socket], [{**first, "RW": True}, *others], others):
        assert answers.differences(Mounts=mounts) == ["mounts"]


def test_it_says_whose_it_is(answers: Answers) -> None:
    assert set(answers.labels) == {"project", "server", "key", "session", "owner", "record", "store"}
    record = answers.served.record
    assert (answers.labels["project"], answers.labels["record"]) == (record.project, record.digest)


def test_long_messages_come_through_whole(answers: Answers) -> None:
    assert len(answers.run.call("large", size=2_000_000)) == 2_000_000


def test_what_is_listed_has_state_labels_and_the_image_that_it_is_made_of(answers: Answers) -> None:
    (container,) = answers.served.containers()
    assert container.state == "running"
    assert container.name.startswith(f"hatchlock-{answers.served.record.project}-echo-")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", container.image)


def test_doctor_says_which_it_is_and_that_all_limits_bind(served: Served) -> None:
    environ = {"DOCKER_HOST": served.engine.address, "PATH": os.environ["PATH"], "HOME": str(served.home)}
    checks = {item.name: item for item in diagnose(Home(root=served.home, is_default=False), environ, pythons=())}
    engine, limits = checks["container engine"], checks["engine: limits"]
    name = {"docker": "Docker", "podman": "Podman"}[served.kind]
    assert engine.found.startswith(f"DOCKER_HOST at {served.engine.address}: {name} ")
    assert (engine.state, limits.state, limits.found) == ("ok", "ok", "memory, swap, cpus, pids bind")
    assert "seccomp" in checks["engine: guards"].found


def test_after_a_kill_of_run_it_is_gone(served: Served) -> None:
    before = {item.name for item in served.containers()}
    with served.run() as run:
        run.hello()
        os.kill(run.process.pid, signal.SIGKILL)
        assert wait_for(lambda: {item.name for item in served.containers()} == before)


def test_when_it_is_stopped_by_hand_its_session_ends(served: Served) -> None:
    before = {item.name for item in served.containers()}
    with served.run() as run:
        run.hello()
        (container,) = (item for item in served.containers() if item.name not in before)
        served.engine.kill(container.id, "SIGTERM")
        assert run.wait() != 0
    assert {item.name for item in served.containers()} == before
