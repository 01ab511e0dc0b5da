from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image import ImageResource
from hatchlock.resources.image_spec import ImageSpec
from support.locks import image

HOME = Home(root=Path("/store"), is_default=False)
BASE = image("python:3.11-slim", "linux/amd64").platforms["linux/amd64"]
WHEEL = Artefact(package="pypi:demo@1.0", name="demo-1.0-py3-none-any.whl", digest="a" * 64, size=10)
ASSEMBLED = ImageSpec(
    server="fetch",
    reference="python:3.11-slim",
    platform="linux/amd64",
    key="f" * 64,
    base=BASE,
    environment=EnvSpec(name="fetch", python="/usr/bin/python3.11", python_version="3.11.2", wheels=(WHEEL,)),
)
AS_IT_IS = ImageSpec(server="shop", reference="shop:1", platform="linux/amd64", key="e" * 64, base=BASE)


def nobody() -> Engine:
    pytest.fail("the engine was asked")


def resource(*specs: ImageSpec) -> ImageResource:
    logs = HOME.root / "logs"
    return ImageResource(specs, project="acme", home=HOME, logs=logs, lock_digest="0" * 64, connect=nobody)


def test_without_images_no_engine_is_asked() -> None:
    assert list(resource().observe()) == []


def test_what_is_wanted_is_known_without_an_engine() -> None:
    found = {str(item.address): item for item in resource(ASSEMBLED, AS_IT_IS).desired()}
    assert found["image:fetch"].key == "f" * 64
    assert found["image:fetch"].privilege == "engine"
    assert found["image:fetch"].facts == {
        "base": f"python:3.11-slim@{BASE.digest[:19]}",
        "python": "3.11.2",
        "packages": "1",
        "key": "f" * 12,
    }
    assert found["image:shop"].facts == {"image": "shop:1", "digest": BASE.digest}
    assert len(diff(found.values(), ()).steps) == 2


def test_it_is_made_from_config_layers_and_wheels() -> None:
    found = resource(ASSEMBLED).artefacts(ASSEMBLED.address)
    assert [(item.package, item.digest) for item in found] == [
        ("oci:python:3.11-slim", BASE.config.removeprefix("sha256:")),
        ("oci:python:3.11-slim", BASE.layers[0].digest.removeprefix("sha256:")),
        ("pypi:demo@1.0", "a" * 64),
    ]
