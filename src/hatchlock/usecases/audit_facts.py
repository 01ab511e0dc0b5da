"""The facts that `audit` decides on: gathered from manifest, lock, store, engine and machine. Reads only."""

from __future__ import annotations

import os
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
        from hatchlock.usecases.audit_engine import containers, engine_facts, images
        from hatchlock.usecases.audit_files import paths, secret_files
        from hatchlock.usecases.audit_log import log_facts

        emit(Event(name="audit.start", message="plan"))
        plan = self._plan()
        engine = engine_facts(self._project, self._lock)
        answers = engine is not None and not engine.problem
        target = self._planned.target if self._planned else None
        emit(Event(name="audit.start", message="containers"))
        values = {**plan, **self._environments(), **self._garbage(), **self._standings(online=online, emit=emit)}
        servers = tuple(self._servers())
        return Facts(
            lock=self._lock,
            is_root=os.geteuid() == 0,
            process_limits=_process_limits(),
            servers=servers,
            engine=engine,
            containers=tuple(containers(self._project, self._manifest.project.name)) if answers else (),
            images=tuple(images(self._project, target)) if answers and target else (),
            paths=tuple(paths(self._project, target)),
            log=log_facts(self._project.home.root),
            secret_files=tuple(item for server in servers for item in secret_files(self._project, server)),
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

    def _environments(self) -> dict[str, Any]:
        from hatchlock.resources.env_health import contents_of, damages
        from hatchlock.security.audit.facts import Remark
        from hatchlock.store.blobs import Blobs
        from hatchlock.store.receipts import finished

        if self._planned is None:
            return {}
        home = self._project.home
        trees = [(spec, home.envs / spec.key) for spec in self._planned.target.environments]
        built = [(spec, tree) for spec, tree in trees if finished(tree)]
        contents = {spec.address: contents_of(spec, tree, Blobs(home.blobs)) for spec, tree in built}
        return {
            "environments": tuple(str(spec.address) for spec, _ in built),
            "damages": tuple(
                Remark(address=str(spec.address), what=what, hint=f"hatchlock apply --replace {spec.address}")
                for spec, tree in built
                for what in (*damages(spec, tree), *contents[spec.address].differences)
            ),
            "uncompared": tuple(
                Remark(address=str(address), what=found.unknown) for address, found in contents.items() if found.unknown
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
            if item.is_locked:
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
