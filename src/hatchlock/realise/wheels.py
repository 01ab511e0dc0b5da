"""Wheels to a tree: a virtual environment at one fixed path, as PEP 405 and PEP 427 lay it out.

PyPA `installer` reads the wheels and decides which file belongs into which scheme; what is written is ours: scripts,
`RECORD` (PEP 376, sorted) and `pyvenv.cfg` never change with the version of a library. No bytecode is made.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import itertools
import os
import posixpath
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

import installer
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.sources import WheelFile
from installer.utils import Scheme, fix_shebang

from hatchlock.errors import HatchlockError
from hatchlock.realise.commands import console_script, is_of_python
from hatchlock.realise.tree import ROOT, Entry, ZipMember, complete, through_symlinks

if TYPE_CHECKING:
    from installer.scripts import ScriptSection
    from installer.sources import WheelContentElement

__all__ = ["ROOT", "BadWheel", "wheel_tree"]

_IN_MEMORY = 1 << 16
_WORKERS = 4  # inflating and hashing run beside each other
_CHUNK = 1 << 20
_INSTALLER = b"hatchlock\n"


@dataclass(kw_only=True, eq=False)
class BadWheel(HatchlockError):
    """A wheel that cannot be unpacked as PEP 427 says, or that would write outside of its environment."""

    code: ClassVar[str] = "bad-wheel"

    wheel: str
    why: str

    def __str__(self) -> str:
        return f"{self.wheel} is not a wheel that can be installed: {self.why}"

    def _hint(self) -> str:
        return "choose another version of this package with a constraint, and run `hatchlock lock`"


def wheel_tree(
    wheels: Sequence[tuple[str, Path]],
    *,
    python: str,
    python_path: str,
    root: str = ROOT,
    symlinks: Mapping[str, str],
) -> tuple[Entry, ...]:
    """Lay wheels out as a virtual environment.

    Args:
        wheels: File name (PEP 427) and the verified file, in any order; where two write the same path, the one whose
            name sorts last counts.
        python: The interpreter's version, `3.11`.
        python_path: The interpreter inside the image, an absolute path.
        root: The environment's absolute path inside the image.
        symlinks: The base's top-level symlinks, `bin` -> `usr/bin`.

    Returns:
        All entries, parents included, sorted: the same wheels and arguments give the same entries anywhere.

    Raises:
        BadWheel: A wheel is damaged, or a path in it leads out of its directory.
        OSError: A wheel cannot be read.
    """
    layout = _Layout(root=through_symlinks(root.strip("/"), symlinks), shown=root, python=python)
    with ThreadPoolExecutor(_WORKERS) as pool:
        installed = pool.map(lambda wheel: _install(wheel[0], wheel[1], layout), sorted(wheels))
        return complete(itertools.chain(_skeleton(layout, python_path), *installed))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    root: str
    shown: str
    python: str

    @property
    def interpreter(self) -> str:
        return f"{self.shown}/bin/python"

    @property
    def packages(self) -> str:
        return f"{self.root}/lib/python{self.python}/site-packages"

    def directory(self, scheme: str, distribution: str) -> str:
        return {
            "purelib": self.packages,
            "platlib": self.packages,
            "headers": f"{self.root}/include/site/python{self.python}/{distribution}",
            "scripts": f"{self.root}/bin",
            "data": self.root,
        }[scheme]


def _skeleton(layout: _Layout, python_path: str) -> Iterator[Entry]:
    config = (
        f"home = {posixpath.dirname(python_path)}\ninclude-system-site-packages = false\nversion = {layout.python}\n"
    )
    yield Entry(path=f"{layout.root}/pyvenv.cfg", content=config.encode())
    yield Entry(path=f"{layout.root}/bin/python", kind="symlink", mode=0o777, target=python_path)
    yield Entry(path=f"{layout.root}/bin/python3", kind="symlink", mode=0o777, target="python")
    yield Entry(path=f"{layout.root}/bin/python{layout.python}", kind="symlink", mode=0o777, target="python")
    yield Entry(path=f"{layout.root}/lib64", kind="symlink", mode=0o777, target="lib")
    yield Entry(path=layout.packages, kind="directory", mode=0o755)


def _install(name: str, path: Path, layout: _Layout) -> list[Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            archive.filename = name  # the blob's own name is its digest
            source = _Wheel(archive)
            destination = _Memory(layout=layout, wheel=name, blob=path, distribution=source.distribution)
            installer.install(source, destination, {"INSTALLER": _INSTALLER})
    except (InstallerError, zipfile.BadZipFile, ValueError, KeyError, AssertionError) as error:
        raise BadWheel(wheel=name, why=str(error) or type(error).__name__) from error
    return destination.entries


class _Wheel(WheelFile):
    def get_contents(self) -> Iterator[WheelContentElement]:
        """Leave out bytecode: it belongs to some other interpreter, and a source file would not be read beside it."""
        for element in super().get_contents():
            if "__pycache__" not in element[0][0].split("/"):
                yield element


class _Memory(WheelDestination):
    """Collects what `installer` writes as entries."""

    def __init__(self, *, layout: _Layout, wheel: str, blob: Path, distribution: str) -> None:
        self.entries: list[Entry] = []
        self._layout = layout
        self._wheel = wheel
        self._blob = blob
        self._distribution = distribution

    def write_script(self, name: str, module: str, attr: str, section: ScriptSection) -> RecordEntry:
        """Write a console or gui script of the entry points."""
        del section  # they differ on Windows only
        text = console_script(self._layout.interpreter, module, attr)
        return self._add(Scheme("scripts"), name, io.BytesIO(text), mode=0o755)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """Write one of the wheel's files, scripts with the environment's interpreter in their first line."""
        mode = 0o755 if is_executable or scheme == "scripts" else 0o644
        if scheme != "scripts":
            return self._add(scheme, os.fspath(path), stream, mode=mode)
        with fix_shebang(stream, self._layout.interpreter) as fixed:
            return self._add(scheme, os.fspath(path), fixed, mode=mode)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        """Write `RECORD`, its paths relative to the directory of the packages."""
        rows = sorted(self._row(where, record) for where, record in records)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._add(scheme, record_file_path, io.BytesIO(text.getvalue().encode()), mode=0o644)

    def _row(self, scheme: Scheme, record: RecordEntry) -> tuple[str, str, str]:
        path = posixpath.relpath(self._path(scheme, record.path), self._layout.packages)
        return (
            path,
            f"{record.hash_.name}={record.hash_.value}" if record.hash_ else "",
            "" if record.size is None else str(record.size),
        )

    def _add(self, scheme: Scheme, path: str, stream: BinaryIO, *, mode: int) -> RecordEntry:
        head = stream.read(_IN_MEMORY) if isinstance(stream, zipfile.ZipExtFile) else stream.read()
        digest = hashlib.sha256(head)
        size = len(head)
        while more := stream.read(_CHUNK):
            digest.update(more)
            size += len(more)
        content: bytes | ZipMember = head
        if size > len(head):
            content = ZipMember(archive=self._blob, name=stream.name, size=size)
        self.entries.append(Entry(path=self._path(scheme, path), mode=mode, content=content))
        value = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        return RecordEntry(path, Hash("sha256", value), size)

    def _path(self, scheme: Scheme, path: str) -> str:
        directory = self._layout.directory(scheme, self._distribution)
        inside = posixpath.normpath(posixpath.join(directory, path))
        if not inside.startswith(f"{directory}/"):
            raise BadWheel(wheel=self._wheel, why=f"{path!r} leads out of its directory")
        where, _, name = inside.rpartition("/")
        if where == f"{self._layout.root}/bin" and is_of_python(name):
            raise BadWheel(wheel=self._wheel, why=f"{path!r} would take the interpreter's place")
        return inside
