"""Everything that should be on this machine, as one value, and as JSON.

It is made from a lock in `compile`, which loads a resolver; what is made from it is the `world`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hatchlock.address import Address
from hatchlock.launch import LaunchRecord
from hatchlock.manifest.handover import NO_HANDOVER, Handover
from hatchlock.resources.base import Artefact, DriftPolicy, Problem
from hatchlock.resources.client_file import ClientFile, EntrySpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.resources.package_counts import PackageCounts
from hatchlock.resources.server import ServerSpec

if TYPE_CHECKING:
    from hatchlock.resources.dockerfile_spec import DockerfileSpec
    from hatchlock.resources.system_spec import SystemSpec

__all__ = ["TARGET_FORMAT", "ListedServer", "Target", "target_from_dict", "target_to_dict"]

TARGET_FORMAT = 1
"""Raised when the same JSON values mean another target than before; what lacks a field, or has one more, is none anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedServer:
    """A server that is an entry of the MCP registry, which may say something else of it tomorrow.

    Attributes:
        server: The server's name.
        entry: The entry's name.
        version: The locked version.
        registry: The registry's address; "" for the official one.
        ttl: Seconds for which what it says is not asked for again; None for the usual.
    """

    server: str
    entry: str
    version: str
    registry: str = ""
    ttl: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What should be on this machine, and what of it cannot be said.

    Attributes:
        project: The project's name.
        systems: What environments of the process runtime need of the host.
        environments: For the process runtime.
        images: For the container runtime.
        dockerfiles: Images of the container runtime that are built from the user's own Dockerfiles.
        servers: Their launch records.
        entries: In the files of applications.
        usual_files: The files of the applications that the first version knew.
        other_files: Those of all others. They are no part of what targets are compared by.
        left_out: Applications that are left out because they are not installed, sorted.
        problems: Servers and environments that cannot be placed on this machine.
        packages: Where the packages of the lock come from, and what they take.
        engine: The container engine's address; "" if nothing needs one, or none was found.
        listed: Servers that are entries of the MCP registry, by name.
        groups: Name of a group -> names of its servers, sorted.
        notes: What of the profiles of its servers would not hold on the engine, a sentence each.
        drift: Server -> what to do when somebody else has changed something of it, where it is not put right.
        handover: What got another name, is given up or taken over.
    """

    project: str
    systems: tuple[SystemSpec, ...] = ()
    environments: tuple[EnvSpec, ...] = ()
    images: tuple[ImageSpec, ...] = ()
    dockerfiles: tuple[DockerfileSpec, ...] = ()
    servers: tuple[ServerSpec, ...] = ()
    entries: tuple[EntrySpec, ...] = ()
    usual_files: tuple[ClientFile, ...] = ()
    other_files: tuple[ClientFile, ...] = field(default=(), compare=False)
    left_out: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    packages: PackageCounts = field(default_factory=PackageCounts)
    engine: str = ""
    listed: tuple[ListedServer, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    drift: Mapping[str, DriftPolicy] = field(default_factory=dict)
    handover: Handover = NO_HANDOVER


def target_to_dict(target: Target) -> dict[str, Any]:
    """Return a target as JSON values, without `other_files`."""
    return {
        "project": target.project,
        "systems": [spec.to_dict() for spec in target.systems],
        "environments": [spec.to_dict() for spec in target.environments],
        "images": [asdict(spec) for spec in target.images],
        "dockerfiles": [spec.to_dict() for spec in target.dockerfiles],
        "servers": [
            {
                "record": spec.record.to_json().decode(),
                "needs": str(spec.needs or ""),
                "system": str(spec.system or ""),
                "relay": str(spec.relay or ""),
                "notes": spec.notes,
            }
            for spec in target.servers
        ],
        # as text, since the order of an entry's fields is part of what is written
        "entries": [asdict(spec) | {"value": json.dumps(spec.value)} for spec in target.entries],
        "usual_files": [asdict(file) for file in target.usual_files],
        "problems": [asdict(problem) | {"address": str(problem.address)} for problem in target.problems],
        "packages": asdict(target.packages),
        "engine": target.engine,
        "listed": [asdict(item) for item in target.listed],
        "notes": list(target.notes),
        # without any it is what it was before there were groups, and plans are bound to its digest
        **({"groups": dict(target.groups)} if target.groups else {}),
        **({"drift": dict(target.drift)} if target.drift else {}),
        **({"left_out": list(target.left_out)} if target.left_out else {}),
        **({"handover": target.handover.to_dict()} if target.handover != NO_HANDOVER else {}),
    }


def target_from_dict(data: Mapping[str, Any]) -> Target:
    """Read back what `target_to_dict` gave, with `other_files` where they were added.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: It is something else.
    """
    return Target(
        project=data["project"],
        systems=tuple(map(_system, data["systems"])),
        environments=tuple(map(EnvSpec.from_dict, data["environments"])),
        images=tuple(map(_image, data["images"])),
        dockerfiles=tuple(map(_dockerfile, data["dockerfiles"])),
        servers=tuple(map(_server, data["servers"])),
        entries=tuple(map(_entry, data["entries"])),
        usual_files=tuple(ClientFile(**item) for item in data["usual_files"]),
        problems=tuple(Problem(**item | {"address": Address.parse(item["address"])}) for item in data["problems"]),
        packages=PackageCounts(**data["packages"]),
        engine=data["engine"],
        listed=tuple(ListedServer(**item) for item in data["listed"]),
        groups={name: tuple(servers) for name, servers in data.get("groups", {}).items()},
        notes=tuple(data["notes"]),
        drift=dict(data.get("drift", {})),
        left_out=tuple(data.get("left_out", ())),
        other_files=tuple(ClientFile(**item) for item in data.get("other_files", ())),
        handover=Handover.from_dict(data["handover"]) if "handover" in data else NO_HANDOVER,
    )


def _system(item: Mapping[str, Any]) -> SystemSpec:
    from hatchlock.resources.system_spec import SystemSpec  # noqa: PLC0415  few projects have one

    return SystemSpec.from_dict(item)


def _dockerfile(item: Mapping[str, Any]) -> DockerfileSpec:
    from hatchlock.resources.dockerfile_spec import DockerfileSpec  # noqa: PLC0415  few projects have one

    return DockerfileSpec.from_dict(item)


def _image(item: Mapping[str, Any]) -> ImageSpec:
    from hatchlock.lock.images import ImagePlatform, Layer  # noqa: PLC0415  a project without containers does without

    base: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in item["base"].items()
    }
    base["layers"] = tuple(Layer(**layer) for layer in base["layers"])
    values = {
        **item,
        "base": ImagePlatform(**base),
        "debs": tuple(Artefact(**deb) for deb in item["debs"]),
        "environment": EnvSpec.from_dict(item["environment"]) if item["environment"] else None,
        "outputs": tuple(item["outputs"]),
    }
    return ImageSpec(**values)


def _entry(item: Mapping[str, Any]) -> EntrySpec:
    return EntrySpec(**{**item, "file": ClientFile(**item["file"]), "value": json.loads(item["value"])})


def _server(item: Mapping[str, Any]) -> ServerSpec:
    return ServerSpec(
        record=LaunchRecord.from_json(item["record"].encode()),
        needs=Address.parse(item["needs"]) if item["needs"] else None,
        system=Address.parse(item["system"]) if item["system"] else None,
        relay=Address.parse(item["relay"]) if item["relay"] else None,
        notes=tuple(item["notes"]),
    )
