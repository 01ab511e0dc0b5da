"""What is remembered of layers: a lock that says something untrue of its base is not believed for other images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from hatchlock.images.assemble import Composed
from hatchlock.lock.images import ImagePlatform, Layer
from hatchlock.paths import Home
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image_build import composed
from hatchlock.resources.image_spec import ImageSpec
from support.images import stored, wheel_image
from support.layers import make_layer
from support.wheels import make_wheel

PLATFORM = "linux/amd64"


def base_of(home: Home, directory: Path, passwd: bytes, *, said: str = "") -> ImagePlatform:
    """A base of one layer, which is said to have another diff id than it has, if one is given."""
    directory.mkdir()
    layer, config = directory / "layer.tar", directory / "config.json"
    layer.write_bytes(make_layer({"etc": None, "etc/passwd": passwd, "usr/bin/python3.11": b""}, packed=False))
    diff_id = said or f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"
    config.write_text(json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [diff_id]}}))
    found, document = stored(home, layer), stored(home, config)
    return ImagePlatform(
        digest=f"sha256:{'b' * 64}",
        config=f"sha256:{document.digest}",
        config_size=document.size,
        layers=(Layer(digest=f"sha256:{found.digest}", size=found.size, diff_id=diff_id),),
        python="3.11.9",
        python_path="/usr/bin/python3.11",
    )


def made(spec: ImageSpec, home: Home, *, engine: list[str] | None = None) -> Composed:
    """Put an image together for an engine that has these layers, if any."""
    with composed(spec, home=home, has=lambda ids: list(ids) == engine) as image:
        return image


def test_a_layer_is_remembered_for_what_the_base_has_and_not_for_what_a_lock_says_of_it(tmp_path: Path) -> None:
    home = Home(root=tmp_path / "store", is_default=False)
    honest = base_of(home, tmp_path / "honest", b"root:x:0:0::/root:/bin/sh\n")
    name = honest.layers[0].diff_id
    liar = base_of(home, tmp_path / "liar", b"root::0:0::/root:/bin/sh\n", said=name)

    spec = ImageSpec(
        server="demo", reference="base", platform=PLATFORM, key="1", base=honest, environment=EnvSpec(name="demo")
    )
    bad = made(replace(spec, base=liar), home)
    good = made(spec, home, engine=[name, *bad.layers])

    assert good.is_whole
    assert good.layers != bad.layers


def test_where_a_layer_of_wheels_goes_follows_from_the_base_and_not_from_what_a_lock_says_of_it(tmp_path: Path) -> None:
    home = Home(root=tmp_path / "store", is_default=False)
    base = base_of(home, tmp_path / "base", b"")
    wheel = make_wheel(tmp_path)
    honest = wheel_image(home, base, [(wheel.name, wheel)], platform=PLATFORM)
    lying = replace(honest, base=replace(base, symlinks={"opt": "etc"}))

    assert made(lying, home).layers == made(honest, home).layers
