"""Images out of an engine: one digest, whatever form the engine gives them out in."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hatchlock.address import BadSource, ImageReference, Transport
from hatchlock.errors import HatchlockError
from hatchlock.lock.images import Image
from hatchlock.net.registry_errors import ImageUnreachable
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.sources.oci_documents import BadImage
from hatchlock.sources.oci_engine import EngineImages, NotInEngine
from hatchlock.sources.oci_tags import UnknownTag
from hatchlock.store.blobs import Blobs, WrongHash
from support.compressed import SKIPPED, zstd
from support.made_images import BASE, OURS, digest

CONFIG = json.dumps(
    {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["/opt/app"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(BASE), digest(OURS), digest(BASE)]},
    }
).encode()


def archive(files: Mapping[str, bytes | str], *, config: str, layers: list[str]) -> bytes:
    """Return a docker-archive; a text is a symlink's target."""
    manifest = [{"Config": config, "RepoTags": ["team/app:1"], "Layers": layers}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, content in {"manifest.json": json.dumps(manifest).encode(), **files}.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                made.addfile(info)
                continue
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


OLD = archive(
    {"a/layer.tar": BASE, "b/layer.tar": OURS, "c/layer.tar": "../a/layer.tar", "cafe.json": CONFIG},
    config="cafe.json",
    layers=["a/layer.tar", "b/layer.tar", "c/layer.tar"],
)
"""As Docker's own store gives it out: a layer that is there twice is a link."""
NEW = archive(
    {"blobs/1": gzip.compress(BASE), "blobs/2": gzip.compress(OURS), "blobs/3": CONFIG},
    config="blobs/3",
    layers=["blobs/1", "blobs/2", "blobs/1"],
)
"""As containerd's store gives it out: compressed, as it came."""
NEWER = archive(
    {"blobs/1": zstd(BASE), "blobs/2": SKIPPED + zstd(OURS), "blobs/3": CONFIG},
    config="blobs/3",
    layers=["blobs/1", "blobs/2", "blobs/1"],
)
"""The same, where it came in zstd."""


class Store:
    """An engine with these images."""

    def __init__(self, images: Mapping[str, bytes]) -> None:
        self.images = images
        self.asked: list[str] = []

    def saved(self, name: str) -> Iterator[bytes]:
        self.asked.append(name)
        if name in self.images:
            yield self.images[name]

    def tags(self, repository: str) -> tuple[str, ...]:
        names = (name.rpartition(":") for name in self.images)
        return tuple(tag for name, _, tag in names if name == repository)


def no_engine() -> Store:
    raise HatchlockError


class World:
    def __init__(self, root: Path, data: bytes = OLD) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.store = Store({"team/app:1": data})
        self.blobs = Blobs(root / "blobs")
        self.images = EngineImages(lambda: self.store, scratch=lambda: root, blobs=self.blobs)

    def lock(self, reference: str = "docker-daemon:team/app:1") -> Image:
        return lock_image(reference, ["linux/amd64"], registry=self.images, blobs=self.blobs, facts=False)


def test_the_digest_is_that_of_config_and_plain_layers_in_every_form(tmp_path: Path) -> None:
    worlds = [World(tmp_path / name, data) for name, data in (("old", OLD), ("new", NEW), ("newer", NEWER))]
    old, *others = (world.lock() for world in worlds)
    assert others == [old, old]
    found = old.platforms["linux/amd64"]
    assert (old.digest, found.config) == (found.digest, digest(CONFIG))
    assert [(layer.digest, layer.size) for layer in found.layers] == [
        (digest(data), len(data)) for data in (BASE, OURS, BASE)
    ]
    for world in worlds:
        fetch_image(old, "linux/amd64", registry=world.images, blobs=world.blobs)
        assert world.blobs.path(digest(OURS).removeprefix("sha256:")).read_bytes() == OURS
        assert world.store.asked == ["team/app:1"], "it is taken out once"


def test_what_is_in_the_store_needs_no_engine(tmp_path: Path) -> None:
    world = World(tmp_path)
    image = world.lock()
    fetch_image(image, "linux/amd64", registry=world.images, blobs=world.blobs)
    world.images = EngineImages(no_engine, scratch=lambda: tmp_path, blobs=world.blobs)
    again = world.lock(f"docker-daemon:team/app:1@{image.digest}")
    assert again.platforms == image.platforms
    with pytest.raises(ImageUnreachable, match=r"docker-daemon:team/app:1 cannot be fetched from the container engine"):
        world.lock()


def test_an_image_that_was_built_again_is_another_one(tmp_path: Path) -> None:
    image = World(tmp_path / "before").lock()
    other = archive({"l": BASE, "c": CONFIG.replace(b"/opt/app", b"/opt/new")}, config="c", layers=["l", "l", "l"])
    world = World(tmp_path / "after", other)
    with pytest.raises(NotInEngine, match="another image under this name now") as caught:
        world.lock(f"docker-daemon:team/app:1@{image.digest}")
    assert "lock --upgrade" in caught.value.hint
    with pytest.raises(NotInEngine, match="another image"):
        fetch_image(image, "linux/amd64", registry=world.images, blobs=world.blobs)


def test_an_image_that_is_not_there_is_named_with_the_tags_that_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(UnknownTag) as caught:
        world.lock("docker-daemon:team/app:2")
    assert caught.value.hint == "tags that it has: 1"
    with pytest.raises(NotInEngine, match="the container engine has no image docker-daemon:team/none") as unknown:
        world.lock("docker-daemon:team/none")
    assert "docker images" in unknown.value.hint


def test_a_layer_that_is_not_what_the_config_says_is_refused(tmp_path: Path) -> None:
    data = archive({"l": BASE, "c": CONFIG}, config="c", layers=["l", "l", "l"])
    world = World(tmp_path, data)
    image = world.lock()
    with pytest.raises(WrongHash, match="the container engine"):
        fetch_image(image, "linux/amd64", registry=world.images, blobs=world.blobs)


@pytest.mark.parametrize(
    "data",
    [
        b"no archive at all",
        archive({"l": BASE, "c": CONFIG, "manifest.json": b'[{"Config": 7, "Layers": []}]'}, config="c", layers=["l"]),
        archive({"l": BASE, "c": CONFIG, "manifest.json": b"[" * 100_000}, config="c", layers=["l"]),
        archive({"l": BASE, "c": CONFIG}, config="c", layers=["l"]),
        archive({"c": CONFIG}, config="c", layers=["l", "l", "l"]),
        archive({"l": zstd(BASE)[:-9], "c": CONFIG}, config="c", layers=["l", "l", "l"]),
        archive({"l": zstd(BASE) + b"else", "c": CONFIG}, config="c", layers=["l", "l", "l"]),
        archive({"l": b"\x1f\x8bno gzip", "c": CONFIG}, config="c", layers=["l", "l", "l"]),
        OLD[: len(OLD) // 2],
    ],
)
def test_something_that_is_no_image_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="docker-archive"):
        World(tmp_path, data).lock()


def test_a_reference_to_the_engine_is_read_and_written_alike() -> None:
    text = f"docker-daemon:localhost:5000/team/app:1@sha256:{'0' * 64}"
    reference = ImageReference.parse(text)
    assert (reference.transport, reference.registry, reference.tag) == (Transport.ENGINE, "localhost:5000", "1")
    assert str(reference) == text
    with pytest.raises(BadSource) as caught:
        ImageReference.parse("docker-daemon:UPPER")
    assert "docker-daemon:NAME" in caught.value.hint
