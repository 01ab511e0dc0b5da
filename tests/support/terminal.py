"""A command on a terminal: what it asks is answered as soon as it asks it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Session", "at_terminal"]

_PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """What came of it: its exit status, its stdout, and all that the terminal showed."""

    status: int
    out: str
    shown: str


def at_terminal(
    command: Sequence[str], answers: Sequence[tuple[str, str]], *, cwd: Path, env: Mapping[str, str]
) -> Session:
    """Run a command whose stdin and stderr are a terminal.

    Args:
        command: Its words.
        answers: (what it has to ask, what is typed then), in order; `\\x04` alone is the end of input.
        cwd: Where.
        env: Its environment.
    """
    own, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdin=theirs, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown, seen = "", 0
    try:
        for question, answer in answers:
            while question not in shown[seen:]:
                more = _read(own)
                assert more, f"it never asked {question!r}:\n{shown}"
                shown += more
            seen = len(shown)
            os.write(own, answer.encode() if answer == "\x04" else f"{answer}\n".encode())
        while more := _read(own):
            shown += more
        out, _ = process.communicate(timeout=_PATIENCE)
    finally:
        process.kill()
        os.close(own)
    return Session(status=process.returncode, out=out.decode(), shown=shown)


def _read(terminal: int) -> str:
    """Return what is there next; "" when nobody writes any more."""
    ready, _, _ = select.select([terminal], [], [], _PATIENCE)
    if not ready:
        return ""
    try:
        return os.read(terminal, 1 << 16).decode(errors="replace")
    except OSError:  # how Linux says that the other side is closed
        return ""
