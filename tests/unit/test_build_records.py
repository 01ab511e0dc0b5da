"""What a store says of builds: read back or refused, taken over from others, compared."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.realise.builds.image_record import ImageRecord, ImageRecords
from hatchlock.realise.builds.record import BuildRecord, BuildRecords
from hatchlock.usecases.build_results import read_record

KEY, A, B, C = ("0" * 64, "a" * 64, "b" * 64, "c" * 64)
IMAGE = ImageRecord(context=A, layers=(f"sha256:{B}",), config=C, blobs={B: 10, C: 2})
WHEEL = BuildRecord(package="pypi:thing@1.0", archive=A, file="thing-1.0-py3-none-any.whl", sha256=B, size=10)


@pytest.mark.parametrize("record", [IMAGE, WHEEL])
def test_a_record_is_read_back_and_told_from_the_other_kind(record: ImageRecord | BuildRecord) -> None:
    assert read_record(asdict(record)) == record


@pytest.mark.parametrize(
    "changed",
    [
        {"context": "a"},
        {"layers": ["sha256:../../x"]},
        {"layers": 1},
        {"config": A},
        {"blobs": {"../x": 1}},
        {"blobs": {B: "1"}},
        {"blobs": {}},
        {"config": "", "blobs": {}},
        {"new": 1},
    ],
)
def test_what_is_no_record_of_an_image_is_none(changed: dict[str, Any]) -> None:
    assert read_record({**asdict(IMAGE), **changed}) is None


@pytest.mark.parametrize(
    "changed", [{"sha256": "../x"}, {"file": "../thing-1.0.whl"}, {"size": "1"}, {"package": 1}, {"archive": None}]
)
def test_what_is_no_record_of_a_package_is_none(changed: dict[str, Any]) -> None:
    assert read_record({**asdict(WHEEL), **changed}) is None


def test_what_others_built_is_taken_once_and_what_differs_is_remembered(tmp_path: Path) -> None:
    packages, images = BuildRecords(tmp_path / "one"), ImageRecords(tmp_path / "two")
    packages.take(KEY, WHEEL, lambda _: True)
    images.take(KEY, IMAGE, lambda _: True)
    assert packages.find(KEY) == replace(WHEEL, elsewhere=True)
    assert images.find(KEY) == replace(IMAGE, elsewhere=True)
    packages.take(KEY, replace(WHEEL, sha256=C), lambda _: True)
    images.take(KEY, replace(IMAGE, layers=(f"sha256:{C}",)), lambda _: True)
    assert packages.find(KEY) == replace(WHEEL, elsewhere=True, rebuilt="differs")
    assert images.find(KEY) == replace(IMAGE, elsewhere=True, rebuilt="differs")
    packages.take(KEY, replace(WHEEL, sha256=C), {C}.__contains__)
    images.take(KEY, replace(IMAGE, layers=(f"sha256:{C}",)), {C}.__contains__)
    assert packages.find(KEY) == replace(WHEEL, sha256=C, elsewhere=True, rebuilt="differs"), "what is lost is replaced"
    assert images.find(KEY) == replace(IMAGE, layers=(f"sha256:{C}",), elsewhere=True, rebuilt="differs")


def test_what_was_different_once_is_never_called_equal(tmp_path: Path) -> None:
    packages, images = BuildRecords(tmp_path / "one"), ImageRecords(tmp_path / "two")
    packages.note(KEY, WHEEL)
    images.note(KEY, IMAGE)
    seen = []
    for digest in (B, C, B):
        package = packages.compare(KEY, replace(WHEEL, sha256=digest))
        image = images.compare(KEY, replace(IMAGE, layers=(f"sha256:{digest}",)))
        seen.append((package.sha256, package.rebuilt, image.rebuilt))
    assert seen == [(B, "equal", "equal"), (B, "differs", "differs"), (B, "differs", "differs")]


def test_what_is_taken_out_of_an_engine_belongs_to_the_record_of_the_same_layers(tmp_path: Path) -> None:
    records = ImageRecords(tmp_path)
    built = replace(IMAGE, config="", blobs={}, rebuilt="equal", elsewhere=True)
    records.write(KEY, built)
    assert not built.is_kept(lambda _: True)
    assert records.complete(KEY, IMAGE) == replace(IMAGE, rebuilt="equal", elsewhere=True)
    other = replace(IMAGE, layers=(f"sha256:{C}",))
    assert records.complete(KEY, other) == replace(other, rebuilt="differs")
