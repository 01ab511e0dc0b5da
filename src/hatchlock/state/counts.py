"""How the sessions of a server went: `projects/NAME/counts/SERVER.json`.

`run` writes it, at the end of a session and when a server first says something on stdout that is no message. Several
sessions add to it at once, one after the other, and none is lost. Counts belong to one launch record, and begin anew with
another; sessions of the record before may still run, so those of the last few are kept.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hatchlock.digest import canonical_json
from hatchlock.files import alone_in, atomic_write, private_directory, read_optional

__all__ = ["NO_COUNTS", "Counts", "add_counts", "counts_path", "last_used", "read_counts"]

_FORMAT = 1
_LAUNCHES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What has happened in the sessions of one launch record.

    Attributes:
        sessions: Those that ended, however they did.
        abnormal: Of them, those whose server failed: it ended by itself with a status other than 0, never spoke JSON-RPC, had
            to be stopped because its watchdog or network was killed.
        killed: Of them, those whose `run` was killed: a power cut, `kill -9`. The next session counts them.
        noise: Lines on stdout that were no messages.
        refused: Of them, those that we ended since what their server offered was not what was pinned.
        refused_at: When that was the last time, in UTC; "" for never.
        unauthorized: Requests with another token to where it is served over HTTP; refusals of a remote server, since
            nobody was logged in.
        status: What `run` returned the last time; None before its first end.
        ended: When that was, in UTC: `2026-11-27T21:03:55Z`; "" before.
        used: When one ended last that was no probe of ours; "" before.
    """

    sessions: int = 0
    abnormal: int = 0
    killed: int = 0
    noise: int = 0
    refused: int = 0
    refused_at: str = ""
    unauthorized: int = 0
    status: int | None = None
    ended: str = ""
    used: str = ""


NO_COUNTS = Counts()
"""Nothing has happened."""


def counts_path(state: Path, server: str) -> Path:
    """Return the file of a server in a project's state."""
    return state / "counts" / f"{server}.json"


def read_counts(path: Path, launch: str) -> Counts:
    """Return what is counted of a launch record; `NO_COUNTS` where there is nothing, or nothing that can be read.

    Args:
        path: `counts_path`.
        launch: The launch record's digest, as it was applied.
    """
    return _all(path).get(launch, NO_COUNTS)


def last_used(path: Path) -> str:
    """Return when a session of a server ended last that was no probe, of whichever of its last launch records; "" for none.

    Args:
        path: `counts_path`.
    """
    return max((item.used for item in _all(path).values()), default="")


def add_counts(path: Path, launch: str, more: Counts) -> None:
    """Add what has happened; a status replaces the one before.

    Args:
        path: `counts_path`.
        launch: The launch record's digest, as it was applied.
        more: What to add.

    Raises:
        OSError: It cannot be written.
        PermissionProblem: The same.
    """
    with alone_in(private_directory(path.parent)):
        known = _all(path)
        counts = _sum(known.pop(launch, NO_COUNTS), more)
        last = [*known.items(), (launch, counts)][-_LAUNCHES:]
        document = [{"launch": name, **asdict(item)} for name, item in last]
        atomic_write(path, canonical_json({"format_version": _FORMAT, "launches": document}), durable=False)


def _sum(one: Counts, other: Counts) -> Counts:
    ended = other if other.ended else one
    return replace(
        ended,
        sessions=one.sessions + other.sessions,
        abnormal=one.abnormal + other.abnormal,
        killed=one.killed + other.killed,
        noise=one.noise + other.noise,
        refused=one.refused + other.refused,
        refused_at=other.refused_at or one.refused_at,
        used=other.used or one.used,
        unauthorized=one.unauthorized + other.unauthorized,
    )


def _all(path: Path) -> dict[str, Counts]:
    try:
        document = json.loads(read_optional(path) or b"null")
        if document["format_version"] != _FORMAT:
            return {}
        return {str(item.pop("launch")): Counts(**item) for item in document["launches"]}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
