"""Images out of hatchlock, and bases into it, with the tools that others use: skopeo, Podman, Docker, a real registry."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from hatchlock.engines.process import host_platform
from hatchlock.images.layout import write_layout
from hatchlock.images.packed import pack
from hatchlock.lock.store import read_lock
from hatchlock.resolve.wanted import container_platforms
from support.cats import CatProject
from support.engine_images import said_in
from support.index import Index, serving
from support.layers import make_layer
from support.made_images import made_image
from support.project import server_release, snapshot
from support.registry import push
from support.unavailable import unavailable

pytestmark = pytest.mark.engine

PLATFORM = container_platforms([host_platform()])[0]
MANIFEST = """\
[project]
name = "elsewhere"
platforms = ["{platform}"]

[servers.tiny]
source = "pypi:tiny-server<2"
base = "oci:{base}"
runtime = "container"

[indexes.pypi]
url = "{index}"
"""
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(server_release(tmp_path_factory.mktemp("wheels"))) as served:
        yield served


def trial(root: Path, index: Index, base: str, **variables: str) -> CatProject:
    manifest = MANIFEST.format(platform=host_platform(), index=index.url, base=base)
    return CatProject(root, manifest, name="elsewhere", **variables)


@pytest.fixture(scope="module")
def small_base(registry: str) -> str:
    """Return the reference of an image that has what a lock wants to know of a base, and nothing that runs."""
    files: dict[str, bytes | str | None] = {
        "usr/bin/python3.11": b"\x003.11.9\x00",
        "usr/bin/python3": "python3.11",
        "bin": "usr/bin",
    }
    layers = [make_layer(files), make_layer({"etc/motd": b"two layers\n"})]
    push(registry, "base/small", "3.11", layers=layers, architecture=PLATFORM.removeprefix("linux/"))
    return f"{registry}/base/small:3.11"


@pytest.fixture(scope="module")
def exporting(tmp_path_factory: pytest.TempPathFactory, index: Index, small_base: str) -> CatProject:
    """A locked project whose image nobody can run; no engine is there for it."""
    return locked(tmp_path_factory.mktemp("export"), index, small_base)


def locked(root: Path, index: Index, base: str) -> CatProject:
    project = trial(root, index, base, DOCKER_HOST="unix:///nowhere/docker.sock")
    project.ok("lock")
    return project


def skopeo(*words: str) -> str:
    if shutil.which("skopeo") is None:
        unavailable("there is no skopeo on this machine (`apt-get install skopeo`)")
    done = subprocess.run(
        ["skopeo", "--insecure-policy", *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported(project: CatProject, target: str) -> Any:
    return project.ok("export", "tiny", "--to", target, "--json").document


def greets(client: docker.DockerClient, image: str) -> None:
    """Make sure that the server of an image answers, without network and with a root that cannot be written."""
    command = ["sh", "-c", f"echo '{json.dumps(HELLO)}' | tiny-server"]
    said = said_in(client, image, command, network_mode="none", read_only=True)
    assert json.loads(said)["result"]["serverInfo"]["name"] == "echo"


def test_a_layout_is_read_by_skopeo_and_its_image_comes_to_docker_as_it_is(
    exporting: CatProject, tmp_path: Path, engine: str, sdk: docker.DockerClient
) -> None:
    made = exported(exporting, f"oci:{tmp_path}/layout")
    said = json.loads(skopeo("inspect", f"oci:{tmp_path}/layout:tiny"))
    assert said["Digest"] == made["digest"]
    assert len(said["Labels"]["dev.hatchlock.key"]) == 64
    manifest = json.loads(skopeo("inspect", "--raw", f"oci:{tmp_path}/layout"))
    annotations = {name.rpartition("image.")[2]: value for name, value in manifest["annotations"].items()}
    assert (annotations["title"], annotations["version"]) == ("tiny-server", "1.0")
    (base,) = read_lock(exporting.lock).images
    assert annotations["base.name"] == base.reference
    assert annotations["base.digest"] == base.platforms[PLATFORM].digest
    tag = f"elsewhere-{secrets.token_hex(4)}:1"
    skopeo("copy", "--dest-daemon-host", engine, f"oci:{tmp_path}/layout:tiny", f"docker-daemon:{tag}")
    try:
        assert sdk.images.get(tag).id == manifest["config"]["digest"]
    finally:
        sdk.images.remove(tag)


def test_an_export_is_the_same_from_another_store_at_another_place(
    exporting: CatProject, tmp_path: Path, index: Index, small_base: str
) -> None:
    made = exported(exporting, f"oci:{tmp_path}/one")
    other = trial(tmp_path / "other", index, small_base, TZ="Asia/Tokyo", LC_ALL="C")
    shutil.copy(exporting.lock, other.lock)
    done = other.real("export", "tiny", "--to", "oci:two", "--json", umask=0o077)
    assert done.document["digest"] == made["digest"]
    assert snapshot(other.directory / "two") == snapshot(tmp_path / "one")
    exported(exporting, f"oci-archive:{tmp_path}/one.tar")
    exported(other, f"oci-archive:{tmp_path}/two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_archives_are_loaded_by_docker_and_podman(
    exporting: CatProject, tmp_path: Path, sdk: docker.DockerClient, podman: str
) -> None:
    digits = exported(exporting, f"docker-archive:{tmp_path}/tiny.tar")["digest"].removeprefix("sha256:")[:12]
    names = {
        "boxed": f"boxed:{digits}",
        "registry.example.com:5000/team/boxed:2": "registry.example.com:5000/team/boxed:2",
    }
    for name, tag in names.items():
        made = exported(exporting, f"docker-archive:{tmp_path}/tiny.tar:{name}")
        with (tmp_path / "tiny.tar").open("rb") as archive:
            (image,) = sdk.images.load(archive)
        try:
            assert (image.id, image.tags) == (made["digest"], [tag])
        finally:
            sdk.images.remove(image.tags[0])
    exported(exporting, f"oci-archive:{tmp_path}/tiny.oci.tar:boxed-too")
    words = ["podman", "--remote", "--url", podman]
    done = subprocess.run(
        [*words, "load", "--input", str(tmp_path / "tiny.oci.tar")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "localhost/boxed-too:latest" in done.stdout) == (0, True), done.stderr
    subprocess.run([*words, "rmi", "localhost/boxed-too:latest"], capture_output=True, check=True)


def test_a_pushed_image_is_pulled_by_its_digest_and_answers_and_a_second_push_sends_nothing(
    tmp_path: Path, index: Index, base_image: str, registry: str, sdk: docker.DockerClient
) -> None:
    exporting = locked(tmp_path, index, base_image)
    target = f"docker://{registry}/team/tiny:1.0"
    made = exported(exporting, target)
    assert made["reference"] == f"{registry}/team/tiny@{made['digest']}"
    assert made["sent"]["blobs"] >= 3
    assert json.loads(skopeo("inspect", "--tls-verify=false", target))["Digest"] == made["digest"]
    sdk.images.pull(made["reference"])
    try:
        greets(sdk, made["reference"])
    finally:
        sdk.images.remove(made["reference"])
    assert exported(exporting, target)["sent"] == {"blobs": 0, "bytes": 0, "documents": 0}
    assert exporting.ok("export", "tiny", "--to", target).out == f"{made['reference']}\n"


def test_what_cannot_be_exported_is_said(exporting: CatProject, tmp_path: Path) -> None:
    wrong = {
        "tar:x": "an image cannot be written there",
        "docker:team/tiny": "no repository",
        "docker://team/tiny@sha256:00": "no repository",
        f"oci:{tmp_path}/none/layout": "no such directory",
        f"docker-archive:{tmp_path}": "that is a directory",
        "docker-archive:a.tar:Boxed": "docker-archive:FILE[:NAME[:TAG]]",
        f"docker-archive:a.tar:boxed@sha256:{64 * '0'}": "no path and name",
        "oci:layout:team/boxed": "no path and name",
    }
    for target, why in wrong.items():
        assert why in exporting.fails("export", "tiny", "--to", target, status=64).err
    assert "one of --format and --to" in exporting.fails("export", "tiny", status=64).err
    assert "--environment" in exporting.fails("export", "tiny", "--format", "constraints", status=64).err
    assert "'tinny'" in exporting.run("export", "tinny", "--to", f"oci:{tmp_path}/x").err
    words = ("--platform", "linux/riscv64")
    assert "'linux/riscv64'" in exporting.run("export", "tiny", "--to", f"oci:{tmp_path}/x", *words).err
    assert not (tmp_path / "x").exists()


def test_a_base_in_a_layout_is_locked_built_on_and_not_needed_any_more(
    tmp_path: Path, index: Index, small_base: str
) -> None:
    """The lock names the same layers as with the registry: skopeo copies what is there."""
    project = trial(tmp_path, index, "./images/base:3.11", DOCKER_HOST="unix:///nowhere/docker.sock")
    layout = project.directory / "images" / "base"
    missing = project.fails("lock").err
    assert "env:tiny: image ./images/base:3.11 cannot be read" in missing
    layout.parent.mkdir()
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{small_base}", f"oci:{layout}:3.11")
    project.ok("lock")
    (base,) = read_lock(project.lock).images
    listed = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert (base.reference, base.digest) == ("./images/base:3.11", listed[0]["digest"])
    assert base.platforms[PLATFORM].python == "3.11.9"
    assert project.ok("outdated", "--json").document["packages"] == []
    assert PLATFORM in project.ok("info", "oci:./images/base:3.11").out

    write_layout(pack([made_image(tmp_path / "newer")]), layout, name="3.11")
    (standing,) = project.ok("outdated", "--json").document["packages"]
    assert (standing["what"], standing["state"]) == ("oci:./images/base:3.11", "moved")

    layout.rename(tmp_path / "away")
    project.ok("lock", "--check")
    exported(project, "oci:out")
    assert "there is no such directory" in project.fails("lock", "--upgrade").err
    shutil.rmtree(project.store)
    assert "cannot be read from the OCI layout ./images/base" in project.fails("fetch").err


def test_a_base_of_the_engine_is_the_same_for_docker_and_podman_and_then_needs_no_engine(
    tmp_path: Path, index: Index, small_base: str, engine: str, podman: str
) -> None:
    name = f"localhost/elsewhere-base-{secrets.token_hex(4)}"
    projects = []
    for number, address in enumerate((engine, podman)):
        words = ("copy", "--src-tls-verify=false", "--dest-daemon-host", address, f"docker://{small_base}")
        skopeo(*words, f"docker-daemon:{name}:1")
        try:
            project = trial(tmp_path / str(number), index, f"docker-daemon:{name}:1", DOCKER_HOST=address)
            project.ok("lock")
            projects.append(project)
            if not number:
                assert project.ok("outdated", "--json").document["packages"] == []
            assert "tags that it has: 1" in project.fails("info", f"oci:docker-daemon:{name}:2").err
        finally:
            with contextlib.closing(docker.APIClient(base_url=address, timeout=300)) as api:
                api.remove_image(f"{name}:1")
    assert projects[0].lock.read_bytes() == projects[1].lock.read_bytes()
    (base,) = read_lock(projects[0].lock).images
    found = base.platforms[PLATFORM]
    assert base.digest == found.digest
    assert [layer.digest for layer in found.layers] == [layer.diff_id for layer in found.layers]

    project = projects[0]
    project.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    project.ok("lock")
    project.edit("tiny-server<2", "tiny-server<3")
    project.ok("lock")
    project.ok("fetch")
    assert exported(project, "oci:out")["digest"]
    assert "no container engine answers" in project.fails("lock", "--upgrade").err
    shutil.rmtree(project.store)
    assert "no container engine answers" in project.fails("fetch").err
