"""Which servers of a project are in quarantine: cut off and stopped, and not started until somebody releases them.

projects/NAME/quarantine/SERVER/quarantine.json     it is, since when, by whom and why
projects/NAME/quarantine/SERVER/TIME/               what was kept of it: report.json, logs, what is known of it

The marker is the whole state, so whoever starts a server looks for one file. What was kept stays after a release.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.digest import canonical_json
from hatchlock.errors import RefusedError
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = [
    "InQuarantine",
    "Quarantine",
    "begin_quarantine",
    "check_quarantine",
    "quarantine_of",
    "quarantined",
    "release",
]

_FORMAT = 1
_MARKER = "quarantine.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantine:
    """A server that must not be started.

    Attributes:
        server: The server's name.
        at: Since when, in UTC: `2026-11-28T04:15:41Z`; "" where the marker cannot be read.
        by: Who has done it: `ada@laptop`.
        reason: Why, in that person's words; "" for none.
        kept: The directory with what was kept, absolute; "" for none.
        stopped: Whether it was stopped as a server that stays, which a release undoes.
    """

    server: str
    at: str
    by: str
    reason: str = ""
    kept: str = ""
    stopped: bool = False

    def __str__(self) -> str:
        since = f"since {self.at} by {self.by}" if self.at else "but the file that says why cannot be read"
        return f"in quarantine {since}" + (f": {self.reason}" if self.reason else "")


@dataclass(kw_only=True, eq=False)
class InQuarantine(RefusedError):
    """A server that is in quarantine was to be started."""

    code: ClassVar[str] = "in-quarantine"

    def _hint(self) -> str:
        name = self.address.removeprefix("server:")
        kept = f"what was kept of it is in {self.needs}; " if self.needs else ""
        return f"{kept}when it may run again: `hatchlock quarantine --release {name}`"


def check_quarantine(root: Path, server: str) -> None:
    """Refuse a server that is in quarantine. One look at the file system where it is not.

    Args:
        root: The project's state.
        server: The server's name.

    Raises:
        InQuarantine: It is.
    """
    if found := quarantine_of(root, server):
        raise InQuarantine(address=f"server:{server}", what=f"{server} is {found}", needs=found.kept)


def quarantine_of(root: Path, server: str) -> Quarantine | None:
    """Return the quarantine that a server is in; None for none. A marker that cannot be read still is one."""
    data = read_optional(root / "quarantine" / server / _MARKER)
    if data is None:
        return None
    unknown = Quarantine(server=server, at="", by="")
    try:
        values = json.loads(data)
        is_ours = values.pop("format_version") == _FORMAT
        return Quarantine(**{**values, "server": server}) if is_ours else unknown
    except (ValueError, TypeError, KeyError, AttributeError):
        return unknown


def quarantined(root: Path) -> Mapping[str, Quarantine]:
    """Return the servers of a project that are in quarantine, by name, sorted."""
    names = sorted(path.parent.name for path in root.glob(f"quarantine/*/{_MARKER}"))
    return {name: found for name in names if (found := quarantine_of(root, name))}


def begin_quarantine(root: Path, quarantine: Quarantine) -> None:
    """Mark a server, or write its marker anew, so that it survives a power cut.

    Raises:
        PermissionProblem, OSError: It cannot be written.
    """
    directory = private_directory(root / "quarantine" / quarantine.server)
    atomic_write(directory / _MARKER, canonical_json({"format_version": _FORMAT, **asdict(quarantine)}))


def release(root: Path, server: str) -> None:
    """Let a server be started again; what was kept stays.

    Raises:
        OSError: Its marker cannot be deleted.
    """
    (root / "quarantine" / server / _MARKER).unlink(missing_ok=True)
