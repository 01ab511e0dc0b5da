"""A wheel that was just built, in the one form that its content can have: times, order and compression say nothing."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import IO

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from hatchlock.address import Kind
from hatchlock.realise.builds.order import BadBuildResult
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.simple import is_file_name

__all__ = ["normalised_wheel"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LARGEST = 4 << 30
_LARGEST_TEXT = 16 << 20
_MOST_MEMBERS = 200_000
_PROGRAM = 0o100755
_FILE = 0o100644
_UNIX = 3
_SAFE = re.compile(r"(?!/)(?!.*(^|/)\.{1,2}(/|\Z))[^\\\0]+", re.DOTALL)
_MARK = re.compile(r"[+.][gs][0-9a-f]{12}\Z")
"""What the lock puts behind the version of a project: its commit or content."""
_UNREAD = "0"
_NOT_KEPT = ("RECORD", "RECORD.jws", "RECORD.p7s")


def normalised_wheel(built: Path, out: Path, *, file: str, package: str, said: WheelMetadata) -> None:
    """Write a built wheel anew: members sorted and stored as they are, plain modes, no times, no bytecode, its own RECORD.

    Equal content gives equal bytes, whatever library packed it, and whichever zlib that had.

    Args:
        built: The wheel as it was built.
        out: The file to write.
        file: The name that the build gave it.
        package: Id of the package or project that it must be, `pypi:docopt@0.6.2`.
        said: What its source says: the lock was made from that.

    Raises:
        BadBuildResult: It is no wheel, or that of another package or version, or it needs what the lock does not have.
        OSError: The disk is full, or the like.
    """
    try:
        with zipfile.ZipFile(built) as archive:
            members = _members(archive)
            folder = _checked_folder(archive, members, file, package)
            needs = WheelMetadata.parse(archive.read(f"{folder}/METADATA"))
            if more := _needed(needs.requires_dist) - _needed(said.requires_dist):
                listed = ", ".join(sorted(more))
                raise BadBuildResult(package=package, why=f"it needs {listed}, which its source did not say")
            _write(archive, members, folder, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, NotImplementedError) as error:
        raise BadBuildResult(package=package, why=str(error) or type(error).__name__) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    found = {info.filename: info for info in infos}
    if len(found) != len(infos) or len(infos) > _MOST_MEMBERS:
        raise ValueError("it has a member twice" if len(found) != len(infos) else "it has too many members")
    for name in found:
        if not _SAFE.fullmatch(name):
            raise ValueError(f"{name!r} leads out of it")
    if any(info.file_size > _LARGEST_TEXT for info in infos if info.filename.endswith(".dist-info/METADATA")):
        raise ValueError("its METADATA is too large")
    if sum(info.file_size for info in infos) > _LARGEST:
        raise ValueError(f"its files have more than {_LARGEST >> 30} GiB")
    return {name: info for name, info in found.items() if "__pycache__" not in name.split("/")}


def _checked_folder(archive: zipfile.ZipFile, members: Iterable[str], file: str, package: str) -> str:
    """Return its `.dist-info` directory, after comparing what names it with what it must be."""
    wanted_name, _, locked_version = package.partition(":")[2].rpartition("@")
    if not is_file_name(file):
        raise ValueError(f"{file!r} is no wheel of one package")
    try:
        name, version, _, _ = parse_wheel_filename(file)
        folders = {path.partition("/")[0] for path in members if path.partition("/")[0].endswith(".dist-info")}
        (folder,) = folders
        headers = BytesHeaderParser().parsebytes(archive.read(f"{folder}/METADATA"))
        inside = (canonicalize_name(str(headers["Name"])), Version(str(headers["Version"])))
    except (InvalidWheelFilename, InvalidVersion, ValueError) as error:
        raise ValueError(f"{file!r} is no wheel of one package ({error})") from error
    if len({(name, version), inside}) > 1 or name != wanted_name or not _is_locked(version, locked_version, package):
        raise ValueError(f"it is {inside[0]} {inside[1]} as {file}")
    archive.getinfo(f"{folder}/WHEEL")
    return folder


def _is_locked(version: Version, locked: str, package: str) -> bool:
    """A project's own version is the locked one without its mark; one that could not be read is whatever its build says."""
    if package.startswith(f"{Kind.PYPI}:"):
        return version == Version(locked)
    own = _MARK.sub("", locked)
    return own == _UNREAD or version in {Version(own), Version(locked)}


def _needed(texts: Iterable[str]) -> set[str]:
    """What is required in any case, in one spelling; an extra's affairs are told in too many."""
    found = set()
    for text in texts:
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            raise ValueError(str(error).partition("\n")[0]) from error
        if wanted.marker is None or "extra" not in str(wanted.marker):
            wanted.name = canonicalize_name(wanted.name)
            found.add(str(wanted))
    return found


def _write(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], folder: str, out: Path) -> None:
    not_kept = {f"{folder}/{name}" for name in _NOT_KEPT}
    record = f"{folder}/RECORD"
    # its dist-info last, as PEP 427 has it: who reads the end of a wheel finds everything there
    names = sorted(members.keys() - not_kept, key=lambda name: (name.startswith(f"{folder}/"), name))
    rows = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for name in names:
            info = _info(name, executable=bool(members[name].external_attr >> 16 & 0o111))
            info.file_size = members[name].file_size
            digest = hashlib.sha256()
            with archive.open(members[name]) as source, target.open(info, "w") as sink:
                for piece in _pieces(source):
                    digest.update(piece)
                    sink.write(piece)
            value = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            rows.append((name, f"sha256={value}", str(info.file_size)))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (record, "", "")])
        target.writestr(_info(record, executable=False), text.getvalue())


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(1 << 20):
        yield piece


def _info(name: str, *, executable: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = _UNIX
    info.external_attr = (_PROGRAM if executable else _FILE) << 16
    return info
