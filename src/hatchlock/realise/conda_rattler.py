"""What of installing conda packages is rattler's: the one module here that imports it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import rattler
from rattler.exceptions import ExtractError, InstallerError, IoError, LinkError, TransactionError
from rattler.package_streaming import ArchiveEntry, PackageArchive

from hatchlock.realise.conda_paths import (
    CondaContent,
    CondaInstallFailed,
    CondaMember,
    check_limits,
    read_content,
)
from hatchlock.realise.unpack import BadArchive

__all__ = ["contents_of", "link"]

_DOCUMENTS = ("info/index.json", "info/paths.json", "info/link.json")
_PARTS: tuple[Literal["info", "pkg"], ...] = ("info", "pkg")


def contents_of(archives: Sequence[Path]) -> list[CondaContent]:
    """Return what is in packages, read without unpacking them.

    Raises:
        BadArchive: One is damaged, or see `read_content`.
    """
    return asyncio.run(_contents(archives))


def link(archives: Sequence[Path], prefix: Path, *, subdir: str, cache: Path, at: str) -> None:
    """Unpack checked packages in a cache of their own, and make a directory of them. No script is run.

    What in them names their directory names `at` afterwards.

    Raises:
        CondaInstallFailed: rattler cannot do it.
    """
    try:
        asyncio.run(_install(archives, prefix, subdir, cache, at))
    except (ExtractError, InstallerError, IoError, LinkError, TransactionError) as error:
        raise CondaInstallFailed(prefix=at, why=_reason(error)) from error


async def _contents(archives: Sequence[Path]) -> list[CondaContent]:
    return [await _content(archive) for archive in archives]


async def _content(archive: Path) -> CondaContent:
    try:
        package = await PackageArchive.from_path(archive)
        members = await _members(archive.name, package)
        documents = await package.read_files(_DOCUMENTS)
    except (ExtractError, IoError, OSError) as error:
        raise BadArchive(archive=archive.name, why=f"it is damaged ({_reason(error)})") from error
    return read_content(archive.name, documents, members)


async def _members(archive: str, package: PackageArchive) -> list[CondaMember]:
    """Read the list, and no more of it than may be: what comes before a member is decompressed to get to it."""
    members: list[CondaMember] = []
    size = 0
    for part in _PARTS:
        async for entry in package.stream(part):
            members.append(_member(entry))
            size += entry.size
            check_limits(archive, members[-1], len(members), size)
    return members


def _member(entry: ArchiveEntry) -> CondaMember:
    target = entry.link_target if entry.is_link else None
    return CondaMember(name=entry.name, is_file=entry.is_file, target=target, size=entry.size)


async def _install(archives: Sequence[Path], prefix: Path, subdir: str, cache: Path, at: str) -> None:
    records = [await rattler.RepoDataRecord.from_package_archive(archive) for archive in archives]
    await rattler.install(
        records,
        prefix,
        cache_dir=cache,
        installed_packages=[],
        platform=rattler.Subdir(subdir),
        execute_link_scripts=False,
        show_progress=False,
        alternative_target_prefix=at,
    )


def _reason(error: Exception) -> str:
    return ": ".join(
        line.removeprefix("Caused by: ").strip().rstrip(".") for line in str(error).splitlines() if line.strip()
    )
