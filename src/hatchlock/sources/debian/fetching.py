"""Lists of an archive: fetched in their smallest form, checked before and after they are unpacked."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Mapping

from hatchlock.digest import sha256_bytes
from hatchlock.net.http import Http
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.debian.release import Listed

__all__ = ["fetch_index"]

_GZIP = 31
# where a Release lists compressed forms only
_LARGEST = 1 << 30


def fetch_index(http: Http, directory: str, path: str, *, files: Mapping[str, Listed], by_hash: bool) -> str:
    """Fetch a list and return its text.

    Args:
        http: Asks the archive.
        directory: The address of the suite, with a slash at its end.
        path: The list, below the suite, without the ending of a compressed form.
        files: What the suite's signed Release lists.
        by_hash: Whether files can be asked for by their hash, which stays right while the archive changes.

    Raises:
        BadAnswer: It is not what the Release says.
        Refused, Unreachable: The archive does not give it.
    """
    ending = next(item for item in (".xz", ".gz", "") if f"{path}{item}" in files)
    listed = files[f"{path}{ending}"]
    folder = path.rpartition("/")[0]
    name = f"{folder}/by-hash/SHA256/{listed.sha256}".lstrip("/") if by_hash else f"{path}{ending}"
    url = f"{directory}{name}"
    packed = _fetched(http, url, listed)
    plain = files.get(path)
    data = _unpacked(packed, ending, url, limit=plain.size if plain else _LARGEST)
    if plain and ending:
        _check(data, plain, url)
    return data.decode(errors="replace")


def _fetched(http: Http, url: str, listed: Listed) -> bytes:
    buffer = bytearray()

    def take(piece: bytes) -> None:
        buffer.extend(piece)
        if len(buffer) > listed.size:
            raise _wrong(url)

    http.download(url, take)
    data = bytes(buffer)
    _check(data, listed, url)
    return data


def _check(data: bytes, listed: Listed, url: str) -> None:
    if len(data) != listed.size or sha256_bytes(data) != listed.sha256:
        raise _wrong(url)


def _wrong(url: str) -> BadAnswer:
    return BadAnswer(what=url, why="it does not have the size and SHA-256 that the signed Release lists")


def _unpacked(data: bytes, ending: str, url: str, *, limit: int) -> bytes:
    unpack = _UNPACKERS.get(ending)
    if unpack is None:
        return data
    try:
        # one byte more than may be there, so that more is noticed and no more is made
        return unpack(data, limit + 1)
    except (lzma.LZMAError, zlib.error, EOFError) as error:
        raise BadAnswer(what=url, why=f"it cannot be unpacked: {error}") from error


def _from_xz(data: bytes, limit: int) -> bytes:
    return lzma.LZMADecompressor().decompress(data, max_length=limit)


def _from_gzip(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj(_GZIP).decompress(data, limit)


_UNPACKERS: Mapping[str, Callable[[bytes, int], bytes]] = {".xz": _from_xz, ".gz": _from_gzip}
