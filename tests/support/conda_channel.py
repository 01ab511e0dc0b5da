"""A conda channel: real packages (.conda and .tar.bz2), made by hand, and the lists that rattler's indexer makes of them.

It is a directory, to be used as `file://` or served on loopback with ETags and, if wanted, a login.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rattler.index import index_fs

from hatchlock.digest import sha256_bytes
from support import pythons
from support.loopback import Handler, answering, basic

__all__ = [
    "PREFIX",
    "CondaFile",
    "CondaPackage",
    "ServedChannel",
    "interpreter_package",
    "serving_channel",
    "write_channel",
    "zstd",
]

PREFIX = "/opt/placehold_placehold_placehold_placehold_placehold_placehold_placehold_placehold_placehold_placehold"
"""What stands in files for the directory that they will be installed in."""


@dataclass(frozen=True, kw_only=True)
class CondaFile:
    """A file of a package; a symlink if it has a target."""

    data: bytes = b""
    mode: int = 0o644
    target: str = ""
    placeholder: str = ""
    binary: bool = False


@dataclass(kw_only=True)
class CondaPackage:
    """A build of a package. `listed` says what its list of paths has, where that is not the truth."""

    name: str
    version: str = "1.0"
    build: str = "0"
    subdir: str = "noarch"
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    noarch: str = ""
    files: Mapping[str, CondaFile] = field(default_factory=dict)
    entry_points: Sequence[str] = ()
    timestamp: int | None = 1_767_225_600_000
    old_format: bool = False
    listed: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.build}.{'tar.bz2' if self.old_format else 'conda'}"

    @property
    def index(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "depends": list(self.depends),
            "constrains": list(self.constrains),
            "subdir": self.subdir,
            "license": "MIT",
        }
        facts |= {"noarch": self.noarch} if self.noarch else {}
        facts |= {"timestamp": self.timestamp} if self.timestamp else {}
        return facts | dict(self.facts)

    @property
    def data(self) -> bytes:
        info = {f"info/{name}": CondaFile(data=json.dumps(value).encode()) for name, value in self._info().items()}
        if self.old_format:
            return _tar({**info, **self.files}, "w:bz2")
        stream = io.BytesIO()
        stem = f"{self.name}-{self.version}-{self.build}"
        members = {
            "metadata.json": b'{"conda_pkg_format_version": 2}',
            f"pkg-{stem}.tar.zst": zstd(_tar(self.files, "w")),
            f"info-{stem}.tar.zst": zstd(_tar(info, "w")),
        }
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(name), data)
        return stream.getvalue()

    def _info(self) -> dict[str, Any]:
        paths = [_path(self.listed.get(name, name), file) for name, file in self.files.items()]
        info: dict[str, Any] = {"index.json": self.index, "paths.json": {"paths": paths, "paths_version": 1}}
        if self.noarch == "python":
            noarch = {"type": "python", "entry_points": list(self.entry_points)}
            info["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
        return info


def interpreter_package(archive: Path, subdir: str = "linux-64", version: str = pythons.FULL) -> CondaPackage:
    """Return a `python` that starts: the interpreter that runs the tests, as `pythons.make_python_archive` packs it."""
    files: dict[str, CondaFile] = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member) if member.isfile() else None
            data = content.read() if content else b""
            target = member.linkname if member.issym() else ""
            files[member.name.removeprefix("python/")] = CondaFile(data=data, mode=member.mode, target=target)
    return CondaPackage(name="python", version=version, build="0_cpython", subdir=subdir, files=files)


def _path(name: str, file: CondaFile) -> dict[str, Any]:
    if file.target:
        return {"_path": name, "path_type": "softlink", "sha256": sha256_bytes(b""), "size_in_bytes": 0}
    entry: dict[str, Any] = {
        "_path": name,
        "path_type": "hardlink",
        "sha256": sha256_bytes(file.data),
        "size_in_bytes": len(file.data),
    }
    if file.placeholder:
        entry |= {"prefix_placeholder": file.placeholder, "file_mode": "binary" if file.binary else "text"}
    return entry


def _tar(files: Mapping[str, CondaFile], mode: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, file in files.items():
            member = tarfile.TarInfo(name)
            member.mode = file.mode
            member.mtime = 1_700_000_000
            if file.target:
                member.type = tarfile.SYMTYPE
                member.linkname = file.target
            member.size = len(file.data)
            archive.addfile(member, io.BytesIO(file.data))
    return stream.getvalue()


def zstd(data: bytes) -> bytes:
    """Return a Zstandard frame (RFC 8878) of uncompressed blocks: any decompressor takes it."""
    pieces = [data[start : start + 0x20000] for start in range(0, len(data), 0x20000)] or [b""]
    # magic; a single segment whose size has eight bytes; that size
    frame = struct.pack("<IBQ", 0xFD2FB528, 0b1110_0000, len(data))
    for number, piece in enumerate(pieces, 1):
        head = (len(piece) << 3) | (number == len(pieces))
        frame += struct.pack("<I", head)[:3] + piece
    return frame


def write_channel(root: Path, packages: Sequence[CondaPackage], *, shards: bool = True) -> Path:
    """Make a channel of some packages, in the directory of its name."""
    (root / "noarch").mkdir(parents=True, exist_ok=True)
    for package in packages:
        (root / package.subdir).mkdir(exist_ok=True)
        (root / package.subdir / package.file_name).write_bytes(package.data)
    asyncio.run(index_fs(root, write_zst=False, write_shards=shards, force=True))
    return root


@dataclass(kw_only=True)
class ServedChannel:
    """What is served, where, and what was asked for."""

    root: Path
    url: str = ""
    login: tuple[str, str] | None = None
    broken: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes, str]:
        self.asked.append(path)
        if self.broken:
            return self.broken, b"", ""
        if self.login and headers.get("Authorization") != basic(*self.login):
            return 401, b"", ""
        file = self.root / unquote(path).lstrip("/")
        if not file.is_file():
            return 404, b"", ""
        data = file.read_bytes()
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        return (304, b"", etag) if headers.get("If-None-Match") == etag else (200, data, etag)


class _Handler(Handler[ServedChannel]):
    def do_GET(self) -> None:
        status, data, etag = self.state.answer(self.path, self.headers)  # type: ignore[arg-type]  # a message is a mapping
        self.send(status, data, {"ETag": etag} if etag else {})


@contextlib.contextmanager
def serving_channel(root: Path) -> Iterator[ServedChannel]:
    """Serve the directory of a channel on loopback."""
    channel = ServedChannel(root=root)
    with answering(_Handler, channel) as address:
        channel.url = address
        yield channel
