"""Layers of images, made on the spot."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping


def make_layer(files: Mapping[str, bytes | str | None], *, packed: bool = True) -> bytes:
    """Return a layer: bytes are a file's, a text is a symlink's target (`=path` a hard link's), None is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                continue
            info.type = tarfile.DIRTYPE
            if content is not None:
                info.type = tarfile.LNKTYPE if content.startswith("=") else tarfile.SYMTYPE
                info.linkname = content.removeprefix("=")
            archive.addfile(info)
    return gzip.compress(out.getvalue(), mtime=0) if packed else out.getvalue()
