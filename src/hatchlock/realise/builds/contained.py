"""A build as a container of an image's base: it sees that base, its own /tmp, and nothing else."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from hatchlock.engines.api import Attached, Engine
from hatchlock.engines.host import host_facts
from hatchlock.launch import LaunchRecord, Sandbox, size_in_bytes
from hatchlock.process import owner, owner_is_gone
from hatchlock.realise.builds.order import BadBuildResult, build_environment
from hatchlock.security.container import LABEL, container_config

__all__ = ["ContainedBuild"]

_PURPOSE = "purpose"
_BUILD = "build"
_SANDBOX = Sandbox(memory="4g", pids=512, files=4096, tmp="4g")
_MOST_BYTES = 1 << 30
_SECONDS = 3600.0
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainedBuild:
    """The sandbox of one build.

    It has no network, no capability, a numeric user, limits, and a root that it cannot write to. The container is removed
    at the end, whatever happens, and those that a killed apply of the project left are removed first.

    Attributes:
        key: The build's.
        package: What is built.
        command: The interpreter, in the image, and what it runs.
        image: The tag of the base in the engine.
        project: Whose build it is.
        engine: The engine's address.
        cores: How many it has.
    """

    key: str
    package: str
    command: tuple[str, ...]
    image: str
    project: str
    engine: str
    cores: float

    def __call__(self, order: BinaryIO, result: BinaryIO, log: BinaryIO) -> int:
        """Run the build to its end and return its exit status.

        Raises:
            BadBuildResult: It writes more than a wheel has.
            EngineError, EngineUnreachable: The engine refuses, or is gone.
        """
        engine = Engine(self.engine)
        _remove_leftovers(engine, self.project)
        name = f"hatchlock-{self.project}-{_BUILD}-{self.key[:12]}-{os.urandom(4).hex()}"
        said = _Said(result, log)
        try:
            engine.create(name, _config(self))
            with contextlib.closing(engine.attach(name)) as attached:
                engine.start(name)
                overdue = threading.Timer(_SECONDS, engine.kill, [name])
                overdue.start()
                try:
                    _send(attached, order)
                    attached.read(said.out, said.err)
                    status = engine.wait(name)
                finally:
                    overdue.cancel()
        finally:
            engine.remove(name)
        if said.is_too_much:
            raise BadBuildResult(package=self.package, why=f"its build wrote more than {_MOST_BYTES >> 30} GiB")
        return status


def _config(build: ContainedBuild) -> dict[str, Any]:
    record = LaunchRecord(
        project=build.project,
        server=f"build-{build.key[:12]}",
        runtime="container",
        argv=build.command,
        cwd="/tmp",  # noqa: S108  inside
        sandbox=replace(_SANDBOX, cpus=build.cores),
        key=build.key,
        image=build.image,
    )
    labels = {_PURPOSE: _BUILD, "owner": owner(os.getpid())}
    config = container_config(record, env=build_environment(), host=host_facts(), labels=labels)
    size = size_in_bytes(record.sandbox.tmp)
    # a build runs what it compiled there
    config["HostConfig"]["Tmpfs"] = {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={size}"}  # noqa: S108
    return config


def _send(attached: Attached, order: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # it ended before; its log and status say why
        while piece := order.read(_CHUNK):
            attached.send(piece)
    attached.end_input()


class _Said:
    def __init__(self, result: BinaryIO, log: BinaryIO) -> None:
        self._result = result
        self._log = log
        self._size = 0

    @property
    def is_too_much(self) -> bool:
        return self._size > _MOST_BYTES

    def out(self, data: bytes) -> None:
        self._take(data, self._result)

    def err(self, data: bytes) -> None:
        self._take(data, self._log)

    def _take(self, data: bytes, stream: BinaryIO) -> None:
        self._size += len(data)
        if not self.is_too_much:
            stream.write(data)


def _remove_leftovers(engine: Engine, project: str) -> None:
    for found in engine.list({f"{LABEL}.project": project, f"{LABEL}.{_PURPOSE}": _BUILD}):
        if owner_is_gone(found.labels.get(f"{LABEL}.owner", "")):
            engine.remove(found.id)
