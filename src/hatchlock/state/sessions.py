"""Which sessions of a project's servers run, as far as somebody wants to know: those that were given secrets.

projects/NAME/sessions/SESSION.json      server, who runs it, the launch record's digest, keyed hashes of its secrets
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hatchlock.digest import canonical_json
from hatchlock.files import atomic_write, private_directory

__all__ = ["RunningSession", "kept", "sessions"]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningSession:
    """A session that was begun and, as far as is known, has not ended.

    Attributes:
        server: The server's name.
        owner: Which process serves it (`engines.host.owner`).
        pid: Its pid.
        launch: The digest of the launch record.
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
    atomic_write(path, canonical_json({"format_version": _FORMAT, **asdict(session)}), durable=False)
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
            if document.pop("format_version", 0) == _FORMAT:
                found.append((path, RunningSession(**document)))
    yield from sorted(found, key=lambda item: (item[1].server, item[0]))
