"""`status images` and `gc` in a real engine: names of ours that nobody uses go, and what is not ours is not touched."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from hatchlock.engines.process import host_platform
from hatchlock.process import owner
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

[registries."{registry}"]
plain-http = true
"""
APPLY = ("apply", "--yes", "--no-probe")


@pytest.fixture
def make(tmp_path: Path, engine: str, registry: str) -> Iterator[Any]:
    """Makes projects of one image; their images and containers are gone at the end."""
    names = []
    architecture = host_platform().removeprefix("linux/")

    def made(word: str) -> CatProject:
        name = f"{word}-{secrets.token_hex(4)}"
        names.append(name)
        for version in ("1", "2"):
            layers = [make_layer({"which": f"{version} {name}".encode()})]
            push(registry, name, version, layers=layers, architecture=architecture, Entrypoint=["/bin/server"])
        text = MANIFEST.format(name=name, platform=host_platform(), image=f"{registry}/{name}:1", registry=registry)
        return CatProject(tmp_path / name, text, name=name, DOCKER_HOST=engine)

    yield made
    for name in names:
        untag_all(engine, name)


@pytest.fixture
def project(make: Any) -> CatProject:
    """A project that was applied with its second image, and with its first one before."""
    made: CatProject = make("gc")
    made.ok("lock")
    made.ok(*APPLY)
    made.edit(f"/{made.name}:1", f"/{made.name}:2")
    made.ok("lock")
    made.ok(*APPLY)
    return made


def images(project: CatProject, *words: str) -> list[Any]:
    found: list[Any] = project.ok("status", "images", "--json", *words).document["images"]
    return found


def collected(project: CatProject, *words: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    document = project.ok("gc", "--keep", "1", "--json", *words).document
    gone = [(item["kind"], item["name"]) for item in document["deleted"]]
    return gone, [(item["name"], item["why"]) for item in document["kept"]]


def test_status_images_says_what_each_is_and_who_uses_it(project: CatProject, make: Any, engine: str) -> None:
    new, old = images(project)
    assert [(item["name"], item["generations"], item["active"]) for item in (new, old)] == [
        ("box", 1, True),
        ("box", 1, False),
    ]
    for number, item in (("2", new), ("1", old)):
        assert item["source"].endswith(f"/{project.name}:{number}")
        assert item["base"] == f"{item['source'].removeprefix('oci:')}@sha256:{item['key']}"
        assert item["tags"] == [f"hatchlock/{project.name}/box:{item['key']}"]
        assert item["size"] > 0
    lines = project.ok("status", "images").out.splitlines()
    assert lines[0] == f"project {project.name}, engine {engine}"
    assert lines[2].split() == ["IMAGE", "KEY", "SOURCE", "REVISION", "BASE", "SIZE", "GENERATIONS"]
    assert lines[3].split()[:2] == ["box", new["key"][:12]]
    assert lines[3].endswith("active")

    other = make("other")
    other.ok("lock")
    other.ok(*APPLY)
    assert len(images(project)) == 2
    assert "of other projects" not in project.ok("status", "images").out
    [tag] = image_tags(engine, other.name)
    assert f"hatchlock/{other.name}/box:{tag.rpartition(':')[2][:12]}" in project.ok("status", "images", "-v").out
    others = project.ok("status", "images", "-v", "--json").document["others"]
    assert tag in [item["tag"] for item in others]


def test_only_our_name_goes_and_the_image_with_its_last_one(
    project: CatProject, make: Any, engine: str, sdk: docker.DockerClient
) -> None:
    new, old = images(project)
    other = make("other")
    other.edit(f"/{other.name}:1", f"/{project.name}:1")  # the same image, of another project
    other.ok("lock")
    other.ok(*APPLY)
    theirs = f"somebody/{project.name}:1"
    sdk.images.get(old["tags"][0]).tag(*theirs.split(":"))
    expected = [("generation", "1"), ("image", old["tags"][0])]
    assert collected(project, "--dry-run") == (expected, [])
    assert collected(project, "--yes") == (expected, [])
    assert image_tags(engine, project.name) == new["tags"]
    assert sdk.images.get(theirs).id == sdk.images.get(image_tags(engine, other.name)[0]).id
    assert (project.steps(), other.steps()) == ([], [])
    assert collected(project, "--yes") == ([], [])
    sdk.images.remove(theirs)
    other.edit(f"/{project.name}:1", f"/{other.name}:2")
    other.ok("lock")
    other.ok(*APPLY)
    image = sdk.images.get(next(tag for tag in image_tags(engine, other.name) if old["key"] in tag)).id
    assert len(collected(other, "--yes")[0]) == 2
    with pytest.raises(docker.errors.ImageNotFound):
        sdk.images.get(image)


def test_what_was_made_of_an_image_here_is_told_from_it(project: CatProject, sdk: docker.DockerClient) -> None:
    _, old = images(project)
    repository, _, key = old["tags"][0].rpartition(":")
    sdk.images.get(old["tags"][0]).tag(repository, f"{key}-local")
    lines = project.ok("gc", "--keep", "1", "--yes").out.splitlines()
    names = [line.split()[2] for line in lines if line.startswith("  - image")]
    assert names == [f"{repository}:{key[:12]}", f"{repository}:{key[:12]}-local"]


def test_an_image_that_a_container_is_made_of_stays_and_says_why(project: CatProject, sdk: docker.DockerClient) -> None:
    _, old = images(project)
    container = sdk.containers.create(old["tags"][0], name=f"theirs-{secrets.token_hex(4)}")
    try:
        expected = ([("generation", "1")], [(old["tags"][0], f"the container {container.name} uses it")])
        assert collected(project, "--dry-run") == expected
        assert collected(project, "--yes") == expected
        assert "left alone: hatchlock/" in project.ok("gc", "--yes").err
    finally:
        container.remove(force=True)
    assert collected(project, "--yes") == ([("image", old["tags"][0])], [])


def test_what_a_killed_run_left_goes_with_its_image_and_what_runs_stays(
    project: CatProject, make: Any, sdk: docker.DockerClient
) -> None:
    _, old = images(project)
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone = owner(dead.pid)
    dead.communicate()
    other = make("other")
    made = []

    def container(of: CatProject, word: str, whose: str) -> str:
        labels = {"project": of.name, "server": "box", "owner": whose}
        name = f"hatchlock-{of.name}-box-{word}"
        made.append(name)
        sdk.containers.create(old["tags"][0], name=name, labels={f"dev.hatchlock.{k}": v for k, v in labels.items()})
        return name

    try:
        left = container(project, "left", gone)
        theirs = container(other, "left", gone)
        expected = [("container", left), ("generation", "1")]
        kept = [(old["tags"][0], f"the container {theirs} uses it")]
        assert collected(project, "--yes") == (expected, kept)
        with pytest.raises(docker.errors.NotFound):
            sdk.containers.get(left)
        sdk.containers.get(theirs).remove()
        running = container(project, "running", owner(os.getpid()))
        assert collected(project, "--yes") == ([], [(old["tags"][0], f"the container {running} uses it")])
        sdk.containers.get(running).remove()
        again = container(project, "again", gone)
        assert collected(project, "--yes") == ([("container", again), ("image", old["tags"][0])], [])
    finally:
        for name in made:
            for found in sdk.containers.list(all=True, filters={"name": name}):
                found.remove(force=True)


def test_without_an_engine_the_store_is_cleaned_and_the_images_are_spoken_of(project: CatProject) -> None:
    project.env["DOCKER_HOST"] = f"unix://{project.root}/nobody.sock"
    [(name, why)] = collected(project, "--yes")[1]
    assert (name, "no container engine answers" in why) == ("images", True)
    assert "no container engine answers" in project.fails("status", "images").err


def test_what_is_said_of_an_image_goes_when_nobody_uses_the_image(project: CatProject, engine: str) -> None:
    (active,) = [item["key"] for item in images(project) if item["active"]]
    keys = {tag.rpartition(":")[2] for tag in image_tags(engine, project.name)}
    directory = project.store / "images"
    directory.mkdir(mode=0o700)
    for key in keys:
        (directory / f"{key}.provenance.json").write_text("{}")
    project.ok("gc", "--keep", "1", "--yes")
    assert [path.name.partition(".")[0][:12] for path in directory.iterdir()] == [active[:12]]
