"""Reports of images: read as they were printed, refused if they are none, compared layer by layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from hatchlock.images.report import BadReport, MadeImage, MadeLayer, Report, image_differences, read_report

LAYERS = tuple(MadeLayer(name=name, diff_id=f"sha256:{name}", size=7) for name in ("system", "python"))
IMAGE = MadeImage(
    name="web",
    platform="linux/amd64",
    key="k",
    base="python:3.11",
    base_digest="sha256:b",
    config="sha256:c",
    layers=LAYERS,
)
REPORT = Report(project="acme", lock="a" * 64, hatchlock="0.1.0", assembler=1, images=(IMAGE,))


def document(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Any:
    found: dict[str, Any] = json.loads(json.dumps({"format_version": 1, **asdict(REPORT)}))
    change(found)
    return found


def test_what_was_printed_is_read_with_whatever_is_added_later() -> None:
    assert read_report(document(), path="r") == REPORT
    assert read_report(document(lambda found: found.update(mood="fine")), path="r") == REPORT


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("format_version"),
        lambda found: found.update(format_version=2),
        lambda found: found.pop("images"),
        lambda found: found.update(images=7),
        lambda found: found.update(assembler="1"),
        lambda found: found["images"][0].pop("key"),
        lambda found: found["images"][0]["layers"][0].update(size=True),
        lambda found: found["images"][0].update(layers=["x"]),
    ],
)
def test_what_is_no_report_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(BadReport, match="r is no report"):
        read_report(document(change), path="r")
    others: tuple[Any, ...] = ([], "", None, 1)
    for other in others:
        with pytest.raises(BadReport):
            read_report(other, path="r")


def test_the_layer_that_is_another_one_is_named_and_then_the_config_is_no_news() -> None:
    other = replace(IMAGE, config="sha256:x", layers=(LAYERS[0], replace(LAYERS[1], diff_id="sha256:y")))
    assert list(image_differences(IMAGE, IMAGE)) == []
    assert list(image_differences(IMAGE, other)) == ["its layer python is sha256:python, in the report sha256:y"]


def test_a_config_that_is_another_one_over_the_same_layers() -> None:
    other = replace(IMAGE, config="sha256:x")
    assert list(image_differences(IMAGE, other)) == ["its config is sha256:c, in the report sha256:x"]


def test_input_base_and_number_of_layers() -> None:
    other = replace(IMAGE, key="o", base_digest="sha256:o", layers=LAYERS[:1])
    assert list(image_differences(IMAGE, other)) == [
        "its input key is k, in the report o",
        "its base is sha256:b, in the report sha256:o",
        "it has 2 layers of its own, in the report 1",
    ]
