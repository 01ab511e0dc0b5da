"""Starting and ending the keepers of servers that stay: detached processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from hatchlock.errors import HatchlockError
from hatchlock.process import run
from hatchlock.state.keepers import Keeper, forget_keeper, holding, keeper_of

__all__ = ["KeeperElsewhere", "KeeperMissing", "KeeperStays", "keeper_command", "start_keeper", "stop_keeper"]

_T = TypeVar("_T")
_START_SECONDS = 60.0
_END_SECONDS = 20.0
"""What the end of a keeper may take besides its server's grace time."""
_PAUSE = 0.02


@dataclass(kw_only=True, eq=False)
class KeeperMissing(HatchlockError):
    """The process that is to keep a server was started and is not there."""

    code: ClassVar[str] = "keeper-missing"

    server: str

    def __str__(self) -> str:
        return f"the process that is to keep {self.server} was started, and is not there"

    def _hint(self) -> str:
        return f"see `hatchlock logs {self.server}`, or start it by hand: `hatchlock serve {self.server}`"


@dataclass(kw_only=True, eq=False)
class KeeperElsewhere(HatchlockError):
    """A server is kept by a process that cannot be reached from here."""

    code: ClassVar[str] = "keeper-elsewhere"

    server: str
    pid: int

    def __str__(self) -> str:
        return f"{self.server} is kept by process {self.pid} of another machine or container"

    def _hint(self) -> str:
        return f"run `hatchlock stop {self.server}` there"


@dataclass(kw_only=True, eq=False)
class KeeperStays(HatchlockError):
    """A keeper was to end, and did not."""

    code: ClassVar[str] = "keeper-stays"

    server: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid}, which keeps {self.server}, does not end"

    def _hint(self) -> str:
        return f"end it: kill -9 {self.pid}"


def keeper_command(home: Path, project: str, server: str) -> tuple[str, ...]:
    """Return what is started to keep a server: it goes on in the background by itself."""
    words = ("-I", "-m", "hatchlock", "serve", "--keep", "--home", str(home), "--project", project, server)
    return (sys.executable, *words)


def start_keeper(
    home: Path, project: str, server: str, launch: str, environ: Mapping[str, str], *, root: Path
) -> Keeper:
    """Have a server kept, and return its keeper. One that keeps it already, by the same launch record, goes on.

    The server itself may start, or fail to, afterwards: its keeper goes on trying.

    Args:
        home: The store's root.
        project: The project's name.
        server: The server's name.
        launch: The digest of its active launch record.
        environ: What its secrets are taken from.
        root: The project's state.

    Raises:
        KeeperMissing: Nobody keeps it.
        ProcessFailed: It cannot be started.
    """
    found = keeper_of(root, server)
    if found and found.launch == launch:
        return found
    run(keeper_command(home, project, server), env=environ, cwd=Path("/"), timeout=_START_SECONDS, new_session=True)
    found = _awaited(lambda: _kept(root, server, launch), _START_SECONDS)
    if found is None:
        raise KeeperMissing(address=f"endpoint:{server}", server=server)
    return found


def stop_keeper(root: Path, server: str, *, grace: float) -> bool:
    """End a server's keeper, and with it the server; return whether there was one. Afterwards nothing of it is left.

    Args:
        root: The project's state.
        server: The server's name.
        grace: Seconds that the server gets to end by itself.

    Raises:
        KeeperElsewhere: It is a process that cannot be reached from here.
        KeeperStays: It does not end.
    """
    found = keeper_of(root, server)
    if found is None:
        forget_keeper(root, server)
        return False
    if not found.is_ours:
        raise KeeperElsewhere(address=f"endpoint:{server}", server=server, pid=found.pid)
    for number, patience in ((signal.SIGTERM, grace + _END_SECONDS), (signal.SIGKILL, grace + _END_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, number)
        if _awaited(lambda: not found.is_alive or None, patience):
            break
    # what is left of it when it was killed holds the server a little longer
    with holding(root, server, patience=grace + _END_SECONDS) as hold:
        if hold is None or found.is_alive:
            raise KeeperStays(address=f"endpoint:{server}", server=server, pid=found.pid)
        forget_keeper(root, server)
    return True


def _kept(root: Path, server: str, launch: str) -> Keeper | None:
    found = keeper_of(root, server)
    return found if found and found.launch == launch else None


def _awaited(look: Callable[[], _T | None], seconds: float) -> _T | None:
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return found
