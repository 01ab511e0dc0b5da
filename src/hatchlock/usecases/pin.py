"""`pin`: look at what servers offer, twice, and write it into the lock, so that `run` lets nothing else through.

A third look is that of an application that can do more: what it is shown besides, or is not shown, may be missing later.

Looking takes the servers as they were applied, and no lease. Writing takes the manifest's, and changes nothing of the lock
but its pins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.surface import is_torn, shown
from hatchlock.usecases.locked import read_project_lock, satisfied_lock

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.lock.surfaces import Definition, Surface
    from hatchlock.resources.target import Target
    from hatchlock.serve.probe import ProbedDefinition, ProbeResult
    from hatchlock.usecases.probe import Probed
    from hatchlock.usecases.project import Project

__all__ = [
    "ChangedMeanwhile",
    "Looked",
    "NotApplied",
    "NotPinned",
    "look",
    "remove_pins",
    "settle_differences",
    "write_pins",
]

PinState = Literal["new", "changed", "renewed", "unchanged", "failed"]
_AT_ONCE = 4


@dataclass(kw_only=True, eq=False)
class NotApplied(HatchlockError):
    """A server is not on this machine as the lock has it, so what would be looked at is something else."""

    code: ClassVar[str] = "not-applied"

    server: str
    why: str

    def __str__(self) -> str:
        return f"it cannot be looked at: {self.why}"

    def _hint(self) -> str:
        return f"run `hatchlock apply`, then `hatchlock pin {self.server}`"


@dataclass(kw_only=True, eq=False)
class NotPinned(HatchlockError):
    """A server that has no pin."""

    code: ClassVar[str] = "not-pinned"

    server: str
    pinned: tuple[str, ...]

    def __str__(self) -> str:
        return f"there is no pin of {self.server!r}"

    def _hint(self) -> str:
        return f"pinned are {', '.join(self.pinned)}" if self.pinned else "nothing is pinned"


@dataclass(kw_only=True, eq=False)
class ChangedMeanwhile(HatchlockError):
    """The lock is another one than that whose servers were looked at."""

    code: ClassVar[str] = "changed-meanwhile"

    server: str

    def __str__(self) -> str:
        return f"the lock has changed while server:{self.server} was looked at; nothing was written"

    def _hint(self) -> str:
        return "run the same command again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What was seen of one server, or read of it in a file.

    Attributes:
        server: Its name.
        before: What is pinned of it; None for nothing.
        after: What would be; None where that cannot be said.
        problems: Why nothing can be pinned of it, one sentence each, with a stranger's text made harmless.
        error: Why it could not be looked at.
    """

    server: str
    before: Surface | None = None
    after: Surface | None = None
    problems: tuple[str, ...] = ()
    error: HatchlockError | None = None

    @property
    def state(self) -> PinState:
        """What pinning would do; "renewed" is the same pin of what the server is made of now."""
        if self.after is None:
            return "failed"
        if self.before is None:
            return "new"
        if _hashes(self.before) != _hashes(self.after):
            return "changed"
        # with which secrets and protocol it was looked at is no reason to write the lock anew
        return "unchanged" if self.before.artefact == self.after.artefact else "renewed"


class _GivenUp(Exception):
    """Somebody has interrupted: nobody waits any more for what is looked at."""


def look(
    project: Project, names: Sequence[str] = (), *, timeout: float | None = None, emit: Sink = discard
) -> tuple[Looked, ...]:
    """Probe applied servers in their own sandboxes, each three times, one after the other.

    Args:
        project: Whose.
        names: Which; if none is named all of the manifest, but those that it says are not to be probed.
        timeout: Seconds for each probe; None for what the manifest says of probing, or of starting.
        emit: Told about progress.

    Returns:
        One for each server, sorted by name. What speaks against a server is said in its own, and stops no other.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        NotInLock: It has no such server.
        KeyboardInterrupt: Somebody has interrupted; what is being probed just then is left to end with this process.
    """
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event as Flag

    from hatchlock.usecases.inspect import NotInLock
    from hatchlock.usecases.plan import read_target
    from hatchlock.usecases.probe import wanted_probes

    _, lock = satisfied_lock(project)
    known = tuple(server.name for server in lock.servers)
    for name in names:
        if name not in known:
            raise NotInLock(what="server", name=name, known=known)
    target = read_target(project)
    seconds = {name: spec.timeout for name, spec in wanted_probes(project, known)}

    given_up = Flag()

    def tell(event: Event) -> None:
        if given_up.is_set():
            raise _GivenUp  # nothing more is started
        emit(event)

    def work(name: str) -> Looked:
        return _looked_at(project, lock, target, name, timeout=timeout or seconds.get(name) or None, emit=tell)

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return tuple(pool.map(work, sorted(set(names)) or sorted(seconds)))
    except KeyboardInterrupt:
        given_up.set()
        raise
    finally:
        pool.shutdown(wait=not given_up.is_set(), cancel_futures=True)


def write_pins(project: Project, looked: Iterable[Looked]) -> tuple[str, ...]:
    """Write what was looked at into the lock, and return the servers whose pins are others now. Needs the manifest's lease.

    Args:
        project: With its files as they are now.
        looked: Those that failed, and those that are as they were pinned, are passed over.

    Raises:
        ChangedMeanwhile: The lock has other servers, or other pins of them, than when they were looked at.
        MissingLock, BadLock, NewerLock: There is no lock any more.
        PermissionProblem: The lock cannot be written.
    """
    from hatchlock.lock.artefact import artefact_of

    lock = read_project_lock(project)
    there = {server.name for server in lock.servers}
    pins = {surface.server: surface for surface in lock.surfaces}
    written = []
    for item in looked:
        if item.after is None or item.state == "unchanged":
            continue
        name = item.server
        if pins.get(name) != item.before or name not in there or artefact_of(lock, name) != item.after.artefact:
            raise ChangedMeanwhile(server=name)
        pins[name] = item.after
        written.append(name)
    _write(project, lock, pins.values(), "pin", written)
    return tuple(written)


def settle_differences(project: Project, looked: Iterable[Looked]) -> None:
    """Take back that clients saw something else than was pinned: somebody has looked, and wants it to stay as it is pinned.

    Args:
        project: Whose.
        looked: Those of them that are as they were pinned; the others are passed over.

    Raises:
        OSError: What is known cannot be deleted.
    """
    from hatchlock.state.surfaces import forget_surface, surface_path
    from hatchlock.usecases.plan import project_state

    state = project_state(project, read_project_lock(project).project)
    for item in looked:
        if item.state == "unchanged":
            forget_surface(surface_path(state.root, item.server))


def remove_pins(project: Project, names: Iterable[str]) -> None:
    """Remove pins from the lock. Needs the manifest's lease.

    Raises:
        NotPinned: One of the servers has none; nothing was written.
        MissingLock, BadLock, NewerLock: There is no lock.
        PermissionProblem: The lock cannot be written.
    """
    lock, gone = read_project_lock(project), tuple(names)
    pinned = tuple(surface.server for surface in lock.surfaces)
    for name in gone:
        if name not in pinned:
            raise NotPinned(server=name, pinned=pinned)
    _write(project, lock, (item for item in lock.surfaces if item.server not in gone), "pin.remove", gone)


def _write(project: Project, lock: Lock, pins: Iterable[Surface], event: str, servers: Sequence[str]) -> None:
    from hatchlock.digest import sha256_bytes
    from hatchlock.lock.store import dumps, write_text
    from hatchlock.usecases.audit_trail import begin

    text = dumps(replace(lock, surfaces=tuple(sorted(pins, key=lambda item: item.server))))
    if text.encode() == project.lock_bytes:
        return
    digests = [sha256_bytes(data) for data in (project.lock_bytes or b"", text.encode())]
    facts = {"before": digests[0], "after": digests[1]}
    begin(project.home.root, event, project=lock.project, servers=list(servers), **facts)
    write_text(project.lock, text)


def _looked_at(project: Project, lock: Lock, target: Target, name: str, *, timeout: float | None, emit: Sink) -> Looked:
    from hatchlock.usecases.probe import probe_server

    before = lock.surface(name)
    try:
        _check_applied(project, target, name)
        probe = partial(probe_server, project.home, target.project, name, environ=project.environ, timeout=timeout)
        seen: list[Probed] = []
        for time in ("once", "once more"):
            emit(Event(name="pin.start", address=f"server:{name}", message=time))
            found = probe()
            if found.error:
                raise found.error
            seen.append(found)
        emit(Event(name="pin.start", address=f"server:{name}", message="as an application that can do more"))
        more = probe(capable=True)
    except HatchlockError as error:
        error.address = error.address or f"server:{name}"
        return Looked(server=name, before=before, error=error)
    if more.error:
        # it could count on what we only said that we can
        what = f"pinned is what it offers to an application that can do nothing for it; to another one {more.error}"
        emit(Event(name="resolve.note", address=f"server:{name}", message=what))
    first, last = (item.result for item in seen if item.result)
    able = more.result or last
    reveals = dict.fromkeys(name for item in (*seen, more) for name in item.reveals)
    problems = [f"the value of a secret stands in its {shown(name)}" for name in reveals]
    problems += dict.fromkeys((*_problems(first, last), *_problems_of_more(last, able)))
    if problems:
        return Looked(server=name, before=before, problems=tuple(problems))
    return Looked(server=name, before=before, after=_surface(lock, name, last, able, secrets=seen[-1].secrets))


def _check_applied(project: Project, target: Target, name: str) -> None:
    """What is looked at must be what the lock has, but for its pins: those are about to become others."""
    from hatchlock.usecases.plan import project_state

    if problem := next((item for item in target.problems if item.address.name == name), None):
        raise NotApplied(server=name, why=problem.what)
    wanted = next((spec.record for spec in target.servers if spec.record.server == name), None)
    state = project_state(project, target.project)
    digest = state.active().get(name, "")
    record = state.record(digest) if digest else None
    if wanted is None or record is None:
        raise NotApplied(server=name, why="it was never applied on this machine")
    if replace(record, surface=None) != replace(wanted, surface=None):
        raise NotApplied(server=name, why="what is applied here is not what the lock has")


def _surface(lock: Lock, name: str, result: ProbeResult, able: ProbeResult, *, secrets: tuple[str, ...]) -> Surface:
    from hatchlock.lock.artefact import artefact_of
    from hatchlock.lock.surfaces import surface_of

    return surface_of(
        name,
        artefact=artefact_of(lock, name),
        protocol=result.protocol,
        secrets=secrets,
        instructions=result.instructions,
        tools=map(_definition, _either(result.tools, able.tools)),
        prompts=map(_definition, _either(result.prompts, able.prompts)),
        varying=(
            *_not_in_both("tool", result.tools, able.tools),
            *_not_in_both("prompt", result.prompts, able.prompts),
        ),
    )


def _either(usual: Sequence[ProbedDefinition], able: Sequence[ProbedDefinition]) -> Iterable[ProbedDefinition]:
    return {item.name: item for item in (*usual, *able)}.values()


def _not_in_both(word: str, usual: Sequence[ProbedDefinition], able: Sequence[ProbedDefinition]) -> Iterator[str]:
    for name in {item.name for item in usual} ^ {item.name for item in able}:
        yield f"{word} {name}"


def _definition(probed: ProbedDefinition) -> Definition:
    from hatchlock.lock.surfaces import Definition, readable

    return Definition(name=probed.name, sha256=probed.sha256, text=readable(probed.definition))


def _problems(old: ProbeResult, new: ProbeResult) -> Iterator[str]:
    """Yield why nothing can be pinned of what was seen twice."""
    for word in ("tool", "prompt"):
        yield from _of_listings(word, getattr(old, f"{word}s"), getattr(new, f"{word}s"))
    if old.instructions != new.instructions:
        yield "its instructions are others at each look"
    if is_torn(new.instructions or ""):
        yield "its instructions have half a character in them, which no file of text can hold"
    if old.protocol != new.protocol:
        yield f"it speaks another version of the protocol at each look: {old.protocol}, {new.protocol}"


def _problems_of_more(usual: ProbeResult, able: ProbeResult) -> Iterator[str]:
    """Yield why nothing can be pinned of what an application is shown that can do more."""
    for word in ("tool", "prompt"):
        listed = getattr(able, f"{word}s")
        yield from _of_listings(word, listed, listed)
        others = {item.name: item for item in getattr(usual, f"{word}s")}
        for item in listed:
            if (other := others.get(item.name, item)).sha256 != item.sha256:
                what = f"the {word} {shown(item.name)} is another one for an application that can do more"
                yield f"{what}: {_members(other, item)}"
    if usual.instructions != able.instructions:
        yield "its instructions are others for an application that can do more"


def _of_listings(word: str, old: Sequence[ProbedDefinition], new: Sequence[ProbedDefinition]) -> Iterator[str]:
    for item in (*old, *new):
        if not item.sha256:
            yield f"the {word} {shown(item.name) or 'without a name'} has no hash: {item.problem}"
        if is_torn(item.name):
            yield f"the name of the {word} {shown(item.name)} has half a character in it, which no file of text can hold"
    names = [[item.name for item in listed] for listed in (old, new)]
    for name in dict.fromkeys(name for name in names[1] if names[1].count(name) > 1):
        yield f"two {word}s are called {shown(name)}"
    earlier = {item.name: item for item in old}
    later = {item.name: item for item in new}
    for name in sorted(earlier.keys() ^ later.keys()):
        yield f"the {word} {shown(name)} is there at one look, and not at the other"
    for name in sorted(earlier.keys() & later.keys()):
        if earlier[name].sha256 != later[name].sha256:
            yield f"the {word} {shown(name)} is another one at each look: {_members(earlier[name], later[name])}"


def _members(old: ProbedDefinition, new: ProbedDefinition) -> str:
    before, after = old.definition, new.definition
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(map(shown, names)) or "its members are others"


def _hashes(surface: Surface) -> tuple[str, ...]:
    return surface.tools_sha256, surface.prompts_sha256, surface.instructions_sha256, *surface.varying
