"""`export`: a locked environment, or what was pinned, in the format of another tool."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError, RefusedError, UsageError
from hatchlock.events import Event, Sink
from hatchlock.files import atomic_write, read_optional
from hatchlock.usecases.inspect import NotInLock
from hatchlock.usecases.locked import read_project_lock

if TYPE_CHECKING:
    from hatchlock.lock.model import Environment, Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.resolve.exports.selection import Selected
    from hatchlock.sources.python.targets import PythonTarget
    from hatchlock.usecases.project import Project

__all__ = [
    "FORMATS",
    "ExportRequest",
    "Exported",
    "Format",
    "NothingPinned",
    "NothingToExport",
    "export_environment",
    "write_export",
]

Format = Literal["pylock.toml", "requirements.txt", "package-lock.json", "constraints", "mcp-pin.lock"]
FORMATS: tuple[Format, ...] = get_args(Format)
_NODE = "package-lock.json"
_PINS = "mcp-pin.lock"
_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")


@dataclass(kw_only=True, eq=False)
class NothingToExport(HatchlockError):
    """An environment, or the whole lock, has nothing that a format can hold."""

    code: ClassVar[str] = "nothing-to-export"

    environment: str
    form: str
    others: tuple[str, ...]

    def __str__(self) -> str:
        what = "npm" if self.form == _NODE else "Python"
        subject = f"the environment {self.environment!r}" if self.environment else "the lock"
        return f"{subject} has no {what} packages, and {self.form} holds nothing else"

    def _hint(self) -> str:
        return f"choose one of --environment {', '.join(self.others)}" if self.others else "choose another --format"


@dataclass(kw_only=True, eq=False)
class NothingPinned(HatchlockError):
    """No server of the lock is pinned, and a format holds nothing else."""

    code: ClassVar[str] = "nothing-pinned"

    def __str__(self) -> str:
        return f"nothing is pinned, and {_PINS} holds nothing else"

    def _hint(self) -> str:
        return "pin servers with `hatchlock pin`"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """What is to be exported.

    Attributes:
        form: The format.
        environment: Its name, or a server's; None for the only one that has such packages.
        runtime: Which of two environments of that name; None if there is one.
        platform: The only platform that the export is to be for; None for all that are locked.
        beside: The directory that the file will be in, for what it names relative to itself; None for the manifest's.
    """

    form: Format
    environment: str | None = None
    runtime: str | None = None
    platform: str | None = None
    beside: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What `export` made.

    Attributes:
        files: The texts by file name, the format's own file first.
        left_out: What the format cannot hold: kind -> number of packages.
    """

    files: Mapping[str, str]
    left_out: Mapping[str, int]


def export_environment(project: Project, request: ExportRequest, *, offline: bool, emit: Sink) -> Exported:
    """Return an environment of the lock as another tool's file; the network is asked only for addresses of files.

    Args:
        project: Whose lock.
        request: What is to be exported.
        offline: Know addresses from the cache only.
        emit: Told about progress.

    Raises:
        ManyErrors: The manifest has mistakes.
        MissingLock, BadLock, NewerLock: There is no lock that can be read.
        NotInLock: It has no such environment or platform.
        NothingToExport, NothingPinned: It has nothing that the format can hold.
        UsageError: There are several environments, and none was named; or one was, and the format is about servers.
        FileGone, Unreachable, UnknownPackage: The index cannot tell where a file is (pylock.toml).
    """
    from hatchlock.manifest.load import load_bytes

    lock = read_project_lock(project)
    if request.form == _PINS:
        return _pins(lock, request)
    manifest = load_bytes(project.manifest, project.manifest_bytes, b"").manifest
    theirs = [item for item in lock.environments if not item.makes]
    suitable = [item for item in theirs if (item.tree if request.form == _NODE else item.python)]
    chosen = _choose(lock, suitable, request)
    platforms = _platforms(lock, chosen, request.platform)
    if request.form == _NODE:
        from hatchlock.resolve.exports.package_lock import render_package_lock

        held = {package_id for package_id in chosen.tree.values() if package_id.startswith(f"{Kind.NPM}:")}
        files = render_package_lock(lock, chosen, platforms=platforms)
        return Exported(files=files, left_out=_left_out(lock, chosen, platforms, held))
    python = _PythonExport(project, manifest, lock=lock, environment=chosen, platforms=platforms, request=request)
    urls = python.urls(offline=offline, emit=emit) if request.form == "pylock.toml" else {}
    name = python.file_name(alone=len(suitable) == 1)
    held = {item.package.id for item in python.selected}
    return Exported(files={name: python.text(urls)}, left_out=_left_out(lock, chosen, platforms, held))


def _pins(lock: Lock, request: ExportRequest) -> Exported:
    from hatchlock.lock.mcp_pin import render_mcp_pin

    if request.environment or request.runtime or request.platform:
        raise UsageError(what=f"{_PINS} is about servers, on every platform", advice="leave out what else was said")
    if not lock.surfaces:
        raise NothingPinned
    return Exported(files={_PINS: render_mcp_pin(lock)}, left_out={})


def _choose(lock: Lock, suitable: Sequence[Environment], request: ExportRequest) -> Environment:
    named = [item for item in lock.environments if _is_meant(item, request.environment, lock)]
    if not named and request.environment:
        known = (*(item.name for item in lock.environments), *(item.name for item in lock.servers))
        raise NotInLock(what="environment or server", name=request.environment, known=known)
    names = tuple(dict.fromkeys(item.name for item in suitable))
    found = [item for item in named if item in suitable and request.runtime in {None, item.runtime}]
    if not found:
        raise NothingToExport(environment=request.environment or "", form=request.form, others=names)
    if len({item.name for item in found}) > 1:
        raise UsageError(
            what=f"a file holds one environment, and the lock has {', '.join(names)}",
            advice=f"name one: --environment {names[0]}",
        )
    if len(found) > 1:
        raise UsageError(
            what=f"the lock has {found[0].name} for two runtimes, with different files",
            advice="choose with --runtime process or --runtime container",
        )
    return found[0]


def _is_meant(environment: Environment, name: str | None, lock: Lock) -> bool:
    used = {(item.environment, item.runtime) for item in lock.servers if item.name == name}
    return name in {None, environment.name} or (environment.name, environment.runtime) in used


def _platforms(lock: Lock, environment: Environment, wanted: str | None) -> tuple[str, ...]:
    from hatchlock.resolve.wanted import container_platforms

    locked = container_platforms(lock.platforms) if environment.runtime == "container" else lock.platforms
    if wanted is not None and wanted not in locked:
        raise NotInLock(what="platform", name=wanted, known=locked)
    return (wanted,) if wanted else tuple(locked)


def _left_out(
    lock: Lock, environment: Environment, platforms: Iterable[str], held: Collection[str]
) -> Mapping[str, int]:
    ids = {package_id for platform in platforms for package_id in environment.on(platform)} - set(held)
    return dict(sorted(Counter(str(item.kind) for item in lock.packages if item.id in ids).items()))


class _PythonExport:
    def __init__(
        self,
        project: Project,
        manifest: Manifest,
        *,
        lock: Lock,
        environment: Environment,
        platforms: tuple[str, ...],
        request: ExportRequest,
    ) -> None:
        from hatchlock.resolve.exports.selection import select
        from hatchlock.resolve.targets import environment_target

        images = {item.reference: item for item in lock.images}
        self._project, self._manifest, self._environment, self._form = project, manifest, environment, request.form
        self._targets: dict[str, PythonTarget] = {
            name: environment_target(manifest, environment, images, name) for name in platforms
        }
        self._start = request.beside or project.directory
        self.selected: list[Selected] = [
            item
            for item in select(lock, environment, self._targets)
            if request.form != "constraints" or not item.is_direct
        ]

    def file_name(self, *, alone: bool) -> str:
        from hatchlock.resolve.exports.pylock import pylock_name

        if self._form == "pylock.toml":
            return self._form if alone else pylock_name(self._environment.name)
        stem = self._form.removesuffix(".txt")
        return f"{stem}.txt" if alone else f"{stem}.{self._environment.name}.txt"

    def text(self, urls: Mapping[tuple[str, str], str]) -> str:
        from hatchlock.resolve.exports.pylock import render_pylock
        from hatchlock.resolve.exports.requirements import render_constraints, render_requirements

        environment, selected, platforms = self._environment, self.selected, tuple(self._targets)
        match self._form:
            case "pylock.toml":
                return render_pylock(environment, selected, targets=self._targets, urls=urls, paths=self._paths())
            case "requirements.txt":
                return render_requirements(environment, selected, platforms=platforms, paths=self._paths())
        return render_constraints(environment, selected, platforms=platforms)

    def urls(self, *, offline: bool, emit: Sink) -> Mapping[tuple[str, str], str]:
        from hatchlock.usecases.sources import Sources

        wanted = [item for item in self.selected if item.package.kind is Kind.PYPI and not item.is_direct]
        emit(Event(name="fetch.start", message=f"addresses of {len(wanted)} packages", data={"packages": len(wanted)}))
        with Sources(self._project, self._manifest, offline=offline, refresh=False, emit=emit) as sources:
            index = sources.python
            for item in wanted:
                index.page_ahead(item.package.name)
            return {
                (item.package.id, file.name): index.fetch_url(item.package, file)
                for item in wanted
                for file in item.files
            }

    def _paths(self) -> Mapping[str, str]:
        local = [item.package for item in self.selected if item.package.kind is Kind.PATH]
        return {item.id: _relative(self._project.place(item.location), self._start) for item in local}


def _relative(path: Path, start: Path) -> str:
    found = Path(os.path.relpath(path, start)).as_posix()
    return found if found.startswith(".") else f"./{found}"


def write_export(exported: Exported, output: Path, *, form: Format) -> list[Path]:
    """Write an export to a file, or into a directory, and return what was written.

    package-lock.json goes into a directory, made if there is none, with its package.json. Both of somebody else are left
    alone.

    Raises:
        UsageError: `output` cannot be that.
        RefusedError: The directory has a package.json or package-lock.json that `export` did not write.
        PermissionProblem: It cannot be written to.
    """
    into_directory = form == _NODE or output.is_dir()
    if form == _NODE and output.exists() and not output.is_dir():
        raise UsageError(
            what=f"--output {output}: package-lock.json and its package.json need a directory",
            advice="name a directory; it is made if there is none",
        )
    if form == _NODE:
        output.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(output)
    elif not output.absolute().parent.is_dir():
        raise UsageError(what=f"--output {output}: there is no such directory", advice="make it first")
    elif form == "pylock.toml" and not into_directory and not _PYLOCK.fullmatch(output.name):
        raise UsageError(
            what=f"--output {output}: installers take no such file for a pylock.toml",
            advice="call it pylock.toml or pylock.NAME.toml, NAME without dots (PEP 751)",
        )
    written = []
    for name, text in exported.files.items():
        path = output / name if into_directory else output
        atomic_write(path, text.encode(), mode=0o644)
        written.append(path)
    return written


def _refuse_foreign(directory: Path) -> None:
    from hatchlock.resolve.exports.package_lock import is_ours

    manifest = read_optional(directory / "package.json")
    lock = read_optional(directory / _NODE)
    if is_ours(manifest) or (manifest is None and lock is None):
        return
    raise RefusedError(
        what=f"{directory} has a {'package.json' if manifest is not None else _NODE} that `hatchlock export` did not write",
        needs="name another directory with --output",
    )
