"""`env list` and `env show`: the lock's environments for people: what is in them, who uses them, and how they are here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hatchlock.errors import HatchlockError, UsageError
from hatchlock.launch import Runtime
from hatchlock.usecases.inspect import NotInLock, platform_of
from hatchlock.usecases.locked import read_project_lock
from hatchlock.usecases.plan import Connection, read_target

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.lock.model import Environment, Lock, Package
    from hatchlock.paths import Home
    from hatchlock.resources.base import Artefact
    from hatchlock.resources.env_spec import EnvSpec
    from hatchlock.resources.target import Target
    from hatchlock.usecases.project import Project

__all__ = [
    "BaseFacts",
    "EnvironmentDetails",
    "EnvironmentView",
    "PackageView",
    "Verified",
    "environment_of",
    "list_environments",
    "show_environment",
]

State = Literal["present", "missing", "damaged", "blocked", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentView:
    """An environment of the lock, and how it is on this machine.

    Attributes:
        name: Its name.
        runtime: Where its programs run.
        private: Whether it is a server's private one.
        python: "3.11", or "" when it has no Python.
        node: "22", or "" when it has no Node.
        base: Reference of the base image, container runtime only; "" otherwise.
        trust: Its label; "" for none.
        counts: Kind -> how many packages, on any platform; sorted.
        servers: Those that use it, sorted.
        state: "present", "missing" (`apply` makes it), "damaged", "blocked" (it cannot be made here), or "unknown" (the
            engine that has it does not answer).
        details: Why it is not "present", one clause each.
    """

    name: str
    runtime: Runtime
    private: bool
    python: str = ""
    node: str = ""
    base: str = ""
    trust: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    state: State
    details: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageView:
    """A package of an environment, on one platform.

    Attributes:
        id: `kind:name@version`.
        kind: Its kind.
        name: Its name.
        version: Its version.
        licence: As it says itself, a stranger's text; "" if it says nothing.
        size: Bytes of what is fetched for it; 0 where the lock does not say.
        source_class: "registry", "git", "local" or "url".
    """

    id: str
    kind: str
    name: str
    version: str
    licence: str
    size: int
    source_class: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseFacts:
    """What the lock knows of a base image on one platform.

    Attributes:
        reference: As the manifest names it.
        digest: `sha256:…` of the platform's manifest.
        python: Full version of its interpreter, or "".
        libc: "glibc 2.36", or "".
        packages: How many packages its own database lists.
        size: Bytes of its layers as the registry stores them.
    """

    reference: str
    digest: str
    python: str
    libc: str
    packages: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What reading the installed files again gave.

    Attributes:
        files: How many were compared with what was written down when it was built.
        altered: Those that are others or gone, below the environment, and then those that were added.
        damaged: What else is wrong, one clause each.
        unknown: What of it cannot be compared, and why, as a clause; "" if everything was.
    """

    files: int
    altered: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether everything could be compared, and is as it was installed."""
        return not (self.altered or self.damaged or self.unknown)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentDetails:
    """Everything that is known of one environment.

    Attributes:
        view: What the list shows of it.
        description: As declared.
        platform: Which one the packages are for.
        packages: By id.
        requirements: What was asked for.
        constraints: Bounds on other packages.
        overrides: What replaces what others say.
        download: Bytes of everything that is fetched for it, interpreter and base included.
        base: Its base image; None for the process runtime.
        clients: Server -> the applications that list it, sorted; only servers that use it.
        path: Its directory or its image; "" when it cannot be made here.
        size: Bytes on disk; None when it is not a directory that is there.
        verified: With `verify`, if it is a directory that is there; else None.
    """

    view: EnvironmentView
    description: str
    platform: str
    packages: tuple[PackageView, ...]
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    overrides: tuple[str, ...]
    download: int
    base: BaseFacts | None
    clients: Mapping[str, tuple[str, ...]]
    path: str
    size: int | None
    verified: Verified | None


def list_environments(project: Project) -> tuple[EnvironmentView, ...]:
    """Return the environments of a project's lock, by name and runtime, but for those to build in. Reads only.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        ManyErrors: The manifest has mistakes.
    """
    lock, here = read_project_lock(project), _Here(project, read_target(project))
    return tuple(_view(item, lock, here) for item in lock.environments if not item.makes)


def show_environment(
    project: Project,
    name: str,
    *,
    runtime: str | None = None,
    platform: str | None = None,
    verify: bool = False,
) -> EnvironmentDetails:
    """Return everything about one environment. Reads only.

    Args:
        project: Whose.
        name: The environment, or a server that uses it.
        runtime: Which of two environments of that name.
        platform: Whose packages; None for this machine's, else the lock's first.
        verify: Read the installed files again.

    Raises:
        NotInLock: There is no such environment, server or platform.
        UsageError: There are two of that name, or not for that runtime.
        FileNotLocked: No locked file of a package runs there.
        HatchlockError: What `list_environments` raises.
    """
    from hatchlock.manifest.load import load_bytes
    from hatchlock.resources.env_health import size_of
    from hatchlock.resources.needed import artefacts_of_environment

    lock, here = read_project_lock(project), _Here(project, read_target(project))
    manifest = load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes).manifest
    locked = environment_of(lock, name, runtime)
    where = platform_of(locked, platform, lock)
    view = _view(locked, lock, here)
    artefacts = {item.digest: item for item in artefacts_of_environment(manifest, lock, locked, where)}.values()
    base = _base(lock, locked, where)
    place = here.directory(locked)
    built = place if view.state in {"present", "damaged"} else None
    declared = manifest.environments.get(locked.name)
    return EnvironmentDetails(
        view=view,
        description=declared.description if declared else "",
        platform=where,
        packages=_packages(lock, locked, where, artefacts),
        requirements=locked.requirements,
        constraints=locked.constraints,
        overrides=locked.overrides,
        download=sum(item.size for item in artefacts) + (base.size if base else 0),
        base=base,
        clients={server: manifest.servers[server].clients for server in view.servers},
        path=str(place[1]) if place else next(iter(here.tags(locked)), ""),
        size=size_of(built[1]) if built else None,
        verified=_verified(*built, project.home) if built and verify else None,
    )


def environment_of(lock: Lock, name: str, runtime: str | None = None) -> Environment:
    """Return the environment that a name means: its own, or that of a server.

    Raises:
        NotInLock: There is none.
        UsageError: There is one for each runtime, and none was named; or there is none for the one that was.
    """
    chosen = [item for item in lock.environments if item.name == name] or [
        item
        for item in lock.environments
        for server in lock.servers
        if server.name == name and (server.environment, server.runtime) == (item.name, item.runtime)
    ]
    fitting = [item for item in chosen if runtime in {None, item.runtime}]
    if chosen and not fitting:
        other = chosen[0].runtime
        raise UsageError(
            what=f"{name} is an environment of the {other} runtime",
            advice=f"leave out --runtime, or say --runtime {other}",
        )
    if not fitting:
        known = (*(item.name for item in lock.environments), *(item.name for item in lock.servers if item.environment))
        raise NotInLock(what="environment", name=name, known=known)
    if len(fitting) > 1:
        raise UsageError(
            what=f"there are two environments {name}, for processes and for containers",
            advice="choose with --runtime process or --runtime container",
        )
    return fitting[0]


class _Here:
    """This machine, as far as environments go; the engine is asked once, and only if there is an image to ask about."""

    def __init__(self, project: Project, target: Target) -> None:
        self._project = project
        self._target = target
        self._tags: Mapping[str, object] | HatchlockError | None = None

    def directory(self, locked: Environment) -> tuple[EnvSpec, Path] | None:
        """Return a process environment and where it is, or would be."""
        if locked.runtime == "container":
            return None
        found = [(item, self._project.home.envs / item.key) for item in self._target.environments]
        return next((item for item in found if item[0].name == locked.name), None)

    def tags(self, locked: Environment) -> tuple[str, ...]:
        """Return the names that a container environment's image has in the engine, or would have."""
        from hatchlock.images.key import image_tag

        keys = set(locked.keys.values())
        images = [item for item in self._target.images if item.is_assembled and item.key in keys]
        return tuple(image_tag(self._target.project, item.server, item.key) for item in images)

    def state(self, locked: Environment, servers: Iterable[str]) -> tuple[State, tuple[str, ...]]:
        """Return the state of an environment, and why it is not "present"."""
        found, tags = self.directory(locked), self.tags(locked)
        if found:
            return _state_of_directory(*found)
        if locked.runtime == "container" and tags:
            return self._state_of_image(tags)
        about = {f"{kind}:{locked.name}" for kind in ("system", "env", "image")}
        about.update(f"server:{name}" for name in servers)
        return "blocked", tuple(item.what for item in self._target.problems if str(item.address) in about)

    def _state_of_image(self, tags: Iterable[str]) -> tuple[State, tuple[str, ...]]:
        if self._tags is None:
            try:
                self._tags = Connection(self._target)().images()
            except HatchlockError as error:
                self._tags = error
        if isinstance(self._tags, HatchlockError):
            return "unknown", (str(self._tags),)
        return ("missing" if self._tags.keys().isdisjoint(tags) else "present"), ()


def _state_of_directory(spec: EnvSpec, tree: Path) -> tuple[State, tuple[str, ...]]:
    from hatchlock.resources.env_health import damages
    from hatchlock.store.receipts import finished

    if not finished(tree):
        return "missing", ()
    found = tuple(damages(spec, tree))
    return ("damaged" if found else "present"), found


def _verified(spec: EnvSpec, tree: Path, home: Home) -> Verified:
    from hatchlock.resources.env_health import contents_of
    from hatchlock.store.blobs import Blobs

    found = contents_of(spec, tree, Blobs(home.blobs))
    altered = (*found.altered, *found.added)
    return Verified(files=found.files, altered=altered, damaged=found.damaged, unknown=found.unknown)


def _view(locked: Environment, lock: Lock, here: _Here) -> EnvironmentView:
    users = [item for item in lock.servers if (item.environment, item.runtime) == (locked.name, locked.runtime)]
    servers = tuple(sorted(item.name for item in users))
    state, details = here.state(locked, servers)
    return EnvironmentView(
        name=locked.name,
        runtime=locked.runtime,
        private=locked.private,
        python=locked.python,
        node=locked.node,
        base=locked.base,
        trust=locked.trust,
        counts=dict(sorted(Counter(item.partition(":")[0] for item in locked.everywhere).items())),
        servers=servers,
        state=state,
        details=details,
    )


def _packages(lock: Lock, locked: Environment, platform: str, artefacts: Iterable[Artefact]) -> tuple[PackageView, ...]:
    sizes: Counter[str] = Counter()
    for artefact in artefacts:
        sizes[artefact.package] += artefact.size
    return tuple(
        PackageView(
            id=package.id,
            kind=package.kind,
            name=package.name,
            version=package.version,
            licence=package.licence,
            size=sizes[package.id] or _only_size(package, platform),
            source_class=package.source_class,
        )
        for package in lock.packages_of(locked, platform)
    )


def _only_size(package: Package, platform: str) -> int:
    """Of what others install, as apt does on a host: its file's, if there is one for the platform."""
    files = [file for file in package.files if file.platform in {"", platform}]
    return files[0].size if len(files) == 1 else 0


def _base(lock: Lock, locked: Environment, platform: str) -> BaseFacts | None:
    if not locked.base:
        return None
    image = lock.image(locked.base).platforms[platform]
    return BaseFacts(
        reference=locked.base,
        digest=image.digest,
        python=image.python,
        libc=image.libc,
        packages=len(image.packages),
        size=sum(layer.size for layer in image.layers),
    )
