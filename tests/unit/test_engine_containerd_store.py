"""Docker with the containerd image store, which cannot be had on Debian 12 (it needs 23 or newer, this is 20.10).

What the engine answers here is written down after its documented shape: `docker info` names the snapshotter as
`driver-type`, and an image's `Id` is the digest of its manifest, which `RepoDigests` repeats, not that of its config. Layers
are the config's diff ids as everywhere. So what decides whether an image is there is its tag, its labels and its layers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hatchlock.digest import sha256_bytes
from hatchlock.engines.docker import Engine, EngineFull
from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.assemble import Composed, NotLoaded, load
from hatchlock.images.key import image_tag
from support.layers import make_layer
from support.loopback import Handler, answering

TAG = image_tag("acme", "fetch", "a" * 64)
MANIFEST = f"sha256:{'d' * 64}"
INFO = {
    "ID": "0d4e6f2a-1111-2222-3333-444455556666",
    "Name": "elsewhere",
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "DockerRootDir": "/var/lib/docker",
    "OSType": "linux",
    "Architecture": "aarch64",
    "ServerVersion": "29.0.0",
}


@dataclass
class Store:
    layers: list[str]
    loaded: bool = False
    problem: str = ""
    deleted: list[str] = field(default_factory=list)

    @property
    def listed(self) -> dict[str, Any]:
        digests = [f"{TAG.rpartition(':')[0]}@{MANIFEST}"]
        labels = {"dev.hatchlock.key": "a" * 64}
        return {"Id": MANIFEST, "RepoTags": [TAG], "RepoDigests": digests, "Labels": labels, "Size": 4321}


class StoreHandler(Handler[Store]):
    content_type = "application/json"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/v1.44")
        if path == "/_ping":
            self.send(200, b"OK", {"Api-Version": "1.44"})
        elif path == "/version":
            self.send(200, json.dumps({"ApiVersion": "1.44"}).encode())
        elif path == "/info":
            self.send(200, json.dumps(INFO).encode())
        elif path == "/images/json":
            self.send(200, json.dumps([self.state.listed] if self.state.loaded else []).encode())
        elif path == f"/images/{TAG}/json" and self.state.loaded:
            descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": MANIFEST, "size": 500}
            found = {**self.state.listed, "Descriptor": descriptor, "RootFS": {"Layers": self.state.layers}}
            self.send(200, json.dumps(found).encode())
        else:
            self.send(404, json.dumps({"message": "No such image"}).encode())

    def do_POST(self) -> None:
        self._read_all()
        self.state.loaded = not self.state.problem
        said = {"error": self.state.problem} if self.state.problem else {"stream": f"Loaded image: {TAG}\n"}
        self.send(200, json.dumps(said).encode() + b"\r\n")

    def do_DELETE(self) -> None:  # noqa: N802  the base class names it so
        self.state.loaded = False
        self.state.deleted.append(self.path.partition("?")[0].removeprefix("/v1.44/images/"))
        self.send(200, b"[]")

    def _read_all(self) -> None:
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + len(b"\r\n"))
        self.rfile.readline()


@pytest.fixture
def layer(tmp_path: Path) -> ArchiveLayer:
    data = make_layer({"opt/hatchlock/file": b"content"}, packed=False)
    path = tmp_path / "layer.tar"
    path.write_bytes(data)
    return ArchiveLayer(diff_id=f"sha256:{sha256_bytes(data)}", path=path)


@pytest.fixture
def image(layer: ArchiveLayer) -> Composed:
    config = {"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}
    return Composed(config=json.dumps(config).encode(), below=(), above=(layer,))


@pytest.fixture
def store(layer: ArchiveLayer) -> Store:
    return Store(layers=[layer.diff_id])


@pytest.fixture
def engine(store: Store) -> Iterator[Engine]:
    with answering(StoreHandler, store) as url, Engine(url.replace("http://", "tcp://")) as connection:
        yield connection


def test_it_is_an_engine_that_gets_whole_archives(engine: Engine) -> None:
    assert engine.takes_thin_archives() is False
    assert engine.platform() == "linux/arm64"


def test_an_image_is_there_by_its_tag_and_layers_whatever_its_id(engine: Engine, image: Composed, store: Store) -> None:
    load(image, engine=engine, tag=TAG)
    assert store.deleted == []
    [found] = engine.images().items()
    assert found[0] == TAG
    assert found[1].id == MANIFEST != f"sha256:{sha256_bytes(image.config)}"
    assert (found[1].labels, found[1].size) == ({"dev.hatchlock.key": "a" * 64}, 4321)
    assert engine.image_layers(TAG) == image.diff_ids


def test_an_image_with_other_layers_loses_the_name(engine: Engine, image: Composed, store: Store) -> None:
    store.layers = [f"sha256:{'0' * 64}"]
    with pytest.raises(NotLoaded, match="other layers"):
        load(image, engine=engine, tag=TAG)
    assert store.deleted == [TAG]


def test_its_words_for_a_full_disk_are_understood_and_what_is_free_elsewhere_is_not_guessed(
    engine: Engine, image: Composed, store: Store
) -> None:
    store.problem = "write /var/lib/containerd/io.containerd.content.v1.content/ingest/x/data: no space left on device"
    with pytest.raises(EngineFull, match="too small for image") as caught:
        load(image, engine=engine, tag=TAG)
    assert caught.value.free is None
    assert "free" not in str(caught.value)
