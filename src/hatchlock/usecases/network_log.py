"""`logs --network`: the connections that a server made or tried, where its network is a list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchlock.paths import Home

__all__ = ["network_log"]

_KEYS = {"time", "host", "port", "outcome", "sent", "received", "seconds"}


def network_log(
    home: Home, project: str, server: str, *, most: int | None, since: str = ""
) -> tuple[Path, Sequence[Mapping[str, Any]]]:
    """Return the file of a server's connections, and the last of them, oldest first.

    Args:
        home: The store.
        project: The project's name.
        server: The server's name.
        most: How many; None for all.
        since: Only from this moment on, as `audit_log.moment_of` gives it; "" for all.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: It was not applied.
    """
    from hatchlock.serve.network.trail import trail_path
    from hatchlock.usecases.run import find_record, log_path
    from hatchlock.usecases.server_log import last, read_log

    record = find_record(home, project, server)
    path = trail_path(log_path(home, record.project, record.server))
    found = [item for item in _passages(read_log(path)) if str(item["time"]) >= since]
    return path, last(found, most)


def _passages(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        try:
            item = json.loads(line)
        except ValueError:
            continue  # a disk was full
        if isinstance(item, dict) and item.keys() >= _KEYS:
            yield item
