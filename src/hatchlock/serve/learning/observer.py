"""Watches what a server tries, and writes it down as `observed.json` when the session ends."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hatchlock.digest import canonical_json
from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, private_directory
from hatchlock.launch import LaunchRecord, is_below
from hatchlock.security.complaints import denials_in
from hatchlock.security.denials import Denial
from hatchlock.security.learned import Observed
from hatchlock.security.provided import Provided
from hatchlock.security.sandbox import HOME_INSIDE
from hatchlock.serve.denials import named_paths, profile_facts
from hatchlock.serve.learning.network import NetworkWatch, Tried, is_of_container
from hatchlock.serve.learning.usage import Usage, UsageWatch
from hatchlock.serve.observer import Observer
from hatchlock.store.strangers import entries_below

if TYPE_CHECKING:
    from hatchlock.engines.api import Engine

__all__ = ["OBSERVED", "Learning"]

OBSERVED = "observed.json"
"""The file in the observer's directory."""

_ROOT = "root"
_OPEN = 0o1777
_PATIENCE = 5.0
_POLL = 0.001
_USUAL = ("/", "/app", "/data", "/home", "/mnt", "/opt", "/srv", "/var", "/var/cache", "/var/lib", "/var/log")
"""Directories of an image in which a server of any user may make something while it is observed."""
_NOT_ITS_OWN = (
    *("/dev", "/proc", "/sys", "/run", "/tmp", HOME_INSIDE),  # noqa: S108  inside the sandbox
    *("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/etc/passwd", "/etc/group"),
    *("/sbin/docker-init", "/usr/sbin/docker-init"),
)
_ADDED = 1
_MOST_DENIED = 200


class Learning(Observer):
    """Watches one session."""

    watches = True

    def __init__(self, directory: Path, record: LaunchRecord) -> None:
        """Prepare to watch.

        Args:
            directory: Where to write; a throw-away root is made in it as well.
            record: What is served, as it was applied.
        """
        self._directory = private_directory(directory)
        self._record = record
        self._facts = profile_facts(record)
        self._began = time.monotonic()
        self._denied: dict[Denial, None] = {}
        self._unknown: list[str] = []
        self._before: frozenset[str] = frozenset()
        self._network: NetworkWatch | None = None
        self._usage: UsageWatch | None = None
        self._container: tuple[Engine, str] | None = None

    def begin(self, provided: Provided) -> Provided:
        """Fork the one that watches the network, and make a throw-away root."""
        self._network = NetworkWatch.fork()
        self._began = time.monotonic()
        if self._record.runtime == "container":
            return provided
        return replace(provided, root=str(private_directory(self._root)))

    def held(self, pid: int) -> None:
        """Open the throw-away root to every user, and begin to watch."""
        self._wait_for_root(pid)
        for directory in self._places():
            (self._root / directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self._before = frozenset(_paths(self._root))
        for path in ("", *self._before):
            place = self._root / path
            if place.is_dir() and not place.is_symlink():
                place.chmod(_OPEN)
        if self._network:
            self._network.enter(pid)
        self._usage = UsageWatch(pid)

    def created(self, engine: Engine, container: str) -> None:
        """Open the usual places of the container's root to every user: it is thrown away. Wait for its network."""
        self._container = (engine, container)
        self._before = frozenset(self._places(*_USUAL))
        with self._learning("what it writes"):
            engine.ask("PUT", f"/containers/{container}/archive?path=/", _open_directories(self._before))
        if self._network and os.geteuid() == 0:
            with self._learning("hosts"):
                self._network.expect(engine.inspect(container)["Id"])

    def started(self, engine: Engine, container: str) -> None:
        """Begin to watch, if the container's processes are this machine's and ours to look at."""
        pid = 0
        with self._learning("what it uses"):
            facts = engine.inspect(container)
            pid = int(facts["State"]["Pid"])
            pid = pid if is_of_container(pid, facts["Id"]) else 0
        if pid and os.geteuid() == 0:
            if self._network:
                self._network.wait()
            self._usage = UsageWatch(pid)
        else:
            if self._network:
                self._network.finish()
                self._network = None
            why = "a container's processes are watched by root only, on the engine's own machine"
            self._unknown += [f"hosts ({why})", f"memory, processes and files ({why})"]

    def heard(self, line: str) -> None:
        """Keep what the server says to be denied."""
        for denial in denials_in(line, self._facts):
            if denial.what and len(self._denied) < _MOST_DENIED:
                self._denied[denial] = None

    def finish(self) -> None:
        """Write down what was seen."""
        seconds = time.monotonic() - self._began
        usage = self._usage.finish() if self._usage else Usage()
        tried = self._network.finish() if self._network else Tried()
        if tried.problem and not any(item.startswith("hosts") for item in self._unknown):
            self._unknown.append(f"hosts ({tried.problem})")
        observed = Observed(
            seconds=round(seconds, 3),
            connections=tried.connections,
            lookups=tried.lookups,
            written=tuple(sorted(_outermost(self._written()))),
            denied=tuple(self._denied),
            **asdict(usage),
            unknown=tuple(self._unknown),
        )
        atomic_write(self._directory / OBSERVED, canonical_json(observed.to_dict()), durable=False)

    @property
    def _root(self) -> Path:
        return self._directory / _ROOT

    def _places(self, *usual: str) -> Iterator[str]:
        """Yield directories for what it was told to write or has kept, each with those above it."""
        sandbox = self._record.sandbox
        bare = replace(self._record, sandbox=replace(sandbox, writable=()))
        named = (str(PurePosixPath(path).parent) for path in named_paths(bare) if ".." not in path)
        for place in map(PurePosixPath, (*usual, self._record.cwd or "/", *sandbox.writable, *named)):
            yield from map(str, (place, *place.parents))

    def _wait_for_root(self, pid: int) -> None:
        """Wait until the sandbox is complete: the throw-away root becomes its root after everything was made in it."""
        own = self._root.stat()
        until = time.monotonic() + _PATIENCE
        with contextlib.suppress(OSError):  # it has ended
            while not os.path.samestat(own, os.stat(f"/proc/{pid}/root")) and time.monotonic() < until:  # noqa: PTH116
                time.sleep(_POLL)

    def _written(self) -> Iterable[str]:
        if self._container is None:
            return [f"/{path}" for path in _paths(self._root) if path not in self._before]
        engine, container = self._container
        found: list[str] = []
        with self._learning("what it writes"):
            changes = engine.ask("GET", f"/containers/{container}/changes") or []
            found = [item["Path"] for item in changes if item["Kind"] == _ADDED]
        own = [path for path in found if path not in self._before and not self._is_engines(path)]
        above = {str(parent) for path in own for parent in PurePosixPath(path).parents}
        return [f"{path}/" if path in above else path for path in own]

    def _is_engines(self, path: str) -> bool:
        """Whether the engine made it: its own files, and places for mounts."""
        mounted = any(is_below(mount.target, path) for mount in self._record.sandbox.mounts)
        return mounted or any(is_below(path, place) or is_below(place, path) for place in _NOT_ITS_OWN)

    @contextlib.contextmanager
    def _learning(self, what: str) -> Iterator[None]:
        """Go on without what an engine does not tell."""
        try:
            yield
        except (HatchlockError, KeyError, ValueError) as error:
            self._unknown.append(f"{what} ({error})")


def _paths(root: Path) -> Iterator[str]:
    """Yield everything below a directory, relative, without following links; directories end with a slash."""
    for path, entry in entries_below(root):
        try:
            yield f"{path}/" if entry.is_dir(follow_symlinks=False) else path
        except OSError:  # it is not said where it is, and too deep to ask
            yield path


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths that lie in no other one; directories end with a slash."""
    last = ""
    for path in sorted(paths, key=lambda path: path.split("/")):
        if not (last.endswith("/") and path.startswith(last)):
            last = path
            yield path


def _open_directories(paths: Iterable[str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path in sorted(paths):
            entry = tarfile.TarInfo(f".{path}")
            entry.type, entry.mode = tarfile.DIRTYPE, _OPEN
            archive.addfile(entry)
    return data.getvalue()
