"""Volumes: what the `writable` directories of servers keep, in the engine or, for processes, in a directory of the store.

They are the exception to the rule that names follow content: data has a stable name. A volume is found by store, project,
server and path, and its key adds only whose it is. So nothing of it changes when the server does, and with a lost state no
data is lost.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, unquote

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory
from hatchlock.launch import LaunchRecord, Runtime
from hatchlock.resources.base import Action, Artefact, Desired, Observed, Problem, Step
from hatchlock.store.strangers import delete_tree, entries_below

if TYPE_CHECKING:
    from hatchlock.engines.api import Engine
    from hatchlock.engines.volumes import Volume
    from hatchlock.paths import Home
    from hatchlock.state.project import ProjectState

__all__ = ["VolumeInUse", "VolumeResource", "VolumeSpec", "volume_address", "volume_place"]

_AS_PROCESS = "@process"
_LABEL = "dev.hatchlock"
_DIGITS = 12
_UNFINISHED = "unfinished"
_CONFLICT = 409


@dataclass(kw_only=True, eq=False)
class VolumeInUse(HatchlockError):
    """A volume cannot be removed while a container has it."""

    code: ClassVar[str] = "volume-in-use"

    name: str
    why: str

    def __str__(self) -> str:
        return f"the engine keeps volume {self.name}: {self.why}"

    def _hint(self) -> str:
        return "end the sessions of its server, then run the same command"


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSpec:
    """A volume as it should be.

    Attributes:
        server: Whose.
        path: Where the server has it.
        place: The engine's name for it, or its directory.
        user: `UID:GID` that it belongs to.
        runtime: Which of both it is.
        engine: The engine's address; "" for a directory.
        image: An image that the engine has by then; "" for a directory.
        needs: What has to be there first.
    """

    server: str
    path: str
    place: str
    user: str
    runtime: Runtime
    engine: str = ""
    image: str = ""
    needs: tuple[Address, ...] = ()

    @property
    def address(self) -> Address:
        """Which resource it is."""
        return volume_address(self.server, self.path, self.runtime)

    @property
    def key(self) -> str:
        """Where it is and whose: all that can change without another address."""
        return _key(self.place, self.user)


def volume_address(server: str, path: str, runtime: Runtime) -> Address:
    """Return `volume:SERVER/PATH`; a process's is another one, for nothing goes over when the runtime changes."""
    return Address(kind=ResourceKind.VOLUME, name=f"{server}{path}{_AS_PROCESS if runtime == 'process' else ''}")


def volume_place(home: Home, record: LaunchRecord, path: str) -> str:
    """Return where a `writable` path of a server is kept: the engine's name for it, or an absolute directory.

    It is the same as long as store, project, server, path and runtime are.
    """
    if record.runtime == "process":
        return str(_directories(home, record.project) / record.server / quote(path.lstrip("/"), safe=""))
    digits = sha256_bytes(f"{home.root}\0{record.project}\0{record.server}\0{path}".encode())[:_DIGITS]
    return f"hatchlock-{record.project}-{record.server}-{digits}"


class VolumeResource:
    """The volumes of one project; see `resources.base.Resource`.

    Args:
        specs: What should be.
        home: The store.
        project: The project's name.
        state: Its state.
        engine: The address of the engine that this machine has; "" if nothing needs one.
        applied: What the last apply left, by address: a directory that somebody else has given away since then is taken
            back as it is.
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
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._home = home
        self._project = project
        self._state = state
        self._engine = engine
        self._applied = applied or {}
        self.problems: tuple[Problem, ...] = ()

    def desired(self) -> Iterable[Desired]:
        """Return every volume that a server keeps something in."""
        return [
            Desired(
                address=spec.address,
                key=spec.key,
                facts={"for": spec.path, "in": _shown_place(spec.place), "owner": spec.user},
                depends_on=spec.needs,
                privilege="engine" if spec.engine else "none",
            )
            for spec in self._specs.values()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return every volume of the project, declared or not.

        Raises:
            EngineError, EngineUnreachable: The engine does not say what it has.
        """
        self.problems = tuple(self._foreign())
        return list(self._seen())

    def observe_one(self, address: Address) -> Observed | None:
        """Return the volume as it is, or None."""
        return next((seen for seen in self._seen() if seen.address == address), None)

    def loss(self, address: Address) -> str:
        """Return what is lost when a declared volume is made anew; "" for nothing."""
        spec = self._specs[address]
        return self._loss(spec.server, spec.path, spec.place)

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing: a new volume is empty."""
        return ()

    def apply(self, step: Step) -> None:
        """Make the volume, or take it away with everything in it, or both; or take back a directory that was given away.

        Raises:
            VolumeInUse: A container has it.
            ForeignVolume: Somebody else has made one of that name meanwhile.
            VolumeNotGiven: The engine did not give it to the server's user.
            EngineError, EngineUnreachable: The engine refuses.
            OSError: A directory cannot be made or deleted.
        """
        spec = self._specs.get(step.address) if step.after else None
        place, _, state = step.before.rpartition(" ")
        is_taken_back = step.action is Action.UPDATE and step.drift and place.startswith("/")
        is_changed = step.action is Action.UPDATE and state != _UNFINISHED and not is_taken_back
        if step.action in {Action.DELETE, Action.REPLACE} or is_changed:
            self._remove(place)
        if spec is None:
            return
        if spec.runtime == "process":
            _make_directory(Path(spec.place), spec.user)
        else:
            self._make(spec)

    def _make(self, spec: VolumeSpec) -> None:
        from hatchlock.engines.volumes import make_volume  # noqa: PLC0415  most projects keep nothing

        labels = {"server": spec.server, "path": spec.path, "user": spec.user}
        named = {f"{_LABEL}.{name}": value for name, value in labels.items()}
        self._state.begin_volume(spec.place, spec.engine)
        make_volume(_engine(spec.engine), spec.place, labels=self._labels | named, image=spec.image, user=spec.user)
        self._state.finish_volume(spec.place)

    def _remove(self, place: str) -> None:
        if place.startswith("/"):
            if os.path.lexists(place):
                delete_tree(Path(place))
            with contextlib.suppress(OSError):  # the server keeps something else as well
                Path(place).parent.rmdir()
            return
        from hatchlock.engines.api import EngineError  # noqa: PLC0415
        from hatchlock.engines.volumes import remove_volume  # noqa: PLC0415

        try:
            remove_volume(_engine(self._where()), place)
        except EngineError as error:
            if error.status != _CONFLICT:
                raise
            raise VolumeInUse(name=place, why=error.message) from error
        self._state.finish_volume(place)

    @property
    def _labels(self) -> dict[str, str]:
        """What all of the project's volumes have: another user's store may have a project of that name in the same engine."""
        store = sha256_bytes(bytes(self._home.root))[:_DIGITS]
        return {f"{_LABEL}.project": self._project, f"{_LABEL}.store": store}

    def _where(self) -> str:
        """Return the engine to look at: when nothing needs one any more, the one that was needed last."""
        return self._engine or self._state.volume_engine()

    def _seen(self) -> Iterator[Observed]:
        for server, path, directory in _kept(_directories(self._home, self._project)):
            facts = directory.stat()
            yield self._observed(server, path, "process", str(directory), f"{facts.st_uid}:{facts.st_gid}")
        begun = self._state.begun_volumes()
        for volume in self._listed():
            server, path, user = (volume.labels.get(f"{_LABEL}.{name}", "") for name in ("server", "path", "user"))
            if volume.name in begun:
                key = f"{volume.name} {_UNFINISHED}"
                yield Observed(address=volume_address(server, path, "container"), key=key)
            else:
                yield self._observed(server, path, "container", volume.name, user)

    def _listed(self) -> list[Volume]:
        where = self._where()
        if not where:
            return []
        from hatchlock.engines.volumes import list_volumes  # noqa: PLC0415

        return list_volumes(_engine(where), self._labels)

    def _observed(self, server: str, path: str, runtime: Runtime, place: str, user: str) -> Observed:
        address = volume_address(server, path, runtime)
        spec = self._specs.get(address)
        key = _key(place, user)
        facts = {"for": path, "in": _shown_place(place), "owner": user}
        if spec is not None and spec.key == key:
            return Observed(address=address, key=key, facts=facts | {"owner": spec.user})
        is_given_away = spec is not None and runtime == "process" and self._applied.get(address) == spec.key
        loss = "" if is_given_away else self._loss(server, path, place)
        return Observed(address=address, key=key, facts=facts, loss=loss)

    def _loss(self, server: str, path: str, place: str) -> str:
        size: int | None
        if place.startswith("/"):
            if _is_empty(Path(place)):
                return ""
            size = _size(Path(place))
        else:
            from hatchlock.engines.volumes import volume_sizes  # noqa: PLC0415

            size = volume_sizes(_engine(self._where())).get(place)
        return f"{'what' if size is None else f'{_shown_size(size)} that'} {server} keeps in {path}"

    def _foreign(self) -> Iterator[Problem]:
        wanted = [spec for spec in self._specs.values() if spec.engine]
        if not wanted:
            return
        from hatchlock.engines.volumes import ForeignVolume, find_volume  # noqa: PLC0415

        own = {volume.name for volume in self._listed()}
        for spec in wanted:
            if spec.place not in own and find_volume(_engine(spec.engine), spec.place):
                yield Problem.of(spec.address, ForeignVolume(name=spec.place))


def _engine(address: str) -> Engine:
    from hatchlock.engines.api import Engine  # noqa: PLC0415

    return Engine(address)


def _key(place: str, user: str) -> str:
    return f"{place} {user.partition(':')[0]}"


def _directories(home: Home, project: str) -> Path:
    return home.project(project) / "volumes"


def _kept(directory: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield server, path and directory of what processes keep."""
    if not directory.is_dir():
        return
    for server in sorted(directory.iterdir()):
        for place in sorted(server.iterdir()):
            yield server.name, f"/{unquote(place.name)}", place


def _make_directory(place: Path, user: str) -> None:
    """Whose it is, is settled last: before that it is nobody's, and empty."""
    private_directory(place)
    uid, _, gid = user.partition(":")
    if os.geteuid() == 0:
        os.chown(place, int(uid), int(gid or uid))


def _is_empty(directory: Path) -> bool:
    try:
        return not any(directory.iterdir())
    except PermissionError:  # its server has closed it to its own user
        return False


def _size(directory: Path) -> int:
    total = 0
    for _, entry in entries_below(directory):
        with contextlib.suppress(OSError):  # its server has deleted it meanwhile
            if not entry.is_dir(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _shown_place(place: str) -> str:
    return f"directory {place}" if "/" in place else f"volume {place}"


def _shown_size(size: int) -> str:
    units: Mapping[str, int] = {"MB": 1_000_000, "kB": 1_000}
    for unit, scale in units.items():
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
