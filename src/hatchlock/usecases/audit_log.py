"""`logs --audit`: what was done with a store, and by whom."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.errors import PermissionProblem, UsageError
from hatchlock.state.auditlog import Trail, audit_files, audit_path, read_audit

if TYPE_CHECKING:
    from hatchlock.security.audit.facts import LogFacts

__all__ = ["audit_log", "log_facts", "moment_of"]

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def audit_log(store: Path, *, project: str = "", server: str = "", since: str = "") -> Trail:
    """Return what the audit log of a store says.

    Args:
        store: The store's root.
        project: Only of this project; "" for all.
        server: Only of this server, by its name; "" for all.
        since: Only from this moment on, as `moment_of` gives it; "" for all.

    Raises:
        PermissionProblem: It cannot be read.
    """
    trail = read_audit(store)
    entries = (entry for entry in trail.entries if str(entry.get("time", "")) >= since)
    return Trail(
        entries=tuple(
            entry for entry in entries if _is_of(entry, "project", project) and _is_of(entry, "server", server)
        ),
        damaged=trail.damaged,
    )


def log_facts(store: Path) -> LogFacts | None:
    """Return how the audit log of a store is kept, for `audit`; None before its first entry. Reads only."""
    from hatchlock.security.audit.facts import LogFacts
    from hatchlock.state.audit_chain import check_chain

    path = audit_path(store)
    try:
        facts = path.stat()
        chain = check_chain(audit_files(store))
    except FileNotFoundError:
        return None
    except (OSError, PermissionProblem) as error:
        return LogFacts(path=str(path), problem=f"cannot be read ({error})")
    return LogFacts(
        path=str(path),
        entries=chain.entries,
        damaged=len(chain.torn),
        broken=tuple(map(str, (item.place for item in chain.breaks))),
        mine=facts.st_uid == os.geteuid(),
        mode=stat.S_IMODE(facts.st_mode),
        problem="" if os.access(path, os.W_OK) else "cannot be written",
    )


def moment_of(text: str, *, now: datetime) -> str:
    """Return a moment as entries have it, in UTC: `2h` and `7d` ago, a date, or a time with its zone (UTC if it has none).

    Raises:
        UsageError: It is none of these.
    """
    if match := _AGO.fullmatch(text):
        return _written(now - timedelta(**{_UNITS[match[2]]: int(match[1])}))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        advice = "write 30m, 2h, 7d, 2026-11-28 or 2026-11-28T04:00:00Z"
        raise UsageError(what=f"--since {text}: it is no moment", advice=advice) from None
    return _written(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _is_of(entry: Mapping[str, Any], key: str, name: str) -> bool:
    return not name or entry.get(key) == name
