"""Steps that change the host as root, written down: who, with which words, what was there before and after."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hatchlock.address import Address
from hatchlock.errors import HatchlockError, PermissionProblem

__all__ = ["written_down"]

Versions = Mapping[str, str]
"""Package -> its version; "" where it is not there."""


@contextlib.contextmanager
def written_down(
    store: Path, address: Address, *, argv: Sequence[str], before: Versions, after: Callable[[], Versions]
) -> Iterator[None]:
    """Write into the audit log what the block does to the host, before it and after it, however it ends.

    Args:
        store: The store's root.
        address: The resource.
        argv: The command that changes the host.
        before: The versions that it changes.
        after: Gives them when it has ended.

    Raises:
        AuditNotWritten: It cannot be written down; nothing was done.
    """
    from hatchlock.state.auditlog import append, record  # noqa: PLC0415  few projects get here

    known = {"address": str(address), "euid": os.geteuid(), "argv": list(argv), "before": dict(before)}
    record(store, "privileged.start", known)
    error = ""
    try:
        yield
    except BaseException as problem:
        error = problem.code if isinstance(problem, HatchlockError) else type(problem).__name__
        raise
    finally:
        left: dict[str, object] = {"address": str(address), "before": dict(before)}
        with contextlib.suppress(HatchlockError):  # whoever cannot be asked now is asked by the next plan
            left["after"] = dict(after())
        with contextlib.suppress(OSError, PermissionProblem):  # it is done, and the step says what became of it
            append(store, "privileged.end", left | ({"error": error} if error else {}), durable=True)
