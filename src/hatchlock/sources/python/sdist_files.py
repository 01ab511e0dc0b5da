"""What source distributions that stay on their server say, kept for ever by the file's sha256."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hatchlock.files import private_directory
from hatchlock.net.cache import Cache
from hatchlock.net.http import Http
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.sdists import BuildSystem, SdistFacts, read_sdist
from hatchlock.sources.python.simple import IndexFile

__all__ = ["SdistFiles"]

_CACHE_FORM = "sdist-1"


class SdistFiles:
    """Reads source distributions, in whatever thread it is called from; see `WheelFiles`."""

    def __init__(self, *, http: Http, cache_dir: Path) -> None:
        self._http = http
        self._directory = cache_dir / _CACHE_FORM
        self._cache = Cache(self._directory)

    def facts(self, file: IndexFile) -> SdistFacts:
        """Return what a source distribution says; see `read_sdist` for what is raised."""
        kept = self._cache.load(file.sha256) if file.sha256 else None
        if kept:
            try:
                return _from_json(kept.body)
            except (ValueError, TypeError, KeyError):
                pass  # of another release: read it again
        found = read_sdist(self._http, file, scratch=private_directory(self._directory))
        if file.sha256:
            self._cache.save(file.sha256, _to_json(found))
        return found


def _to_json(facts: SdistFacts) -> bytes:
    return json.dumps({"metadata": facts.metadata.to_json().decode(), "system": asdict(facts.system)}).encode()


def _from_json(data: bytes) -> SdistFacts:
    values = json.loads(data)
    system = values["system"]
    lists = {name: tuple(system[name]) for name in ("requires", "backend_path")}
    return SdistFacts(
        metadata=WheelMetadata.from_json(values["metadata"].encode()), system=BuildSystem(**system | lists)
    )
