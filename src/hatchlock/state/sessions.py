"""Which sessions of a project's servers run.

projects/NAME/sessions/SESSION.json      server, who runs it, the launch record's digest, keyed hashes of its secrets
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hatchlock.digest import canonical_json
from hatchlock.files import atomic_write, private_directory
from hatchlock.process import process_has_ended

__all__ = ["RunningSession", "forget_ended", "has_ended", "kept", "running", "sessions"]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningSession:
    """A session that was begun and, as far as is known, has not ended.

    Attributes:
        server: The server's name.
        owner: Which process serves it (`engines.host.owner`).
        pid: Its pid.
        launch: The digest of its launch record, as it was applied.
        secrets: Variable -> keyed hash of the value that it was started with.
    """

    server: str
    owner: str
    pid: int
    launch: str
    secrets: Mapping[str, str]


@contextlib.contextmanager
def kept(project: Path, session: RunningSession) -> Iterator[None]:
    """Have a file of a session inside the block. After a kill it stays; its owner says that it is over.

    Args:
        project: The project's state.
        session: What to write.

    Raises:
        PermissionProblem: It cannot be written.
    """
    path = private_directory(project / "sessions") / f"{os.urandom(6).hex()}.json"
    document = {field.name: getattr(session, field.name) for field in fields(session)}
    atomic_write(path, canonical_json({"format_version": _FORMAT, **document}), durable=False)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def sessions(project: Path) -> Iterator[tuple[Path, RunningSession]]:
    """Yield each session's file and what it says, by server; what cannot be read is none."""
    found = []
    for path in project.glob("sessions/*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            document = json.loads(path.read_bytes())
            if isinstance(document, dict) and document.pop("format_version", 0) == _FORMAT:
                session = RunningSession(**document)
                if _is_sound(session):
                    found.append((path, session))
    yield from sorted(found, key=lambda item: (item[1].server, item[0]))


def _is_sound(session: RunningSession) -> bool:
    words = (session.server, session.owner, session.launch)
    return all(isinstance(word, str) for word in words) and isinstance(session.pid, int)


def running(project: Path) -> tuple[RunningSession, ...]:
    """Return the sessions of a project that have not ended, as far as this machine can tell, by server."""
    return tuple(session for _, session in sessions(project) if not has_ended(session))


def has_ended(session: RunningSession) -> bool:
    """Whether the process that served a session is gone: not there any more, or of another boot of this machine."""
    return process_has_ended(session.owner, session.pid)


def forget_ended(project: Path) -> None:
    """Delete what sessions have left that were killed, count them (`state.counts`), and write down that they were.

    Raises:
        OSError: It cannot be deleted, or not be counted.
        PermissionProblem: It cannot be counted.
    """
    for path, session in sessions(project):
        if has_ended(session) and _unlinked(path):
            _write_down(project, session)


def _write_down(project: Path, session: RunningSession) -> None:
    from hatchlock.state.auditlog import append  # noqa: PLC0415  few sessions are killed
    from hatchlock.state.counts import Counts, add_counts, counts_path  # noqa: PLC0415

    counts = counts_path(project, session.server)
    # not what is above it: a trial may have gone with all of its state by now, and nobody would remove what came after
    counts.parent.mkdir(mode=0o700, exist_ok=True)
    add_counts(counts, session.launch, Counts(sessions=1, killed=1))
    facts = {"project": project.name, "server": session.server, "launch": session.launch, "pid": session.pid}
    append(project.parents[1], "run.killed", facts)


def _unlinked(path: Path) -> bool:
    """Delete a file; return whether it was there, since several may try."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
