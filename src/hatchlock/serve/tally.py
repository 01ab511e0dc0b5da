"""Counting how one session goes, for `status` and `probe`; a store that cannot be written to serves all the same."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from hatchlock.errors import PermissionProblem

__all__ = ["NOT_COUNTED", "PROBE", "Tally"]

PROBE = "HATCHLOCK_PROBE"
"""The variable of `run` that says, if there is one, that no application has started it, but a probe of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Where a session is counted.

    Attributes:
        state: Its project's state; None for nowhere.
        server: Its server's name.
        launch: The digest of its launch record, as it was applied.
        is_probe: Whether it is a probe of ours: then no application has seen the server.
    """

    state: Path | None
    server: str
    launch: str
    is_probe: bool = False

    def first_noise(self) -> None:
        """Count a line that is no message at once: its session may go on for days, and somebody is looking for it now."""
        self._add(noise=1)

    def ended(self, status: int, *, abnormal: bool, noise: int, refused: bool = False) -> None:
        """Count a session that has ended.

        Args:
            status: What `run` returns.
            abnormal: Whether its server failed.
            noise: Lines that were no messages, all of this session, the first one included.
            refused: Whether we ended it, since what its server offered was not what was pinned.
        """
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        more: dict[str, int | str] = {"refused": 1, "refused_at": now} if refused else {}
        more |= {} if self.is_probe else {"used": now}
        self._add(sessions=1, abnormal=int(abnormal), noise=max(noise - 1, 0), status=status, ended=now, **more)

    def _add(self, **more: int | str) -> None:
        if self.state is None:
            return
        from hatchlock.state.counts import Counts, add_counts, counts_path  # noqa: PLC0415  a start does without

        with contextlib.suppress(OSError, PermissionProblem):
            add_counts(counts_path(self.state, self.server), self.launch, Counts(**more))  # type: ignore[arg-type]


NOT_COUNTED = Tally(state=None, server="", launch="")
"""Nobody counts."""
