"""Who keeps the servers of a project that stay, how these do, and which of them were stopped by hand.

projects/NAME/keepers/SERVER.json      who keeps it, and how it does
projects/NAME/keepers/SERVER.lock      held by its keeper, and by the server's own run
projects/NAME/stopped/SERVER.json      it was stopped by hand, and since when
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from hatchlock.digest import canonical_json
from hatchlock.errors import PermissionProblem
from hatchlock.files import atomic_write, private_directory, read_optional
from hatchlock.process import owner, process_has_ended

__all__ = [
    "Health",
    "Keeper",
    "Phase",
    "forget_keeper",
    "forget_stop",
    "holding",
    "is_held_by_name",
    "keeper_of",
    "keepers",
    "not_ended",
    "note_keeper",
    "now",
    "read_kept",
    "remember_stop",
    "stopped_by_hand",
    "write_keeper",
]

Phase = Literal["starting", "running", "waiting"]
"""Of a kept server: it has been started and has not answered yet; it runs; it has ended, and is started again later."""
Health = Literal["unknown", "healthy", "failed"]

_FORMAT = 1
_PAUSE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeper:
    """A process that keeps a server, and how that does.

    Attributes:
        server: The server's name.
        owner: Which process keeps it (`process.owner`).
        pid: Its pid.
        launch: The digest of the launch record that it keeps.
        url: Where the server is reached.
        port: The port of this machine in it.
        since: When the keeper was started, RFC 3339, UTC.
        phase: What the server is at.
        began: When it was started last; "" for never.
        run: The pid of the process that serves it now; 0 for none.
        restarts: How many times it was started again after it had ended.
        health: What it answered last.
        said: In words; why it ended, or was not started, for one.
        checked: When that was; "" for never.
        seconds: How long it took to answer.
    """

    server: str
    owner: str
    pid: int
    launch: str
    url: str
    port: int
    since: str
    phase: Phase = "starting"
    began: str = ""
    run: int = 0
    restarts: int = 0
    health: Health = "unknown"
    said: str = ""
    checked: str = ""
    seconds: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it may still keep the server."""
        return not process_has_ended(self.owner, self.pid)

    @property
    def is_ours(self) -> bool:
        """Whether its pid is provably its own, so that a signal reaches nobody else."""
        return self.owner == owner(self.pid)


def now() -> str:
    """Return the time as it stands in state, RFC 3339, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_kept(root: Path, server: str) -> Keeper | None:
    """Return who kept a server last, alive or not; None where nobody has, or what stands there cannot be read.

    Args:
        root: The project's state.
        server: The server's name.
    """
    return _read(_place(root, server))


def keeper_of(root: Path, server: str) -> Keeper | None:
    """Return who keeps a server now; None for nobody."""
    found = read_kept(root, server)
    return found if found and found.is_alive else None


def keepers(root: Path) -> Mapping[str, Keeper]:
    """Return server -> who keeps it now, sorted."""
    return {item.server: item for item in _all(root) if item.is_alive}


def not_ended(root: Path) -> Mapping[str, Keeper]:
    """Return server -> who keeps it now, or was killed and has left something that has not ended yet; sorted."""
    return {item.server: item for item in _all(root) if item.is_alive or _is_held(root, item.server)}


def write_keeper(root: Path, keeper: Keeper) -> None:
    """Write down who keeps a server, and how it does, in one atomic change.

    Raises:
        PermissionProblem, OSError: It cannot be written.
    """
    private_directory(root / "keepers")
    content = canonical_json({"format_version": _FORMAT, **asdict(keeper), "seconds": f"{keeper.seconds:.3f}"})
    atomic_write(_place(root, keeper.server), content, durable=False)


def note_keeper(root: Path, keeper: Keeper) -> None:
    """Write down how a kept server does; where that is not possible, a full disk say, it is kept all the same."""
    with contextlib.suppress(OSError, PermissionProblem):
        write_keeper(root, keeper)


def forget_keeper(root: Path, server: str) -> None:
    """Delete what is written of a keeper that has ended; one that lives loses nothing by it but its name."""
    _place(root, server).unlink(missing_ok=True)


@contextlib.contextmanager
def holding(
    root: Path, server: str, *, patience: float, is_needless: Callable[[], bool] = lambda: False
) -> Iterator[int | None]:
    """Hold a server inside the block, so that nobody else keeps it, by a descriptor; None where somebody else did all the time.

    The lock goes with the process, and with those that it has forked meanwhile: what is left of a keeper that was killed
    keeps the next one from starting the server twice.

    Args:
        root: The project's state.
        server: The server's name.
        patience: Seconds to wait for somebody else's end.
        is_needless: Asked while that is waited for: whether there is nothing to wait for any more.

    Raises:
        PermissionProblem, OSError: The lock cannot be made.
    """
    path = private_directory(root / "keepers") / f"{server}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        is_held = _locked(descriptor, patience, is_needless) and is_held_by_name(root, server, descriptor)
        yield descriptor if is_held else None
    finally:
        os.close(descriptor)


def is_held_by_name(root: Path, server: str, descriptor: int) -> bool:
    """Whether a server's lock is still the file that is open here: a state that was deleted has no keepers."""
    try:
        here, there = os.fstat(descriptor), (root / "keepers" / f"{server}.lock").stat()
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def stopped_by_hand(root: Path) -> Mapping[str, str]:
    """Return server -> since when it is stopped by hand, sorted."""
    found = {}
    for path in sorted(root.glob("stopped/*.json")):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            found[path.stem] = str(json.loads(read_optional(path) or b"null")["since"])
    return found


def remember_stop(root: Path, server: str) -> None:
    """Remember that a server is to stay stopped, whatever its declaration says."""
    private_directory(root / "stopped")
    atomic_write(_stop_place(root, server), canonical_json({"format_version": _FORMAT, "since": now()}))


def forget_stop(root: Path, server: str) -> None:
    """Forget that a server was stopped by hand."""
    _stop_place(root, server).unlink(missing_ok=True)


def _locked(descriptor: int, patience: float, is_needless: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline or is_needless():
                return False
            time.sleep(_PAUSE)
        else:
            return True


def _is_held(root: Path, server: str) -> bool:
    """Whether anybody holds a server, who lets go of it when it ends. Whoever wants it meanwhile waits for an instant longer."""
    try:
        descriptor = os.open(root / "keepers" / f"{server}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _all(root: Path) -> Iterator[Keeper]:
    return filter(None, map(_read, sorted(root.glob("keepers/*.json"))))


def _place(root: Path, server: str) -> Path:
    return root / "keepers" / f"{server}.json"


def _stop_place(root: Path, server: str) -> Path:
    return root / "stopped" / f"{server}.json"


def _read(path: Path) -> Keeper | None:
    try:
        values = json.loads(read_optional(path) or b"null")
        if values.pop("format_version") != _FORMAT or values["server"] != path.stem:
            return None
        return Keeper(**{**values, "seconds": float(values["seconds"])})
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return None
