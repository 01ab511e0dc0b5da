"""Generations as use cases see them: leaving one behind, and a project as it was when it left one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from hatchlock import __version__
from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.state.fetched import forget_fetched
from hatchlock.usecases.kept_target import kept_target

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.resources.target import Target
    from hatchlock.state.generations import Generations
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.plan import Planned
    from hatchlock.usecases.project import Project

__all__ = [
    "NoSuchGeneration",
    "is_owed",
    "is_same",
    "leave_generation",
    "newest_different",
    "none_yet",
    "project_at",
    "target_at",
]


@dataclass(kw_only=True, eq=False)
class NoSuchGeneration(HatchlockError):
    """A project has no generation of that number, or none before the current one."""

    code: ClassVar[str] = "no-such-generation"

    project: str
    wanted: str
    known: tuple[int, ...]
    is_begun: bool = False

    def __str__(self) -> str:
        known = f"it has {', '.join(map(str, self.known))}" if self.known else none_yet(is_begun=self.is_begun)
        return f"the project {self.project} has no generation {self.wanted}; {known}"

    def _hint(self) -> str:
        if self.known:
            return "see `hatchlock history`"
        return "see what is left with `hatchlock plan`" if self.is_begun else "run `hatchlock apply` first"


def none_yet(*, is_begun: bool) -> str:
    """Return why a project has no generation; `is_begun` says that something of it is applied all the same."""
    return "the whole was not applied yet, only a part of it" if is_begun else "nothing was applied yet"


def leave_generation(project: Project, planned: Planned, outcome: Outcome) -> int:
    """Write the generation that a finished apply leaves, and return its number.

    Where the project is at one that is the same, there is no other: an apply that put right what somebody had changed, or
    that follows one that was killed right after it had left its generation, makes the way back no shorter.

    Raises:
        OSError: The disk is full, or the like.
    """
    from hatchlock.resources.base import Action
    from hatchlock.resources.target import TARGET_FORMAT, target_to_dict
    from hatchlock.usecases.uses import target_uses, uses_to_dict

    lock = project.lock_bytes or b""
    if _is_left(project, planned):
        return planned.state.generation()
    facts = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "hatchlock": __version__,
        "servers": dict(planned.state.active()),
        "steps": [str(step.address) for step in outcome.done],
        "counts": {action.value: sum(step.action is action for step in outcome.done) for action in Action},
        "lock": sha256_bytes(lock),
        "uses": uses_to_dict(target_uses(planned.target, project.home)),
    }
    number = planned.state.generations.record(
        lock=lock,
        manifest=project.manifest_bytes,
        overlay=project.overlay_bytes,
        target={"target_format": TARGET_FORMAT, "target": target_to_dict(planned.target)},
        facts=facts,
    )
    forget_fetched(project.home.root, project.manifest)  # from now on the generation keeps its files in the store
    return number


def _is_left(project: Project, planned: Planned) -> bool:
    """Whether the newest generation is of these files, launch records and target, and the project is at it."""
    from hatchlock.state.documents import BadState

    state = planned.state
    newest = state.generations.newest()
    try:
        found = state.generations.read(newest)
    except BadState:
        return False  # there may be no way back to it, and another one leaves one
    if found is None or state.current() != newest or kept_target(state.generations, newest) != planned.target:
        return False
    return found.servers == dict(state.active()) and _has_files(project, state, newest)


def _has_files(project: Project, state: ProjectState, number: int) -> bool:
    then = project_at(project, state, number)
    names = ("manifest_bytes", "overlay_bytes", "lock_bytes")
    return all(getattr(then, name) == getattr(project, name) for name in names)


def is_owed(project: Project, planned: Planned) -> bool:
    """Whether a plan without steps stands for a whole that no generation was left of: it was applied part by part.

    Files that have changed and say the same, a comment or another platform, are no reason for another one.
    """
    state = planned.state
    number = state.current()
    if not number or planned.plan.problems or _has_files(project, state, number):
        return False
    kept = kept_target(state.generations, number)
    wanted = planned.target
    return kept is not None and any(
        getattr(kept, name) != getattr(wanted, name)
        for name in ("environments", "images", "dockerfiles", "servers", "entries")
    )


def is_same(generations: Generations, one: int, other: int) -> bool:
    """Whether two generations are of the same lock and the same target; where that is not known, they are not."""
    target = generations.target(one)
    return (
        target is not None and target == generations.target(other) and generations.lock(one) == generations.lock(other)
    )


def newest_different(generations: Generations, count: int) -> tuple[int, ...]:
    """Return so many generations, the newest first, no two of them the same: ways back that lead somewhere."""
    found: list[int] = []
    for number in reversed(generations.numbers()):
        if len(found) == count:
            break
        if not any(is_same(generations, number, other) for other in found):
            found.append(number)
    return tuple(found)


def project_at(project: Project, state: ProjectState, number: int) -> Project:
    """Return a project with the files that it had when it left a generation, which has to be there."""
    generations = state.generations
    return replace(
        project,
        manifest_bytes=generations.manifest(number) or b"",
        overlay_bytes=generations.overlay(number),
        lock_bytes=generations.lock(number),
    )


def target_at(then: Project, state: ProjectState, number: int) -> Target:
    """Return what should be on this machine by a generation.

    It is what was kept. Where that is of another version, or of another engine than this machine's, it is compiled again
    from the generation's own files; the directories that its lock names are not looked at, for the store has what was
    locked of them, or the step that needs it says that it has not.

    Args:
        then: What `project_at` gave.
        state: The project's state.
        number: The generation's.

    Raises:
        HatchlockError: Its files cannot be read any more by this version.
    """
    from hatchlock.usecases.plan import compile_again, engine_is_the_same

    kept = kept_target(state.generations, number)
    if kept is not None and engine_is_the_same(kept, then.environ):
        return kept
    return compile_again(then)
