"""Images from OCI layouts on disk: which one is meant, and what is wrong with one that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import BadSource, ImageReference, Transport
from hatchlock.images.layout import write_layout
from hatchlock.images.packed import pack
from hatchlock.lock.images import Image
from hatchlock.net.registry import MissingPlatform
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.sources.oci_described import describe_image
from hatchlock.sources.oci_documents import BadImage
from hatchlock.sources.oci_layout import BadLayout, LayoutImages, NotInLayout
from hatchlock.sources.oci_tags import UnknownTag
from hatchlock.store.blobs import Blobs, WrongHash
from support.made_images import BASE, OURS, digest, made_image


class World:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.layouts = LayoutImages(root.joinpath)
        self.blobs = Blobs(root / "blobs")

    def write(self, directory: str = "base", *architectures: str, name: str = "1", **options: Any) -> str:
        """Write an image, and return the digest of its index or manifest."""
        images = [made_image(self.root / "made", architecture=item, **options) for item in architectures or ("amd64",)]
        packed = pack(images)
        write_layout(packed, self.root / directory, name=name)
        return packed.top.digest

    def lock(self, reference: str = "./base", *platforms: str, facts: bool = False) -> Image:
        wanted = platforms or ("linux/amd64",)
        return lock_image(reference, wanted, registry=self.layouts, blobs=self.blobs, facts=facts)

    def blob(self, name: str) -> Path:
        return self.root / "base" / "blobs" / "sha256" / name.removeprefix("sha256:")

    def index(self) -> Path:
        return self.root / "base" / "index.json"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_image_of_a_layout_is_locked_by_its_digest_and_comes_into_the_store(world: World) -> None:
    top = world.write()
    image = world.lock("./base:1", facts=True)
    found = image.platforms["linux/amd64"]
    assert (image.digest, found.digest, found.command) == (top, top, ("/opt/app",))
    assert [layer.diff_id for layer in found.layers] == [digest(BASE), digest(OURS)]
    fetch_image(image, "linux/amd64", registry=world.layouts, blobs=world.blobs)
    for layer in found.layers:
        world.blobs.verify(layer.digest.removeprefix("sha256:"))
    assert world.lock(f"./base@{top}") == Image(
        reference=f"./base@{top}", digest=image.digest, platforms=image.platforms
    )


def test_the_only_image_needs_no_tag_also_with_a_statement_about_it(world: World) -> None:
    top = world.write(provenance=b"{}")
    assert world.lock().digest == top


def test_an_index_gives_each_platform_its_own(world: World) -> None:
    top = world.write("base", "amd64", "arm64")
    image = world.lock("./base", "linux/amd64", "linux/arm64")
    assert image.digest == top
    assert image.platforms["linux/amd64"].digest != image.platforms["linux/arm64"].digest
    described = describe_image("./base", "linux/arm64", registry=world.layouts)
    assert described.platforms == ("linux/amd64", "linux/arm64")
    with pytest.raises(MissingPlatform, match="only for linux/amd64, linux/arm64"):
        world.lock("./base", "linux/riscv64")


def test_images_without_names_for_several_platforms_are_one(world: World) -> None:
    """As tools write it that know no names: the layout's own index is the image's."""
    for architecture in ("amd64", "arm64"):
        world.write("base", architecture, name=architecture)
    index = json.loads(world.index().read_bytes())
    for item in index["manifests"]:
        del item["annotations"]
    world.index().write_text(json.dumps(index))
    image = world.lock("./base", "linux/amd64", "linux/arm64")
    assert image.digest == digest(world.index().read_bytes())
    assert (
        world.lock(f"./base@{image.digest}", "linux/arm64").platforms["linux/arm64"] == image.platforms["linux/arm64"]
    )


def test_which_of_several_is_meant_has_to_be_said(world: World) -> None:
    world.write(name="one")
    world.write("base", "arm64", name="two")
    with pytest.raises(UnknownTag) as caught:
        world.lock("./base:three")
    assert caught.value.hint == "tags that it has: one, two"
    with pytest.raises(NotInLayout, match="has several images") as unsaid:
        world.layouts.manifest(ImageReference.parse("./base"))
    assert unsaid.value.hint == "it has one, two"


def test_what_was_locked_and_is_gone_says_what_to_do(world: World) -> None:
    top = world.write()
    world.blob(top).unlink()
    with pytest.raises(NotInLayout) as caught:
        world.lock(f"./base:1@{top}")
    assert "lock --upgrade" in caught.value.hint


@pytest.mark.parametrize(("exists", "why"), [(False, "there is no such directory"), (True, "it is no OCI layout")])
def test_what_is_no_layout_is_named(exists: bool, why: str, world: World) -> None:
    if exists:
        (world.root / "base").mkdir()
    with pytest.raises(BadLayout, match=rf"image \./base .*: {why}") as caught:
        world.lock()
    assert "skopeo copy" in caught.value.hint


def test_a_damaged_index_is_named(world: World) -> None:
    world.write()
    world.index().write_text("{")
    with pytest.raises(BadImage, match="is no JSON"):
        world.lock()
    world.index().write_text('{"schemaVersion": 2, "manifests": [{"digest": "sha256:../../etc/passwd", "size": 1}]}')
    with pytest.raises(BadImage, match="digest"):
        world.lock()


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
def test_documents_without_an_end_are_not_read(name: str, world: World) -> None:
    world.write()
    for target in ("/dev/zero", "/dev/full"):
        (world.root / "base" / name).unlink()
        (world.root / "base" / name).symlink_to(target)
        with pytest.raises(BadLayout, match="it is no OCI layout"):
            world.lock()


def test_blobs_without_an_end_are_not_read(world: World) -> None:
    top = world.write()
    image = world.lock()
    for name in (top, digest(OURS)):
        world.blob(name).unlink()
        world.blob(name).symlink_to("/dev/zero")
    with pytest.raises(BadLayout, match="not whole"):
        world.lock()
    with pytest.raises(BadLayout, match="not whole"):
        fetch_image(image, "linux/amd64", registry=world.layouts, blobs=world.blobs)


def test_a_damaged_manifest_is_refused(world: World) -> None:
    world.blob(world.write()).write_bytes(b"{}")
    with pytest.raises(WrongHash, match=r"the manifest of \./base"):
        world.lock()


def test_a_damaged_layer_is_refused_with_its_path(world: World) -> None:
    world.write()
    image = world.lock()
    world.blob(digest(OURS)).write_bytes(b"x" * len(OURS))
    with pytest.raises(WrongHash, match="blobs/sha256"):
        fetch_image(image, "linux/amd64", registry=world.layouts, blobs=world.blobs)
    assert not world.blobs.has(digest(OURS).removeprefix("sha256:"))


def test_a_layer_that_is_not_there_is_named(world: World) -> None:
    world.write()
    world.blob(digest(OURS)).unlink()
    image = world.lock()
    with pytest.raises(BadLayout, match=f"not whole: {digest(OURS)}"):
        fetch_image(image, "linux/amd64", registry=world.layouts, blobs=world.blobs)


@pytest.mark.parametrize(
    ("text", "path", "tag"),
    [
        ("./base", "./base", ""),
        (".", ".", ""),
        ("../images/base:1.2", "../images/base", "1.2"),
        ("/srv/images:python-3.11", "/srv/images", "python-3.11"),
    ],
)
def test_a_path_is_a_layout(text: str, path: str, tag: str) -> None:
    reference = ImageReference.parse(text)
    assert (reference.transport, reference.repository, reference.tag) == (Transport.LAYOUT, path, tag)
    assert str(reference) == text
    assert str(ImageReference.parse(f"{text}@sha256:{'0' * 64}")) == f"{text}@sha256:{'0' * 64}"


@pytest.mark.parametrize("text", ["./a b", "./a:b:c", "./a@1", ".hidden", "./a=1", "./a:"])
def test_what_names_no_layout_says_how_one_is_named(text: str) -> None:
    with pytest.raises(BadSource, match="no directory of an OCI layout") as caught:
        ImageReference.parse(text)
    assert "oci:./DIRECTORY" in caught.value.hint
