"""Volumes: what the `writable` directories of servers keep, in the engine or, for processes, in a directory of the store.

They are the exception to the rule that names follow content: data has a stable name. A volume is found by store, project,
server and path, and its key adds only whose it is. So nothing of it changes when the server does, and with a lost state no
data is lost. When a server gets another name, what it keeps moves along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.address import Address
from hatchlock.errors import HatchlockError
from hatchlock.launch import Runtime
from hatchlock.manifest.handover import NO_HANDOVER, Handover
from hatchlock.resources.base import Action, Artefact, Desired, Observed, Problem, Step
from hatchlock.resources.volume_directories import (
    copy_directory,
    directory_size,
    give_directory,
    is_at_work,
    kept_directories,
    make_directory,
    move_directory,
    remove_directory,
)
from hatchlock.resources.volume_engine import LABEL, EngineVolumes, OtherEngine, VolumeInUse
from hatchlock.resources.volume_spec import VolumeSpec, is_directory, volume_address, volume_key, volume_place

if TYPE_CHECKING:
    from hatchlock.paths import Home
    from hatchlock.state.project import ProjectState

__all__ = [
    "NothingToAdopt",
    "VolumeInUse",
    "VolumeResource",
    "VolumeSpec",
    "is_directory",
    "volume_address",
    "volume_place",
]

_UNFINISHED = "unfinished"
_UNLINKED = "unlinked"
_SUPERSEDED = "superseded"


@dataclass(kw_only=True, eq=False)
class NothingToAdopt(HatchlockError):
    """What a volume is to begin with is not there."""

    code: ClassVar[str] = "nothing-to-adopt"

    name: str
    runtime: Runtime

    def __str__(self) -> str:
        kind = "directory" if self.runtime == "process" else "volume of the engine"
        return f"it is to begin with a copy of {self.name!r}, and there is no such {kind}"

    def _hint(self) -> str:
        return "correct its name in [[adopt]], or remove that block where there is nothing to adopt"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """A volume as it is."""

    server: str
    path: str
    runtime: Runtime
    place: str
    directory: str
    user: str
    state: str = ""

    @property
    def address(self) -> Address:
        return volume_address(self.server, self.path, self.runtime)

    @property
    def key(self) -> str:
        return f"{self.place} {self.state}" if self.state else volume_key(self.place, self.user)


class VolumeResource:
    """The volumes of one project; see `resources.base.Resource`. Facts of `desired` follow from the last `observe`.

    Args:
        specs: What should be.
        home: The store.
        project: The project's name.
        state: Its state.
        engine: The address of the engine that this machine has; "" if nothing needs one.
        applied: What the last apply left, by address: a directory that somebody else has given away since then is taken
            back as it is.
        handover: Which servers had another name, and which data is taken over.
        anew: Whether volumes are made in this engine although there are some in another one (`--takeover`).
    """

    def __init__(
        self,
        specs: Iterable[VolumeSpec],
        *,
        home: Home,
        project: str,
        state: ProjectState,
        engine: str,
        applied: Mapping[Address, str] | None = None,
        handover: Handover = NO_HANDOVER,
        anew: bool = False,
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._home = home
        self._project = project
        self._state = state
        self._in_engine = EngineVolumes(home=home, project=project, state=state, engine=engine)
        self._applied = applied or {}
        self._handover = handover
        self._anew = anew
        self._present: frozenset[Address] = frozenset()
        self.problems: tuple[Problem, ...] = ()

    def desired(self) -> Iterable[Desired]:
        """Return every volume that a server keeps something in."""
        return [
            Desired(
                address=spec.address,
                key=spec.key,
                facts={"for": spec.path, "in": _shown_place(spec.place), "owner": spec.user, **self._begins_with(spec)},
                depends_on=spec.needs,
                privilege="engine" if spec.engine else "none",
            )
            for spec in self._specs.values()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return every volume of the project, declared or not; one of a server that has moved by its address now.

        Raises:
            EngineError, EngineUnreachable: The engine does not say what it has.
        """
        seen = list(self._seen(self._found()))
        self._present = frozenset(item.address for item in seen)
        self.problems = (*self._foreign(), *self._elsewhere(), *self._without_source())
        return seen

    def remember(self) -> None:
        """Have it in the state, which may have been lost, where those are that exist; the caller holds the project's lease.

        Raises:
            EngineError, EngineUnreachable: The engine does not say what it is.
        """
        if any(spec.engine and address in self._present for address, spec in self._specs.items()):
            self._in_engine.remember()

    def observe_one(self, address: Address) -> Observed | None:
        """Return the volume as it is, or None."""
        now = self._handover.name_now(address.server)
        found = self._found(address, {now, *self._handover.names_before(now)})
        return next((seen for seen in self._seen(found) if seen.address == address), None)

    def loss(self, address: Address) -> str:
        """Return what is lost when a declared volume is made anew; "" for nothing."""
        spec = self._specs[address]
        return self._loss(spec.server, spec.path, spec.place)

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing: a new volume is empty, or a copy of what is here."""
        return ()

    def apply(self, step: Step) -> None:
        """Make the volume, move it here, or take it away with everything in it; or take back a directory that was given away.

        Raises:
            VolumeInUse: Somebody has it.
            ForeignVolume: Somebody else has made one of that name meanwhile.
            VolumeNotGiven, VolumeNotCopied: The engine said that it did, and did not.
            EngineError, EngineUnreachable: The engine refuses.
            OSError: A directory cannot be made, moved or deleted.
        """
        spec = self._specs.get(step.address) if step.after else None
        place, _, state = step.before.rpartition(" ")
        if spec is not None and step.action is Action.UPDATE and place != spec.place:
            self._move(spec, place, state)
            return
        is_given_away = step.action is Action.UPDATE and step.drift and place.startswith("/") and state != _UNLINKED
        if spec is not None and is_given_away:
            give_directory(Path(place), spec.user)
            return
        is_changed = step.action is Action.UPDATE and state not in {_UNFINISHED, _UNLINKED}
        if step.action in {Action.DELETE, Action.REPLACE} or is_changed:
            self._remove(place)
        if spec is not None:
            begins = step.action is Action.CREATE or state == _UNFINISHED
            self._make(spec, (self._handover.adopted_from(spec.address) or "") if begins else "")

    def _make(self, spec: VolumeSpec, source: str) -> None:
        if spec.runtime == "container":
            self._in_engine.make(spec, source=source)
        elif source:
            copy_directory(self._home, self._project, Path(source), Path(spec.place), spec.user)
        else:
            make_directory(self._home, self._project, Path(spec.place), spec.user)

    def _move(self, spec: VolumeSpec, place: str, uid: str) -> None:
        if spec.runtime == "container":
            self._in_engine.move(spec, place)
            return
        if uid.isdigit() and uid != spec.user.partition(":")[0] and is_at_work(int(uid)):
            raise VolumeInUse(name=_shown_place(place), why="a session of the server's runs under its name until now")
        move_directory(self._home, self._project, Path(place), Path(spec.place), spec.user)

    def _remove(self, place: str) -> None:
        if place.startswith("/"):
            remove_directory(Path(place))
        else:
            self._in_engine.remove(place)

    def _found(self, like: Address | None = None, servers: Collection[str] | None = None) -> Iterator[_Kept]:
        """Yield every volume, or those of some servers in the runtime of one of them: what can move to each other."""
        if like is None or is_directory(like):
            yield from self._directories(servers)
        if like is None or not is_directory(like):
            yield from (item for item in self._volumes() if servers is None or item.server in servers)

    def _directories(self, servers: Collection[str] | None) -> Iterator[_Kept]:
        for kept in kept_directories(self._home, self._project, servers):
            yield _Kept(
                server=kept.server,
                path=kept.path,
                runtime="process",
                place=kept.place,
                directory=str(kept.directory),
                user=f"{kept.uid}:{kept.gid}",
                state="" if kept.is_linked else _UNLINKED,
            )

    def _volumes(self) -> Iterator[_Kept]:
        states = dict.fromkeys(self._state.begun_volumes(), _UNFINISHED)
        states |= dict.fromkeys(self._state.superseded_volumes(), _SUPERSEDED)
        for volume in self._in_engine.listed():
            server, path, user = (volume.labels.get(f"{LABEL}.{name}", "") for name in ("server", "path", "user"))
            yield _Kept(
                server=server,
                path=path,
                runtime="container",
                place=volume.name,
                directory=volume.name,
                user=user,
                state=states.get(volume.name, ""),
            )

    def _seen(self, volumes: Iterable[_Kept]) -> Iterator[Observed]:
        found = list(volumes)
        moved = {item.address: name for item, name in self._moves(found)}
        targets = {
            volume_address(moved[item.address], item.path, item.runtime) for item in found if item.address in moved
        }
        for item in found:
            renamed = moved.get(item.address, "")
            if renamed:
                yield self._moved(item, renamed)
            elif item.address not in targets:  # half of a copy is no volume yet, and what is superseded makes room
                yield self._observed(item)

    def _moves(self, found: Iterable[_Kept]) -> Iterator[tuple[_Kept, str]]:
        """Yield what moves, and the name of the server to which it does."""
        whole = [item for item in found if item.state not in {_UNFINISHED, _SUPERSEDED}]
        servers: dict[tuple[str, Runtime], set[str]] = {}
        for item in whole:
            servers.setdefault((item.path, item.runtime), set()).add(item.server)
        for item in whole:
            if name := self._handover.moves_to(item.server, servers[item.path, item.runtime]):
                yield item, name

    def _moved(self, item: _Kept, now: str) -> Observed:
        address = volume_address(now, item.path, item.runtime)
        return Observed(
            address=address,
            key=item.key,
            facts=_facts(item),
            # whoever does not keep it under its new name loses it
            loss="" if address in self._specs else self._loss(item.server, item.path, item.directory),
            handover=f"moved from {item.address}",
        )

    def _observed(self, item: _Kept) -> Observed:
        spec = self._specs.get(item.address)
        if item.state == _SUPERSEDED:
            cause = "what was in it is where its server keeps it now"
            if spec is not None:
                cause = f"from an empty one: {cause}"
            return Observed(address=item.address, key=item.key, facts=_facts(item) if spec else {}, cause=cause)
        if item.state == _UNFINISHED:
            return Observed(address=item.address, key=item.key)
        if spec is not None and spec.key == item.key:
            return Observed(address=item.address, key=item.key, facts=_facts(item) | {"owner": spec.user})
        if spec is not None and item.state == _UNLINKED and spec.key == volume_key(item.place, item.user):
            facts = _facts(item) | {"owner": spec.user, "in": _shown_place(spec.place)}
            cause = "in the project's state alone, which was lost: what is kept stays where it is"
            return Observed(address=item.address, key=item.key, facts=facts, cause=cause)
        is_given_away = spec is not None and item.runtime == "process" and self._applied.get(item.address) == spec.key
        loss = "" if is_given_away else self._loss(item.server, item.path, item.directory)
        return Observed(address=item.address, key=item.key, facts=_facts(item), loss=loss)

    def _loss(self, server: str, path: str, place: str) -> str:
        size = directory_size(Path(place)) if place.startswith("/") else self._in_engine.size(place)
        if size == 0:  # engines tell bytes alone, so that empty files and directories are nothing anywhere
            return ""
        return f"{'what' if size is None else f'{_shown_size(size)} that'} {server} keeps in {path}"

    def _begins_with(self, spec: VolumeSpec) -> dict[str, str]:
        source = self._handover.adopted_from(spec.address)
        return {"begins with": f"a copy of {source}"} if source and spec.address not in self._present else {}

    def _foreign(self) -> Iterator[Problem]:
        wanted = [spec for spec in self._specs.values() if spec.engine and spec.address not in self._present]
        if not wanted:
            return
        from hatchlock.engines.volumes import ForeignVolume  # noqa: PLC0415

        own = {volume.name for volume in self._in_engine.listed()}
        for spec in wanted:
            if spec.place not in own and self._in_engine.find(spec.place):
                yield Problem.of(spec.address, ForeignVolume(name=spec.place))

    def _elsewhere(self) -> Iterator[Problem]:
        missing = [spec for spec in self._specs.values() if spec.engine and spec.address not in self._present]
        if missing and not self._anew and self._in_engine.is_another():
            for spec in missing:
                error = OtherEngine(engine=spec.engine, before=self._state.volume_engine())
                yield Problem.of(spec.address, error)

    def _without_source(self) -> Iterator[Problem]:
        for spec in self._specs.values():
            source = self._handover.adopted_from(spec.address)
            if not source or spec.address in self._present:
                continue
            is_there = Path(source).is_dir() if spec.runtime == "process" else bool(self._in_engine.find(source))
            if not is_there or source.startswith("/") != (spec.runtime == "process"):
                yield Problem.of(spec.address, NothingToAdopt(name=source, runtime=spec.runtime))


def _facts(item: _Kept) -> dict[str, str]:
    return {"for": item.path, "in": _shown_place(item.directory), "owner": item.user}


def _shown_place(place: str) -> str:
    return f"directory {place}" if "/" in place else f"volume {place}"


def _shown_size(size: int) -> str:
    units: Mapping[str, int] = {"MB": 1_000_000, "kB": 1_000}
    for unit, scale in units.items():
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
