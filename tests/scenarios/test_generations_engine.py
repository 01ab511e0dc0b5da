"""`rollback`, `destroy` and what `gc` frees, in a real engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from hatchlock.engines.volumes import list_volumes
from support.cats import CatProject
from support.engine_images import image_tags, untag_all
from support.layers import make_layer
from support.registry import push

pytestmark = pytest.mark.engine

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.box]
source = "oci:{image}"
runtime = "container"

[servers.box.sandbox]
writable = ["/data"]
reason = "keeps notes"

[registries."{registry}"]
plain-http = true
"""
APPLY = ("apply", "--yes", "--no-probe")


@pytest.fixture
def project(tmp_path: Path, engine: str, registry: str, sdk: docker.DockerClient) -> Iterator[CatProject]:
    """Yield a project that was applied with its second image, and with its first one before: both stand on the same layer."""
    name = f"back-{secrets.token_hex(4)}"
    architecture = host_platform().removeprefix("linux/")
    shared = make_layer({"shared": secrets.token_bytes(3_000_000)})
    for version in ("1", "2"):
        own = make_layer({f"own{version}": secrets.token_bytes(1_000_000 * int(version))})
        push(registry, name, version, layers=[shared, own], architecture=architecture, Entrypoint=["/bin/server"])
    text = MANIFEST.format(name=name, platform=host_platform(), image=f"{registry}/{name}:1", registry=registry)
    made = CatProject(tmp_path / name, text, name=name, DOCKER_HOST=engine)
    made.ok("lock")
    made.ok(*APPLY)
    made.edit(f"/{name}:1", f"/{name}:2")
    made.ok("lock")
    made.ok(*APPLY)
    yield made
    untag_all(engine, name)
    for volume in sdk.volumes.list(filters={"label": f"dev.hatchlock.project={name}"}):
        volume.remove(force=True)


def deleted(project: CatProject, *words: str) -> list[Any]:
    items: list[Any] = project.ok("gc", "--keep", "1", "--json", *words).document["deleted"]
    return items


def volumes(project: CatProject, engine: str) -> list[str]:
    return [item.name for item in list_volumes(Engine(engine), {"dev.hatchlock.project": project.name})]


def write_note(sdk: docker.DockerClient, image: str, volume: str) -> None:
    """Write what the server would: its image has no program that could."""
    container = sdk.containers.create(image, volumes={volume: {"bind": "/data"}})
    container.put_archive("/data", make_layer({"note": b"remember"}))
    container.remove()


def test_gc_says_what_an_image_frees_and_frees_that(project: CatProject, engine: str) -> None:
    def stored() -> int:
        return int(Engine(engine).ask("GET", "/system/df")["LayersSize"])

    (said,) = [item["bytes"] for item in deleted(project, "--dry-run") if item["kind"] == "image"]
    before = stored()
    (done,) = [item["bytes"] for item in deleted(project, "--yes") if item["kind"] == "image"]
    assert said == done == before - stored()
    assert 1_000_000 <= said < 1_100_000, "the layer that both stand on is not free"


def test_rollback_and_destroy_of_what_is_in_an_engine(
    project: CatProject, engine: str, sdk: docker.DockerClient
) -> None:
    first, second = (
        project.ok("history", number, "--json").document["generations"][0]["servers"] for number in ("1", "2")
    )
    assert first == second == ["box"]
    new = project.active()["box"]
    kept = volumes(project, engine)
    assert len(kept) == 1
    done = project.ok("rollback", "--yes")
    assert "what servers have written into their volumes since stays as it is" in done.err
    assert project.active()["box"] != new
    assert volumes(project, engine) == kept
    assert len(image_tags(engine, project.name)) == 2

    untag_all(engine, project.name)
    (step,) = [item for item in project.plan()["steps"] if item["address"] == "image:box"]
    assert step["action"] == "create"
    project.ok("rollback", "1", "--yes")  # by the generation's own lock
    assert len(image_tags(engine, project.name)) == 1
    project.ok(*APPLY)
    assert (project.active()["box"], len(image_tags(engine, project.name))) == (new, 2)

    write_note(sdk, image_tags(engine, project.name)[0], kept[0])
    assert "this would be lost: 8 bytes that box keeps in /data" in project.fails("destroy", "--yes", status=3).err
    done = project.ok("destroy", "--yes", "--allow-destructive")
    assert done.out.startswith(f"Destroyed: nothing of the project {project.name} is left ")
    assert (image_tags(engine, project.name), volumes(project, engine), project.active()) == ([], [], {})
    assert project.ok("destroy", "--yes").out.startswith("Nothing to do: ")
