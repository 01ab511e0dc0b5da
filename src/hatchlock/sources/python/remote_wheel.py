"""Reading a few members of a wheel that stays on its server, by byte ranges."""

from __future__ import annotations

import hashlib
import io
import zipfile

from packaging.utils import canonicalize_name

from hatchlock.net.http import Http
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.metadata import WheelMetadata, read_scripts
from hatchlock.sources.python.simple import IndexFile

__all__ = ["read_wheel"]

# A wheel's dist-info comes last by convention (PEP 427), so its tail holds the directory, METADATA and entry points.
_TAIL = 32 << 10
_LOOK_AHEAD = 16 << 10
_NO_RANGES = frozenset({416, 501})
_LARGEST_MEMBER = 16 << 20


def read_wheel(http: Http, file: IndexFile) -> WheelMetadata:
    """Return a wheel's metadata with its scripts, asking for its tail and, where that is too short, for one more range.

    A server that ignores ranges sends the whole wheel, which is then checked against the index's sha256. What a range
    says is not checked against anything: the bytes that are installed later are.

    Raises:
        BadAnswer: It is no wheel.
        Refused: The server wants credentials.
        Unreachable: It cannot be asked.
    """
    remote = _RemoteFile(http, file)
    try:
        with zipfile.ZipFile(remote) as archive:
            folder = _dist_info(archive, file.name)
            metadata = _member(archive, remote, f"{folder}/METADATA")
            points = f"{folder}/entry_points.txt"
            scripts = read_scripts(_member(archive, remote, points)) if points in archive.NameToInfo else {}
        return WheelMetadata.parse(metadata, scripts=scripts)
    except (zipfile.BadZipFile, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadAnswer(what=file.name, why=f"it is no proper wheel ({error})") from error


def _dist_info(archive: zipfile.ZipFile, wheel: str) -> str:
    suffix = ".dist-info/METADATA"
    folders = [
        name.removesuffix("/METADATA") for name in archive.NameToInfo if name.endswith(suffix) and name.count("/") == 1
    ]
    project = canonicalize_name(wheel.partition("-")[0])
    for folder in folders:
        if canonicalize_name(folder.partition("-")[0]) == project:
            return folder
    raise ValueError("it has no METADATA")


def _member(archive: zipfile.ZipFile, remote: _RemoteFile, name: str) -> bytes:
    info = archive.NameToInfo[name]
    if info.file_size > _LARGEST_MEMBER:
        raise ValueError(f"{name} is too large")
    remote.want(info.header_offset, info.compress_size + len(info.filename) + 512)
    return archive.read(info)


class _RemoteFile(io.RawIOBase):
    """The bytes of a remote file, as far as they were wanted."""

    def __init__(self, http: Http, file: IndexFile) -> None:
        super().__init__()
        self._http = http
        self._file = file
        self._position = 0
        self._pieces: list[tuple[int, bytes]] = []
        self.size = file.size
        self._load_tail()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        wanted = self.size - self._position if size is None or size < 0 else size
        start, piece = self.want(self._position, wanted)
        data = piece[self._position - start :][:wanted]
        self._position += len(data)
        return data

    def want(self, offset: int, size: int) -> tuple[int, bytes]:
        """Return a piece, and where it begins, that holds these bytes as far as the file has them."""
        end = min(self.size, offset + size)
        for start, piece in self._pieces:
            if start <= offset and end <= start + len(piece):
                return start, piece
        # what comes before a directory is METADATA, so take some of that along
        first = max(0, min(offset, end) - _LOOK_AHEAD)
        answer = self._http.get(self._file.url, byte_range=(first, end - 1)).checked()
        if not answer.partial:
            return self._take_whole(answer.data)
        if len(answer.data) != end - first:
            raise ValueError("its server sent another range than it was asked for")
        self._pieces.append((first, answer.data))
        return first, answer.data

    def _load_tail(self) -> None:
        wanted = (max(0, self.size - _TAIL), self.size - 1) if self.size else (-_TAIL, None)
        answer = self._http.get(self._file.url, byte_range=wanted)
        if answer.status in _NO_RANGES:
            answer = self._http.get(self._file.url)
        if not answer.checked().partial:
            self._take_whole(answer.data)
            return
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        self.size = int(total) if total.isdigit() else self.size
        self._pieces.append((self.size - len(answer.data), answer.data))

    def _take_whole(self, data: bytes) -> tuple[int, bytes]:
        if self._file.sha256 and hashlib.sha256(data).hexdigest() != self._file.sha256:
            raise BadAnswer(what=self._file.name, why="its bytes do not have the sha256 that the index gives")
        self.size = len(data)
        self._pieces = [(0, data)]
        return self._pieces[0]
