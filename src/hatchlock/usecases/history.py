"""`history`: the generations of a project, and what each changed. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.usecases.generations import NoSuchGeneration

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.state.generations import Generation, Generations, Unreadable
    from hatchlock.usecases.project import Project

__all__ = ["Change", "History", "Past", "project_history"]

_SHOWN = len("sha256:") + 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """How a generation differs from the one before it, in one thing.

    Attributes:
        sign: "+", "-" or "~".
        what: `server:time`, `pypi:anyio`.
        before: The package's version before; "" for none, and of a server.
        after: Its version now; likewise.
    """

    sign: str
    what: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        versions = " -> ".join(filter(None, (self.before, self.after)))
        return f"{self.sign} {self.what} {versions}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A generation.

    Attributes:
        generation: What it has noted down.
        changes: Against the one before that is still there; all of it, for the first. Servers first, then packages, by name.
        is_current: Whether the project is at it.
        sessions: Names of servers that run as it started them, sorted: what these need stays whatever is collected.
    """

    generation: Generation
    changes: tuple[Change, ...]
    is_current: bool
    sessions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """A project's generations.

    Attributes:
        project: Its name.
        current: The one that it is at; 0 before the first.
        held: The same, if a rollback went there; 0 otherwise.
        generations: The newest first, but for those that cannot be read.
        unreadable: These.
        is_begun: There is no generation, and servers of it are active all the same.
    """

    project: str
    current: int
    held: int
    generations: tuple[Past, ...]
    unreadable: tuple[Unreadable, ...] = ()
    is_begun: bool = False


def project_history(project: Project, number: int | None = None) -> History:
    """Return a project's generations.

    The files of the project itself may be as broken as they like, as long as its name can be read.

    Args:
        project: Whose.
        number: This one alone; None for all.

    Raises:
        NoSuchGeneration: There is none of that number.
        BoundElsewhere: The project belongs to another directory.
        BadState: The one that was named is not what we wrote, or something else of the state is not.
    """
    from hatchlock.state.sessions import running
    from hatchlock.usecases.plan import project_state
    from hatchlock.usecases.run import project_name

    name = project_name(project.manifest)
    state = project_state(project, name)
    state.check_binding(name, project.directory)
    known = state.generations.numbers()
    if number is not None and number not in known:
        raise NoSuchGeneration(project=name, wanted=str(number), known=known, is_begun=bool(state.active()))
    found, unreadable = state.generations.readable()
    for item in unreadable:
        if item.number == number:
            raise item.error
    started = {session.launch: session.server for session in running(state.root)}
    past = _Changes(state.generations)
    current = state.current()
    return History(
        project=name,
        current=current,
        held=state.generations.held(),
        generations=tuple(
            Past(
                generation=generation,
                changes=tuple(past.since(before, generation)),
                is_current=generation.number == current,
                sessions=tuple(sorted(started[digest] for digest in generation.servers.values() if digest in started)),
            )
            for before, generation in _pairs(found)
            if number in {None, generation.number}
        ),
        unreadable=unreadable if number is None else (),
        is_begun=not known and bool(state.active()),
    )


def _pairs(found: Sequence[Generation]) -> Iterator[tuple[Generation | None, Generation]]:
    """Yield each generation behind the one before it, the newest first."""
    before: list[Generation | None] = [None, *found]
    yield from reversed(list(zip(before, found, strict=False)))


class _Changes:
    """Compares generations; each lock is read once."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._packages: dict[bytes, Mapping[str, frozenset[str]]] = {}

    def since(self, before: Generation | None, after: Generation) -> Iterator[Change]:
        yield from _of_servers(before.servers if before else {}, after.servers)
        old = self._lock(before.number) if before else b""
        new = self._lock(after.number)
        if old != new:
            yield from _of_packages(self._named(old), self._named(new))

    def _lock(self, number: int) -> bytes:
        return self._generations.lock(number) or b""

    def _named(self, data: bytes) -> Mapping[str, frozenset[str]]:
        if data not in self._packages:
            self._packages[data] = _versions(data)
        return self._packages[data]


def _of_servers(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(sign="+" if name not in old else "-" if name not in new else "~", what=f"server:{name}")


def _of_packages(old: Mapping[str, frozenset[str]], new: Mapping[str, frozenset[str]]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, frozenset()), new.get(name, frozenset())
        if before != after:
            sign = "+" if not before else "-" if not after else "~"
            gone, come = sorted(before - after), sorted(after - before)
            yield Change(sign=sign, what=name, before=", ".join(gone), after=", ".join(come))


def _versions(data: bytes) -> dict[str, frozenset[str]]:
    """Return package -> versions of a lock; a lock that this version does not read says nothing."""
    from hatchlock.lock.store import loads

    if not data:
        return {}
    try:
        return _by_name(loads(data))
    except HatchlockError:
        return {}


def _by_name(lock: Lock) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, version in _identities(lock):
        found.setdefault(name, set()).add(version)
    return {name: frozenset(versions) for name, versions in found.items()}


def _identities(lock: Lock) -> Iterator[tuple[str, str]]:
    yield from ((f"{package.kind}:{package.name}", package.version) for package in lock.packages)
    named = {package.location for package in lock.packages if package.kind is Kind.OCI}
    for image in lock.images:
        if image.reference not in named:
            yield f"{Kind.OCI}:{image.reference}", image.digest[:_SHOWN]
