"""Images on a real engine: assembled without Dockerfile or network, started under the full sandbox."""

from __future__ import annotations

import io
import json
import os
import platform
import secrets
import shutil
import struct
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import uv

from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST, Engine
from hatchlock.images.archive import ArchiveLayer, archive_chunks
from hatchlock.images.assemble import NotLoaded, as_it_is, load
from hatchlock.images.key import image_tag
from hatchlock.lock.images import Image
from hatchlock.net.registry import Registry
from hatchlock.paths import Home
from hatchlock.resources.image_build import composed
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.store.blobs import Blobs
from support.compressed import SKIPPED, zstd
from support.engine_images import said_in, untag_all
from support.images import load_image, wheel_image
from support.layers import make_layer
from support.registry import push
from support.unavailable import unavailable
from support.wheels import make_wheel

pytestmark = pytest.mark.engine

PLATFORM = "linux/arm64" if platform.machine() == "aarch64" else "linux/amd64"
SANDBOX: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "user": "10001:10001",
    "tmpfs": {"/home/hatchlock": "uid=10001,gid=10001,mode=0700"},
}
ASK = """
import getpass, json, os, pathlib, sys, extra_thing
def main():
    print(json.dumps({
        "user": getpass.getuser(), "uid": os.getuid(), "home": str(pathlib.Path.home()), "cwd": os.getcwd(),
        "prefix": sys.prefix, "extra": extra_thing.NAME, "buffered": os.environ["PYTHONUNBUFFERED"],
    }))
"""
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}


@pytest.fixture(scope="module")
def loader(engine: str) -> Iterator[Engine]:
    with Engine(engine) as connection:
        yield connection
    untag_all(engine, "test-images")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(environ={"HOME": str(tmp_path)}, default_host=DEFAULT_REGISTRY_HOST)
    yield registry
    registry.close()


def lock_base(base_image: str, registry: Registry, blobs: Blobs, name: str) -> Image:
    image = lock_image(base_image, [name], registry=registry, blobs=blobs, facts=True)
    fetch_image(image, name, registry=registry, blobs=blobs)
    return image


def home_of(directory: Path) -> Home:
    return Home(root=directory, is_default=False)


def demo_wheel(directory: Path) -> Path:
    files = {"demo.py": ASK.encode(), "extra/extra_thing.py": b"NAME = 'from the pth'\n", "demo.pth": b"extra\n"}
    return make_wheel(directory, files=files, entry_points="[console_scripts]\ndemo = demo:main\n")


def test_the_facts_of_the_base_are_those_of_the_running_base(
    base_image: str, network: Registry, tmp_path: Path, loader: Engine, sdk: docker.DockerClient
) -> None:
    blobs = Blobs(tmp_path / "blobs")
    base = lock_base(base_image, network, blobs, loader.platform()).platforms[loader.platform()]
    tag = image_tag("test-images", "base", "1")
    load(as_it_is(base, blobs), engine=loader, tag=tag)
    code = (
        "import json, os, platform, sys; print(json.dumps([platform.python_version(), os.path.realpath(sys.executable),"
        " ' '.join(platform.libc_ver()), os.readlink('/bin')]))"
    )
    said = json.loads(said_in(sdk, tag, ["python3", "-c", code], network_mode="none"))
    assert said == [base.python, base.python_path, base.libc, base.symlinks["bin"]]
    listed = said_in(sdk, tag, ["dpkg-query", "-W", "-f", "deb:${Package}@${Version}\\n"], network_mode="none")
    assert sorted(listed.split()) == list(base.packages)


def test_an_assembled_image_starts_under_the_whole_sandbox(
    base_image: str, network: Registry, tmp_path: Path, loader: Engine, sdk: docker.DockerClient
) -> None:
    blobs = Blobs(tmp_path / "blobs")
    base = lock_base(base_image, network, blobs, loader.platform()).platforms[loader.platform()]
    wheel = demo_wheel(tmp_path)
    home = home_of(tmp_path)
    spec = wheel_image(home, base, [(wheel.name, wheel)], platform=loader.platform())
    tag = image_tag("test-images", "demo", "1")
    with composed(spec, home=home) as made:
        load(made, engine=loader, tag=tag)
    assert loader.image_layers(tag) == (*(layer.diff_id for layer in base.layers), *made.layers)
    assert loader.images()[tag].labels == {"dev.hatchlock.key": "1"}
    assert not list(home.cache.glob("work-*"))
    said = json.loads(said_in(sdk, tag, ["demo"], **SANDBOX))
    assert said == {
        "user": "hatchlock",
        "uid": 10001,
        "home": "/home/hatchlock",
        "cwd": "/home/hatchlock",
        "prefix": "/opt/hatchlock",
        "extra": "from the pth",
        "buffered": "1",
    }


def test_two_assemblies_with_other_stores_umasks_and_time_zones_are_equal(
    base_image: str, network: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name, umask, zone in (("one", 0o022, "UTC"), ("two", 0o077, "Asia/Kathmandu")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        previous = os.umask(umask)
        try:
            (tmp_path / name).mkdir()
            blobs = Blobs(tmp_path / name / "blobs")
            base = lock_base(base_image, network, blobs, PLATFORM).platforms[PLATFORM]
            wheel = demo_wheel(tmp_path / name)
            home = home_of(tmp_path / name)
            with composed(wheel_image(home, base, [(wheel.name, wheel)], platform=PLATFORM), home=home) as image:
                made.append((image.config, image.layers))
        finally:
            os.umask(previous)
    monkeypatch.undo()
    time.tzset()
    assert made[0] == made[1]


def test_an_image_whose_layer_is_not_what_its_config_says_is_refused(
    base_image: str, network: Registry, tmp_path: Path, loader: Engine
) -> None:
    blobs = Blobs(tmp_path / "blobs")
    base = lock_base(base_image, network, blobs, loader.platform()).platforms[loader.platform()]
    wrong = replace(base, layers=(*base.layers, base.layers[0]))
    tag = image_tag("test-images", "wrong", "1")
    with pytest.raises(NotLoaded, match=tag):
        load(as_it_is(wrong, blobs), engine=loader, tag=tag)
    assert tag not in loader.images()


def test_an_archive_that_lacks_a_layer_is_refused_with_the_engines_words(tmp_path: Path, loader: Engine) -> None:
    missing = ArchiveLayer(diff_id=f"sha256:{'0' * 64}", path=None)
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [missing.diff_id]}}
    tag = image_tag("test-images", "thin", "1")
    with pytest.raises(NotLoaded, match=r"did not load image hatchlock/test-images/thin:1: \w"):
        loader.load(archive_chunks(config=json.dumps(config).encode(), layers=[missing], tag=tag), tag=tag)


def test_a_base_in_zstd_is_read_loaded_and_runs(
    registry: str, network: Registry, tmp_path: Path, loader: Engine, sdk: docker.DockerClient
) -> None:
    program = shutil.which("busybox")
    if program is None:
        unavailable("there is no busybox on this machine (`apt-get install busybox-static`)")
    # An engine that has a layer already does not look at what it gets for it.
    once = secrets.token_hex(8)
    above = make_layer({"etc/once": once.encode()}, packed=False)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.add(program, "bin/busybox")
    layers = [zstd(out.getvalue()), zstd(above[:512]) + zstd(above[512:]) + SKIPPED]
    push(registry, "base/zstd", once, layers=layers, architecture=loader.platform().removeprefix("linux/"))
    blobs = Blobs(tmp_path / "blobs")
    base = lock_base(f"{registry}/base/zstd:{once}", network, blobs, loader.platform()).platforms[loader.platform()]
    tag = image_tag("test-images", "zstd", once)
    load(as_it_is(base, blobs), engine=loader, tag=tag)
    assert said_in(sdk, tag, ["/bin/busybox", "cat", "/etc/once"], network_mode="none") == once


def test_tags_come_and_go(base_image: str, network: Registry, tmp_path: Path, loader: Engine) -> None:
    blobs = Blobs(tmp_path / "blobs")
    base = lock_base(base_image, network, blobs, loader.platform()).platforms[loader.platform()]
    first, second = image_tag("test-images", "tags", "1"), image_tag("test-images", "tags", "2")
    load(as_it_is(base, blobs), engine=loader, tag=first)
    loader.tag(first, second)
    assert loader.images()[first].id == loader.images()[second].id
    loader.untag(first)
    loader.untag(first)
    assert first not in loader.images()
    assert loader.image_layers(second)
    assert loader.image_layers(first) == ()


@pytest.mark.network
def test_a_real_server_assembled_from_its_wheels_answers_initialize(
    base_image: str, network: Registry, tmp_path: Path, loader: Engine, sdk: docker.DockerClient
) -> None:
    blobs = Blobs(tmp_path / "blobs")
    base = lock_base(base_image, network, blobs, loader.platform()).platforms[loader.platform()]
    wheels = download("mcp-server-fetch", tmp_path / "wheels")
    tag = image_tag("test-images", "fetch", "1")
    home = home_of(tmp_path)
    load_image(wheel_image(home, base, wheels, platform=loader.platform()), loader, home=home, tag=tag)
    container = sdk.containers.create(tag, ["mcp-server-fetch"], stdin_open=True, init=True, **SANDBOX)
    try:
        answer = ask(container, HELLO)
    finally:
        container.remove(force=True)
    assert answer["result"]["serverInfo"]["name"] == "mcp-fetch"


def download(requirement: str, directory: Path) -> list[tuple[str, Path]]:
    command = [uv.find_uv_bin(), "tool", "run", "--python", "3.11", "pip", "download", "--quiet"]
    options = ["--only-binary", ":all:", "--dest", str(directory)]
    subprocess.run([*command, *options, requirement], check=True, capture_output=True)
    return [(path.name, path) for path in directory.glob("*.whl")]


def ask(container: Any, request: dict[str, Any]) -> Any:
    """Send one line to a container's stdin and return the first line of its stdout."""
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    try:
        container.start()
        stream._sock.sendall(json.dumps(request).encode() + b"\n")
        said = b""
        while b"\n" not in said:
            said += receive(stream, struct.unpack(">4xL", receive(stream, 8))[0])
        return json.loads(said.partition(b"\n")[0])
    finally:
        stream._sock.close()
        stream.close()


def receive(stream: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream._sock.recv(size - len(data))
        assert piece, "the container ended without an answer"
        data += piece
    return data
