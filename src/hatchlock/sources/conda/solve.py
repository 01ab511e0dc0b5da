"""conda's channels as a source: a whole solution for a platform, and the files of what was locked."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from hatchlock.address import Kind
from hatchlock.files import private_directory
from hatchlock.lock.model import File, Package
from hatchlock.net.cache import Cache
from hatchlock.net.http import Http, Unreachable
from hatchlock.net.mirrors import first_answer
from hatchlock.sources.base import FileGone
from hatchlock.sources.conda.channels import Channels, CondaChannel
from hatchlock.sources.conda.declared import CondaRequirement, declared_conda
from hatchlock.sources.conda.extra import check_extra
from hatchlock.sources.conda.platforms import NOARCH, subdir_of, virtual_packages
from hatchlock.sources.conda.records import CondaRecord
from hatchlock.sources.conda.relay import ChannelFiles, Relay, file_of, relaying
from hatchlock.store.blobs import Blobs

if TYPE_CHECKING:
    from hatchlock.sources.conda.gateway import Gateway

__all__ = ["CondaSource"]

_PIECE = 1 << 18
# Raised when the forms below cache_dir change; old directories are left to the cache's cleaning.
_CACHE_FORM = "1"


class CondaSource:
    """conda's channels. For any number of threads; a context manager.

    Unlike other sources it is not asked for one name after another: rattler solves for all names at once.

    Args:
        http: Asks the channels.
        cache_dir: Where what they say is kept.
        channels: What the manifest declares, in its order; the first channel that has a name owns it. None: conda-forge.
        exclude_newer: Builds of this moment or later do not exist; nor do those whose time is not known.
        offline: Use cached answers of any age and ask nobody.
        refresh: Ask again for every answer.

    Attributes:
        stale: Addresses for which an older answer than its channel's `ttl` allows had to do, because nobody could be asked
            -> its age in seconds.

    Raises:
        CondaMissing: hatchlock was installed without its extra `conda`.
    """

    kind = Kind.CONDA

    def __init__(
        self,
        *,
        http: Http,
        cache_dir: Path,
        channels: Sequence[CondaChannel] = (),
        exclude_newer: datetime | None = None,
        offline: bool = False,
        refresh: bool = False,
    ) -> None:
        check_extra()
        self.exclude_newer = exclude_newer
        self.stale: dict[str, float] = {}
        self._http = http
        self._cache_dir = cache_dir
        self._channels = Channels(channels, usual=_usual_address, learn=http.credentials.learn)
        self._files = ChannelFiles(
            http=http,
            cache=Cache(cache_dir / f"channels-{_CACHE_FORM}"),
            channels=self._channels,
            offline=offline or http.offline,
            refresh=refresh,
            stale=self.stale,
        )
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._opened: Gateway | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what solving needed."""
        with self._lock:
            self._opened = None
            self._stack.close()

    def solve(
        self,
        wanted: Sequence[str],
        *,
        platform: str,
        glibc: str,
        macos: str,
        preferred: Mapping[str, str | Sequence[str]] | None = None,
    ) -> tuple[CondaRecord, ...]:
        """Return the packages that satisfy requirements on a platform, with all that they need, sorted by name.

        The answer depends on the arguments and on what the channels have, not on the machine that asks.

        Args:
            wanted: Requirements as `declared_conda` reads them, without `conda:`.
            platform: `linux/amd64`.
            glibc: The oldest glibc that the packages have to run on.
            macos: The oldest macOS.
            preferred: Name -> a version or several, each with or without its build (`1.26.4=py311_0`, as the lock has it): the
                first one that still is there is taken where it will do.

        Raises:
            BadSource: A requirement is none.
            BadPlatform: Channels have nothing for such a platform.
            CondaUnsolvable: No choice of packages will do.
            UnknownPackage: No channel has a required name.
            MissingHash: A channel gives no SHA-256 for a file.
            BadAnswer: A channel's files are not of their format.
            Refused: A channel wants (other) credentials.
            Unreachable: Neither a channel nor a mirror of it answers, and nothing is in the cache.
        """
        from hatchlock.sources.conda.gateway import Question  # noqa: PLC0415  an extra, and 0.12 s

        requirements = tuple(map(declared_conda, wanted))
        question = Question(
            requirements=_sorted(requirements),
            channels=self._channels.with_those_of(item.channel for item in requirements if item.channel),
            platform=platform,
            subdir=subdir_of(platform),
            virtual=virtual_packages(platform, glibc=glibc, macos=macos),
            preferred={name: _versions(kept) for name, kept in (preferred or {}).items()},
            exclude_newer=self.exclude_newer,
        )
        with self._lock:
            return self._gateway().solve(question)

    def url_of(self, package: Package, file: File) -> str:
        """Return where a locked file is, without user name and password; mirrors have it under the same path."""
        return self._urls(package, file)[0]

    def fetch(self, package: Package, file: File, blobs: Blobs) -> None:
        """Bring a locked file into the store, unless it is there.

        Args:
            package: From the lock.
            file: One of its files.
            blobs: Where it goes.

        Raises:
            WrongHash: The channel has other bytes. None of them are kept.
            FileGone: It has no such file.
            Refused, Unreachable: It does not give it.
            OSError: The disk is full, or the like.
        """
        if blobs.has(file.sha256):
            return

        def ask(url: str) -> None:
            with blobs.add(file.sha256, file.size or None, what=file.name, where=url) as writer:
                if url.startswith("file:"):
                    _copy(file_of(url), writer.write)
                else:
                    self._http.download(url, writer.write)

        try:
            first_answer(self._urls(package, file), ask)
        except FileNotFoundError as error:
            raise _gone(package, file) from error
        except Unreachable as error:
            if error.answered and not error.transient:
                raise _gone(package, file) from error
            raise

    def _urls(self, package: Package, file: File) -> tuple[str, ...]:
        subdir = subdir_of(file.platform) if file.platform else NOARCH
        bases = self._channels.bases(self._channels.named(package.index))
        return tuple(f"{base}/{subdir}/{quote(file.name)}" for base in bases)

    def _gateway(self) -> Gateway:
        if self._opened is None:
            from hatchlock.sources.conda.gateway import Gateway  # noqa: PLC0415  see solve

            private_directory(self._cache_dir)
            scratch = tempfile.TemporaryDirectory(dir=self._cache_dir, prefix="work-")
            relay = Relay(self._files)
            directory = Path(self._stack.enter_context(scratch))
            self._stack.enter_context(relaying(relay))
            self._opened = Gateway(relay, directory, self._channels.named)
        return self._opened


def _sorted(requirements: Sequence[CondaRequirement]) -> tuple[CondaRequirement, ...]:
    return tuple(sorted(set(requirements), key=str))


def _versions(kept: str | Sequence[str]) -> tuple[str, ...]:
    return (kept,) if isinstance(kept, str) else tuple(kept)


def _usual_address(name: str) -> str:
    from hatchlock.sources.conda.gateway import usual_address  # noqa: PLC0415  see CondaSource.solve

    return usual_address(name)


def _gone(package: Package, file: File) -> FileGone:
    return FileGone(package=package.id, file=file.name, digest=file.sha256, index=package.index)


def _copy(path: Path, sink: Callable[[bytes], object]) -> None:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            sink(piece)
