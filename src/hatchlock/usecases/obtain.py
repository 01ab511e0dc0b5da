"""Where each file that the lock names comes from, and how it gets into the store, checked."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.address import ImageReference, Kind
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard

if TYPE_CHECKING:
    from hatchlock.lock.model import File, Lock, Package
    from hatchlock.resources.base import Artefact
    from hatchlock.store.blobs import Blobs, BlobWriter
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.sources import Sources

__all__ = ["Obtain"]


@dataclass(kw_only=True, eq=False)
class DirectoryChanged(HatchlockError):
    """A directory is not what was locked of it, and the store does not have that."""

    code: ClassVar[str] = "directory-changed"

    directory: str

    def __str__(self) -> str:
        return f"{self.directory} changed since it was locked"

    def _hint(self) -> str:
        return "run `hatchlock lock`, or bring back what was locked"


class Obtain:
    """Brings files into the store. For any number of threads.

    Args:
        project: Whose files; paths are relative to its directory.
        lock: Names them.
        sources: Where they come from.
        blobs: The store's.
        lock_timeout: Seconds to wait for another command that fetches the same file.
        emit: Told for whom it waits.
    """

    def __init__(
        self,
        project: Project,
        lock: Lock,
        sources: Sources,
        blobs: Blobs,
        *,
        lock_timeout: float = 60.0,
        emit: Sink = discard,
    ) -> None:
        self._project = project
        self._lock = lock
        self._packages = {package.id: package for package in lock.packages}
        self._images = {image.reference: image for image in lock.images}
        self._checking = threading.Lock()
        self._sources = sources
        self._blobs = blobs
        self._lock_timeout = lock_timeout
        self._emit = emit

    def __call__(self, artefact: Artefact) -> None:
        """Bring one file into the store, unless another command has done it meanwhile: two that want it fetch it once.

        Raises:
            LeaseHeld: Another command fetches it, and did not end in time.
            WrongHash: It has other bytes than the lock names; a directory was changed since it was locked.
            FileGone: Its index no longer has it.
            HatchlockError: What its source raises.
            OSError: The disk is full, or the like.
        """
        from hatchlock.state.lease import lease

        path = self._project.home.root / "locks" / f"blob-{artefact.digest}.lock"
        what = f"the download of {artefact.name}"
        with lease(path, what=what, purpose="fetch", timeout=self._lock_timeout, emit=self._emit, lasting=False):
            if not self._blobs.has(artefact.digest):
                self._obtain(artefact)

    def _obtain(self, artefact: Artefact) -> None:
        from hatchlock.resources.base import CONTEXT, PROFILE

        if artefact.package.startswith(f"{Kind.OCI}:"):
            self._blob_of_image(artefact)
            return
        if artefact.package.startswith(PROFILE):
            self._profile(artefact)
            return
        if artefact.package.startswith(CONTEXT):
            self._context(artefact)
            return
        if artefact.package.startswith("python@"):
            self._interpreter(artefact)
            return
        package = self._packages[artefact.package]
        match package.kind:
            case Kind.PYPI | Kind.NPM:
                self._from_index(artefact, package)
            case Kind.URL:
                self._program(artefact, package)
            case Kind.CONDA:
                self._sources.conda.fetch(package, self._file(artefact, package), self._blobs)
            case Kind.DEB:
                self._deb(package, self._file(artefact, package))
            case Kind.HATCH if not package.source:
                registry = self._sources.hatch_registry
                release = registry.release(package.name, package.version, package.publisher)
                registry.fetch(release, self._file(artefact, package), self._blobs)
            case _:
                self._snapshot(artefact, package)

    @contextmanager
    def _writer(self, artefact: Artefact, where: str) -> Iterator[BlobWriter]:
        with self._blobs.add(artefact.digest, artefact.size, what=artefact.name, where=where) as writer:
            yield writer

    def _blob_of_image(self, artefact: Artefact) -> None:
        self._check_image(artefact)
        reference = ImageReference.parse(artefact.package.removeprefix(f"{Kind.OCI}:"))
        with self._writer(artefact, str(reference)) as writer:
            self._sources.images.blob(reference, artefact.name, writer.write)

    def check_images(self, artefacts: Iterable[Artefact], *, emit: Sink) -> None:
        """Check the images that some files belong to, also those of which everything is here: it may be of other images.

        Whoever does not answer is not asked on: what was fetched once stays good without its registry.

        Raises:
            BadImage: The lock has another config or other layers of one.
        """
        from hatchlock.net.registry_errors import ImageProblem

        for artefact in artefacts:
            if artefact.package.startswith(f"{Kind.OCI}:"):
                try:
                    self._check_image(artefact)
                except ImageProblem as error:
                    emit(Event(name="image.unchecked", address=artefact.package, message=str(error)))

    def _check_image(self, artefact: Artefact) -> None:
        """Before anything of an image comes: who edits a lock puts no other layers below a digest."""
        from hatchlock.net.cache import Cache
        from hatchlock.sources.oci_checked import CheckedImages

        known = CheckedImages(Cache(self._project.home.cache / "bases"))
        image = self._images[artefact.package.removeprefix(f"{Kind.OCI}:")]
        with self._checking:
            for platform, item in image.platforms.items():
                if artefact.name in {item.config, *(layer.digest for layer in item.layers)}:
                    known.check(image, platform, registry=self._sources.images)

    @staticmethod
    def _file(artefact: Artefact, package: Package) -> File:
        return next(item for item in package.files if item.digest == artefact.digest)

    def _from_index(self, artefact: Artefact, package: Package) -> None:
        from hatchlock.net.credentials import without_userinfo

        file = self._file(artefact, package)
        index = self._sources.python if package.kind is Kind.PYPI else self._sources.npm
        url = index.fetch_url(package, file)
        headers = self._sources.npm.headers(url) if package.kind is Kind.NPM else {}
        with self._writer(artefact, without_userinfo(url)) as writer:
            self._sources.http.download(url, writer.write, headers=headers)

    def _program(self, artefact: Artefact, package: Package) -> None:
        from hatchlock.sources.url import url_references

        references = url_references(package.source.partition(":")[2])
        file = self._file(artefact, package)
        self._sources.url.fetch(references[file.platform], file, self._blobs)

    def _deb(self, package: Package, file: File) -> None:
        from hatchlock.usecases.debian import desks_having

        # the same package may be at another address for another processor
        desks = desks_having(package, self._lock, self._sources.debian_desk, platform=file.platform)
        next(desks).source.fetch(package, file, self._blobs)

    def _snapshot(self, artefact: Artefact, package: Package) -> None:
        from hatchlock.sources.projects.snapshot import snapshot
        from hatchlock.store.blobs import WrongHash

        if package.kind in {Kind.PATH, Kind.HATCH}:
            directory = self._project.place(package.location)
            try:
                with self._writer(artefact, str(directory)) as writer:
                    snapshot(directory, writer.write, without=self._project.home.root)
            except WrongHash as error:
                raise DirectoryChanged(address=package.id, directory=str(directory)) from error
            return
        import tempfile

        from hatchlock.sources.projects.git import GitCommit
        from hatchlock.sources.projects.git_reference import GitReference

        reference = GitReference.parse(package.source.partition(":")[2])
        commit = GitCommit(
            commit=package.commit,
            tree_hash=package.tree_hash,
            url=package.location,
            ref=reference.ref,
            subdirectory=package.subdirectory,
            submodules=reference.submodules,
        )
        with tempfile.TemporaryDirectory(dir=self._sources.scratch) as scratch:
            root = self._sources.git.checkout(commit, Path(scratch) / "tree")
            with self._writer(artefact, package.location) as writer:
                snapshot(root, writer.write, committed=True)

    def _context(self, artefact: Artefact) -> None:
        from hatchlock.resources.base import CONTEXT
        from hatchlock.store.blobs import WrongHash
        from hatchlock.usecases.contexts import context_of

        build = next(item for item in self._lock.builds if item.server == artefact.package.removeprefix(CONTEXT))
        context = context_of(self._project, build)
        try:
            with self._writer(artefact, context.directory) as writer:
                context.snapshot(writer.write, without=self._project.home.root)
        except WrongHash as error:
            raise DirectoryChanged(address=f"server:{build.server}", directory=context.directory) from error

    def _profile(self, artefact: Artefact) -> None:
        from hatchlock.resources.base import PROFILE
        from hatchlock.store.blobs import WrongHash
        from hatchlock.usecases.profiles import ProfileChanged, read_profile

        server = self._lock.server(artefact.package.removeprefix(PROFILE))
        try:
            with self._writer(artefact, artefact.name) as writer:
                writer.write(read_profile(self._project, server))
        except WrongHash as error:
            raise ProfileChanged(address=f"server:{server.name}", file=artefact.name) from error

    def _interpreter(self, artefact: Artefact) -> None:
        from hatchlock.net.credentials import without_userinfo
        from hatchlock.sources.python.managed import archive_url

        url = archive_url(artefact.name, http=self._sources.http, environ=self._project.environ)
        with self._writer(artefact, without_userinfo(url)) as writer:
            self._sources.http.download(url, writer.write)
