"""Images and their containers, through the command line: the same image from anywhere, and the sandbox that it runs in."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from support.engine_images import image_tags, untag_all
from support.index import Index, serving
from support.project import TrialProject, server_release
from support.runs import BARE, Run, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("held_base")]

GRACE = 0.5
MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.tiny]
source = "pypi:tiny-server"
base = "oci:{base}"
runtime = "container"
sandbox.stop-grace = {grace}

[indexes.pypi]
url = "{index}"

[registries."{registry}"]
plain-http = true
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(server_release(tmp_path_factory.mktemp("wheels"))) as served:
        yield served


@pytest.fixture
def make_project(engine: str, registry: str, base_image: str, index: Index) -> Iterator[Any]:
    """Makes projects with one container server; their images are gone at the end."""
    names = []

    def make(root: Path, **variables: str) -> TrialProject:
        name = f"images-{secrets.token_hex(4)}"
        names.append(name)
        manifest = MANIFEST.format(
            name=name, platform=host_platform(), base=base_image, registry=registry, index=index.url, grace=GRACE
        )
        return TrialProject(root, manifest, name=name, DOCKER_HOST=engine, **variables)

    yield make
    for name in names:
        untag_all(engine, name)


def test_two_assemblies_in_two_stores_umasks_time_zones_and_directories_give_the_same_image(
    make_project: Any, tmp_path: Path, engine: str, sdk: docker.DockerClient
) -> None:
    found = []
    for directory, umask, zone in (("one", 0o022, "UTC"), ("deep/er/two", 0o077, "Asia/Kathmandu")):
        project = make_project(tmp_path / directory, TZ=zone, SOURCE_DATE_EPOCH="1")
        project.ok("lock", umask=umask)
        project.ok("apply", "--yes", "--no-probe", umask=umask)
        pinned, _ = image_tags(engine, project.name)
        image = sdk.images.get(pinned)
        found.append((pinned.rpartition(":")[2], image.id, tuple(image.attrs["RootFS"]["Layers"])))
        untag_all(engine, project.name)  # or the engine would recognise the second one's layers
    assert found[0] == found[1]
    key, _, layers = found[0]
    assert len(key) == 64
    assert len(layers) == 2


def test_the_running_container_shows_its_whole_sandbox(make_project: Any, tmp_path: Path, engine: str) -> None:
    project = make_project(tmp_path)
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    with Run(command=project.launch_command("tiny"), env=BARE) as run:
        assert run.hello()["serverInfo"]["name"] == "echo"
        [name] = _containers(engine, project)
        facts = Engine(engine).inspect(name)
        run.end()
    host = facts["HostConfig"]
    shown = {
        "user": facts["Config"]["User"],
        "root read-only": host["ReadonlyRootfs"],
        "dropped": host["CapDrop"],
        "added": host["CapAdd"] or [],
        "privileges": any(item.startswith("no-new-privileges") for item in host["SecurityOpt"]),
        "network": host["NetworkMode"],
        "memory": host["Memory"],
        "swap": host["MemorySwap"] - host["Memory"],
        "cpus": host["NanoCpus"] / 1e9,
        "pids": host["PidsLimit"],
        "files": [(item["Soft"], item["Hard"]) for item in host["Ulimits"] if item["Name"] == "nofile"],
        "init": host["Init"],
        "privileged": host["Privileged"],
        "mounts of the host": host["Binds"] or [],
        "ports": host["PortBindings"] or {},
    }
    assert shown == {
        "user": "10001:10001",
        "root read-only": True,
        "dropped": ["ALL"],
        "added": [],
        "privileges": True,
        "network": "none",
        "memory": 512 << 20,
        "swap": 0,
        "cpus": 1.0,
        "pids": 128,
        "files": [(1024, 1024)],
        "init": True,
        "privileged": False,
        "mounts of the host": [],
        "ports": {},
    }
    assert _containers(engine, project) == []


def test_after_kill_9_of_run_the_container_is_gone_without_time_to_end_by_itself(
    make_project: Any, tmp_path: Path, engine: str, sdk: docker.DockerClient
) -> None:
    project = make_project(tmp_path)
    project.edit('source = "pypi:tiny-server"', 'source = "pypi:tiny-server"\nargs = ["--deaf"]')
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    with Run(command=project.launch_command("tiny"), env=BARE) as run:
        run.hello()
        [name] = _containers(engine, project)
        since = int(time.time())
        run.process.kill()
        assert wait_for(lambda: _containers(engine, project) == [])
    signals = []
    with contextlib.closing(sdk.events(since=since, filters={"container": name}, decode=True)) as events:
        for event in events:
            if event["Action"] == "destroy":
                break
            signals += [event["Actor"]["Attributes"]["signal"]] if event["Action"] == "kill" else []
    # how long the engine takes is its own affair; one that gives a server time begins with another signal
    assert signals == ["9"]


def _containers(engine: str, project: TrialProject) -> list[str]:
    return [item.name for item in Engine(engine).list({"dev.hatchlock.project": project.name})]
