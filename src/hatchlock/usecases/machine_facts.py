"""What this machine has of what a lock needs: interpreters, programs, an engine, a sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.paths import user_home

if TYPE_CHECKING:
    from hatchlock.engines.facts import Lack
    from hatchlock.lock.model import Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.resources.env_target import InterpreterFacts
    from hatchlock.resources.machine import Machine
    from hatchlock.usecases.project import Project

__all__ = ["look_at_machine"]


def look_at_machine(project: Project, manifest: Manifest, lock: Lock) -> tuple[Machine, list[str] | None]:
    """Look at this machine, as far as the manifest's servers need it.

    Returns:
        What it has; and the files that this depends on, or None where it depends on more than files.
    """
    from hatchlock.engines.debian_host import OS_RELEASE, host_system
    from hatchlock.engines.process import check_isolation, find_bwrap, host_platform
    from hatchlock.net.trust import own_certificates
    from hatchlock.resources.machine import Machine
    from hatchlock.usecases.applications import look_for_applications
    from hatchlock.usecases.host_ports import host_ports

    processes = [item for item in manifest.servers.values() if item.runtime == "process" and not item.url]
    own = [item for item in lock.environments if item.runtime == "process"]
    isolated = processes or any(item.builds or item.scripts for item in own)
    versions = {item.python for item in own if item.python and not item.managed}
    interpreters = {version: _interpreter(version, project.environ) for version in versions}
    nodes = {version: _node(version, project.environ) for version in {item.node for item in own if item.node}}
    commands = {server.command[0] for server in processes if server.source is None and not server.environment}
    programs = {command: _program(command, project) for command in commands}
    engine = _engine(manifest, lock, project.environ)
    absent, signs = look_for_applications(manifest, project.environ)
    machine = Machine(
        platform=host_platform(),
        system=sys.platform,
        home=project.home,
        user_home=user_home(project.environ),
        directory=project.directory,
        environ=project.environ,
        interpreters=interpreters,
        nodes=nodes,
        programs=programs,
        engine=engine,
        lacks=_lacks(engine),
        isolation=(check_isolation(project.environ) or "") if isolated else "",
        is_root=os.geteuid() == 0,
        host=host_system(project.environ),
        certificates=own_certificates(project.environ),
        absent=absent,
        ports=host_ports(project, manifest, lock),
    )
    if machine.isolation:
        return machine, None  # whatever is in the way of bubblewrap today
    bwrap = find_bwrap(project.environ.get("PATH", "")) if isolated else None
    looked_up = [*interpreters.values(), *nodes.values()]
    found = [item.path for item in looked_up if not isinstance(item, HatchlockError)]
    others = [item for item in (bwrap, *programs.values()) if isinstance(item, str)]
    return machine, [*found, *others, *signs, *OS_RELEASE]


def _node(version: str, environ: Mapping[str, str]) -> InterpreterFacts | HatchlockError:
    from hatchlock.engines.node import NodeMissing, find_node
    from hatchlock.resources.env_target import InterpreterFacts

    try:
        found = find_node(version, environ)
    except NodeMissing as error:
        return error
    return InterpreterFacts(path=found.path, version=found.version, prefixes=found.prefixes)


def _interpreter(version: str, environ: Mapping[str, str]) -> InterpreterFacts | HatchlockError:
    from hatchlock.engines.process import InterpreterMissing, find_interpreter
    from hatchlock.resources.env_target import InterpreterFacts

    try:
        found = find_interpreter(version, environ)
    except InterpreterMissing as error:
        return error
    return InterpreterFacts(path=found.path, version=found.version, prefixes=found.prefixes)


def _program(command: str, project: Project) -> str | HatchlockError:
    from hatchlock.engines.process import find_program
    from hatchlock.resources.unplaced import ProgramMissing

    if command.startswith(("/", "~/")):
        path: str | None = str(project.place(command))
    else:
        path = find_program(command, project.environ.get("PATH", ""))
    return path if path and Path(path).is_file() else ProgramMissing(program=command)


def _engine(manifest: Manifest, lock: Lock, environ: Mapping[str, str]) -> str | HatchlockError:
    from hatchlock.address import Kind

    wanting = (
        *(server.runtime == "container" for server in manifest.servers.values()),
        *(item.runtime == "container" for item in lock.environments),
        *(package.kind is Kind.OCI for package in lock.packages),
    )
    if not any(wanting):
        return ""
    from hatchlock.engines.locate import EngineNotFound, find_engine

    try:
        return find_engine(environ)
    except EngineNotFound as error:
        return error


def _lacks(engine: str | HatchlockError) -> tuple[Lack, ...]:
    if not engine or isinstance(engine, HatchlockError):
        return ()
    from hatchlock.engines.api import Engine, EngineError
    from hatchlock.engines.facts import read_lacks

    try:
        return read_lacks(Engine(engine))
    except EngineError:
        return ()  # an engine that does not tell what it is
