"""An image's reference becomes digests per platform, with the facts of a base."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.events import Event
from hatchlock.lock.model import Image
from hatchlock.net.registry import MissingPlatform, Registry
from hatchlock.sources.oci import BadImage, container_platform, fetch_image, lock_image
from hatchlock.store.blobs import Blobs, WrongHash
from support.fake_registry import FakeRegistry, fake_registry, sha256
from support.layers import make_layer

LAYER = make_layer({"usr/bin/python3.11": b"", "usr/bin/python3": "python3.11", "bin": "usr/bin"})


class World:
    def __init__(self, server: FakeRegistry, tmp_path: Path) -> None:
        self.server = server
        self.blobs = Blobs(tmp_path / "blobs")
        self.registry = Registry(environ={"HOME": str(tmp_path)}, default_host="index.example.com")
        self.events: list[Event] = []
        self.reference = f"{server.address}/team/app:1"

    def lock(self, *platforms: str, facts: bool = False) -> Image:
        return lock_image(
            self.reference, platforms, registry=self.registry, blobs=self.blobs, facts=facts, emit=self.events.append
        )

    def fetch(self, image: Image, platform: str) -> None:
        fetch_image(image, platform, registry=self.registry, blobs=self.blobs, emit=self.events.append)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as server:
        made = World(server, tmp_path)
        yield made
        made.registry.close()


def make_index(server: FakeRegistry) -> str:
    amd = server.image("team/app", "amd", layers=[LAYER], Entrypoint=["/app"], Cmd=["--stdio"], Env=["A=1"], User="9")
    arm = server.image("team/app", "arm", layers=[LAYER, b"more"], platform="linux/arm64/v8")
    return server.index("team/app", "1", {"linux/amd64": amd, "linux/arm64": arm, "unknown/unknown": arm})


def test_an_index_gives_a_digest_for_each_declared_platform(world: World) -> None:
    digest = make_index(world.server)
    image = world.lock("linux/arm64", "linux/amd64")
    assert image.digest == digest
    assert list(image.platforms) == ["linux/amd64", "linux/arm64"]
    amd = image.platforms["linux/amd64"]
    assert (amd.entrypoint, amd.command, amd.env, amd.user) == (("/app",), ("--stdio",), ("A=1",), "9")
    assert [layer.digest for layer in amd.layers] == [sha256(LAYER)]
    assert amd.digest != image.platforms["linux/arm64"].digest
    assert world.lock("linux/amd64") == world.lock("linux/amd64")


def test_without_facts_no_layer_is_downloaded(world: World) -> None:
    make_index(world.server)
    image = world.lock("linux/amd64")
    assert not world.blobs.has(sha256(LAYER).removeprefix("sha256:"))
    assert image.platforms["linux/amd64"].python_path == ""


def test_with_facts_the_layers_are_read(world: World) -> None:
    make_index(world.server)
    amd = world.lock("linux/amd64", facts=True).platforms["linux/amd64"]
    assert (amd.python_path, amd.python, dict(amd.symlinks)) == ("/usr/bin/python3.11", "3.11", {"bin": "usr/bin"})


def test_on_macos_containers_are_linux(world: World) -> None:
    make_index(world.server)
    image = world.lock("darwin/arm64", "linux/arm64")
    assert image.platforms["darwin/arm64"] == image.platforms["linux/arm64"]
    assert container_platform("linux/arm/v7") == "linux/arm/v7"


def test_a_platform_that_the_index_lacks_is_named_with_those_it_has(world: World) -> None:
    make_index(world.server)
    with pytest.raises(MissingPlatform, match=r"for linux/riscv64, only for linux/amd64, linux/arm64"):
        world.lock("linux/amd64", "linux/riscv64")


def test_an_image_without_an_index_has_one_platform(world: World) -> None:
    digest = world.server.image("team/app", "1", layers=[LAYER])
    image = world.lock("linux/amd64")
    assert image.digest == image.platforms["linux/amd64"].digest == digest
    with pytest.raises(MissingPlatform, match=r"for linux/arm64, only for linux/amd64"):
        world.lock("linux/arm64")


def test_fetch_brings_config_and_layers_once(world: World) -> None:
    world.server.image("team/app", "1", layers=[LAYER, b"second"])
    image = world.lock("linux/amd64")
    world.fetch(image, "linux/amd64")
    assert all(world.blobs.has(layer.digest.removeprefix("sha256:")) for layer in image.platforms["linux/amd64"].layers)
    asked = len(world.server.asked)
    world.fetch(image, "linux/amd64")
    assert len(world.server.asked) == asked
    assert {event.name for event in world.events} == {"fetch.start", "fetch.done"}


def test_a_layer_that_was_changed_leaves_nothing_in_the_store(world: World) -> None:
    world.server.image("team/app", "1", layers=[LAYER])
    image = world.lock("linux/amd64")
    world.server.blobs[sha256(LAYER)] = b"x" * len(LAYER)
    with pytest.raises(WrongHash):
        world.fetch(image, "linux/amd64")
    assert not world.blobs.has(sha256(LAYER).removeprefix("sha256:"))
    assert not list(world.blobs.root.rglob("*.part"))


def test_a_config_that_lists_other_layers_is_refused(world: World) -> None:
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}
    content = {"config": world.server.blob(json.dumps(config).encode()), "layers": [world.server.blob(LAYER)]}
    world.server.document("team/app", "1", "application/vnd.oci.image.manifest.v1+json", content)
    with pytest.raises(BadImage, match="same layers"):
        world.lock("linux/amd64")


@pytest.mark.parametrize("digest", ["../sha256:{}", "sha256:{}/../../precious", "{}"])
def test_a_digest_that_is_none_is_refused(world: World, digest: str) -> None:
    layer = {"digest": digest.format("a" * 64), "size": 1}
    content = {"config": layer, "layers": [layer]}
    world.server.document("team/app", "1", "application/vnd.oci.image.manifest.v1+json", content)
    with pytest.raises(BadImage, match="digest"):
        world.lock("linux/amd64")


def test_a_manifest_that_is_not_well_formed_is_refused(world: World) -> None:
    world.server.document("team/app", "1", "application/vnd.oci.image.manifest.v1+json", {"layers": "none"})
    with pytest.raises(
        BadImage, match=r"team/app:1 cannot be used: its manifest has no valid config \(Field required\)"
    ):
        world.lock("linux/amd64")
