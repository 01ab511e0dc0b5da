"""What commands write into the audit log, and what becomes of them when it cannot be written."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import INTERRUPTED, HatchlockError, PermissionProblem

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord, SecretReference
    from hatchlock.usecases.plan import Planned

__all__ = ["Serving", "begin", "doing", "note", "note_plan", "serving"]

_SIGNALLED = 128


def begin(store: Path, event: str, **facts: object) -> None:
    """Write down what is about to be done.

    Args:
        store: The store's root.
        event: What: `apply.start`.
        facts: JSON values, no secrets.

    Raises:
        AuditNotWritten: It cannot be written: then it must not be done.
    """
    from hatchlock.state.auditlog import record as write

    write(store, event, facts)


def note(store: Path, event: str, **facts: object) -> None:
    """Write down what was done, or what only reads; where that is not possible, say so on stderr and go on.

    Args:
        store: The store's root.
        event: What: `plan`.
        facts: JSON values, no secrets.
    """
    from hatchlock.state.auditlog import append, audit_path

    try:
        append(store, event, facts)
    except (OSError, PermissionProblem) as error:
        text = f"hatchlock: not written into the audit log {audit_path(store)}: {event}: {error}\n"
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="replace"))


def note_plan(store: Path, planned: Planned) -> None:
    """Write down that somebody has looked at what an apply would do."""
    plan = planned.plan
    counts = {"steps": len(plan.steps), "unchanged": plan.unchanged, "problems": len(plan.problems)}
    note(store, "plan", project=planned.target.project, lock=planned.lock_digest, **counts)


@contextlib.contextmanager
def doing(store: Path, event: str, **facts: object) -> Iterator[dict[str, object]]:
    """Write down what the block does: `EVENT.start` before it, `EVENT.end` after it, however it ends.

    Yields:
        More facts for the end.

    Raises:
        AuditNotWritten: It cannot be written; the block was not begun.
    """
    begin(store, f"{event}.start", **facts)
    began, more = time.monotonic(), dict[str, object]()
    named = {name: value for name, value in facts.items() if name in {"command", "project", "server"}}
    try:
        yield more
    except BaseException as error:
        more |= _failure(error)
        raise
    finally:
        note(store, f"{event}.end", **named, **more, seconds=round(time.monotonic() - began, 3))


class Serving:
    """A session of a server, as it is written down: `begin` when it has begun, what is set of it (`exit`) at its end."""

    def __init__(self, store: Path, record: LaunchRecord, facts: Mapping[str, object]) -> None:
        self._store = store
        self._record = record
        self._facts = facts
        self._more: dict[str, object] = {}
        self._clock = time.monotonic()
        self._has_begun = False

    def __setitem__(self, name: str, value: object) -> None:
        self._more[name] = value

    def begin(self) -> None:
        """Write down its start, once: what it was started as, with the names of its secrets."""
        if self._has_begun:
            return
        self._has_begun = True
        secrets = _secret_names(self._record.references)
        used = {"launch": self._record.digest, **({"secrets": secrets} if secrets else {}), **self._facts}
        note(self._store, "run.start", **self._named, **used)

    def end(self) -> None:
        """Write down its end, and its start if that was never done."""
        self.begin()
        status = self._more.get("exit")
        if isinstance(status, int) and (name := _signal_name(status)):
            self._more["signal"] = name
        seconds = round(time.monotonic() - self._clock, 3)
        note(self._store, "run.end", **self._named, **self._more, seconds=seconds)

    @property
    def _named(self) -> dict[str, object]:
        from hatchlock.state.auditlog import session

        return {"project": self._record.project, "server": self._record.server, "session": session()}


@contextlib.contextmanager
def serving(store: Path, record: LaunchRecord, facts: Mapping[str, object], *, late: bool = False) -> Iterator[Serving]:
    """Write down a session of a server: what it is started as, with the names of its secrets, and how it ended.

    Where it cannot be written, that is said on stderr, and the server is served.

    Args:
        store: The store's root.
        record: As it was applied.
        facts: More facts of its start.
        late: Somebody calls `begin` once the server runs: nobody has to wait for that.

    Yields:
        Takes more facts for the end; `exit` is the status.
    """
    told = Serving(store, record, facts)
    if not late:
        told.begin()
    try:
        yield told
    except BaseException as error:
        for name, value in _failure(error).items():
            told[name] = value
        raise
    finally:
        told.end()


def _secret_names(secrets: Mapping[str, SecretReference]) -> dict[str, str]:
    """Return variable -> where its value is looked for; of a command its program alone, since arguments may tell more."""
    return {
        name: f"command:{reference.spec.split(maxsplit=1)[0]}" if reference.kind == "command" else reference.secret
        for name, reference in sorted(secrets.items())
        if reference.spec.strip()
    }


def _failure(error: BaseException) -> dict[str, object]:
    if isinstance(error, HatchlockError):
        return {"error": error.code, "exit": error.exit_status}
    if isinstance(error, KeyboardInterrupt):
        return {"error": "interrupted", "exit": INTERRUPTED}
    return {"error": type(error).__name__, "exit": 1}


def _signal_name(status: int) -> str:
    try:
        return signal.Signals(status - _SIGNALLED).name if status > _SIGNALLED else ""
    except ValueError:
        return ""
