"""A docker-archive: the form in which `docker load` takes an image.

Docker before 23.0 reads no zstd: a layer that comes compressed with it goes out plain. Its size stands before it, so it is
decompressed twice; that takes no room, neither on the disk nor in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatchlock.digest import hex_of, sha256_bytes
from hatchlock.images.layer import tar_chunks, tar_header
from hatchlock.images.layers_read import BadLayer
from hatchlock.realise.zstd import ZSTD_HEAD, DamagedZstd, is_zstd, open_zstd

__all__ = ["ArchiveLayer", "archive_chunks"]

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveLayer:
    """A layer of an archive.

    Attributes:
        diff_id: `sha256:…` of its uncompressed bytes.
        path: A file with its bytes, plain or compressed with gzip or zstd; None leaves it out, which an engine accepts
            that already has the layers up to this one.
    """

    diff_id: str
    path: Path | None


def archive_chunks(*, config: bytes, layers: Sequence[ArchiveLayer], tag: str) -> Iterator[bytes]:
    """Yield an image as a docker-archive, in pieces.

    Args:
        config: The image's config.
        layers: All its layers, lowest first.
        tag: The name it gets when it is loaded.

    Raises:
        BadLayer: A layer is compressed with zstd, and damaged or cut off.
        OSError: A layer cannot be read.
    """
    names = {layer.diff_id: f"{hex_of(layer.diff_id)}.tar" for layer in layers}
    config_name = f"{sha256_bytes(config)}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [names[layer.diff_id] for layer in layers]}]
    yield from _member("manifest.json", json.dumps(manifest).encode())
    yield from _member(config_name, config)
    for diff_id, path in {layer.diff_id: layer.path for layer in layers}.items():
        if path is not None:
            size = _size(path)
            yield tar_header(names[diff_id], size=size)
            yield from tar_chunks(_file(path), size)
    yield bytes(1024)


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield tar_header(name, size=len(data))
    yield from tar_chunks([data], len(data))


def _size(path: Path) -> int:
    with path.open("rb") as stream:
        if not is_zstd(stream.read(ZSTD_HEAD)):
            return path.stat().st_size
    return sum(map(len, _file(path)))


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as raw:
        packed = is_zstd(raw.read(ZSTD_HEAD))
        raw.seek(0)
        stream = open_zstd(raw) if packed else raw
        try:
            while piece := stream.read(_CHUNK):
                yield piece
        except (DamagedZstd, EOFError) as error:
            raise BadLayer(layer=path.name, why=str(error)) from error
