"""What is remembered of a probe, for `status` and for what compares with pins. Where it cannot be kept, that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError, PermissionProblem, SystemProblem

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.serve.probe import ProbeResult
    from hatchlock.state.project import ProjectState

__all__ = ["keep_answer", "keep_failure"]


def keep_failure(state: ProjectState, record: LaunchRecord, why: str) -> str:
    """Remember that a server did not answer, and return why that cannot be kept; "" if it is."""
    try:
        _remember(state, record, health="failed", said=why)
    except (OSError, PermissionProblem) as error:
        return str(SystemProblem.known(error))
    return ""


def keep_answer(state: ProjectState, record: LaunchRecord, result: ProbeResult, failure: HatchlockError | None) -> str:
    """Remember what a server answered and how that stands to its pins, and return why that cannot be kept; "" if it is.

    Args:
        state: The project's.
        record: The server's.
        result: What it answered.
        failure: Why it is not healthy all the same; None if it is.
    """
    try:
        _remember_answer(state, record, result, failure)
        _compare(state, record, result)
    except (OSError, PermissionProblem) as error:
        return str(SystemProblem.known(error))
    return ""


def _compare(state: ProjectState, record: LaunchRecord, result: ProbeResult) -> None:
    """Remember whether it offers what was pinned of it, as `run` does it for its clients.

    That it does so to us says nothing of what it does to them: what they saw differ, a look of ours does not take back.
    """
    from datetime import UTC, datetime

    from hatchlock.state.surfaces import read_surface, remember_surface, surface_path
    from hatchlock.usecases.surfaces import difference_from

    pins = record.surface.pins if record.surface else None
    if pins is None:
        return
    path, difference = surface_path(state.root, record.server), difference_from(pins, result)
    known = read_surface(path, record.digest)
    if difference or known is None or known.matches:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        remember_surface(path, record.digest, difference, now=now)


def _remember_answer(
    state: ProjectState, record: LaunchRecord, result: ProbeResult, failure: HatchlockError | None
) -> None:
    who = f"{result.server} {result.version}".strip()  # a server may say no version
    said = f"{who}, {len(result.tools)} tool{'s' * (len(result.tools) != 1)}, {result.seconds:.2f} s"
    _remember(
        state,
        record,
        health="failed" if failure else "healthy",
        said=str(failure or said),
        protocol=result.protocol,
        milliseconds=round(result.seconds * 1000),
    )


def _remember(state: ProjectState, record: LaunchRecord, *, health: str, said: str, **facts: str | int) -> None:
    from datetime import UTC, datetime

    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state.remember_probe(record.server, {"launch": record.digest, "health": health, "said": said, "at": at, **facts})
