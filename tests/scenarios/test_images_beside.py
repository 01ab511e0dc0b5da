"""Images that an environment depends on: in a bundle, loaded into a real engine as they are, and nothing to do afterwards."""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from hatchlock.resolve.wanted import container_platforms
from support.engine_images import image_tags, untag_all
from support.project import TrialProject
from support.registry import push_index, serving_registry

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[environments.tools]
dependencies = ["oci:{images}/left/store>=7,<8", "oci:{images}/right/store:1"]
"""
LAYER = gzip.compress(bytes(10_240), mtime=0)


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    architecture = container_platforms([host_platform()])[0].partition("/")[2]
    (tmp_path / "registry").mkdir()
    with serving_registry(tmp_path / "registry") as address:
        push_index(address, "left/store", ["7.2.0", "7.4.1", "8.0.0"], [architecture], layers=[LAYER])
        push_index(address, "right/store", ["1"], [architecture], layers=[LAYER, LAYER])
        yield address


@pytest.fixture
def project(tmp_path: Path, images: str) -> TrialProject:
    name = f"beside-{secrets.token_hex(4)}"
    manifest = MANIFEST.format(name=name, platform=host_platform(), images=images)
    made = TrialProject(tmp_path, manifest, name=name)
    made.ok("lock")
    return made


def test_a_bundle_has_them_for_a_machine_without_the_registry(
    project: TrialProject, tmp_path: Path, images: str
) -> None:
    project.ok("fetch", "--to", "tools.bundle")
    (tmp_path / "registry" / "data").rename(tmp_path / "registry" / "away")
    project.env["HATCHLOCK_HOME"] = str(tmp_path / "another store")
    assert images in project.fails("fetch").err, "the registry has nothing any more"
    project.ok("fetch", "--offline", "--from", "tools.bundle")
    project.ok("cache", "gc")
    project.ok("fetch", "--offline")


@pytest.mark.engine
def test_they_are_loaded_as_they_are_from_a_bundle_alone(project: TrialProject, tmp_path: Path, engine: str) -> None:
    project.env["DOCKER_HOST"] = engine
    lock = read_lock(project.lock)
    project.ok("fetch", "--to", "tools.bundle")
    (tmp_path / "registry" / "data").rename(tmp_path / "registry" / "away")
    project.store = tmp_path / "another store"
    project.env["HATCHLOCK_HOME"] = str(project.store)
    try:
        steps = [step.partition(".")[2] for step in project.steps() if step.startswith("create image:tools.")]
        assert sorted(step.rpartition("-")[0] for step in steps) == ["store", "store"], "both have the same last word"
        project.ok("apply", "--yes", "--offline", "--from", "tools.bundle")
        assert project.steps() == []
        platform = container_platforms([host_platform()])[0]
        digests = {image.platforms[platform].digest.removeprefix("sha256:") for image in lock.images}
        assert len(image_tags(engine, project.name)) == len(digests) == 2
    finally:
        untag_all(engine, project.name)
