"""conda packages to a directory: rattler unpacks and links, with no network, no cache of the user's, and no script run."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from hatchlock.realise.conda_paths import CondaInstallFailed, check_contents
from hatchlock.realise.unpack import BadArchive
from hatchlock.sources.conda.extra import check_extra
from hatchlock.sources.conda.platforms import subdir_of

__all__ = ["CondaInstallFailed", "install_conda"]

_RECORDS = "conda-meta"
# what rattler leaves of its own: it names directories of ours, and is not the same twice
_TRACES = ("CACHEDIR.TAG", f"{_RECORDS}/history")
# where it puts the second of two files with one name; ours are alike
_SECONDS = "__clobbers__"
_DIRECTORY_MODE = 0o755
_PROGRAM_MODE = 0o755
_FILE_MODE = 0o644


def install_conda(
    files: Sequence[tuple[str, Path]], prefix: Path, *, platform: str, scratch: Path, at: str = ""
) -> None:
    """Lay out verified packages in a directory, for the one place where they can be used: files of theirs name it.

    Nothing of the packages is run, no script before or after linking either, and nothing is fetched. What comes out depends
    on the packages, the platform and that place alone; modes are 0755 and 0644. Times of files are those of the packages,
    where nothing in them had to be changed, so that bytecode which they bring stays valid as long as the times stay.

    Args:
        files: The name of each package's file, and where its bytes are.
        prefix: The directory; it is missing or empty.
        platform: `linux/amd64`.
        scratch: An empty directory on the same file system, for what is not kept.
        at: Where programs will find the directory, `/opt/hatchlock`; "" if it stays where it is.

    Raises:
        CondaMissing: hatchlock was installed without its extra `conda`.
        BadArchive: A package is damaged, is another one than its name says, or would write outside of the directory.
        CondaClobber: Two packages differ in a file that both bring.
        CondaInstallFailed: rattler cannot install them.
        OSError: The disk is full, or the like.
    """
    check_extra()
    from hatchlock.realise.conda_rattler import contents_of, link  # noqa: PLC0415  an extra, and 0.12 s

    archives = _named(files, scratch / "files")
    check_contents(contents_of(archives))
    link(archives, prefix, subdir=subdir_of(platform), cache=scratch / "cache", at=at or str(prefix))
    _remove_traces(prefix, archives)
    _check_links(prefix)
    _set_modes(prefix)


def _named(files: Sequence[tuple[str, Path]], directory: Path) -> list[Path]:
    """The store names files by their hash, rattler looks at their names."""
    directory.mkdir(parents=True)
    archives = []
    for name, path in sorted(files):
        if "/" in name or name.startswith("."):
            raise BadArchive(archive=name, why="that is no file's name")
        archive = directory / name
        try:
            archive.hardlink_to(path)
        except FileExistsError:
            raise BadArchive(archive=name, why="it is there twice") from None
        except OSError:
            shutil.copyfile(path, archive)
        archives.append(archive)
    return archives


def _remove_traces(prefix: Path, archives: Sequence[Path]) -> None:
    records = [
        f"{_RECORDS}/{archive.name.removesuffix('.conda').removesuffix('.tar.bz2')}.json" for archive in archives
    ]
    for name in (*_TRACES, *records):
        (prefix / name).unlink(missing_ok=True)
    if (prefix / _SECONDS).is_dir():
        shutil.rmtree(prefix / _SECONDS)
    with contextlib.suppress(OSError):  # a package may have something of its own there
        (prefix / _RECORDS).rmdir()


def _check_links(prefix: Path) -> None:
    """Ask the file system itself, which knows what chains of links come to."""
    root = os.path.realpath(prefix)
    for directory, folders, names in os.walk(prefix):
        for path in (f"{directory}/{name}" for name in (*folders, *names)):
            if os.path.islink(path) and not f"{os.path.realpath(path)}/".startswith(f"{root}/"):  # noqa: PTH114
                why = f"{os.path.relpath(path, prefix)} is a link that leads out of it"
                raise CondaInstallFailed(prefix=str(prefix), why=why)


def _set_modes(prefix: Path) -> None:
    for directory, _, names in os.walk(prefix):
        os.chmod(directory, _DIRECTORY_MODE)  # noqa: PTH101  `Path` costs more than the call
        for name in names:
            path = f"{directory}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, _PROGRAM_MODE if mode & 0o111 else _FILE_MODE)  # noqa: PTH101
