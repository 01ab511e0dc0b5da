"""What packages' maintainer scripts would do, read from the first bytes of files that stay in their archive."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from hatchlock.lock.model import File
from hatchlock.net.cache import Cache
from hatchlock.net.http import Http
from hatchlock.realise.debs.package_file import control_of_head, head_size
from hatchlock.realise.debs.script_needs import ScriptNeeds, script_needs

__all__ = ["ScriptReader"]

# Raised when what is read, or how it is judged, changes.
_CACHE_FORM = "1"
_FIRST = 32 << 10
_HEAD_AT_MOST = 64 << 20


class ScriptReader:
    """Reads what packages want done, once for each file. For any number of threads.

    What comes of a range cannot be checked against the package's hash: it serves warnings, and nothing is decided by it.

    Args:
        cache_dir: Where it is kept, for ever, by the hash of the file.
        http: Asks archives; called only when one is asked.
    """

    def __init__(self, cache_dir: Path, http: Callable[[], Http]) -> None:
        self._kept = Cache(cache_dir / f"scripts-{_CACHE_FORM}")
        self._http = http

    def known(self, file: File) -> ScriptNeeds | None:
        """Return what was read of a file before; None if it was not."""
        kept = self._kept.load(file.sha256)
        if kept is None:
            return None
        return ScriptNeeds(**{name: tuple(values) for name, values in json.loads(kept.body).items()})

    def read(self, file: File, url: str) -> ScriptNeeds:
        """Return what a file says, asking for its beginning and, where that is too short, for one more range.

        Raises:
            BadArchive: It is no package, or damaged.
            Refused, Unreachable: The archive does not give it.
            OSError: The disk is full, or the like.
        """
        head = self._range(url, 0, _FIRST)
        missing = head_size(head) - len(head)
        if missing > 0:
            head += self._range(url, len(head), missing)
        found = script_needs(control_of_head(head))
        self._kept.save(file.sha256, json.dumps(asdict(found)).encode())
        return found

    def _range(self, url: str, first: int, size: int) -> bytes:
        answer = self._http().get(url, byte_range=(first, first + size - 1), at_most=_HEAD_AT_MOST).checked()
        # a server that ignores ranges sends all of it
        return answer.data if answer.partial else answer.data[first:]
