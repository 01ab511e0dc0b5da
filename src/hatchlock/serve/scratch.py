"""Where a server without a sandbox writes, and how it is found when everything that would have ended it was killed.

TMPDIR/hatchlock-bare-…/owner     the `run` that it belongs to, and the mark of its processes
                       /home      the server's
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hatchlock.process import owner, owner_is_gone
from hatchlock.serve.watchdog import kill_marked

__all__ = ["left_scratch", "make_scratch", "remove_scratch", "scratch_home"]

_PREFIX = "hatchlock-bare-"
_OWNER = "owner"


def make_scratch(mark: str) -> Path:
    """Make a directory for a session, and return it; what sessions left that were killed is removed.

    Args:
        mark: By which its processes are found.
    """
    for left in left_scratch():
        remove_scratch(left)
    above = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (above / _OWNER).write_text(f"{owner(os.getpid())}\n{mark}\n")
    scratch_home(above).mkdir(mode=0o700)
    return above


def scratch_home(above: Path) -> Path:
    """Return where in a session's directory its server writes."""
    return above / "home"


def left_scratch() -> Iterator[Path]:
    """Yield the directories of sessions whose `run` and watchdogs were killed. Reads only."""
    for above in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError):
            facts = above.lstat()
            ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
            if ours and owner_is_gone((above / _OWNER).read_text().partition("\n")[0]):
                yield above


def remove_scratch(above: Path) -> None:
    """Kill the processes of a session that has left a directory, and remove that."""
    with contextlib.suppress(OSError):
        kill_marked((above / _OWNER).read_text().splitlines()[-1])
    shutil.rmtree(above, ignore_errors=True)
