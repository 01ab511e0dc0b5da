"""`gc`: away with what is ours and nobody uses: images, environments, old generations, and what killed commands left.

It deletes nothing that an `apply` could not make again from lock and store, generations apart. What is used is read from
the launch records that are active and from generations; a session that runs holds what it runs from.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.paths import Home
from hatchlock.usecases.audit_trail import doing
from hatchlock.usecases.garbage import Collected, Garbage, Item, Kept, Kind
from hatchlock.usecases.gc_images import EngineGarbage
from hatchlock.usecases.leases import all_leases, all_projects
from hatchlock.usecases.remains import left_names, remove_left
from hatchlock.usecases.uses import TREES, Uses, active_uses, generation_uses, target_uses

if TYPE_CHECKING:
    from hatchlock.state.generations import Unreadable
    from hatchlock.usecases.project import Project

__all__ = ["KEEP", "collect_garbage", "find_garbage"]

KEEP = 2
"""Generations that stay: the last one, and the one before it to go back to."""

_RUNNING = "a server that runs uses it"
_TREE_KINDS: Mapping[str, Kind] = {"envs": "environment", "conda": "conda packages", "pythons": "interpreter"}


def find_garbage(project: Project, *, keep: int = KEEP) -> Garbage:
    """Return what nobody uses. Reads only.

    Generations, images and containers are those of this project; trees are those of the store, which all its projects share.

    Args:
        project: Whose.
        keep: How many generations stay, the newest that differ from each other; at least 1.

    Raises:
        BoundElsewhere: The project belongs to another directory.
        BadState: A project's state cannot be read, generations apart, so nobody knows what it needs.
        EngineFailed, EngineError, EngineUnreachable: The engine was found, and does not say what it has.
    """
    return _Survey(project, keep).garbage()


def collect_garbage(
    project: Project,
    *,
    keep: int = KEEP,
    yes: bool = False,
    confirm: Callable[[Garbage], bool] | None = None,
    show: Callable[[Garbage], None] | None = None,
    lock_timeout: float = 60.0,
    emit: Sink = discard,
) -> Collected:
    """Delete what nobody uses.

    No apply of any project runs meanwhile. What was not there when the user agreed stays, and so does what was taken into
    use since. After a kill the same command goes on.

    Args:
        project: Whose.
        keep: As for `find_garbage`.
        yes: Do not ask.
        confirm: Shows what would go, and asks; None when there is nobody to ask.
        show: Shows what would go, where that is refused because there is nobody to ask.
        lock_timeout: Seconds to wait for an apply that is running.
        emit: Told about progress.

    Raises:
        RefusedError: Nobody agreed; nothing was done.
        LeaseHeld: An apply did not end in time; nothing was done.
        HatchlockError: What `find_garbage` raises.
        OSError: Something cannot be deleted.
    """
    from hatchlock.usecases.consent import check_agreed
    from hatchlock.usecases.trial import sweep_trials

    left = [Kept(name="trial", why=why) for why in sweep_trials(project.home, environ=project.environ)]
    found = find_garbage(project, keep=keep)
    if not found.items:
        return Collected(items=(), kept=(*left, *found.kept))
    if show is not None and not yes and confirm is None:
        show(found)
    check_agreed(yes=yes, confirm=confirm and (lambda: confirm(found)))
    with (
        all_leases(project.home, purpose="gc", timeout=lock_timeout, emit=emit),
        doing(project.home.root, "gc", directory=str(project.directory)) as facts,
    ):
        survey = _Survey(project, keep)
        now = survey.garbage()
        gone: list[Item] = []
        kept = [*left, *now.kept]
        for item in now.items:
            if item not in found.items:
                continue
            emit(Event(name="gc.start", address=item.kind, message=item.name))
            if why := survey.delete(item):
                kept.append(Kept(name=item.name, why=why))
            else:
                gone.append(item)
        survey.forget_records()
        survey.forget_statements()
        facts["gone"] = [f"{item.kind} {item.name}" for item in gone]
    return Collected(items=tuple(gone), kept=tuple(kept))


class _Survey:
    """A project, its store and its engine, as they are now."""

    def __init__(self, project: Project, keep: int) -> None:
        from hatchlock.state.project import ProjectState
        from hatchlock.usecases.generations import newest_different
        from hatchlock.usecases.run import project_name

        self._project = project
        self._home = project.home
        self._name = project_name(project.manifest)
        self._state = ProjectState(project.home.project(self._name))
        self._state.check_binding(self._name, project.directory)
        stay = {*newest_different(self._state.generations, keep), self._state.current()}
        self._old = tuple(number for number in self._state.generations.numbers() if number not in stay)
        self._unreadable: list[Kept] = []
        self._used = self._in_use()
        self._running: list[Kept] = []
        self._images = EngineGarbage(project, self._name, self._used)

    def garbage(self) -> Garbage:
        items = [
            *self._images.leftovers(),
            *(Item(kind="session", name=name) for name in left_names(self._state.root)),
            *self._images.networks(self._state),
            *(Item(kind="generation", name=str(number)) for number in self._old),
            *(self._images.unused() if not self._used.more else ()),
            *self._trees(),
            *(Item(kind="unfinished", name=str(self._below(path))) for path in self._state.generations.unfinished()),
        ]
        kept = [*self._images.kept(), *self._running, *self._unreadable]
        return Garbage(items=tuple(items), kept=tuple(kept))

    def delete(self, item: Item) -> str:
        """Delete one thing; return why it had to stay, or "" when it is gone."""
        if item.kind == "session":
            remove_left(self._state.root)
            return ""
        if item.kind == "generation":
            self._state.generations.forget(int(item.name))
            return ""
        if item.kind in {"container", "network", "image"}:
            return self._images.delete(item)
        return _discard(self._home, item.name)

    def forget_records(self) -> None:
        """Delete the launch records that nothing names any more, and no session was started from that runs."""
        from hatchlock.state.sessions import running

        named = {*self._state.active().values(), *(session.launch for session in running(self._state.root))}
        known, unreadable = self._state.generations.readable()
        if unreadable:
            return  # any of them may be one of theirs
        named.update(digest for generation in known for digest in generation.servers.values())
        for digest in self._state.records():
            if digest not in named:
                self._state.forget_record(digest)

    def forget_statements(self) -> None:
        """Delete what was written beside images that no project uses any more."""
        from hatchlock.images.key import key_of_tag

        if self._used.more:
            return
        keys = {key_of_tag(tag) for tag in self._used.images}
        for key, path in self._home.statements().items():
            if key not in keys:
                path.unlink(missing_ok=True)

    def _in_use(self) -> Uses:
        used = self._wanted()
        for name, state in all_projects(self._home).items():
            used |= active_uses(state, self._home)
            going = self._old if name == self._name else ()
            for number in state.generations.numbers():
                if number not in going:
                    used |= generation_uses(state, number, self._home)
            _, unreadable = state.generations.readable()
            self._unreadable += [_left_alone(name, item) for item in unreadable if item.number not in going]
        return used

    def _wanted(self) -> Uses:
        """What the lock wants is no garbage, even if the apply that made it did not end well."""
        from hatchlock.usecases.plan import read_target

        if self._state.bound_to() is None:
            return Uses()  # it was never applied, or is destroyed
        try:
            return target_uses(read_target(self._project), self._home)
        except HatchlockError:
            return Uses()  # there is no lock, or it does not fit: the next apply has to make what it needs anyway

    def _trees(self) -> Iterator[Item]:
        from hatchlock.resources.env_health import size_of
        from hatchlock.store.receipts import finished, is_used

        for kind in TREES:
            for path in _directories(self._home.root / kind):
                name = str(self._below(path))
                if not finished(path):
                    yield Item(kind="unfinished", name=name, size=size_of(path))
                elif name in self._used.trees or self._used.more:
                    continue
                elif is_used(path):
                    self._running.append(Kept(name=name, why=_RUNNING))
                else:
                    yield Item(kind=_TREE_KINDS[kind], name=name, size=size_of(path))

    def _below(self, path: Path) -> Path:
        return path.relative_to(self._home.root)


def _left_alone(project: str, item: Unreadable) -> Kept:
    why = f"{item.error}; whatever it may need stays too, until you move the directory that it is in away"
    return Kept(name=f"generation {item.number} of {project}", why=why)


def _directories(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())


def _discard(home: Home, name: str) -> str:
    """Delete a tree below the store; return why it had to stay, or "" when it is gone."""
    from hatchlock.store import receipts

    with _orphans(home, name) as is_building:
        if is_building:
            return "a program that a killed apply had started is still at work in it"
        if not receipts.discard(home.root / name):
            return _RUNNING
    return ""


@contextlib.contextmanager
def _orphans(home: Home, name: str) -> Iterator[bool]:
    """Tell whether the uv of a killed apply works on; it holds this lock as long as it does (`env_build.after_orphans`)."""
    kind, _, key = name.partition("/")
    path = home.root / "locks" / f"env-{key.removeprefix('.build-')}.build"
    if kind != home.envs.name or not path.exists():
        yield False
        return
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield True
    else:
        yield False
    finally:
        os.close(handle)
