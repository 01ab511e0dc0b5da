"""Archives of Hatch packages: unpacked with no way out, and compared with what the registry says of them."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hatchlock.address import Kind
from hatchlock.realise.unpack import Limits, unpack
from hatchlock.sources.hatch.declared import is_path, split_requirement, version_of
from hatchlock.sources.hatch.index import HatchRelease
from hatchlock.sources.hatch.local import HatchDirectory, NoHatchPackage, read_directory
from hatchlock.sources.hatch.problems import BadHatchPackage

__all__ = ["read_archive", "unpack_archive"]

_LIMITS = Limits(entries=50_000, size=2 << 30)


def read_archive(archive: Path, release: HatchRelease, *, scratch: Path) -> HatchDirectory:
    """Read the package in an archive. Nothing of it is run.

    Args:
        archive: The downloaded file.
        release: What its registry says that it is.
        scratch: A directory of ours; it is as it was afterwards.

    Returns:
        The package. What its metadata does not say (2.0.0 need not have name and version) is the registry's.

    Raises:
        BadArchive: It is damaged or too large, or something in it leads out of its directory.
        BadHatchPackage: It has no metadata, or is another package or version than its registry says, or needs something
            that is in a directory: somebody else's package has no business in those of this machine.
        BadHatchMetadata, ManyErrors: Its metadata is wrong.
        OSError: The disk is full, or the like.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="hatch-") as directory:
        root = Path(directory) / "package"
        unpack_archive(archive, root, name=release.file_name)
        try:
            found = read_directory(root, shown=release.id, name=release.name, version=release.version)
        except NoHatchPackage as error:
            why = "its archive has no hatch_metadata.json at its top, or in the one directory there"
            raise BadHatchPackage(package=release.id, why=why) from error
    said = found.facts
    if said.name != release.name:
        raise BadHatchPackage(package=release.id, why=f"its archive is of {said.name!r}")
    if paths := [text for text in said.dependencies if _is_directory(text)]:
        why = f"it needs {paths[0]}, a directory of the machine that it is used on"
        raise BadHatchPackage(package=release.id, why=why)
    if version_of(said.version) != version_of(release.version):
        raise BadHatchPackage(package=release.id, why=f"its archive is of version {said.version}")
    return replace(found, facts=replace(said, version=release.version))


def unpack_archive(archive: Path, into: Path, *, name: str = "") -> None:
    """Lay out a verified archive, with its metadata at the top: the one directory that everything is in is left out.

    Args:
        archive: The file.
        into: An empty directory, or none yet.
        name: What to call the archive in messages.

    Raises:
        BadArchive: See `realise.unpack.unpack`.
        OSError: The disk is full, or the like.
    """
    unpack(archive, into, name=name, strip=None, limits=_LIMITS)


def _is_directory(text: str) -> bool:
    kind, _, spec = text.partition(":")
    return kind == Kind.PATH or (kind == Kind.HATCH and is_path(split_requirement(spec)[0]))
