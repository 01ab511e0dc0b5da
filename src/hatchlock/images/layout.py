"""OCI image layouts: a directory, or one tar of it (`oci-archive`), that other tools read.

Whoever looks at the final name sees a whole layout or what was there before, also after a kill: a directory is made beside it
and renamed; in a layout that is there already, blobs are added, and its index is replaced last.

A statement about an image lies among the blobs, where the manifest's annotation names it. It is not listed as an artefact:
Podman and skopeo take an image without being told its name only from a layout that lists nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.digest import canonical_json, digest_file
from hatchlock.errors import HatchlockError
from hatchlock.files import (
    atomic_write,
    clear_unfinished,
    fsync_directory,
    read_optional,
    replacing,
    reporting_permission,
)
from hatchlock.images.layer import tar_chunks, tar_header
from hatchlock.images.packed import INDEX, Packed

__all__ = ["NAME_ANNOTATION", "NoPlaceForLayout", "layout_chunks", "write_chunks", "write_layout"]

NAME_ANNOTATION = "org.opencontainers.image.ref.name"
"""Of a descriptor in a layout's index: what it is called there."""

_VERSION_FILE = "oci-layout"
_VERSION = canonical_json({"imageLayoutVersion": "1.0.0"})
_INDEX_FILE = "index.json"
_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755


@dataclass(kw_only=True, eq=False)
class NoPlaceForLayout(HatchlockError):
    """Where an OCI layout is to be written is something else."""

    code: ClassVar[str] = "no-place-for-layout"

    directory: str

    def __str__(self) -> str:
        return f"{self.directory} is there already, and is no OCI layout"

    def _hint(self) -> str:
        return "name a directory that does not exist; it is made"


def write_layout(packed: Packed, directory: Path, *, name: str) -> None:
    """Write an image into a layout.

    Args:
        packed: The image.
        directory: The layout's; made if it does not exist or is empty. In one that is there already, the image is added, or
            takes the place of the one of its name.
        name: What it is called there.

    Raises:
        NoPlaceForLayout: Something else is there.
        PermissionProblem: It cannot be written to.
        WrongHash: A file of a layer has changed; nothing refers to what was written.
        OSError: The disk is full, or the like.
    """
    with reporting_permission(directory):
        before = _listed(directory)
        if before is not None:
            _fill(directory, packed, [*_without(before, name), _descriptor(packed, name)])
            return
        temporary = directory.with_name(f".{directory.name}.{os.urandom(6).hex()}.tmp")
        try:
            temporary.mkdir()
            _fill(temporary, packed, [_descriptor(packed, name)])
            temporary.chmod(_DIRECTORY_MODE)
            temporary.rename(directory)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        fsync_directory(directory.parent)


def layout_chunks(packed: Packed, *, name: str) -> Iterator[bytes]:
    """Yield the tar of a layout that has one image, in pieces.

    Raises:
        WrongHash: A file of a layer has changed.
        OSError: It cannot be read.
    """
    for path, data in ((_VERSION_FILE, _VERSION), (_INDEX_FILE, _index([_descriptor(packed, name)]))):
        yield tar_header(path, size=len(data))
        yield from tar_chunks([data], len(data))
    for content in sorted((*packed.blobs, *packed.manifests), key=lambda item: item.digest):
        yield tar_header(_path(content.digest), size=content.size)
        yield from tar_chunks(content.chunks(), content.size)
    yield bytes(1024)


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Replace a file by what comes in pieces: it appears when it is whole, with all its bytes.

    Raises:
        PermissionProblem: It cannot be written, or is a device or the like.
        OSError: The disk is full, or the like; the file is as it was.
    """
    clear_unfinished(path.parent, path.name)
    with reporting_permission(path), replacing(path, mode=_FILE_MODE) as stream:
        stream.writelines(chunks)


def _fill(directory: Path, packed: Packed, descriptors: Iterable[Mapping[str, Any]]) -> None:
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for content in (*packed.blobs, *packed.manifests):
        path = directory / _path(content.digest)
        if not _has(path, content.digest):
            write_chunks(path, content.chunks())
    for parent in (blobs, blobs.parent):
        parent.chmod(_DIRECTORY_MODE)
    atomic_write(directory / _VERSION_FILE, _VERSION, mode=_FILE_MODE)
    atomic_write(directory / _INDEX_FILE, _index(descriptors), mode=_FILE_MODE)


def _listed(directory: Path) -> list[dict[str, Any]] | None:
    """Return what a layout lists; None where there is nothing yet."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return None
    data = read_optional(directory / _INDEX_FILE)
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        if read_optional(directory / _VERSION_FILE) is not None and data is not None:
            return [dict(item) for item in json.loads(data)["manifests"]]
    raise NoPlaceForLayout(directory=str(directory))


def _without(listed: Iterable[Mapping[str, Any]], name: str) -> Iterator[Mapping[str, Any]]:
    return (item for item in listed if (item.get("annotations") or {}).get(NAME_ANNOTATION) != name)


def _descriptor(packed: Packed, name: str) -> Mapping[str, Any]:
    platform = {"platform": dict(packed.platform)} if packed.platform else {}
    return {**packed.top.descriptor, **platform, "annotations": {NAME_ANNOTATION: name}}


def _index(descriptors: Iterable[Mapping[str, Any]]) -> bytes:
    return canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(descriptors)})


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and f"sha256:{digest_file(path)}" == digest


def _path(digest: str) -> str:
    algorithm, _, name = digest.partition(":")
    return f"blobs/{algorithm}/{name}"
