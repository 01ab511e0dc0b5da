"""The protocol behind which every kind of source is asked, as `lock` and `apply` ask it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from hatchlock.address import Kind
from hatchlock.digest import algorithm_of
from hatchlock.errors import HatchlockError
from hatchlock.events import discard
from hatchlock.lock.images import Image
from hatchlock.lock.model import Lock, Package
from hatchlock.lock.store import dumps
from hatchlock.manifest.load import loads
from hatchlock.net.http import Http
from hatchlock.net.patience import Patience
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact
from hatchlock.resources.image_spec import image_artefacts
from hatchlock.store.blobs import Blobs
from hatchlock.usecases.fetch import fetch
from hatchlock.usecases.obtain import Obtain
from hatchlock.usecases.project import Project
from hatchlock.usecases.sources import Sources

__all__ = ["PLATFORM", "Desk", "Exempt", "Law", "Locked", "Place", "Subject", "accepts", "desk"]

PLATFORM = "linux/amd64"
_HEAD = '[project]\nname = "trial"\n'


class Law(StrEnum):
    """What some kinds do not have; those that do must do something with it."""

    ORDER = "an order of versions"
    MISSING_HASH = "hashes that others tell"
    CACHE = "answers in the cache"
    UNREACHABLE = "somebody to reach"
    MIRRORS = "mirrors"
    CLAIMS = "several indexes"


@dataclass(frozen=True, kw_only=True)
class Exempt:
    """Why a kind does not have something, and what shows, in a directory of its own, that it still does not."""

    why: str
    holds: Callable[[Subject, Path], bool]


class Place(Protocol):
    """Somewhere that things come from.

    Attributes:
        address: What an error about it has to name.
        asked: Every request so far.
    """

    address: str
    asked: list[str]

    def put(self, name: str, version: str, content: str = "") -> None:
        """Offer a version of a thing, instead of the one of that name and version that was there."""

    def put_unhashed(self, name: str, version: str) -> None:
        """Do the same without a word about its digest."""

    def swap(self, name: str, version: str) -> None:
        """Serve other bytes from now on, as if nothing had changed."""


class Subject(Protocol):
    """One kind of source; its attributes are read only.

    Attributes:
        kind: Which.
        newest_first: Versions in the kind's own order, which is not that of their texts.
        exempt: What it does not have.
    """

    @property
    def kind(self) -> Kind: ...
    @property
    def newest_first(self) -> tuple[str, ...]: ...
    @property
    def exempt(self) -> Mapping[Law, Exempt]: ...

    def serve(self, root: Path, /) -> AbstractContextManager[Place]:
        """Serve inside the block, out of a directory if one is needed; afterwards nobody answers."""

    def tables(self, place: Place, mirrors: Sequence[Place], /) -> str:
        """Return what a manifest says of it."""

    def versions(self, sources: Sources, name: str, /) -> list[str]:
        """Return the versions that there are, as the source sorts them."""

    def lock(self, sources: Sources, place: Place, name: str, version: str, /) -> Package | Image:
        """Return what the lock will hold of a version."""


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A lock with one thing in it, and the files that it is made from."""

    lock: Lock
    files: tuple[Artefact, ...]


class Desk:
    """One run of hatchlock: with connections and a memory of its own, on a store that may have seen earlier runs."""

    def __init__(self, subject: Subject, project: Project, sources: Sources, place: Place) -> None:
        self._subject = subject
        self._project = project
        self._place = place
        self._blobs = Blobs(project.home.blobs)
        self.sources = sources

    def versions(self, name: str) -> list[str]:
        return self._subject.versions(self.sources, name)

    def lock(self, name: str, version: str) -> Locked:
        found = self._subject.lock(self.sources, self._place, name, version)
        if isinstance(found, Image):
            files = image_artefacts(found.reference, found.platforms[PLATFORM])
            return Locked(lock=Lock(project="trial", platforms=(PLATFORM,), images=(found,)), files=files)
        files = tuple(
            Artefact(package=found.id, name=file.name, digest=file.digest, size=file.size) for file in found.files
        )
        return Locked(lock=Lock(project="trial", platforms=(PLATFORM,), packages=(found,)), files=files)

    def obtain(self, locked: Locked) -> None:
        """Bring every file from where the lock says it comes from."""
        obtain = Obtain(self._project, locked.lock, self.sources, self._blobs)
        for file in locked.files:
            obtain(file)

    def fetch(self, locked: Locked, *, offline: bool) -> int:
        """Do what `fetch` does; return how many files the store did not have."""
        project = replace(self._project, lock_bytes=dumps(locked.lock).encode())
        return fetch(project, locked.files, offline=offline, emit=discard)

    def stored(self, file: Artefact) -> str:
        """Return the digest of what the store has, worked out anew; "" if it has nothing."""
        path = self._blobs.path(file.digest)
        return hashlib.new(algorithm_of(file.digest), path.read_bytes()).hexdigest() if path.exists() else ""


@contextlib.contextmanager
def desk(
    subject: Subject,
    root: Path,
    place: Place,
    *,
    mirrors: Sequence[Place] = (),
    tables: str = "",
    offline: bool = False,
) -> Iterator[Desk]:
    """Start a run in `root`, with the store that is there; with `tables` in place of the subject's own if given."""
    root.mkdir(exist_ok=True)
    text = _HEAD + (tables or subject.tables(place, mirrors))
    path = root / "hatchlock.toml"
    path.write_text(text)
    environ = {"HOME": str(root), "PATH": os.environ["PATH"]}
    project = Project(
        manifest=path,
        home=Home(root=root / "store", is_default=False),
        environ=environ,
        manifest_bytes=text.encode(),
        overlay_bytes=b"",
        lock_bytes=None,
    )
    manifest = loads(text, shown="").manifest
    with (
        Http(environ=environ, offline=offline, patience=Patience(repeats=0)) as http,
        Sources(project, manifest, http=http, offline=offline, refresh=False, emit=discard) as sources,
    ):
        yield Desk(subject, project, sources, place)


def accepts(tables: str) -> bool:
    """Return whether this version takes a manifest with these tables."""
    try:
        loads(_HEAD + tables, shown="")
    except HatchlockError:
        return False
    return True
