"""What the manifest wants of a lock, as values: the environments to resolve, the images to look up, the launches. Pure."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.address import Kind, Source
from hatchlock.errors import HatchlockError
from hatchlock.launch import Runtime
from hatchlock.lock.model import Environment, Lock, Server
from hatchlock.manifest.model import MANAGED, EnvironmentSpec, Manifest, ServerSpec
from hatchlock.resolve.direct import normal_form

__all__ = [
    "USUAL_NODE",
    "SharedName",
    "WantedEnvironment",
    "container_platforms",
    "default_python",
    "launch_of",
    "named_source",
    "wanted_environments",
    "wanted_images",
]

USUAL_NODE = "22"
"""The Node of a container whose manifest names none."""


@dataclass(kw_only=True, eq=False)
class SharedName(HatchlockError):
    """A declared environment is called like a server that has a private one."""

    code: ClassVar[str] = "shared-name"

    name: str

    def __str__(self) -> str:
        return f"[environments.{self.name}] and the private environment of [servers.{self.name}] would share a name"

    def _hint(self) -> str:
        return f'rename the environment, or let the server use it: environment = "{self.name}"'


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedEnvironment:
    """An environment that the lock must hold.

    Attributes:
        name: As declared, or its server's.
        private: Whether it is a server's private one.
        runtime: Which wheels it takes.
        python: "3.11".
        python_declared: Whether the manifest says so; else it is only there if something needs it.
        managed: Whether it is to be one of uv's own builds ("managed:3.11").
        node: "22"; "" when neither manifest nor an earlier lock says.
        node_declared: Whether the manifest says so.
        base: Reference of the base image, container runtime only.
        trust: Its label; it is not resolved, and a changed one changes nothing else.
        requirements: Sorted, `kind:spec`.
        constraints: Sorted.
        overrides: Sorted.
        allow_build: Names of Python that may be built from source, normalised, sorted.
        allow_scripts: Names of npm whose install scripts run, sorted.
    """

    name: str
    private: bool
    runtime: Runtime
    python: str
    base: str
    python_declared: bool = False
    managed: bool = False
    node: str = ""
    node_declared: bool = False
    trust: str = ""
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    allow_build: tuple[str, ...] = ()
    allow_scripts: tuple[str, ...] = ()


def default_python() -> str:
    """Return the version that is recorded when the manifest does not say: that of the interpreter which runs us."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def container_platforms(platforms: Iterable[str]) -> tuple[str, ...]:
    """Return the platforms of containers for declared platforms: always Linux, whatever the machine runs."""
    return tuple(sorted({f"linux/{platform.partition('/')[2]}" for platform in platforms}))


def wanted_environments(manifest: Manifest, previous: Lock | None) -> tuple[WantedEnvironment, ...]:
    """Return the environments that the manifest needs, sorted by name and runtime.

    A declared environment is wanted once for each runtime of its servers, whose sources it requires; without servers, for
    the process runtime, or the container runtime if it names a base.

    Raises:
        SharedName: A declared and a private environment would have the same name.
    """
    wanted: list[WantedEnvironment] = []
    for name, spec in manifest.environments.items():
        users = [server for server in manifest.servers.values() if server.environment == name]
        fallback: Runtime = "container" if spec.base else "process"
        for runtime in sorted({server.runtime for server in users}) or [fallback]:
            sources = [server.source for server in users if server.runtime == runtime and server.source]
            recorded = _recorded((name,), runtime, previous)
            wanted.append(_environment(spec, runtime, sources, recorded, private=False))
    for server in manifest.servers.values():
        if server.source is None or server.source.kind is Kind.OCI or server.environment:
            continue
        if server.name in manifest.environments:
            raise SharedName(name=server.name, address=f"server:{server.name}")
        before = manifest.handover.names_before(server.name)
        recorded = _recorded((server.name, *before), server.runtime, previous)
        wanted.append(_environment(server.private, server.runtime, (server.source,), recorded, private=True))
    return tuple(sorted(wanted, key=lambda item: (item.name, item.runtime)))


def _environment(
    spec: EnvironmentSpec, runtime: Runtime, sources: Iterable[Source], recorded: Environment | None, *, private: bool
) -> WantedEnvironment:
    declared = spec.python.removeprefix(MANAGED)
    python = declared or (recorded.python if recorded else "") or default_python()
    node = spec.node or (recorded.node if recorded else "")
    requirements = _texts([*sources, *spec.dependencies])
    base = ""
    if runtime == "container":
        named = [text.partition(":")[0] for text in requirements]
        base = (
            spec.base.spec
            if spec.base
            else _usual_base(named, python, spec.node or (recorded.node if recorded else ""))
        )
    return WantedEnvironment(
        name=spec.name,
        private=private,
        runtime=runtime,
        python=python,
        python_declared=bool(spec.python),
        managed=spec.python.startswith(MANAGED),
        node=node,
        node_declared=bool(spec.node),
        base=base,
        trust=spec.trust,
        requirements=requirements,
        constraints=_texts(spec.constraints),
        overrides=_texts(spec.overrides),
        allow_build=spec.allow_build,
        allow_scripts=spec.allow_scripts,
    )


def _usual_base(kinds: Iterable[str], python: str, node: str) -> str:
    """Return the official image of the language that kinds or a declared Node name; both need a base that says so."""
    languages = {Kind.NPM: "node", Kind.PYPI: "python", Kind.HATCH: "python"}
    named = {languages[Kind(kind)] for kind in kinds if kind in languages} or ({"node"} if node else set())
    return f"node:{node or USUAL_NODE}-slim" if named == {"node"} else f"python:{python}-slim"


def _texts(sources: Iterable[Source]) -> tuple[str, ...]:
    return tuple(sorted({named_source(source) for source in sources}))


def named_source(source: Source) -> str:
    """Return a source as the lock refers to it: what names itself what it means has one spelling."""
    return normal_form(str(source)) if source.kind in {Kind.PATH, Kind.GIT, Kind.HATCH, Kind.CONDA} else str(source)


def _recorded(names: Iterable[str], runtime: Runtime, previous: Lock | None) -> Environment | None:
    """Return what a lock has recorded of an environment, under the first of its names that it knows."""
    if previous is None:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            return previous.environment(name, runtime)
    return None


def wanted_images(manifest: Manifest) -> Mapping[str, str]:
    """Return the images that are servers: reference -> the server's address, for messages."""
    return {
        server.source.spec: f"server:{server.name}"
        for server in manifest.servers.values()
        if server.source is not None and server.source.kind is Kind.OCI
    }


def launch_of(server: ServerSpec, *, command: tuple[str, ...], choices: tuple[str, ...]) -> Server:
    """Return the lock's launch of a server.

    Args:
        server: As declared.
        command: As declared or resolved; empty when there is no single choice.
        choices: What there is to choose from, when `command` is empty.
    """
    is_image = server.source is not None and server.source.kind is Kind.OCI
    has_private = server.source is not None and not is_image
    return Server(
        name=server.name,
        source=server.entry or (str(server.source) if server.source else ""),
        runtime=server.runtime,
        isolation=server.isolation,
        environment=server.environment or (server.name if has_private else ""),
        image=server.source.spec if is_image and server.source else "",
        command=command,
        choices=choices,
        args=server.args,
        cwd=server.cwd,
        env=dict(sorted(server.env_literals.items())),
        secrets=dict(sorted(server.secrets.items())),
        sandbox=server.sandbox,
        startup_timeout=server.startup_timeout,
        transport=server.transport,
        trust=server.trust,
        url=server.url,
        headers=dict(sorted(server.headers.items())),
        header_secrets=dict(sorted(server.header_secrets.items())),
        port=server.port,
        path=server.path,
        host_port=server.host_port,
        serve=server.serve,
    )
