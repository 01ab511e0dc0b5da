"""Volumes of a project in a container engine: made, copied and removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory
from hatchlock.paths import store_mark
from hatchlock.resources.volume_spec import VolumeSpec

if TYPE_CHECKING:
    from hatchlock.engines.api import Engine
    from hatchlock.engines.volumes import Volume
    from hatchlock.paths import Home
    from hatchlock.state.project import ProjectState

__all__ = ["LABEL", "EngineVolumes", "OtherEngine", "VolumeInUse"]

LABEL = "dev.hatchlock"
_CONFLICT = 409


@dataclass(kw_only=True, eq=False)
class VolumeInUse(HatchlockError):
    """A volume cannot be removed, moved or copied while somebody has it."""

    code: ClassVar[str] = "volume-in-use"

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} is in use: {self.why}"

    def _hint(self) -> str:
        return "end the sessions of its server, then run the same command"


@dataclass(kw_only=True, eq=False)
class OtherEngine(HatchlockError):
    """What a server keeps was made in another engine, and this one would begin with nothing."""

    code: ClassVar[str] = "other-engine"

    engine: str
    before: str

    def __str__(self) -> str:
        where = "at the same address" if self.engine == self.before else f"at {self.before}"
        return (
            f"what it keeps is in another engine, which was {where}; nothing of it is in the one at {self.engine} now"
        )

    def _hint(self) -> str:
        return "start that engine, or begin anew in this one with `hatchlock apply --takeover`; what is in the other one stays"


class EngineVolumes:
    """What a project keeps in an engine.

    Args:
        home: The store.
        project: The project's name.
        state: Its state.
        engine: The engine's address; "" if nothing needs one any more: then the one that was needed last is looked at.
    """

    def __init__(self, *, home: Home, project: str, state: ProjectState, engine: str) -> None:
        self._home = home
        self._project = project
        self._state = state
        self._address = engine

    @property
    def labels(self) -> dict[str, str]:
        """What all of the project's volumes have: another user's store may have a project of that name in the same engine."""
        return {f"{LABEL}.project": self._project, f"{LABEL}.store": store_mark(self._home.root)}

    def listed(self) -> list[Volume]:
        """Return the project's volumes.

        Raises:
            EngineError, EngineUnreachable: The engine does not say what it has.
        """
        if not self._where():
            return []
        from hatchlock.engines.volumes import list_volumes  # noqa: PLC0415  most projects keep nothing

        return list_volumes(self._engine(), self.labels)

    def find(self, name: str) -> Volume | None:
        """Return a volume, whoever's it is.

        Raises:
            EngineError, EngineUnreachable: The engine does not say.
        """
        from hatchlock.engines.volumes import find_volume  # noqa: PLC0415

        return find_volume(self._engine(), name) if self._where() else None

    def remember(self) -> None:
        """Have it in the state where the project's volumes are: when nothing needs an engine any more, nothing else says so.

        Raises:
            EngineError, EngineUnreachable: The engine does not say what it is.
        """
        if not self._state.volume_engine():
            self._state.know_volume_engine(self._address, self._identity())

    def is_another(self) -> bool:
        """Whether the engine is not the one in which the project's volumes were made last, as far as engines have ids.

        Raises:
            EngineError, EngineUnreachable: The engine does not say.
        """
        before = self._state.volume_engine_id()
        return bool(before) and (self._identity() or before) != before

    def _identity(self) -> str:
        engine = self._engine()
        # Podman makes up another one for everybody who asks
        return "" if engine.is_podman else str(engine.ask("GET", "/info").get("ID") or "")

    def size(self, name: str) -> int | None:
        """Return the bytes in a volume, or None where the engine cannot say."""
        from hatchlock.engines.volumes import volume_sizes  # noqa: PLC0415

        return volume_sizes(self._engine()).get(name)

    def make(self, spec: VolumeSpec, *, source: str = "") -> None:
        """Make a volume, empty or with a copy of what is in another one. What a kill leaves is known as unfinished.

        Raises:
            VolumeInUse: A container has the other one.
            ForeignVolume: Somebody else has made one of that name meanwhile.
            VolumeNotGiven, VolumeNotCopied: The engine said that it did, and did not.
            EngineError, EngineUnreachable: The engine refuses.
        """
        if source:
            self._check_unused(source)
        self._begin(spec, source)
        self._state.finish_volume(spec.place)

    def move(self, spec: VolumeSpec, old: str) -> None:
        """Make a volume that has what is in an old one, and remove that when nothing is missing.

        Raises:
            Those of `make`.
        """
        self._check_unused(old)
        self._begin(spec, old)
        self._check_unused(old)  # what a session has written that began meanwhile is not in the copy
        self._state.supersede_volume(old, spec.place)
        self.remove(old)

    def remove(self, name: str) -> None:
        """Remove a volume with everything in it.

        Raises:
            VolumeInUse: A container has it.
            EngineError, EngineUnreachable: The engine refuses.
        """
        from hatchlock.engines.api import EngineError  # noqa: PLC0415
        from hatchlock.engines.volumes import remove_volume  # noqa: PLC0415

        try:
            remove_volume(self._engine(), name)
        except EngineError as error:
            if error.status != _CONFLICT:
                raise
            raise VolumeInUse(name=f"volume {name}", why=error.message) from error
        self._state.finish_volume(name)

    def _begin(self, spec: VolumeSpec, source: str) -> None:
        from hatchlock.engines.volumes import make_volume  # noqa: PLC0415

        labels = {"server": spec.server, "path": spec.path, "user": spec.user}
        named = self.labels | {f"{LABEL}.{name}": value for name, value in labels.items()}
        engine = self._engine()
        is_half = bool(source) and spec.place in self._state.begun_volumes()
        if is_half or spec.place in self._state.superseded_volumes():  # what another one goes on with is no use here
            self._check_unused(spec.place)
            self.remove(spec.place)
        self._state.begin_volume(spec.place, spec.engine, self._identity())
        make_volume(engine, spec.place, labels=named, image=spec.image, user=spec.user)
        if not source:
            return
        from hatchlock.engines.volume_copy import copy_volume  # noqa: PLC0415  hardly ever

        scratch = private_directory(self._home.cache)
        copy_volume(engine, source, spec.place, labels=named, image=spec.image, user=spec.user, scratch=scratch)

    def _check_unused(self, name: str) -> None:
        from hatchlock.engines.volume_copy import users_of_volume  # noqa: PLC0415

        if users := users_of_volume(self._engine(), name):
            raise VolumeInUse(name=f"volume {name}", why=f"{', '.join(users)} has it")

    def _where(self) -> str:
        return self._address or self._state.volume_engine()

    def _engine(self) -> Engine:
        from hatchlock.engines.api import Engine  # noqa: PLC0415

        return Engine(self._where())
