"""Source distributions: what they say about themselves without being built (PEP 625, PEP 643), and why they are refused."""

from __future__ import annotations

import io
import tarfile
import zlib
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.net.http import Http
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.metadata import WheelMetadata, is_static
from hatchlock.sources.python.simple import IndexFile

__all__ = ["SourceOnly", "read_sdist"]

_LARGEST_ARCHIVE = 64 << 20
_LARGEST_CONTENT = 256 << 20
_LARGEST_MEMBER = 4 << 20


@dataclass(kw_only=True, eq=False)
class SourceOnly(HatchlockError):
    """What is needed would have to be built.

    Attributes:
        package: Its name.
        version: Its version.
        requirer: Who needs it: `gsutil 5.0`, "the manifest".
        needs: What its static metadata says that it needs, if there is any.
    """

    code: ClassVar[str] = "source-only"

    package: str
    version: str
    requirer: str
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        needs = f" (it would need {', '.join(self.needs)})" if self.needs else ""
        return f"{self.package} {self.version}, which {self.requirer} requires, is published as source only{needs}"

    def _hint(self) -> str:
        return (
            f"choose a version that has wheels, or do without {self.package}. "
            f'allow-build = ["{self.package}"] would build it in a sandbox without network, and its content would be known '
            "only after that; this version of hatchlock does not build yet"
        )


def read_sdist(http: Http, file: IndexFile) -> WheelMetadata | None:
    """Return the metadata of a source distribution, if that binds what a build of it would give (PEP 643).

    The archive is fetched, up to 64 MiB, and checked against the index's sha256; nothing of it is run or unpacked. None: it
    does not tell what it needs before it is built, or it is no `.tar.gz`, or it is too large.

    Raises:
        BadAnswer: It is broken, or not what the index's hash says.
        Refused: The server wants credentials.
        Unreachable: It cannot be asked.
    """
    if not file.name.endswith(".tar.gz") or file.size > _LARGEST_ARCHIVE:
        return None
    pieces = bytearray()

    def take(piece: bytes) -> None:
        if len(pieces) + len(piece) > _LARGEST_ARCHIVE:
            raise BadAnswer(what=file.name, why="it is larger than its index says")
        pieces.extend(piece)

    http.download(file.url, take)
    data = bytes(pieces)
    if file.sha256 and sha256_bytes(data) != file.sha256:
        raise BadAnswer(what=file.name, why="its bytes do not have the sha256 that the index gives")
    try:
        info = _pkg_info(data)
        return WheelMetadata.parse(info) if info and is_static(info) else None
    except (tarfile.TarError, ValueError, EOFError, OSError, zlib.error) as error:
        raise BadAnswer(what=file.name, why=f"it is no proper source distribution ({error})") from error


def _pkg_info(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            # what comes next would have to be unpacked to be passed over
            if member.offset_data + member.size > _LARGEST_CONTENT:
                break
            directory, _, name = member.name.removeprefix("./").rpartition("/")
            if name == "PKG-INFO" and "/" not in directory and member.isreg() and member.size <= _LARGEST_MEMBER:
                content = archive.extractfile(member)
                return content.read() if content else b""
    return b""
