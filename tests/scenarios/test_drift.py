"""Containers that were changed by hand while they run: what a plan says, and what apply does about it. Two real engines."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from support.engine_project import EngineProject

pytestmark = pytest.mark.engine

MEMORY = {"Memory": 1 << 30, "MemorySwap": 1 << 30}


@pytest.fixture
def docker_project(engine_project: EngineProject) -> EngineProject:
    if engine_project.kind != "docker":
        pytest.skip("asked of Docker alone: Podman 4.3 changes no limits through this API, and takes its time")
    return engine_project


@pytest.fixture
def network(engine_project: EngineProject) -> Iterator[str]:
    name = f"hatchlock-tests-{secrets.token_hex(4)}"
    engine_project.engine.ask("POST", "/networks/create", {"Name": name})
    yield name
    engine_project.engine.ask("DELETE", f"/networks/{name}")


def steps(found: EngineProject) -> Any:
    return found.project.plan()["steps"]


def test_sessions_are_nothing_to_a_plan(engine_project: EngineProject) -> None:
    before = engine_project.project.ok("plan").out.partition(" (")[0]
    with engine_project.run() as one, engine_project.run() as other:
        one.hello()
        other.hello()
        plan = engine_project.project.plan()
        assert (plan["steps"], plan["notes"]) == ([], [])
        assert engine_project.project.ok("plan").out.partition(" (")[0] == before
        one.end()
        other.end()


def test_more_memory_and_processors_given_by_hand_are_taken_back(docker_project: EngineProject) -> None:
    found = docker_project
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        found.engine.ask(
            "POST", f"/containers/{container.id}/update", {**MEMORY, "NanoCpus": 2 * 10**9, "PidsLimit": 999}
        )
        (step,) = steps(found)
        assert (step["action"], step["address"]) == ("update", f"container:{container.name}")
        assert step["cause"] == "memory, cpus, pids changed by hand"
        assert step["details"] == {"memory": "1g -> 512m", "cpus": "2 -> 1", "pids": "999 -> 128"}
        assert step["privilege"] == "engine"
        status = found.project.ok("status", "--json").document
        (server,) = status["servers"]
        assert server["sync"] == "out-of-sync"
        found.project.ok("apply", "--yes")
        assert steps(found) == []
        host = found.inspect()["HostConfig"]
        limits = (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"])
        assert limits == (512 << 20, 512 << 20, 10**9, 128)
        assert run.call("echo", text="still here") == "still here"
        run.end()


def test_a_container_that_would_come_back_by_itself_is_put_right(docker_project: EngineProject) -> None:
    found = docker_project
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        found.engine.ask("POST", f"/containers/{container.id}/update", {"RestartPolicy": {"Name": "always"}})
        assert [step["details"] for step in steps(found)] == [{"restart": "always -> no"}]
        found.project.ok("apply", "--yes")
        assert found.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "no"
        run.end()


def test_a_network_that_was_joined_by_hand_is_left(docker_project: EngineProject, network: str) -> None:
    found = docker_project
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        # Docker lets nobody join two networks one of which is none
        found.engine.ask("POST", "/networks/none/disconnect", {"Container": container.id, "Force": True})
        found.engine.ask("POST", f"/networks/{network}/connect", {"Container": container.id})
        assert [step["details"] for step in steps(found)] == [{"networks": f"{network} -> none"}]
        found.project.ok("apply", "--yes")
        assert steps(found) == []
        assert set(found.inspect()["NetworkSettings"]["Networks"]) <= {"none"}
        assert "eth0" not in run.attempt("facts")
        run.end()


def test_what_a_session_had_is_not_missed_when_it_has_ended(docker_project: EngineProject) -> None:
    found = docker_project
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        found.engine.ask("POST", f"/containers/{container.id}/update", MEMORY)
        found.project.ok("plan", "--out", "plan.json")
        run.end()
    assert found.containers() == []
    done = found.project.fails("apply", "plan.json")
    assert "the plan is stale" in done.err
    found.project.ok("apply", "--yes")


@contextlib.contextmanager
def made_by_hand(found: EngineProject, labels: dict[str, str], **changes: Any) -> Iterator[str]:
    """Start a container as a person would who copies ours, with some labels and other settings."""
    (original,) = (found.engine.inspect(item.id) for item in found.containers() if item.name.startswith("hatchlock-"))
    name = f"by-hand-{secrets.token_hex(4)}"
    config = original["Config"]
    record = {
        "Image": config["Image"],
        "Entrypoint": ["/usr/bin/sleep", "60"],
        "User": config["User"],
        "Labels": {f"dev.hatchlock.{key}": value for key, value in labels.items()},
        "HostConfig": {
            "Mounts": [
                {"Type": "bind", "Source": item["Source"], "Target": item["Destination"], "ReadOnly": True}
                for item in original["Mounts"]
            ],
            "NetworkMode": "none",
            # Podman may not have more of them than it was started with, and asks for more
            "Ulimits": [{"Name": name, "Soft": 512, "Hard": 512} for name in ("nofile", "nproc")],
            **changes,
        },
    }
    container = found.engine.create(name, record)
    try:
        found.engine.start(container)
        yield name
    finally:
        found.engine.remove(container)


def test_a_container_with_our_labels_alone_is_told_and_left_alone(docker_project: EngineProject) -> None:
    found = docker_project
    with found.run() as run:
        run.hello()
        labels = {"project": found.project.name, "server": "echo"}
        with made_by_hand(found, labels, Privileged=True) as name:
            plan = found.project.plan()
            assert plan["steps"] == []
            (note,) = plan["notes"]
            assert note["address"] == f"container:{name}"
            assert "none of its sessions" in note["what"]
            assert f"container:{name}" in found.project.ok("status").out
            found.project.ok("apply", "--yes")
            assert name in {item.name for item in found.containers()}
        run.end()


def test_one_that_says_it_is_a_session_is_held_to_its_profile(engine_project: EngineProject) -> None:
    found = engine_project
    with found.run() as run:
        run.hello()
        (original,) = found.containers()
        labels = {key.removeprefix("dev.hatchlock."): value for key, value in original.labels.items()}
        with made_by_hand(found, labels, Privileged=True, PidMode="host") as name:
            (step,) = steps(found)
            assert (step["action"], step["address"]) == ("delete", f"container:{name}")
            assert "its application starts it anew" in step["cause"]
            details = step["details"]
            assert details["privileged"] == "yes, should be no"
            assert details["pid namespace"] == "host, should be private"
            assert details["read-only root"] == "no, should be yes"
            assert details["memory"] == "unlimited, should be 512m"
            assert "capabilities" in details
            found.project.ok("apply", "--yes")
            assert [item.name for item in found.containers()] == [original.name]
        assert steps(found) == []
        assert run.call("echo", text="still here") == "still here"
        run.end()


def test_a_launch_record_that_nobody_has_is_told(docker_project: EngineProject) -> None:
    found = docker_project
    with found.run() as run:
        run.hello()
        (original,) = found.containers()
        labels = {key.removeprefix("dev.hatchlock."): value for key, value in original.labels.items()}
        with (
            made_by_hand(found, {**labels, "record": "0" * 64}) as gone,
            made_by_hand(found, {**labels, "record": "../../../../../etc/passwd"}) as hostile,
        ):
            plan = found.project.plan()
            assert plan["steps"] == []
            assert {note["address"] for note in plan["notes"]} == {f"container:{name}" for name in (gone, hostile)}
        run.end()
