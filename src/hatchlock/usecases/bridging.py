"""`run` of a server that stays: what the application says goes to its URL, and what comes back is judged as any other's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError, UsageError
from hatchlock.launch import Remote

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.state.keepers import Keeper

__all__ = ["SERVED", "NotAnswering", "StoppedByHand", "bridged", "check_wanted"]

SERVED = "HATCHLOCK_SERVED"
"""The variable of `run` that says, if there is one, that somebody serves that server by hand, and this is a session of it."""
_PAUSE = 0.02


@dataclass(kw_only=True, eq=False)
class NotAnswering(HatchlockError):
    """A server that stays does not answer at its URL."""

    code: ClassVar[str] = "not-answering"

    server: str
    url: str
    why: str

    def __str__(self) -> str:
        return f"{self.server} does not answer at {self.url}: {self.why}"

    def _hint(self) -> str:
        return f"see `hatchlock logs {self.server}`; `hatchlock restart {self.server}` starts it at once"


@dataclass(kw_only=True, eq=False)
class StoppedByHand(HatchlockError):
    """A server that stays is to be used, and somebody has stopped it."""

    code: ClassVar[str] = "stopped-by-hand"

    server: str
    since: str

    def __str__(self) -> str:
        return f"{self.server} is stopped by hand since {self.since}"

    def _hint(self) -> str:
        return f"run `hatchlock start {self.server}`"


def check_wanted(root: Path, record: LaunchRecord) -> None:
    """Refuse a server that stays and was stopped by hand: somebody wants it so.

    Args:
        root: The project's state.
        record: The server's.

    Raises:
        StoppedByHand: It was.
    """
    from hatchlock.state.keepers import stopped_by_hand

    if record.endpoint and (since := stopped_by_hand(root).get(record.server)):
        raise StoppedByHand(address=f"server:{record.server}", server=record.server, since=since)


def bridged(home: Home, record: LaunchRecord, environ: Mapping[str, str], *, aside: bool) -> LaunchRecord:
    """Return a record by which an application's session speaks to a server that stays, which is started if it does not run.

    Args:
        home: The store.
        record: The server's.
        environ: What its secrets are taken from, if it is started.
        aside: Whether the session asks for a server of its own (`--dev`, `--learn`).

    Raises:
        UsageError: There is no such session of a server that stays.
        StoppedByHand: Somebody wants it stopped.
        NotAnswering: It has not answered within its startup timeout, or has ended.
        KeeperMissing, KeeperStays, KeeperElsewhere, ProcessFailed: It could not be started.
    """
    if aside:
        what = f"{record.server} stays, and is the same for all of its applications"
        raise UsageError(what=what, advice="leave out --dev and --learn")
    kept = _ensure_kept(home, record, environ)
    if why := _why_silent(home.project(record.project), record.server, record.startup_timeout):
        raise NotAnswering(address=f"server:{record.server}", server=record.server, url=kept.url, why=why)
    # its secrets are its own affair; the session has none
    return replace(record, remote=Remote(url=kept.url), endpoint=None, secrets={})


def _ensure_kept(home: Home, record: LaunchRecord, environ: Mapping[str, str]) -> Keeper:
    """Have a server kept that should be: after a reboot nobody does.

    Raises:
        StoppedByHand: Somebody wants it stopped.
        KeeperMissing, KeeperStays, KeeperElsewhere, ProcessFailed: It could not be started.
    """
    from hatchlock.resources.keeping import start_keeper
    from hatchlock.state.quarantine import check_quarantine

    root = home.project(record.project)
    check_quarantine(root, record.server)
    check_wanted(root, record)
    return start_keeper(home.root, record.project, record.server, record.digest, environ, root=root)


def _why_silent(root: Path, server: str, patience: float) -> str:
    """Wait until a server has answered; return why it has not, "" if it has."""
    from hatchlock.state.keepers import keeper_of

    deadline = time.monotonic() + patience
    while kept := keeper_of(root, server):
        if kept.phase == "running" and kept.health == "healthy":
            return ""
        if kept.phase == "waiting" or time.monotonic() >= deadline:
            return kept.said or f"no answer within {patience:g} s"
        time.sleep(_PAUSE)
    return "nobody keeps it any more"
