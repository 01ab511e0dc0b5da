"""A server that is a container: created, attached and started for one session, removed at its end."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from hatchlock.engines.api import Attached, Container, Engine, EngineError, EngineUnreachable
from hatchlock.engines.host import host_facts
from hatchlock.engines.images import engine_traits
from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord
from hatchlock.process import owner, owner_is_gone
from hatchlock.security.container import LABEL, container_config
from hatchlock.security.denials import Denial
from hatchlock.security.network import HOSTNAME, resolver_files
from hatchlock.security.provided import NOTHING, Provided
from hatchlock.security.secrets.memory import lay_out
from hatchlock.serve.missing import check_certificates
from hatchlock.serve.observer import NOBODY, Observer
from hatchlock.serve.secrets import and_remove
from hatchlock.serve.server import Take
from hatchlock.serve.watchdog import CREATED, DONE, Cleanup, Watchdog, end_container

if TYPE_CHECKING:
    from hatchlock.serve.network.hub import Hub
    from hatchlock.serve.network.network import Network
    from hatchlock.serve.network.sidecar import Sidecar

__all__ = ["ContainerServer", "ImageMissing", "Session", "is_leftover", "is_of_store", "remove_leftovers", "session"]

_NOT_FOUND = 404
_KILLED = 137
_GLANCES, _GLANCE_SECONDS = 10, 0.2
"""Streams end a moment before their container is said to have ended."""


@dataclass(kw_only=True, eq=False)
class ImageMissing(HatchlockError):
    """The engine has no image for a server."""

    code: ClassVar[str] = "image-missing"

    image: str
    engine: str

    def __str__(self) -> str:
        return f"the engine at {self.engine} has no image {self.image}"

    def _hint(self) -> str:
        return "make it with `hatchlock apply`"


class ContainerServer:
    """A `Server` that is a container."""

    def __init__(self, engine: Engine, name: str, attached: Attached, *, record: LaunchRecord) -> None:
        self._engine = engine
        self._name = name
        self._attached = attached
        self._record = record
        self._ending = self._cut = False

    def send(self, data: bytes) -> None:
        """Write to its stdin."""
        self._attached.send(data)

    def end_input(self) -> None:
        """End its stdin."""
        self._attached.end_input()

    def readers(self, out: Take, err: Take) -> Sequence[Callable[[], None]]:
        """Return one reader: both streams come over one connection."""
        return (functools.partial(self._read, out, err),)

    def _read(self, out: Take, err: Take) -> None:
        self._attached.read(out, err)
        threading.Thread(
            target=self._end_unheard, daemon=True
        ).start()  # whoever waits for the reader need not wait for it

    def _end_unheard(self) -> None:
        """End it when only the connection with it has ended, since nobody hears it any more."""
        for _ in range(_GLANCES):
            if self._ending or not self._runs():
                return
            time.sleep(_GLANCE_SECONDS)
        self._cut = True
        self.kill()

    def stop(self) -> None:
        """Send the stop signal to its init, which hands it on."""
        with contextlib.suppress(EngineUnreachable):
            self._engine.kill(self._name, self._record.sandbox.stop_signal)

    def send_signal(self, number: int) -> None:
        """Send a signal to its init, which hands it on."""
        with contextlib.suppress(EngineUnreachable, EngineError):
            self._engine.kill(self._name, signal.Signals(number).name)

    def kill(self) -> None:
        """Kill it. What it said and nobody has read is lost: Docker waits for it to be read, and reports no end before."""
        self._ending = True
        self._attached.hang_up()
        with contextlib.suppress(EngineUnreachable):
            self._engine.kill(self._name)

    def wait(self) -> int:
        """Wait for its end; 1 when the engine itself is gone."""
        try:
            return self._engine.wait(self._name)
        except (EngineUnreachable, EngineError):
            return 1

    def explain(self, status: int) -> str:
        """Say whether it needed more memory than it may have, or was ended because nobody heard it any more."""
        if self._cut:
            return "the connection with its engine was cut, so it was ended"
        if status == _KILLED and self._killed_for_memory():
            return f"it needed more than its {self._record.sandbox.memory} of memory"
        return ""

    def limits_met(self) -> Sequence[Denial]:
        """Return its memory, if the engine had to end one of its processes for it."""
        return (Denial(kind="memory", what=self._record.sandbox.memory),) if self._killed_for_memory() else ()

    def close(self) -> None:
        """Remove the container.

        Raises:
            EngineUnreachable: The engine does not answer; the watchdog goes on trying.
        """
        self._ending = True
        self._attached.close()
        self._engine.remove(self._name)

    def _runs(self) -> bool:
        with contextlib.suppress(EngineUnreachable, EngineError):
            return bool(self._engine.inspect(self._name)["State"]["Running"])
        return False

    def _killed_for_memory(self) -> bool:
        with contextlib.suppress(EngineUnreachable, EngineError):
            return bool(self._engine.inspect(self._name)["State"]["OOMKilled"])
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A container that runs, and who sees to its end.

    Attributes:
        server: The container.
        watchdog: Removes it when this process could not.
        removed: Names of containers that an earlier run had left.
    """

    server: ContainerServer
    watchdog: Watchdog
    removed: Sequence[str]


@contextlib.contextmanager
def session(
    record: LaunchRecord,
    *,
    env: Mapping[str, str],
    provided: Provided = NOTHING,
    applied: str = "",
    store: str = "",
    observer: Observer = NOBODY,
    network: Network | None = None,
    ending: Callable[[Cleanup], Cleanup] = lambda cleanup: cleanup,
) -> Iterator[Session]:
    """Run a server's container, `hatchlock-PROJECT-SERVER-SESSION`, inside the block: nothing is left of it afterwards.

    To be called in a process without threads: it forks.

    Args:
        record: What to start.
        env: The variables that go over the image's own.
        provided: What this session gives it besides; its files, in a directory that was reserved (`serve.secrets`).
        applied: The digest of the record as it was applied, whose profile a plan compares the container with.
        store: The store's mark (`paths.store_mark`): another one may have a project of that name in the same engine.
        observer: Who watches it.
        network: What its network needs, where it has a list; None for nothing.
        ending: What the watchdog does besides, around its cleanup.

    Raises:
        ImageMissing: The engine has not got its image.
        PathMissing: The certificates that it is to trust are not there.
        RelayFailed: What its network needs does not start.
        EngineError: The engine refuses.
        EngineUnreachable: The engine does not answer.
    """
    check_certificates(record)
    engine = Engine(record.engine)
    engine.ping()
    digits = network.session if network else os.urandom(4).hex()
    name = f"hatchlock-{record.project}-{record.server}-{digits}"
    hub = network.hub() if network else None
    watchdog = Watchdog.start(ending(_cleanup(engine, name, hub, provided)))
    sidecar: Sidecar | None = None
    try:
        _lay_out_secrets(provided)
        labels = _labels(digits, record=applied, store=store)
        with _needing(record.image, engine):
            traits = engine_traits(engine, record.image)
        if record.sandbox.network == ("internet",):
            from hatchlock.serve.network.bridge import ensure_bridge  # noqa: PLC0415  few servers need one

            ensure_bridge(engine, record)
        if network and hub:
            from hatchlock.serve.network.sidecar import Sidecar  # noqa: PLC0415  few servers have one

            network.receive(hub)
            sidecar = Sidecar.create(_beside(name), record, engine, hub=hub, labels=labels)
            provided = replace(provided, joins=sidecar.id, shown=hub.place(resolver_files(network.hosts, own=HOSTNAME)))
        config = container_config(record, env=env, host=host_facts(), labels=labels, provided=provided, engine=traits)

        def created() -> None:
            watchdog.note(CREATED)
            observer.created(engine, name)

        server = _start(record, engine, name, config, created=created, complete=sidecar.wait if sidecar else None)
        try:
            observer.started(engine, name)
            removed: list[str] = []
            with contextlib.suppress(HatchlockError):
                removed = remove_leftovers(record, engine, store=store)
            yield Session(server=server, watchdog=watchdog, removed=removed)
        finally:
            server.close()
            if sidecar:
                engine.remove(sidecar.id)
            watchdog.note(DONE)
    except HatchlockError:
        # Refused before there was anything, or gone with the engine: the watchdog need not wait for it to appear.
        watchdog.note(CREATED)
        raise
    finally:
        watchdog.release()


def _beside(name: str) -> str:
    """Return the name of the container that is a server's way to its network."""
    return f"{name}-relay"


def _labels(session: str, **facts: str) -> dict[str, str]:
    known = {name: value for name, value in facts.items() if value}
    return {"session": session, "owner": owner(os.getpid()), **known}


def _lay_out_secrets(provided: Provided) -> None:
    if provided.secrets_directory:
        files = {PurePath(path).name: content for path, content in provided.files.items()}
        lay_out(Path(provided.secrets_directory), files)


def _cleanup(engine: Engine, name: str, hub: Hub | None, provided: Provided) -> Cleanup:
    """Return what removes all that a session makes: containers, then directories."""
    names = (name, _beside(name)) if hub else (name,)
    secrets = Path(provided.secrets_directory) if provided.secrets_directory else None
    containers = end_container(functools.partial(_remove_all, engine, names))
    return and_remove(hub.directory if hub else None, and_remove(secrets, containers))


def _remove_all(engine: Engine, names: Sequence[str]) -> bool:
    """Remove containers; return whether all of them were there."""
    removed = [engine.remove(name) for name in names]
    return all(removed)


@contextlib.contextmanager
def _needing(image: str, engine: Engine) -> Iterator[None]:
    """Say of an image which it is that the engine has not got."""
    try:
        yield
    except EngineError as error:
        if error.status == _NOT_FOUND:
            raise ImageMissing(image=image, engine=engine.address) from error
        raise


def _start(
    record: LaunchRecord,
    engine: Engine,
    name: str,
    config: Mapping[str, Any],
    *,
    created: Callable[[], None],
    complete: Callable[[], None] | None,
) -> ContainerServer:
    with _needing(record.image, engine):
        engine.create(name, config)
    created()
    if complete:
        complete()  # Podman joins another container's network as soon as somebody attaches
    attached = engine.attach(name)
    try:
        engine.start(name)
    except HatchlockError:
        attached.close()
        raise
    return ContainerServer(engine, name, attached, record=record)


def remove_leftovers(record: LaunchRecord, engine: Engine, *, store: str = "") -> list[str]:
    """Remove the containers of this server whose `run` is provably gone, and return their names.

    Args:
        record: The server.
        engine: Where.
        store: The store's mark; what another store's sessions have left is theirs.

    Raises:
        EngineError: The engine refuses.
        EngineUnreachable: The engine does not answer.
    """
    found = engine.list({f"{LABEL}.project": record.project, f"{LABEL}.server": record.server})
    own = [item for item in found if is_of_store(item, store)]
    return [item.name for item in own if is_leftover(item) and engine.remove(item.id)]


def is_of_store(container: Container, store: str) -> bool:
    """Whether a container is a store's, by its mark; those of versions that set none are everybody's."""
    return container.labels.get(f"{LABEL}.store", store) == store


def is_leftover(container: Container) -> bool:
    """Whether a container of ours is one whose `run` is provably gone."""
    return owner_is_gone(container.labels.get(f"{LABEL}.owner", ""))
