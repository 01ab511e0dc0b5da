"""The facts that `audit` decides on: gathered from manifest, lock, store, engine and machine. Reads only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink
from hatchlock.launch import WORKSPACE, LaunchRecord

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock, Server
    from hatchlock.manifest.model import Manifest
    from hatchlock.security.audit import facts as known
    from hatchlock.usecases.plan import Planned
    from hatchlock.usecases.project import Project

__all__ = ["Gathering"]

_TREES = {"envs", "conda", "pythons"}
"""Below the store: what servers of other users read, too; the directory above keeps everybody else out."""
_SOURCES = {"source", "base"}
_LISTS = {"with", "dependencies"}


class Gathering:
    """One project, its store, its engine, as they are now.

    Args:
        project: Which.
        manifest: Its manifest, with the overlay.
        lock: Its lock.
        text: The manifest's text.
    """

    def __init__(self, project: Project, manifest: Manifest, lock: Lock, text: str) -> None:
        from hatchlock.usecases.plan import project_state

        self._project = project
        self._manifest = manifest
        self._lock = lock
        self._text = text
        self._state = project_state(project, manifest.project.name)
        self._planned: Planned | None = None

    def facts(self, *, online: bool, emit: Sink) -> known.Facts:
        """Return the facts. Reads only.

        Args:
            online: Ask the indexes what is outdated.
            emit: Told about progress.

        Raises:
            BadState: Which launch records are active cannot be read.
            EngineUnreachable, EngineError, EngineFailed: The engine broke off in the middle.
        """
        from hatchlock.security.audit.facts import Facts
        from hatchlock.usecases.audit_log import log_facts

        emit(Event(name="audit.start", message="plan"))
        plan = self._plan()
        engine = self._engine()
        emit(Event(name="audit.start", message="containers"))
        values = {**plan, **self._environments(), **self._garbage(), **self._standings(online=online, emit=emit)}
        servers = tuple(self._servers())
        return Facts(
            lock=self._lock,
            is_root=os.geteuid() == 0,
            process_limits=_process_limits(),
            servers=servers,
            engine=engine,
            containers=tuple(self._containers(engine)),
            images=tuple(self._images(engine)),
            paths=tuple(self._paths()),
            log=log_facts(self._project.home.root),
            secret_files=tuple(item for server in servers for item in self._secret_files(server)),
            indexes=tuple(self._indexes()),
            loose=tuple(self._loose()),
            online=online,
            **values,
        )

    def _servers(self) -> Iterator[known.ServerFacts]:
        active = self._state.active()
        locked = {item.name: item for item in self._lock.servers}
        for name in sorted(locked.keys() | active.keys()):
            record = self._state.record(active[name]) if name in active else None
            yield self._server(name, locked.get(name), record)

    def _server(self, name: str, locked: Server | None, record: LaunchRecord | None) -> known.ServerFacts:
        from hatchlock.security.audit.facts import ServerFacts

        facts: dict[str, Any] = {"name": name, "is_declared": locked is not None}
        if locked:
            facts |= {
                "runtime": locked.runtime,
                "isolation": locked.isolation,
                "sandbox": locked.sandbox,
                "command": (*locked.command, *locked.args),
                "env": locked.env,
                "secrets": locked.references,
                "source": locked.source,
                "build": self._lock.build(name) is not None,
                "environment": locked.environment,
                "url": locked.url,
                "is_pinned": self._lock.surface(name) is not None,
                "trust": locked.trust,
            }
        if record:
            facts |= {
                "runtime": record.runtime,
                "isolation": record.isolation,
                "sandbox": record.sandbox,
                "command": record.argv,
                "env": record.env,
                "secrets": record.references,
                "url": record.remote.url if record.remote else "",
                "refused_mounts": self._refused(record),
            }
        facts.setdefault("runtime", "container")  # a record that cannot be read any more
        if facts["runtime"] == "process" and not facts.get("url"):
            facts["not_isolated"] = self._isolation_problem()
        return ServerFacts(**facts)

    def _isolation_problem(self) -> str:
        from hatchlock.engines.process import check_isolation

        return check_isolation(self._project.environ) or ""

    def _refused(self, record: LaunchRecord) -> dict[str, str]:
        from hatchlock.security.mounts import Protected, mount_problem

        protected = Protected(
            home=self._project.environ.get("HOME") or str(Path.home()),
            store=str(self._project.home.root),
            engine=record.engine,
        )
        found = {
            item.target: mount_problem(os.path.realpath(item.source), item.mode, protected)
            for item in record.sandbox.mounts
            if item.source != WORKSPACE
        }
        return {target: why for target, why in found.items() if why}

    def _plan(self) -> dict[str, Any]:
        from hatchlock.resolve.freshness import StaleLock
        from hatchlock.security.audit.facts import Remark
        from hatchlock.usecases.plan import make_plan

        try:
            self._planned = make_plan(self._project, purpose="audit", offline=True)
        except StaleLock as error:
            return {
                "plan": tuple(
                    Remark(
                        address=reason.address, what=f"the lock is stale: {reason.what}", hint=error.hint, blocks=True
                    )
                    for reason in error.reasons
                )
            }
        except HatchlockError as error:
            return {"plan_unknown": f"no plan can be made: {error}"}
        plan = self._planned.plan
        steps = (
            Remark(address=str(step.address), what=f"to {step.action}: {step.cause}", hint="hatchlock plan")
            for step in plan.steps
        )
        problems = (
            Remark(address=str(item.address), what=item.what, hint=item.hint, blocks=True) for item in plan.problems
        )
        return {"plan": (*steps, *problems)}

    def _engine(self) -> known.EngineFacts | None:
        from hatchlock.engines.locate import EngineNotFound, find_engine
        from hatchlock.security.audit.facts import EngineFacts

        runtimes = {*(item.runtime for item in self._lock.servers), *(item.runtime for item in self._lock.environments)}
        if "container" not in runtimes:
            return None
        try:
            address = find_engine(self._project.environ)
        except EngineNotFound:
            return EngineFacts(problem="no container engine answers")
        return self._asked(address)

    def _asked(self, address: str) -> known.EngineFacts:
        from hatchlock.engines.api import Engine
        from hatchlock.engines.facts import read_facts
        from hatchlock.security.audit.facts import EngineFacts

        try:
            found = read_facts(Engine(address))
        except HatchlockError as error:
            return EngineFacts(address=address, problem=str(error))
        guards = tuple(item for item in found.guards if not (item == "seccomp" and found.unconfined))
        place, _, options = address.partition("?")
        return EngineFacts(
            address=place,
            security=guards,
            unbound=found.unbound,
            socket_mode=_mode(Path(place.removeprefix("unix://"))) if place.startswith("unix://") else None,
            tls=bool(options),
        )

    def _containers(self, engine: known.EngineFacts | None) -> Iterator[known.ContainerFacts]:
        if engine is None or engine.problem:
            return
        from hatchlock.engines.api import Engine, EngineError
        from hatchlock.engines.locate import find_engine
        from hatchlock.paths import store_mark
        from hatchlock.security.audit.containers import container_facts
        from hatchlock.security.container import LABEL
        from hatchlock.serve.container import is_leftover, is_of_store

        asked = Engine(find_engine(self._project.environ))
        for item in asked.list({f"{LABEL}.project": self._manifest.project.name}):
            if not is_of_store(item, store_mark(self._project.home.root)):
                continue
            try:
                inspected = asked.inspect(item.id)
            except EngineError:
                continue  # its session has ended meanwhile
            found = container_facts(inspected, owner_gone=is_leftover(item), podman=asked.is_podman)
            if found:
                yield found

    def _images(self, engine: known.EngineFacts | None) -> Iterator[known.ImageFacts]:
        if engine is None or engine.problem or self._planned is None:
            return
        from hatchlock.engines.docker import Engine
        from hatchlock.engines.locate import find_engine
        from hatchlock.security.audit.facts import ImageFacts

        stated = self._project.home.statements()
        with Engine(find_engine(self._project.environ)) as asked:
            there = asked.images()
        for image in self._planned.target.images:
            tag = image.tag(self._manifest.project.name)
            if tag in there and image.is_assembled:
                yield ImageFacts(tag=tag, stated=image.key in stated)

    def _environments(self) -> dict[str, Any]:
        from hatchlock.resources.env_health import damages
        from hatchlock.security.audit.facts import Remark
        from hatchlock.store.receipts import finished

        if self._planned is None:
            return {}
        trees = [(spec, self._project.home.envs / spec.key) for spec in self._planned.target.environments]
        built = [(spec, tree) for spec, tree in trees if finished(tree)]
        return {
            "environments": tuple(str(spec.address) for spec, _ in built),
            "damages": tuple(
                Remark(address=str(spec.address), what=what) for spec, tree in built for what in damages(spec, tree)
            ),
        }

    def _garbage(self) -> dict[str, Any]:
        from hatchlock.usecases.gc import find_garbage

        try:
            found = find_garbage(self._project)
        except HatchlockError as error:
            return {"garbage_unknown": str(error)}
        # what is left of sessions is told by itself
        return {"garbage": tuple(f"{item.kind} {item.name}" for item in found.items if item.kind != "container")}

    def _standings(self, *, online: bool, emit: Sink) -> dict[str, Any]:
        from hatchlock.security.audit.facts import Standing
        from hatchlock.usecases.outdated import find_outdated

        try:
            found = find_outdated(self._project, offline=not online, emit=emit)
        except HatchlockError as error:
            return {"standings_unknown": str(error)}
        standings = tuple(
            Standing(
                what=item.what,
                current=item.current,
                compatible=item.compatible,
                newest=item.newest,
                state=item.state,
                reason=item.reason,
            )
            for item in found.standings
        )
        return {"standings": standings, "asked": found.asked}

    def _paths(self) -> Iterator[known.PathFacts]:
        project, home = self._project, self._project.home
        if home.root.exists():
            yield _path(home.root, "store")
            yield from _open_below(home.root)
            yield from (_path(path, "secret") for path in sorted(home.root.glob("secrets.*")))
        for path in (project.manifest, project.overlay, project.lock):
            if path.exists():
                yield _path(path, "project")
        if self._planned:
            files = {entry.file.path for entry in self._planned.target.entries}
            yield from (_path(Path(name), "client") for name in sorted(files) if Path(name).exists())

    def _secret_files(self, server: known.ServerFacts) -> Iterator[known.SecretFile]:
        from hatchlock.security.audit.facts import SecretFile
        from hatchlock.security.secrets.files import open_to_others, secret_path
        from hatchlock.security.secrets.tracked import not_ignored

        project = self._project
        for variable, reference in sorted(server.secrets.items()):
            kind, _, spec = reference.secret.partition(":")
            if kind != "file":
                continue
            # what follows `#` is a name in the file
            path = secret_path(spec.partition("#")[0], environ=project.environ, directory=str(project.directory))
            facts = _stat(path)
            yield SecretFile(
                server=server.name,
                variable=variable,
                path=str(path),
                exists=facts is not None,
                open_to=open_to_others(facts) if facts else "",
                mine=facts is None or facts.st_uid == os.geteuid(),
                committed=not_ignored(path, project=project.directory, environ=project.environ),
                required=reference.required,
            )

    def _indexes(self) -> Iterator[known.IndexFacts]:
        from hatchlock.security.audit.facts import IndexFacts

        for kind, specs in self._manifest.indexes.items():
            for spec in specs:
                for url in (spec.url, *spec.mirrors):
                    key = ("indexes", kind)
                    yield IndexFacts(key=key, url=url, plain=_is_plain(url), ttl=spec.ttl)
        for host, registry in self._manifest.registries.items():
            plain = bool(registry.plain_http) and _is_plain(f"http://{host}")
            yield IndexFacts(key=("registries", host), url=host, plain=plain)

    def _loose(self) -> Iterator[known.Loose]:
        import tomllib

        from hatchlock.manifest.checks import cautions
        from hatchlock.security.audit.facts import Loose

        for item in cautions(tomllib.loads(self._text)):
            if item.path[-1] in _SOURCES or (len(item.path) > 1 and item.path[-2] in _LISTS):
                yield Loose(key=item.path, what=item.what, hint=item.advice)


def _process_limits() -> str:
    from hatchlock.engines.cgroups import CONTROLLERS, bound_here

    words = {"memory": "memory for each process by itself", "cpu": "processors not at all"}
    apart = [words[name] for name in sorted(CONTROLLERS - bound_here()) if name in words]
    return f"its limits bind {' and '.join(apart)}: no control groups can be made here" if apart else ""


def _is_plain(url: str) -> bool:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and not (host in {"localhost", "::1"} or host.startswith("127."))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _mode(path: Path) -> int | None:
    facts = _stat(path)
    return stat.S_IMODE(facts.st_mode) if facts else None


def _path(path: Path, role: Any) -> known.PathFacts:
    from hatchlock.security.audit.facts import PathFacts

    facts = path.stat()
    return PathFacts(path=str(path), role=role, mine=facts.st_uid == os.geteuid(), mode=stat.S_IMODE(facts.st_mode))


def _open_below(root: Path) -> Iterator[known.PathFacts]:
    """Yield what below the store somebody else owns or could write to; links belong to nobody."""
    others = stat.S_IWGRP | stat.S_IWOTH
    for directory, directories, files in os.walk(root):
        here = Path(directory)
        is_kept = here.parent.parent == root / "volumes" or (
            here.parent.name == "volumes" and here.parent.parent.parent == root / "projects"
        )
        if is_kept or (here.parent == root and here.name in _TREES):  # what servers keep is theirs, and is not run
            directories.clear()
            continue
        for name in (*directories, *files):
            path = here / name
            try:
                facts = path.lstat()
            except OSError:
                continue  # somebody deletes it at this moment
            if stat.S_ISLNK(facts.st_mode):
                continue
            if facts.st_uid != os.geteuid() or facts.st_mode & others:
                yield _path(path, "inside")
