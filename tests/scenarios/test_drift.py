"""Containers that were changed by hand while they run: what a plan says, and what apply does about it, on a real engine."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from support.engine_project import EngineProject

pytestmark = pytest.mark.engine


def labels_of(found: EngineProject) -> dict[str, str]:
    """Return the labels of the session's container, without their prefix."""
    (container,) = found.containers()
    return {key.removeprefix("dev.hatchlock."): value for key, value in container.labels.items()}


@contextlib.contextmanager
def made_by_hand(found: EngineProject, labels: dict[str, str], **changes: Any) -> Iterator[str]:
    """Start a container as a person would who copies ours, with some labels and other settings."""
    (original,) = (found.engine.inspect(item.id) for item in found.containers() if item.name.startswith("hatchlock-"))
    name = f"by-hand-{secrets.token_hex(4)}"
    description = {
        "Image": original["Config"]["Image"],
        "Entrypoint": ["/usr/bin/sleep", "60"],
        "User": original["Config"]["User"],
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
    container = found.engine.create(name, description)
    try:
        found.engine.start(container)
        yield name
    finally:
        found.engine.remove(container)


def test_sessions_are_nothing_to_a_plan(docker_project: EngineProject) -> None:
    found = docker_project
    before = found.plan()
    assert (before["steps"], before["notes"]) == ([], [])
    with found.run() as one, found.run() as other:
        one.hello()
        other.hello()
        assert found.plan() == before
        one.end()
        other.end()


def test_limits_and_networks_that_were_changed_by_hand_are_put_right(docker_project: EngineProject) -> None:
    found = docker_project
    network = f"hatchlock-tests-{secrets.token_hex(4)}"
    found.engine.ask("POST", "/networks/create", {"Name": network})
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        path = f"/containers/{container.id}/update"
        found.engine.ask("POST", path, {"Memory": 1 << 30, "MemorySwap": 2 << 30, "NanoCpus": 2 * 10**9})
        found.engine.ask("POST", path, {"PidsLimit": 999, "RestartPolicy": {"Name": "always"}})
        # Docker lets nobody join two networks one of which is none
        found.engine.ask("POST", "/networks/none/disconnect", {"Container": container.id, "Force": True})
        found.engine.ask("POST", f"/networks/{network}/connect", {"Container": container.id})
        (step,) = found.plan()["steps"]
        assert (step["action"], step["address"]) == ("update", f"container:{container.name}")
        assert step["cause"] == "memory, swap, cpus, pids, restart, networks changed by hand"
        assert step["details"] == {
            "memory": "1g -> 512m",
            "swap": "1g -> 0",
            "cpus": "2 -> 1",
            "pids": "999 -> 128",
            "restart": "always -> no",
            "networks": f"{network} -> none",
        }
        assert step["privilege"] == "engine"
        (server,) = json.loads(found.say("status", "--json"))["servers"]
        assert server["sync"] == "drifted"
        assert "changed by hand" in server["detail"]

        found.project.ok("apply", "--yes", "--no-probe")
        assert found.plan()["steps"] == []
        facts = found.inspect()
        host = facts["HostConfig"]
        limits = (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"])
        assert limits == (512 << 20, 512 << 20, 10**9, 128)
        assert host["RestartPolicy"]["Name"] == "no"
        assert set(facts["NetworkSettings"]["Networks"]) <= {"none"}
        assert json.loads(run.attempt("facts"))["interfaces"] == ["lo"]
        run.end()
    found.engine.ask("DELETE", f"/networks/{network}")


def test_what_a_session_had_is_not_missed_when_it_has_ended(docker_project: EngineProject) -> None:
    found = docker_project
    saved = found.project.root / "plan.json"
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        found.engine.ask("POST", f"/containers/{container.id}/update", {"PidsLimit": 999})
        found.say("plan", "--out", str(saved))
        run.end()
    assert found.containers() == []
    assert "the plan is stale" in found.project.fails("apply", str(saved)).err
    found.project.ok("apply", "--yes", "--no-probe")
    assert found.plan()["steps"] == []


def test_containers_with_our_labels_that_nobody_knows_are_told_and_left_alone(docker_project: EngineProject) -> None:
    found = docker_project
    with found.run() as run:
        run.hello()
        labels = labels_of(found)
        few = {"project": found.project.name, "server": "echo"}
        with (
            made_by_hand(found, few, Privileged=True) as stranger,
            made_by_hand(found, {**labels, "record": "0" * 64}) as forgotten,
            made_by_hand(found, {**labels, "record": "../../../../../etc/passwd"}) as hostile,
        ):
            plan = found.plan()
            assert plan["steps"] == []
            told = {note["address"]: note["what"] for note in plan["notes"]}
            assert set(told) == {f"container:{name}" for name in (stranger, forgotten, hostile)}
            assert "none of its sessions" in told[f"container:{stranger}"]
            assert "launch record" in told[f"container:{forgotten}"] == told[f"container:{hostile}"]
            assert f"! container:{stranger}  has this project's labels" in found.say("status")
            found.project.ok("apply", "--yes", "--no-probe")
            assert {stranger, forgotten, hostile} < {item.name for item in found.containers()}
        run.end()


def test_one_that_says_it_is_a_session_is_held_to_its_profile(docker_project: EngineProject) -> None:
    is_held_to_its_profile(docker_project)


@pytest.mark.full
def test_on_podman_as_well(podman_project: EngineProject) -> None:
    is_held_to_its_profile(podman_project)


def is_held_to_its_profile(found: EngineProject) -> None:
    with found.run() as run:
        run.hello()
        (original,) = found.containers()
        with made_by_hand(found, labels_of(found), Privileged=True, PidMode="host") as name:
            (step,) = found.plan()["steps"]
            assert (step["action"], step["address"]) == ("delete", f"container:{name}")
            assert "its application starts it anew" in step["cause"]
            details = step["details"]
            assert details["privileged"] == "yes, should be no"
            assert details["pid namespace"] == "host, should be private"
            assert details["read-only root"] == "no, should be yes"
            assert details["memory"] == "unlimited, should be 512m"
            assert "capabilities" in details
            found.project.ok("apply", "--yes", "--no-probe")
            assert [item.name for item in found.containers()] == [original.name]
        assert found.plan()["steps"] == []
        assert run.call("echo", text="still here") == "still here"
        run.end()
