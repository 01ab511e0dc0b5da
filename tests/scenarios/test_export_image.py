"""`export --to` of a server that is an image in a layout: no network, no engine, several platforms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.images.layout import write_layout
from hatchlock.images.packed import pack
from support.cats import CatProject
from support.made_images import made_image

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[servers.app]
source = "oci:./images/app:1"

[servers.cat]
command = ["/bin/cat"]
runtime = "process"
"""
BOTH = ("--platform", "linux/arm64", "--platform", "linux/amd64")


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    made = CatProject(tmp_path, MANIFEST, DOCKER_HOST="unix:///nowhere/docker.sock")
    images = [made_image(tmp_path / "made", architecture=name) for name in ("amd64", "arm64")]
    (made.directory / "images").mkdir()
    write_layout(pack(images), made.directory / "images" / "app", name="1")
    made.ok("lock", "--offline")
    return made


def document(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes())


def test_several_platforms_are_one_index_with_what_the_lock_says(project: CatProject) -> None:
    made = project.ok("export", "app", "--to", "oci:out:v1", *BOTH, "--offline", "--json").document
    layout = project.directory / "out"
    (listed,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert listed["annotations"] == {"org.opencontainers.image.ref.name": "v1"}
    assert listed["digest"] == made["digest"] == made["reference"]
    assert (made["platforms"], made["sent"]) == (["linux/amd64", "linux/arm64"], {})
    parts = document(layout, made["digest"])["manifests"]
    assert [part["platform"]["architecture"] for part in parts] == ["amd64", "arm64"]
    lock = project.lock.read_text()
    for part in parts:
        manifest = document(layout, part["digest"])
        assert all(layer["digest"] in lock for layer in manifest["layers"])
        annotations = manifest["annotations"]
        assert annotations["org.opencontainers.image.title"] == "app"
        assert len(annotations["dev.hatchlock.key"]) == 64


def test_what_has_no_image_and_what_holds_one_platform_is_said(project: CatProject) -> None:
    assert "'cat' runs as a process" in project.fails("export", "cat", "--to", "oci:out").err
    assert "holds one platform" in project.fails("export", "app", "--to", "docker-archive:a.tar", *BOTH, status=64).err
    assert "does not go with --to" in project.fails("export", "--to", "oci:out", "--output", "x", status=64).err
    assert "is no OCI layout" in project.fails("export", "app", "--to", "oci:images", "--platform", "linux/amd64").err
    assert not (project.directory / "out").exists()
    assert not (project.directory / "a.tar").exists()
