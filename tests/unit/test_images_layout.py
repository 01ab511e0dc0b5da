"""OCI layouts: bytes that follow from the image, and nothing half under the final name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.layout import NAME_ANNOTATION, NoPlaceForLayout, layout_chunks, write_chunks, write_layout
from hatchlock.images.packed import PROVENANCE_ANNOTATION, Packed, pack
from hatchlock.store.blobs import WrongHash
from support.compressed import SKIPPED, zstd
from support.made_images import BASE, OURS, made_image
from support.project import snapshot
from support.small_disk import small_disk


def index(directory: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((directory / "index.json").read_bytes())["manifests"]
    return listed


def image(directory: Path, **options: Any) -> Packed:
    return pack([made_image(directory, **options)])


def test_every_blob_has_the_bytes_of_its_name_and_all_that_is_named_is_there(tmp_path: Path) -> None:
    packed = image(tmp_path / "image", provenance=b"{}")
    write_layout(packed, tmp_path / "layout", name="app")
    blobs = {path.name: path.read_bytes() for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir()}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
    (top,) = index(tmp_path / "layout")
    assert top["annotations"] == {NAME_ANNOTATION: "app"}
    manifest = json.loads(blobs[top["digest"].removeprefix("sha256:")])
    assert blobs[manifest["annotations"][PROVENANCE_ANNOTATION].removeprefix("sha256:")] == b"{}"
    assert [item["mediaType"].rpartition("v1.")[2] for item in manifest["layers"]] == ["tar+gzip", "tar"]
    assert blobs[manifest["layers"][1]["digest"].removeprefix("sha256:")] == OURS
    named = {item["digest"] for item in (manifest["config"], *manifest["layers"])}
    assert named <= {f"sha256:{name}" for name in blobs}
    assert json.loads((tmp_path / "layout" / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_a_layer_stays_as_its_registry_has_it(tmp_path: Path) -> None:
    made = made_image(tmp_path / "image")
    packed = SKIPPED + zstd(BASE)
    (tmp_path / "base").write_bytes(packed)
    below = replace(made.layers[0], path=tmp_path / "base")
    write_layout(pack([replace(made, layers=(below, made.layers[1]))]), tmp_path / "layout", name="app")
    (top,) = index(tmp_path / "layout")
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    layers = json.loads((blobs / top["digest"].removeprefix("sha256:")).read_bytes())["layers"]
    assert [item["mediaType"].rpartition("v1.")[2] for item in layers] == ["tar+zstd", "tar"]
    assert (blobs / layers[0]["digest"].removeprefix("sha256:")).read_bytes() == packed


def test_the_same_image_gives_the_same_bytes_wherever_its_files_are(tmp_path: Path) -> None:
    for name in ("one", "two"):
        packed = image(tmp_path / f"image-{name}", annotations={"b": "2", "a": "1"})
        write_layout(packed, tmp_path / name, name="app")
        (tmp_path / f"{name}.tar").write_bytes(b"".join(layout_chunks(packed, name="app")))
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_an_archive_is_the_layout_as_one_file(tmp_path: Path) -> None:
    packed = image(tmp_path / "image")
    write_layout(packed, tmp_path / "layout", name="app")
    with tarfile.open(fileobj=io.BytesIO(b"".join(layout_chunks(packed, name="app")))) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert snapshot(tmp_path / "unpacked") == snapshot(tmp_path / "layout")


def test_platforms_in_any_order_are_one_index(tmp_path: Path) -> None:
    images = [
        made_image(tmp_path / "image", architecture=name, annotations={"title": "app", "for": name})
        for name in ("amd64", "arm64")
    ]
    packed = pack(images)
    assert packed == pack(images[::-1])
    write_layout(packed, tmp_path / "layout", name="app")
    (top,) = index(tmp_path / "layout")
    document = json.loads(packed.top.data)
    assert (top["mediaType"], top["digest"]) == (packed.top.media_type, packed.top.digest)
    assert [item["platform"] for item in document["manifests"]] == [
        {"os": "linux", "architecture": name} for name in ("amd64", "arm64")
    ]
    assert document["annotations"] == {"title": "app"}
    with pytest.raises(ValueError, match="amd64"):
        pack([images[0], images[0]])


def test_a_layout_that_is_there_is_added_to_and_a_name_means_one_image(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    write_layout(image(tmp_path / "a", provenance=b"{}"), layout, name="app")
    write_layout(image(tmp_path / "b", architecture="arm64"), layout, name="other")
    newer = image(tmp_path / "c", ours=OURS + bytes(512))
    write_layout(newer, layout, name="app")
    names = {item["annotations"].get(NAME_ANNOTATION): item["digest"] for item in index(layout)}
    assert names.keys() == {"app", "other"}
    assert names["app"] == newer.top.digest


def test_a_blob_that_is_damaged_is_written_again(tmp_path: Path) -> None:
    packed = image(tmp_path / "image")
    write_layout(packed, tmp_path / "layout", name="app")
    path = tmp_path / "layout" / "blobs" / "sha256" / packed.blobs[0].digest.removeprefix("sha256:")
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    write_layout(packed, tmp_path / "layout", name="app")
    assert path.read_bytes() == whole


def test_what_is_no_layout_is_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    write_layout(image(tmp_path / "image"), directory, name="app")  # an empty one may be used
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    for place in (tmp_path / "notes", file):
        with pytest.raises(NoPlaceForLayout, match="is no OCI layout"):
            write_layout(image(tmp_path / "image"), place, name="app")
    assert snapshot(tmp_path / "notes") == {"a.txt": b"mine"}


def test_a_layer_that_changes_meanwhile_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    packed = image(tmp_path / "image")
    (tmp_path / "image" / "amd64.tar").write_bytes(b"x" * len(OURS))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WrongHash, match=r"amd64\.tar"):
        write_layout(packed, tmp_path / "layout", name="app")
    with pytest.raises(WrongHash):
        write_chunks(tmp_path / "layout.tar", layout_chunks(packed, name="app"))
    assert sorted(tmp_path.iterdir()) == before


def test_a_plain_layer_that_is_not_what_it_is_called_is_refused(tmp_path: Path) -> None:
    made = made_image(tmp_path / "image")
    wrong = ArchiveLayer(diff_id=f"sha256:{'0' * 64}", path=made.layers[1].path)
    with pytest.raises(WrongHash, match="a layer"):
        pack([type(made)(config=made.config, layers=[made.layers[0], wrong])])


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    packed = image(tmp_path / "image", ours=OURS + bytes(1 << 20))
    place = tmp_path / "place"
    place.mkdir()
    with small_disk(place, "64k"):
        with pytest.raises(OSError, match="No space left"):
            write_layout(packed, place / "layout", name="app")
        with pytest.raises(OSError, match="No space left"):
            write_chunks(place / "layout.tar", layout_chunks(packed, name="app"))
        assert list(place.iterdir()) == []


def test_killed_at_any_instant_the_layout_is_whole_or_not_there(tmp_path: Path) -> None:
    """Every file and the directory get their names by a rename; the process is killed before and after each."""
    packed = image(tmp_path / "image")
    newer = image(tmp_path / "newer", ours=OURS + bytes(512))
    write_layout(packed, tmp_path / "whole", name="app")
    layout, deaths = tmp_path / "layout", 0
    while _dies(deaths + 1, lambda: write_layout(packed, layout, name="app")):
        deaths += 1
        assert not layout.exists() or snapshot(layout) == snapshot(tmp_path / "whole")
        shutil.rmtree(layout, ignore_errors=True)
    assert deaths == 2 * (len(packed.blobs) + 4)  # the blobs, the manifest, two files, the directory
    deaths = 0
    while _dies(deaths + 1, lambda: write_layout(newer, layout, name="app")):
        deaths += 1
        (top,) = index(layout)
        data = (layout / "blobs" / "sha256" / top["digest"].removeprefix("sha256:")).read_bytes()
        assert data in (packed.top.data, newer.top.data)
    assert deaths > len(newer.blobs)


def _dies(instant: int, act: Callable[[], None]) -> bool:
    """Do something in a process that is killed at its n-th instant, and return whether it came to that."""
    child = os.fork()
    if child == 0:
        passed = 0

        def watched(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*words: Any) -> Any:
                nonlocal passed
                passed += 1
                if passed == instant:
                    os.kill(os.getpid(), signal.SIGKILL)
                done = real(*words)
                passed += 1
                if passed == instant:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done

            return call

        Path.replace = watched(Path.replace)  # type: ignore[method-assign]
        Path.rename = watched(Path.rename)  # type: ignore[method-assign]
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
