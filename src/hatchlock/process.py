"""Programs that are run to the end, with their output kept."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["ProcessFailed", "run"]

_TAIL = 20


@dataclass(kw_only=True, eq=False)
class ProcessFailed(HatchlockError):
    """A program that we ran ended with an error, or could not be started."""

    code: ClassVar[str] = "process-failed"

    argv: tuple[str, ...]
    status: int | None
    output: str

    def __str__(self) -> str:
        ended = "could not be started" if self.status is None else f"ended with status {self.status}"
        tail = "\n  ".join(self.output.strip().splitlines()[-_TAIL:])
        return f"{self.argv[0]} {ended}" + (f":\n  {tail}" if tail else "")

    def _hint(self) -> str:
        if os.strerror(errno.ENOSPC) in self.output:
            return "make room on that disk, then run the same command again"
        return ""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    umask: int = 0o022,
    keep_open: Sequence[int] = (),
    new_session: bool = False,
) -> bytes:
    """Run a program to its end and return its stdout.

    Args:
        argv: The program and its arguments; no shell is involved.
        env: Its whole environment.
        cwd: Its working directory.
        stdin: What it reads.
        timeout: Seconds after which it is killed.
        umask: Its umask, whatever ours is.
        keep_open: File descriptors that it inherits. A kernel lock on one of them is held until it, too, has ended.
        new_session: Whether it loses our terminal, on which it could ask something.

    Raises:
        ProcessFailed: It is missing, exits with another status than 0, or takes too long.
    """
    try:
        done = subprocess.run(
            list(argv),
            env=dict(env),
            cwd=cwd,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            umask=umask,
            pass_fds=tuple(keep_open),
            start_new_session=new_session,
            check=False,
        )
    except OSError as error:
        raise ProcessFailed(argv=tuple(argv), status=None, output=str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(argv=tuple(argv), status=None, output=f"no end within {timeout} s") from error
    if done.returncode != 0:
        raise ProcessFailed(
            argv=tuple(argv), status=done.returncode, output=(done.stderr or done.stdout).decode(errors="replace")
        )
    return done.stdout
