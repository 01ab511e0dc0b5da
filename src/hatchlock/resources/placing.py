"""Where the servers and environments of a lock go on this machine: what each one needs here, and how it is started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hatchlock.address import Address, Kind
from hatchlock.launch import WORKSPACE, LaunchRecord, Sandbox, SourceTree
from hatchlock.lock.model import Build, Environment, Lock, Server
from hatchlock.manifest.model import Manifest
from hatchlock.realise.tree import ROOT
from hatchlock.resolve.command import main_package
from hatchlock.resolve.direct import is_direct
from hatchlock.resolve.dockerfiles import build_starts
from hatchlock.resolve.entries import entries_of
from hatchlock.resolve.targets import environment_target
from hatchlock.resolve.wanted import launch_of
from hatchlock.resources.build_facts import NO_BUILDS, check_isolated
from hatchlock.resources.check_engine import check_engine
from hatchlock.resources.dockerfile_spec import DockerfileSpec
from hatchlock.resources.endpoints import choose_port, endpoint_of, is_reached
from hatchlock.resources.env_parts import ProgramSpec, ProjectSpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.env_target import check_command, environment_spec
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.resources.image_target import assembled_image, built_image, image_as_it_is
from hatchlock.resources.machine import Machine, or_raise
from hatchlock.resources.network_target import with_network
from hatchlock.resources.remotes import remote_spec
from hatchlock.resources.secret_notes import secret_notes
from hatchlock.resources.server import ServerSpec
from hatchlock.resources.surface_target import surface_rules
from hatchlock.resources.system_spec import SystemSpec, system_spec
from hatchlock.resources.target import ListedServer
from hatchlock.resources.unplaced import (
    CommandUnclear,
    ImageNameTaken,
    PlatformNotLocked,
    RuntimeNotLocked,
    TransportNotServed,
)
from hatchlock.resources.volume import volume_place
from hatchlock.security.mounts import Protected, settle
from hatchlock.security.sandbox import NotIsolated, SandboxUnsupported, private_uid, relaxations, unsupported
from hatchlock.security.seatbelt import seatbelt_problems
from hatchlock.security.secrets.memory import check_secret_files

__all__ = ["Placed", "Placing"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A server of this machine, and what it is started from.

    Attributes:
        server: How it is started.
        environment: The directory that it runs from; None for an image, or a program of this machine.
        image: The image that it runs from; None for a process.
    """

    server: ServerSpec
    environment: EnvSpec | None = None
    image: ImageSpec | DockerfileSpec | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Placing:
    """Places one manifest's servers, as its lock has them, on one machine. Its methods raise what is wrong with one of them.

    Attributes:
        manifest: With the overlay, and with entries of the MCP registry as what they stand for.
        lock: What satisfies it.
        machine: This machine.
    """

    manifest: Manifest
    lock: Lock
    machine: Machine

    def server(self, name: str) -> Placed:
        """Return what a server is here.

        Raises:
            HatchlockError: It cannot be placed.
        """
        locked = self.lock.server(name)
        if locked.transport not in {"stdio", "http"} and not locked.url:
            raise TransportNotServed(transport=locked.transport)
        launch = launch_of(self.manifest.servers[name], command=locked.command, choices=locked.choices)
        profile = locked.sandbox.seccomp_sha256
        launch = replace(launch, sandbox=replace(launch.sandbox, seccomp_sha256=profile))
        placed = self._placed(launch)
        return self._reached(placed, launch) if is_reached(launch) else placed

    def _placed(self, launch: Server) -> Placed:
        if launch.url:
            return Placed(server=remote_spec(self.manifest, self.lock, launch, self.machine))
        if build := self.lock.build(launch.name):
            return self._built_server(launch, build)
        if launch.runtime == "container":
            return self._image_server(launch) if launch.image else self._container_server(launch)
        return self._process_server(launch) if launch.environment else self._host_server(launch)

    def _reached(self, placed: Placed, launch: Server) -> Placed:
        """Return a server that stays, with the port of this machine that leads to it."""
        spec, machine, image = placed.server, self.machine, placed.image
        endpoint = endpoint_of(
            launch,
            spec.record,
            machine.ports.get(launch.name) or choose_port(self.manifest.project.name, launch.name),
            declared=image.base.ports if launch.image and isinstance(image, ImageSpec) else (),
            bare=launch.runtime == "process" and (machine.system == "darwin" or bool(machine.isolation)),
        )
        record = replace(spec.record, endpoint=endpoint)
        if launch.runtime == "container":
            check_engine(record, machine.lacks)
        return replace(placed, server=replace(spec, record=record))

    def unused(self) -> Iterator[Environment]:
        """Yield the declared environments that no server uses: they are for people, and for `exec`."""
        used = {server.environment for server in self.manifest.servers.values()}
        for locked in self.lock.environments:
            if locked.name in self.manifest.environments and locked.name not in used:
                yield locked

    def environment(self, locked: Environment) -> EnvSpec | ImageSpec:
        """Return what a declared environment is here: a directory, or an image under the environment's own name."""
        if locked.runtime == "process":
            return self._process_environment(locked)
        if locked.name in self.manifest.servers:
            raise ImageNameTaken(name=locked.name)
        or_raise(self.machine.engine)
        return assembled_image(self.manifest, self.lock, locked, self.machine, name=locked.name)

    def system(self, environment: str) -> SystemSpec | None:
        """Return what an environment of the process runtime needs of this host."""
        locked = self.lock.environment(environment, "process")
        return system_spec(self.lock, locked, self.machine.platform, self.machine.host)

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the servers of each group."""
        servers = self.manifest.servers.values()
        names = sorted({group for server in servers for group in server.groups})
        return {name: tuple(sorted(item.name for item in servers if name in item.groups)) for name in names}

    def listed(self) -> Iterator[ListedServer]:
        """Yield the servers that are entries of the MCP registry."""
        found = entries_of(self.lock)
        spec = next(iter(self.manifest.indexes.get("mcp", ())), None)
        url, ttl = (spec.url, spec.ttl) if spec else ("", None)
        for name, server in sorted(self.manifest.servers.items()):
            if entry := found.get(server.entry):
                yield ListedServer(server=name, entry=entry.name, version=entry.version, registry=url, ttl=ttl)

    def _process_environment(self, locked: Environment) -> EnvSpec:
        machine = self.machine
        if machine.platform not in self.lock.platforms:
            raise PlatformNotLocked(platform=machine.platform, locked=self.lock.platforms)
        spec, prefixes = environment_spec(
            self.lock,
            locked,
            machine.platform,
            home=machine.home,
            python=lambda version: or_raise(machine.interpreters[version]),
            node=lambda version: or_raise(machine.nodes[version]),
            target=environment_target(self.manifest, locked, {}, machine.platform) if locked.python else None,
        )
        self.system(locked.name)  # a host that cannot have what it needs is no place for it
        no_builds = machine.isolation or (NO_BUILDS if machine.system == "darwin" else "")
        check_isolated(spec, machine.home, no_builds)
        return replace(spec, prefixes=prefixes, trust=locked.trust)

    def _process_server(self, launch: Server) -> Placed:
        machine = self.machine
        locked = self._environment(launch)
        spec = self._process_environment(locked)
        tree = machine.home.envs / spec.key
        command = self._command(launch)
        check_command(self.lock, locked, machine.platform, command[0])
        place = self._place(launch, locked, spec, tree)
        record = self._record(
            launch,
            argv=(_program(command[0], tree, place), *command[1:], *launch.args),
            key=spec.key,
            read_only_paths=(str(tree), *spec.prefixes),
        )
        record = replace(record, cwd=launch.cwd or (place.directory if place else ""), source=place)
        return Placed(server=self._spec(record, spec.address), environment=spec)

    def _place(self, launch: Server, locked: Environment, spec: EnvSpec, tree: Path) -> SourceTree | None:
        """Return where the server's own project or program is, if it is one."""
        source = self.manifest.servers[launch.name].source
        if source is None or not is_direct(str(source)):
            return None
        package = main_package(source, locked, self.lock)
        places: list[ProjectSpec | ProgramSpec] = [*spec.projects, *spec.programs]
        found = [item for item in places if package and item.artefact.package == package.id]
        if not found or package is None:
            return None
        is_local = package.source_class == "local" and package.kind in {Kind.PATH, Kind.HATCH}
        live = self.machine.path(package.location) if is_local else ""
        return SourceTree(directory=str(tree / found[0].path), live=live, sha256=found[0].artefact.digest)

    def _host_server(self, launch: Server) -> Placed:
        program = or_raise(self.machine.programs[launch.command[0]])
        argv = (program, *launch.command[1:], *launch.args)
        record = self._record(launch, argv=argv, key="", read_only_paths=())
        note = f"not pinned: {program} is a program of this machine"
        return Placed(server=self._spec(record, None, note))

    def _container_server(self, launch: Server) -> Placed:
        locked = self._environment(launch)
        spec = assembled_image(self.manifest, self.lock, locked, self.machine, name=launch.name)
        command = self._command(launch)
        check_command(self.lock, locked, spec.platform, command[0])
        tree = Path(ROOT)
        place = self._place(launch, locked, spec.environment, tree) if spec.environment else None
        argv = (_program(command[0], tree, place), *command[1:], *launch.args)
        server = self._in_image(launch, spec, argv)
        record = replace(server.record, cwd=launch.cwd or (place.directory if place else ""), source=place)
        return Placed(server=replace(server, record=record), image=spec)

    def _image_server(self, launch: Server) -> Placed:
        spec = image_as_it_is(self.lock, launch.image, self.machine, name=launch.name)
        image = spec.base
        argv = (*(launch.command or image.entrypoint), *(launch.args or image.command))
        if not argv:
            raise CommandUnclear(source=launch.source, choices=())
        record = self._in_image(launch, spec, argv)
        return Placed(server=record, image=spec)

    def _built_server(self, launch: Server, build: Build) -> Placed:
        spec = built_image(self.lock, build, self.machine)
        images = {image.reference: image for image in self.lock.images}
        entrypoint, command = build_starts(build, images, spec.platform)
        argv = (*launch.command, *launch.args) if launch.command else (*entrypoint, *(launch.args or command))
        if not argv:
            raise CommandUnclear(source=build.context, choices=())
        return Placed(server=self._in_image(launch, spec, argv), image=spec)

    def _in_image(self, launch: Server, spec: ImageSpec | DockerfileSpec, argv: tuple[str, ...]) -> ServerSpec:
        engine = or_raise(self.machine.engine)
        record = self._record(launch, argv=argv, key=spec.key, read_only_paths=())
        image = spec.started_as(self.manifest.project.name)
        record = replace(record, image=image, engine=engine)
        check_engine(record, self.machine.lacks)
        check_secret_files(record)
        return self._spec(record, spec.address)

    def _environment(self, launch: Server) -> Environment:
        try:
            return self.lock.environment(launch.environment, launch.runtime)
        except KeyError:
            raise RuntimeNotLocked(runtime=launch.runtime) from None

    def _command(self, launch: Server) -> tuple[str, ...]:
        if not launch.command:
            raise CommandUnclear(source=launch.source, choices=launch.choices)
        return launch.command

    def _record(
        self, launch: Server, *, argv: tuple[str, ...], key: str, read_only_paths: tuple[str, ...]
    ) -> LaunchRecord:
        record = LaunchRecord(
            project=self.manifest.project.name,
            server=launch.name,
            runtime=launch.runtime,
            isolation=launch.isolation,
            argv=argv,
            cwd=launch.cwd,
            env=launch.env,
            secrets=launch.secrets,
            sandbox=self._sandbox(launch),
            key=key,
            read_only_paths=read_only_paths,
            directory=str(self.machine.directory),
            startup_timeout=launch.startup_timeout,
            trust=launch.trust,
            audit=self.manifest.project.audit,
            surface=surface_rules(
                self.manifest.servers[launch.name].tools, self.lock, launch.name, self.machine.platform
            ),
        )
        beside = seatbelt_problems(record) if self.machine.system == "darwin" and launch.runtime == "process" else ()
        if problems := (*unsupported(record, root=self.machine.is_root), *beside):
            raise SandboxUnsupported(runtime=record.runtime, problems=problems)
        kept = {path: volume_place(self.machine.home, record, path) for path in record.sandbox.writable}
        return with_network(replace(record, volumes=kept), self.machine)

    def _sandbox(self, launch: Server) -> Sandbox:
        """Return the profile with this machine's facts: where mounts are, and which user a process really is."""
        machine = self.machine
        written = launch.sandbox.mounts
        placed = [
            replace(item, source=machine.path(item.source)) if item.source != WORKSPACE else item for item in written
        ]
        engine = machine.engine if isinstance(machine.engine, str) else ""
        protected = Protected(home=str(machine.user_home), store=str(machine.home.root), engine=engine)
        mounts = tuple(placed) if machine.is_assumed else settle(placed, protected)
        user = launch.sandbox.user
        if launch.runtime == "process" and machine.is_root and user == Sandbox().user:
            uid = private_uid(self.manifest.project.name, launch.name)
            user = f"{uid}:{uid}"
        return replace(launch.sandbox, mounts=mounts, user=user)

    def _spec(self, record: LaunchRecord, needs: Address | None, *notes: str) -> ServerSpec:
        unisolated = record.runtime == "process" and self.machine.isolation
        if unisolated and record.isolation == "required":
            raise NotIsolated(problem=self.machine.isolation)
        return ServerSpec(
            record=record,
            needs=needs,
            notes=(
                *relaxations(self.manifest.servers[record.server].sandbox, runtime=record.runtime),
                *((f"not isolated: {self.machine.isolation}",) if unisolated else ()),
                *secret_notes(record, self.manifest.servers[record.server].clients),
                *notes,
            ),
        )


def _script(word: str, directory: str) -> str:
    return word if "/" in word else f"{directory}/{word}"


def _program(word: str, tree: Path, place: SourceTree | None) -> str:
    """Return what is started: a command of the environment, or a file of the server's own project."""
    if place and "/" in word and not word.startswith("/"):
        return str(Path(place.directory) / word)
    return _script(word, f"{tree}/bin")
