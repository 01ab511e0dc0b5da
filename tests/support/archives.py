"""Archives with whatever members a test wants, well-meant or not."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support.compressed import zstd


@dataclass(frozen=True)
class Item:
    """A member; `kind` is a letter of tar's own: file, directory, symlink, hard link, device, fifo."""

    name: str
    content: bytes = b""
    kind: Literal["file", "directory", "symlink", "hardlink", "device", "fifo"] = "file"
    mode: int = 0o644
    target: str = ""


_TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def make_tar(path: Path, items: Sequence[Item], *, compression: str = "gz") -> Path:
    """Write a tar file, each name as it is given."""
    stream = io.BytesIO()
    is_zstd = compression == "zst"
    with tarfile.open(fileobj=stream, mode=f"w:{'' if is_zstd else compression}") as archive:  # type: ignore[call-overload]
        for item in items:
            content = item.content if item.kind == "file" else b""
            info = tarfile.TarInfo(item.name)
            info.type, info.mode, info.linkname, info.size = _TYPES[item.kind], item.mode, item.target, len(content)
            archive.addfile(info, io.BytesIO(content))
    path.write_bytes(zstd(stream.getvalue()) if is_zstd else stream.getvalue())
    return path


def make_zip(path: Path, items: Sequence[Item]) -> Path:
    """Write a zip file, each name as it is given; symlinks as Info-ZIP does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for item in items:
            info = zipfile.ZipInfo(item.name + ("/" if item.kind == "directory" else ""))
            info.compress_type = zipfile.ZIP_DEFLATED
            kind = {"file": 0o100000, "directory": 0o040000, "symlink": 0o120000, "fifo": 0o010000}[item.kind]
            info.external_attr = (kind | item.mode) << 16
            archive.writestr(info, item.target.encode() if item.kind == "symlink" else item.content)
    return path


def tree_of(root: Path) -> dict[str, str]:
    """What is below a directory: path -> content of a file, "/" of a directory, "-> TARGET" of a symlink."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_bytes().decode()
    return found
