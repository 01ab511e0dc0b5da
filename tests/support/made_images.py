"""Small images as they are handed to whoever writes or pushes them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.packed import PlatformImage
from support.layers import make_layer

BASE = make_layer({"etc/os-release": b"ID=tiny\n"}, packed=False)
OURS = make_layer({"opt/app": b"ours"}, packed=False)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def made_image(
    directory: Path,
    *,
    architecture: str = "amd64",
    ours: bytes = OURS,
    provenance: bytes = b"",
    annotations: Mapping[str, str] | None = None,
) -> PlatformImage:
    """Return an image of a gzipped layer of a base and a plain one of ours, with its files in a directory."""
    directory.mkdir(exist_ok=True)
    below, above = directory / "base.tar.gz", directory / f"{architecture}.tar"
    below.write_bytes(gzip.compress(BASE, mtime=0))
    above.write_bytes(ours)
    layers = (
        ArchiveLayer(diff_id=digest(BASE), path=below),
        ArchiveLayer(diff_id=digest(ours), path=above),
    )
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Cmd": ["/opt/app"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    return PlatformImage(
        config=json.dumps(config).encode(), layers=layers, annotations=annotations or {}, provenance=provenance
    )
