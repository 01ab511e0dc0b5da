"""The metadata of wheels that stay on their server, kept for ever by the wheel's sha256."""

from __future__ import annotations

from pathlib import Path

from hatchlock.digest import sha256_bytes
from hatchlock.net.cache import Cache
from hatchlock.net.http import Http
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.remote_wheel import read_wheel
from hatchlock.sources.python.simple import IndexFile

__all__ = ["WheelFiles"]

_NOT_FOUND = 404
_CACHE_FORM = "metadata-1"


class WheelFiles:
    """Reads wheels' metadata, in whatever thread it is called from.

    Args:
        http: Asks the files' server.
        cache_dir: Where metadata is kept.
    """

    def __init__(self, *, http: Http, cache_dir: Path) -> None:
        self._http = http
        self._cache = Cache(cache_dir / _CACHE_FORM)

    def metadata(self, file: IndexFile) -> WheelMetadata:
        """Return a wheel's metadata: PEP 658 where offered, else read from the wheel by range, else from the whole wheel.

        Raises:
            BadAnswer: The wheel or its metadata is broken, or is not what the index's hash says.
            Refused: The server wants credentials.
            Unreachable: It cannot be asked.
        """
        kept = self._cache.load(file.sha256)
        if kept:
            try:
                return WheelMetadata.from_json(kept.body)
            except (ValueError, TypeError, KeyError):
                pass  # of another release: read it again
        metadata = self._separate(file) if file.core_metadata else None
        return self._keep(file, metadata or read_wheel(self._http, file))

    def with_scripts(self, file: IndexFile) -> WheelMetadata:
        """Return a wheel's metadata with `scripts`, which a separate metadata file does not tell; see `metadata`."""
        known = self.metadata(file)
        return known if known.scripts is not None else self._keep(file, read_wheel(self._http, file))

    def _keep(self, file: IndexFile, metadata: WheelMetadata) -> WheelMetadata:
        self._cache.save(file.sha256, metadata.to_json())
        return metadata

    def _separate(self, file: IndexFile) -> WheelMetadata | None:
        answer = self._http.get(f"{file.url}.metadata")
        if answer.status == _NOT_FOUND:
            return None  # advertised, and not there: some mirrors do that
        data = answer.checked().data
        what = f"{file.name}.metadata"
        if file.core_metadata != "?" and sha256_bytes(data) != file.core_metadata:
            raise BadAnswer(what=what, why="its bytes do not have the sha256 that the index gives")
        try:
            return WheelMetadata.parse(data)
        except ValueError as error:
            raise BadAnswer(what=what, why=str(error)) from error
