"""Lock and machine facts -> everything that should be on this machine, as one value. Pure, but for the machine it is told of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hatchlock.address import Address, ResourceKind
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import Lock
from hatchlock.manifest.handover import Handover
from hatchlock.manifest.model import Manifest
from hatchlock.resolve.entries import entries_of, with_entries
from hatchlock.resolve.wanted import container_platforms
from hatchlock.resources.base import Problem
from hatchlock.resources.check_engine import engine_notes
from hatchlock.resources.client_target import other_files, usual_files, wanted_entries
from hatchlock.resources.dockerfile_spec import DockerfileSpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.resources.image_target import images_beside
from hatchlock.resources.machine import Machine
from hatchlock.resources.network_target import RelayImageMissing, with_relay
from hatchlock.resources.package_counts import count_packages
from hatchlock.resources.placing import Placing
from hatchlock.resources.server import ServerSpec
from hatchlock.resources.system_spec import SystemSpec
from hatchlock.resources.target import Target

__all__ = ["compile_target"]


def compile_target(manifest: Manifest, lock: Lock, machine: Machine) -> Target:
    """Return what should be, for a manifest (overlay applied) and the lock that satisfies it.

    A server, or an environment that no server uses, that cannot be placed on this machine becomes a problem; the others are
    not affected.
    """
    manifest = with_entries(manifest, entries_of(lock))
    builder = Placing(manifest=manifest, lock=lock, machine=machine)
    environments: dict[Address, EnvSpec] = {}
    images: list[ImageSpec | DockerfileSpec] = []
    servers: list[ServerSpec] = []
    problems: list[Problem] = []
    for name in sorted(manifest.servers):
        try:
            placed = builder.server(name)
        except HatchlockError as error:
            address = Address(kind=ResourceKind.SERVER, name=name)
            problems.append(Problem.of(address, error))
            continue
        servers.append(placed.server)
        if placed.environment:
            environments[placed.environment.address] = placed.environment
        if placed.image:
            images.append(placed.image)
    for locked in builder.unused():
        try:
            found = builder.environment(locked)
        except HatchlockError as error:
            kind = ResourceKind.ENV if locked.runtime == "process" else ResourceKind.IMAGE
            address = Address(kind=kind, name=locked.name)
            problems.append(Problem.of(address, error))
            continue
        if isinstance(found, EnvSpec):
            environments[found.address] = found
        else:
            images.append(found)
    for address, make in images_beside(lock, machine):
        try:
            images.append(make())
        except HatchlockError as error:
            problems.append(Problem.of(address, error))
    images.sort(key=lambda image: image.server)
    servers = [*_with_relays(servers, images, manifest.project.name, problems)]
    wanted = wanted_entries(manifest, machine)
    systems = {spec.name: spec for name in environments if (spec := builder.system(name.name))}
    (container_platform,) = container_platforms([machine.platform])
    return Target(
        project=manifest.project.name,
        systems=tuple(systems[name] for name in sorted(systems)),
        environments=tuple(environments[address] for address in sorted(environments)),
        images=tuple(image for image in images if isinstance(image, ImageSpec)),
        dockerfiles=tuple(image for image in images if isinstance(image, DockerfileSpec)),
        servers=tuple(_on_system(server, systems) for server in servers),
        entries=wanted.entries,
        left_out=wanted.left_out,
        usual_files=tuple(usual_files(machine)),
        other_files=tuple(other_files(machine)),
        problems=(*problems, *wanted.problems),
        packages=count_packages(lock, machine.platform, container_platform),
        engine="" if isinstance(machine.engine, HatchlockError) else machine.engine,
        listed=tuple(builder.listed()),
        groups=builder.groups(),
        handover=_handover(manifest.handover, machine),
        notes=engine_notes(machine.lacks),
        drift={name: spec.drift for name, spec in manifest.servers.items() if spec.drift != "correct"},
    )


def _with_relays(
    servers: Iterable[ServerSpec], images: Sequence[ImageSpec | DockerfileSpec], project: str, problems: list[Problem]
) -> Iterator[ServerSpec]:
    for server in servers:
        try:
            yield with_relay(server, images, project)
        except RelayImageMissing as error:
            problems.append(Problem.of(server.address, error))


def _handover(written: Handover, machine: Machine) -> Handover:
    """Return it with the directories of this machine."""
    adopted = {
        address: machine.path(name) if name.startswith((".", "/", "~/")) else name
        for address, name in written.adopted.items()
    }
    return replace(written, adopted=adopted)


def _on_system(server: ServerSpec, systems: Mapping[str, SystemSpec]) -> ServerSpec:
    needs = server.needs
    spec = systems.get(needs.name) if needs and needs.kind is ResourceKind.ENV else None
    return replace(server, system=spec.address) if spec else server
