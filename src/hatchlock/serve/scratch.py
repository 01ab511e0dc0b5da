"""Directories of single sessions, and how they are found when everything that would have removed them was killed.

TMPDIR/hatchlock-bare-…/owner     the `run` that it belongs to, and the mark of its server's processes
                       /home      where a server without a sandbox writes
TMPDIR/hatchlock-relay-…/owner    the same, without a mark (`network.hub`)
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hatchlock.process import owner, owner_is_gone
from hatchlock.serve.watchdog import kill_marked

__all__ = ["RELAY", "left_directories", "make_directory", "make_scratch", "remove_left", "scratch_home"]

_BARE = "hatchlock-bare-"
RELAY = "hatchlock-relay-"
"""How directories of network lists begin."""
_OWNER = "owner"


def make_scratch(mark: str) -> Path:
    """Make a directory for a session, and return it; what sessions left that were killed is removed.

    Args:
        mark: By which its processes are found.
    """
    for left in left_directories():
        remove_left(left)
    above = make_directory(_BARE, mark)
    scratch_home(above).mkdir(mode=0o700)
    return above


def make_directory(prefix: str, mark: str = "") -> Path:
    """Make a directory of this process that only we can enter, and return it.

    Args:
        prefix: `RELAY`, say.
        mark: By which processes are found that are to be killed with it; "" for none.
    """
    import tempfile  # noqa: PLC0415  most sessions have no directory

    above = Path(tempfile.mkdtemp(prefix=prefix, dir=_place()))
    (above / _OWNER).write_text(f"{owner(os.getpid())}\n{mark}\n")
    return above


def scratch_home(above: Path) -> Path:
    """Return where in a session's directory its server writes."""
    return above / "home"


def left_directories() -> Iterator[Path]:
    """Yield the directories of sessions whose `run` and watchdogs were killed. Reads only."""
    place = _place()
    for above in sorted([*place.glob(f"{_BARE}*"), *place.glob(f"{RELAY}*")]):
        with contextlib.suppress(OSError):
            facts = above.lstat()
            ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
            if ours and owner_is_gone(_said(above)[0]):
                yield above


def remove_left(above: Path) -> None:
    """Kill the processes of a session that has left a directory, and remove that."""
    import shutil  # noqa: PLC0415  as above

    with contextlib.suppress(OSError):
        kill_marked(_said(above)[1])
    shutil.rmtree(above, ignore_errors=True)


def _place() -> Path:
    return Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  each directory in it is made for us alone


def _said(above: Path) -> tuple[str, str]:
    """Return whose a directory is, and the mark; "" for none."""
    owned, _, mark = (above / _OWNER).read_text().partition("\n")
    return owned, mark.strip()
