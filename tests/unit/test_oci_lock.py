"""An image's reference becomes digests per platform, with the facts of a base."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.events import Event
from hatchlock.lock.images import Image
from hatchlock.net.registry import MissingPlatform, Registry, UnsupportedImage
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.sources.oci_checked import check_image
from hatchlock.sources.oci_described import describe_image
from hatchlock.sources.oci_documents import BadImage, container_platform
from hatchlock.sources.oci_tags import UnknownTag
from hatchlock.store.blobs import Blobs, WrongHash
from support.compressed import zstd
from support.fake_registry import CONFIG, INDEX, LAYER, MANIFEST, FakeRegistry, fake_registry, sha256
from support.layers import make_layer

CONTENT = make_layer({"usr/bin/python3.11": b"", "usr/bin/python3": "python3.11", "bin": "usr/bin"})


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
    amd = server.image("team/app", "amd", layers=[CONTENT], Entrypoint=["/app"], Cmd=["--stdio"], Env=["A=1"], User="9")
    arm = server.image("team/app", "arm", layers=[CONTENT, b"more"], platform="linux/arm64/v8")
    return server.index("team/app", "1", {"linux/amd64": amd, "linux/arm64": arm, "unknown/unknown": arm})


def test_an_index_gives_a_digest_for_each_declared_platform(world: World) -> None:
    digest = make_index(world.server)
    image = world.lock("linux/arm64", "linux/amd64")
    assert image.digest == digest
    assert list(image.platforms) == ["linux/amd64", "linux/arm64"]
    amd = image.platforms["linux/amd64"]
    assert (amd.entrypoint, amd.command, amd.env, amd.user) == (("/app",), ("--stdio",), ("A=1",), "9")
    assert [layer.digest for layer in amd.layers] == [sha256(CONTENT)]
    assert amd.digest != image.platforms["linux/arm64"].digest
    assert world.lock("linux/amd64") == world.lock("linux/amd64")


def test_without_facts_no_layer_is_downloaded(world: World) -> None:
    make_index(world.server)
    image = world.lock("linux/amd64")
    assert not world.blobs.has(sha256(CONTENT).removeprefix("sha256:"))
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
    digest = world.server.image("team/app", "1", layers=[CONTENT])
    image = world.lock("linux/amd64")
    assert image.digest == image.platforms["linux/amd64"].digest == digest
    with pytest.raises(MissingPlatform, match=r"for linux/arm64, only for linux/amd64"):
        world.lock("linux/arm64")


def test_fetch_brings_config_and_layers_once(world: World) -> None:
    world.server.image("team/app", "1", layers=[CONTENT, b"second"])
    image = world.lock("linux/amd64")
    world.fetch(image, "linux/amd64")
    assert all(world.blobs.has(layer.digest.removeprefix("sha256:")) for layer in image.platforms["linux/amd64"].layers)
    asked = len(world.server.asked)
    world.fetch(image, "linux/amd64")
    assert len(world.server.asked) == asked
    assert {event.name for event in world.events} == {"fetch.start", "fetch.done"}


def test_a_layer_that_was_changed_leaves_nothing_in_the_store(world: World) -> None:
    world.server.image("team/app", "1", layers=[CONTENT])
    image = world.lock("linux/amd64")
    world.server.blobs[sha256(CONTENT)] = b"x" * len(CONTENT)
    with pytest.raises(WrongHash):
        world.fetch(image, "linux/amd64")
    assert not world.blobs.has(sha256(CONTENT).removeprefix("sha256:"))
    assert not list(world.blobs.root.rglob("*.part"))


def test_a_config_that_lists_other_layers_is_refused(world: World) -> None:
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}
    content = {"config": world.server.blob(json.dumps(config).encode(), CONFIG), "layers": [world.server.blob(CONTENT)]}
    world.server.document("team/app", "1", MANIFEST, content)
    with pytest.raises(BadImage, match="same layers"):
        world.lock("linux/amd64")


@pytest.mark.parametrize("digest", ["../sha256:{}", "sha256:{}/../../precious", "{}"])
def test_a_digest_that_is_none_is_refused(world: World, digest: str) -> None:
    layer = {"digest": digest.format("a" * 64), "size": 1}
    content = {"config": layer, "layers": [layer]}
    world.server.document("team/app", "1", MANIFEST, content)
    with pytest.raises(BadImage, match="digest"):
        world.lock("linux/amd64")


def test_a_manifest_that_is_not_well_formed_is_refused(world: World) -> None:
    world.server.document("team/app", "1", MANIFEST, {"layers": "none"})
    with pytest.raises(
        BadImage, match=r"team/app:1 cannot be used: its manifest has no valid config \(Field required\)"
    ):
        world.lock("linux/amd64")


LABELS = {
    "org.opencontainers.image.licenses": "MIT",
    "org.opencontainers.image.source": "https://git.example.com/team/app",
    "org.opencontainers.image.version": "1.2.3",
    "io.modelcontextprotocol.server.name": "io.github.team/app",
    "maintainer": "somebody",
}


def test_what_the_config_says_of_the_image_is_locked(world: World) -> None:
    ports: dict[str, object] = {"9000/udp": {}, "8080": {}, "8080/tcp": {}}
    world.server.image(
        *("team/app", "1"), layers=[CONTENT], ExposedPorts=ports, Volumes={"/data": {}, "/cache": {}},
        StopSignal="SIGQUIT", Labels=LABELS, User=None, WorkingDir=None,
    )  # fmt: skip
    found = world.lock("linux/amd64").platforms["linux/amd64"]
    assert (found.ports, found.volumes, found.stop_signal) == (("8080/tcp", "9000/udp"), ("/cache", "/data"), "SIGQUIT")
    assert (found.licence, found.repository) == ("MIT", "https://git.example.com/team/app")
    assert (found.version, found.mcp_name) == ("1.2.3", "io.github.team/app")
    assert (found.user, found.working_directory) == ("", "")
    described = describe_image(world.reference, "linux/amd64", registry=world.registry)
    assert (described.ports, described.volumes, described.labels) == (found.ports, found.volumes, LABELS)


def test_an_image_that_says_nothing_of_itself_has_nothing_locked(world: World) -> None:
    world.server.image("team/app", "1", layers=[CONTENT], ExposedPorts=None, Volumes=None, Labels=None, Env=None)
    found = world.lock("linux/amd64").platforms["linux/amd64"]
    assert (found.ports, found.volumes, found.env, found.licence, found.mcp_name) == ((), (), (), "", "")


def listed(server: FakeRegistry, digest: str, **more: object) -> dict[str, object]:
    media_type, data = server.documents[f"/v2/team/app/manifests/{digest}"]
    return {"mediaType": media_type, "digest": digest, "size": len(data), **more}


def test_indexes_in_an_index_and_images_without_a_platform_are_looked_into(world: World) -> None:
    server = world.server
    amd = server.image("team/app", "amd", layers=[CONTENT])
    arm = server.image("team/app", "arm", layers=[CONTENT], platform="linux/arm64")
    inner = server.document("team/app", "inner", INDEX, {"manifests": [listed(server, arm)]})
    where = {"os": "linux", "architecture": "amd64", "variant": "v1"}
    entries = [listed(server, inner), listed(server, amd, platform=where)]
    server.document("team/app", "1", INDEX, {"manifests": entries})
    image = world.lock("linux/amd64", "linux/arm64")
    assert {name: item.digest for name, item in image.platforms.items()} == {"linux/amd64": amd, "linux/arm64": arm}
    described = describe_image(world.reference, "linux/arm64", registry=world.registry)
    assert (described.platforms, described.platform) == (("linux/amd64/v1", "linux/arm64"), "linux/arm64")


def test_attestations_and_other_artefacts_of_an_index_are_no_platforms(world: World) -> None:
    server = world.server
    amd = server.image("team/app", "amd", layers=[CONTENT])
    where = {"os": "linux", "architecture": "arm64"}
    entries = [
        listed(server, amd, platform=where, annotations={"vnd.docker.reference.type": "attestation-manifest"}),
        listed(server, amd, platform=where, artifactType="application/vnd.example.sbom"),
        listed(server, amd, platform={"os": "unknown", "architecture": "unknown"}),
        listed(server, amd, platform={"os": "linux", "architecture": "amd64"}),
    ]
    server.document("team/app", "1", INDEX, {"manifests": entries})
    with pytest.raises(MissingPlatform, match=r"for linux/arm64, only for linux/amd64$"):
        world.lock("linux/arm64")
    server.document("team/app", "1", INDEX, {"manifests": entries[:3]})
    with pytest.raises(BadImage, match="lists no image"):
        world.lock("linux/arm64")


@pytest.mark.parametrize(("variant", "wanted"), [("v7", "linux/arm"), ("", "linux/arm/v7"), ("v8", "linux/arm64")])
def test_the_usual_variant_of_a_processor_may_stay_unsaid(world: World, variant: str, wanted: str) -> None:
    architecture = wanted.split("/")[1]
    digest = world.server.image("team/app", "1", layers=[CONTENT], platform=f"linux/{architecture}/{variant}")
    other = world.server.image("team/app", "x", layers=[CONTENT], platform=f"linux/{architecture}/v5")
    platforms = {f"linux/{architecture}/v5": other, f"linux/{architecture}/{variant}": digest}
    world.server.index("team/app", "1", platforms)
    assert world.lock(wanted).platforms[wanted].digest == digest


def test_a_newer_variant_is_not_taken_for_the_usual_one(world: World) -> None:
    digest = world.server.image("team/app", "v3", layers=[CONTENT], platform="linux/amd64/v3")
    world.server.index("team/app", "1", {"linux/amd64/v3": digest})
    with pytest.raises(MissingPlatform, match="only for linux/amd64/v3"):
        world.lock("linux/amd64")


def test_dockers_own_media_types_are_read_too(world: World) -> None:
    digest = world.server.image("team/app", "1", layers=[CONTENT])
    content = json.loads(world.server.documents[f"/v2/team/app/manifests/{digest}"][1])
    content["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    content["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    del content["mediaType"]
    made = world.server.document("team/app", "docker", "application/vnd.docker.distribution.manifest.v2+json", content)
    entry = listed(world.server, made, platform={"os": "linux", "architecture": "amd64"})
    listing = "application/vnd.docker.distribution.manifest.list.v2+json"
    world.server.document("team/app", "1", listing, {"manifests": [entry]})
    assert world.lock("linux/amd64", facts=True).platforms["linux/amd64"].digest == made


@pytest.mark.parametrize(
    ("media_type", "form"),
    [
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", "Docker's image manifest schema 1"),
        ("application/vnd.example.thing.v1+json", r"application/vnd\.example\.thing\.v1\+json"),
    ],
)
def test_another_form_of_manifest_is_refused_by_name(world: World, media_type: str, form: str) -> None:
    world.server.document("team/app", "1", media_type, {})
    with pytest.raises(
        UnsupportedImage, match=f"is stored in {world.server.address} as {form}, which is not supported"
    ):
        world.lock("linux/amd64")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"config": "application/vnd.example.chart.config.v1+json"},
            "no container image, but application/vnd.example.chart",
        ),
        ({"artifactType": "application/vnd.example.sbom"}, "no container image, but application/vnd.example.sbom"),
        ({"layers": f"{LAYER}+encrypted"}, "one of its layers is .*encrypted, which is not known"),
        ({"manifests": []}, "it says something else itself"),
        ({"mediaType": INDEX}, "it says something else itself"),
    ],
)
def test_what_is_no_image_or_could_be_read_in_two_ways_is_refused(
    world: World, change: dict[str, object], words: str
) -> None:
    digest = world.server.image("team/app", "1", layers=[CONTENT])
    content = json.loads(world.server.documents[f"/v2/team/app/manifests/{digest}"][1])
    for key, value in change.items():
        if key == "config":
            content["config"]["mediaType"] = value
        elif key == "layers":
            content["layers"][0]["mediaType"] = value
        else:
            content[key] = value
    world.server.document("team/app", "1", MANIFEST, content)
    with pytest.raises(BadImage, match=words):
        world.lock("linux/amd64")


def test_layers_in_zstd_are_read(world: World) -> None:
    plain = make_layer({"usr/bin/python3": "python3.11", "usr/bin/python3.11": b"\x003.11.9\x00"}, packed=False)
    layer = world.server.blob(zstd(plain), LAYER.replace("gzip", "zstd"))
    diff_id = sha256(plain)
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [diff_id]}}
    content = {"config": world.server.blob(json.dumps(config).encode(), CONFIG), "layers": [layer]}
    world.server.document("team/app", "1", MANIFEST, content)
    found = world.lock("linux/amd64", facts=True).platforms["linux/amd64"]
    assert (found.python, found.python_path) == ("3.11.9", "/usr/bin/python3.11")
    assert [(item.digest, item.diff_id) for item in found.layers] == [(layer["digest"], diff_id)]
    assert world.blobs.has(layer["digest"].removeprefix("sha256:"))


def test_an_index_without_end_is_refused(world: World) -> None:
    server = world.server
    inner = server.image("team/app", "amd", layers=[CONTENT])
    for _ in range(4):
        inner = server.document("team/app", "1", INDEX, {"manifests": [listed(server, inner)]})
    with pytest.raises(BadImage, match="too deeply"):
        world.lock("linux/amd64")
    images = [server.image("team/app", str(number), layers=[CONTENT, b"%d" % number]) for number in range(33)]
    server.document("team/app", "1", INDEX, {"manifests": [listed(server, digest) for digest in images]})
    with pytest.raises(BadImage, match="too much without saying for what platform"):
        world.lock("linux/amd64")


def test_a_tag_that_does_not_exist_is_refused_with_those_near_it(world: World) -> None:
    for tag in ("1.25.1", "1.25.3", "1.27.0", "latest"):
        world.server.image("team/app", tag, layers=[CONTENT])
    world.reference = f"{world.server.address}/team/app:1.25.0"
    with pytest.raises(UnknownTag, match=r"has no image .*/team/app:1\.25\.0$") as caught:
        world.lock("linux/amd64")
    assert caught.value.hint == "tags that it has: 1.25.1, 1.25.3, 1.27.0"


def test_a_config_that_is_longer_than_it_says_is_not_read_to_its_end(world: World) -> None:
    config = world.server.blob(b"{}", CONFIG)
    world.server.document("team/app", "1", MANIFEST, {"config": config, "layers": []})
    world.server.blobs[config["digest"]] = b" " * (5 << 20)
    with pytest.raises(BadImage, match="its config has more than"):
        describe_image(world.reference, "linux/amd64", registry=world.registry)


def test_what_a_lock_has_of_an_image_is_what_its_digests_name(world: World) -> None:
    """Whoever edits a lock could put other layers, of the same repository, below a digest that everybody trusts."""
    make_index(world.server)
    image = world.lock("linux/amd64", "linux/arm64")
    amd, arm = image.platforms["linux/amd64"], image.platforms["linux/arm64"]
    for platform in image.platforms:
        check_image(image, platform, registry=world.registry)
    edited = (
        replace(amd, layers=arm.layers),
        replace(amd, layers=()),
        replace(amd, config=arm.config, config_size=arm.config_size),
        replace(amd, digest=world.server.image("team/app", "other", layers=[b"other"])),
    )
    for item in edited:
        with pytest.raises(BadImage) as caught:
            check_image(replace(image, platforms={"linux/amd64": item}), "linux/amd64", registry=world.registry)
        assert "as the lock says" in str(caught.value)
        assert caught.value.hint.endswith(f"run `hatchlock lock --upgrade {world.reference}`")
