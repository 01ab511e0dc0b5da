"""What is left of sessions when everything that would have ended them was killed with them: a power cut, `kill -9` of all.

Commands that read say so. `run` of the same server, `apply` and `gc` remove it. Containers are found by their labels
(`resources.container`), everything else by the notes that stand beside it.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hatchlock.usecases.standing import Note

__all__ = ["REMOVED_BY", "left_names", "left_notes", "remove_left"]

REMOVED_BY = "`hatchlock gc`, the next `apply` and the next `run` of it remove that"


def left_notes(state: Path) -> Iterator[Note]:
    """Yield what is left of sessions that were killed, besides containers. Reads only.

    Args:
        state: The project's state. Directories are this machine's: whose session left one is not known.
    """
    for server, count in sorted(_killed(state).items()):
        who = "a session of it was" if count == 1 else f"{count} sessions of it were"
        yield Note(address=f"server:{server}", what=f"{who} killed, with what would have ended it; {REMOVED_BY}")
    for path in _directories():
        what = f"{path} is left of a session that was killed; `hatchlock gc` removes it"
        yield Note(address="sessions", what=what)


def left_names(state: Path) -> Iterator[str]:
    """Yield the same as names: servers, directories. Reads only.

    Args:
        state: The project's state.
    """
    yield from sorted(_killed(state))
    yield from map(str, _directories())


def _killed(state: Path) -> Counter[str]:
    from hatchlock.state.sessions import has_ended, sessions

    return Counter(session.server for _, session in sessions(state) if has_ended(session))


def _directories() -> tuple[Path, ...]:
    from hatchlock.serve.scratch import left_directories
    from hatchlock.serve.secrets import left_secrets

    return (*left_directories(), *left_secrets(os.environ))


def remove_left(state: Path) -> None:
    """Remove what `left_notes` tells of; what cannot be removed stays.

    Args:
        state: The project's state.
    """
    from hatchlock.engines.cgroups import sweep_groups
    from hatchlock.errors import HatchlockError
    from hatchlock.serve.scratch import left_directories
    from hatchlock.serve.scratch import remove_left as remove_directory
    from hatchlock.serve.secrets import remove_left_secrets
    from hatchlock.state.sessions import forget_ended

    for path in left_directories():
        remove_directory(path)
    sweep_groups()
    with contextlib.suppress(HatchlockError, OSError):
        remove_left_secrets(os.environ)
    with contextlib.suppress(HatchlockError, OSError):
        forget_ended(state)
