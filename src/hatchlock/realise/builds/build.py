"""One build from its input to a wheel in the store, once for all who want it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from hatchlock.digest import digest_file
from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory
from hatchlock.realise.builds.order import BuildInput, taken_wheel, write_order
from hatchlock.realise.builds.record import BuildRecord, BuildRecords
from hatchlock.realise.builds.scripts import ScriptInput, taken_changes, write_script_order
from hatchlock.realise.builds.wheel import normalised_wheel
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.store.blobs import Blobs

__all__ = ["BuildFailed", "Run", "build_wheel", "last_lines", "run_scripts"]

Run = Callable[[BinaryIO, BinaryIO, BinaryIO], int]
"""Runs `inside` in a sandbox, with what it reads, what it writes, and its log; returns its exit status."""

_TAIL = 20
_LOG_BYTES = 10 << 20
_CHUNK = 1 << 20
_UNFIT = re.compile(r"[^\w.!+-]", re.ASCII)


@dataclass(kw_only=True, eq=False)
class BuildFailed(HatchlockError):
    """The build of a package, or a script of it, ended with an error of its own.

    Attributes:
        package: Its id.
        status: Its exit status.
        lines: The last ones of its log.
        log: Its name for `logs --build`.
    """

    code: ClassVar[str] = "build-failed"

    package: str
    status: int
    lines: tuple[str, ...]
    log: str

    def __str__(self) -> str:
        tail = "".join(f"\n  {line}" for line in self.lines)
        return f"the build of {self.package} ended with status {self.status}" + (f":{tail}" if tail else "")

    def _hint(self) -> str:
        return (
            f"the whole log: `hatchlock logs --build {self.log}`. It has no network; what it lacks has to be among its locked "
            "requirements or on the system that it is built on (a compiler, headers); else ask for another version"
        )


def build_wheel(
    key: str,
    build: BuildInput,
    *,
    said: WheelMetadata,
    run: Run,
    records: BuildRecords,
    blobs: Blobs,
    log: Path,
    scratch: Path,
) -> BuildRecord:
    """Build a wheel, put it into the store, and record what it is. The caller holds the lease of this build.

    Args:
        key: Of everything that goes in.
        build: That.
        said: What the source distribution says of itself.
        run: The sandbox.
        records: Where the result is recorded; one of the same input is compared with it.
        blobs: The store's.
        log: Where what the build says is kept, as far as its last 10 MiB.
        scratch: A directory of ours; nothing stays in it.

    Raises:
        BuildFailed: The build ended with an error.
        BadBuildResult: What it gave is not the wheel that it should be.
        HatchlockError: What `run` raises.
        OSError: The disk is full, or the like.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="work-build-") as own:
        directory = Path(own)
        with (directory / "order").open("wb") as order:
            write_order(build, order)
        _run(build.package, run, directory, log)
        with (directory / "result").open("rb") as stream:
            file = taken_wheel(stream, directory / "wheel", package=build.package)
        wheel = directory / "normalised"
        normalised_wheel(directory / "wheel", wheel, file=file, package=build.package, said=said)
        return _kept(key, wheel, file, build.package, digest_file(build.archive), records=records, blobs=blobs)


def run_scripts(
    key: str,
    wanted: ScriptInput,
    *,
    archive: str,
    run: Run,
    records: BuildRecords,
    blobs: Blobs,
    log: Path,
    scratch: Path,
) -> BuildRecord:
    """Run the install scripts of a package, or the build of a project, and keep what they changed; otherwise as `build_wheel`.

    Args:
        key: Of everything that they can see.
        wanted: That.
        archive: Digest of the package's tarball, or the project's snapshot.
        run: The sandbox.
        records: As there.
        blobs: As there.
        log: As there.
        scratch: As there.

    Raises:
        BuildFailed: A script ended with an error.
        BadBuildResult: What they left is no set of files, or not the files that they should make.
        HatchlockError: What `run` raises.
        OSError: The disk is full, or the like.
    """
    name, _, version = wanted.package.partition(":")[2].rpartition("@")
    word = "scripts" if wanted.path else "built"
    file = _UNFIT.sub("-", f"{name.removeprefix('@')}-{version}.{word}.tar")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="work-build-") as own:
        directory = Path(own)
        with (directory / "order").open("wb") as order:
            write_script_order(wanted, order, scratch=directory)
        _run(wanted.package, run, directory, log)
        with (directory / "result").open("rb") as stream:
            taken_changes(
                stream, directory / "changes", package=wanted.package, scratch=directory, entries=wanted.entries
            )
        return _kept(key, directory / "changes", file, wanted.package, archive, records=records, blobs=blobs)


def _run(package: str, run: Run, scratch: Path, log: Path) -> None:
    private_directory(log.parent)
    with (
        (scratch / "order").open("rb") as order,
        (scratch / "result").open("wb") as result,
        os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written,
    ):
        status = run(order, result, written)
    _shorten(log)
    if status != 0:
        raise BuildFailed(package=package, status=status, lines=last_lines(log), log=log.stem)


def _kept(
    key: str, made: Path, file: str, package: str, archive: str, *, records: BuildRecords, blobs: Blobs
) -> BuildRecord:
    sha256, size = digest_file(made), made.stat().st_size
    with made.open("rb") as stream, blobs.add(sha256, size, what=file, where="its build") as writer:
        while piece := stream.read(_CHUNK):
            writer.write(piece)
    record = BuildRecord(package=package, archive=archive, file=file, sha256=sha256, size=size)
    return records.note(key, record)


def last_lines(log: Path) -> tuple[str, ...]:
    """Return the last lines of a build's log."""
    text = log.read_bytes()[-_LOG_BYTES:].decode(errors="replace")
    return tuple(line.rstrip() for line in text.strip().splitlines()[-_TAIL:])


def _shorten(log: Path) -> None:
    """Keep the end of a log that nobody would read from its beginning."""
    size = log.stat().st_size
    if size <= _LOG_BYTES:
        return
    with log.open("r+b") as stream:
        stream.seek(size - _LOG_BYTES)
        rest = stream.read()
        stream.seek(0)
        stream.write(rest)
        stream.truncate()
