"""What an audit looks at, as plain values: a snapshot of lock, manifest, store, engine and machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hatchlock.launch import Isolation, Runtime, Sandbox, SecretReference
from hatchlock.lock.model import Lock

__all__ = [
    "ContainerFacts",
    "EngineFacts",
    "Facts",
    "ImageFacts",
    "IndexFacts",
    "LogFacts",
    "Loose",
    "PathFacts",
    "Remark",
    "SecretFile",
    "ServerFacts",
    "Standing",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFacts:
    """A server, as `run` would start it: by its active launch record, else by the lock.

    Attributes:
        name: Its name.
        runtime: Where it runs.
        isolation: What happens where processes cannot be isolated.
        sandbox: Its profile.
        command: What is started, with its arguments.
        env: Literal variables.
        secrets: References.
        source: `kind:spec`; "" for a program of this machine.
        build: Whether its image is built from a Dockerfile of the user's.
        trust: Its label.
        environment: The environment that it shares or owns; "" for none.
        url: Where it is, if somebody else runs it; "" otherwise.
        is_pinned: Whether the lock has what it offers.
        not_isolated: Why this machine cannot isolate it; "" if it can.
        refused_mounts: Target -> why the server should not see what is mounted there.
        is_declared: Whether the lock has it.
    """

    name: str
    runtime: Runtime
    isolation: Isolation = "required"
    sandbox: Sandbox = field(default_factory=Sandbox)
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    source: str = ""
    build: bool = False
    trust: str = ""
    environment: str = ""
    url: str = ""
    is_pinned: bool = False
    not_isolated: str = ""
    refused_mounts: Mapping[str, str] = field(default_factory=dict)
    is_declared: bool = True

    @property
    def address(self) -> str:
        """`server:NAME`."""
        return f"server:{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerFacts:
    """A container with our label, as the engine describes it; `containers.container_facts` reads that.

    Attributes:
        name: Its name.
        server: The server that it is for.
        role: `relay` for what stands beside a server and carries its network; "" for the server itself.
        owner_gone: Whether the session that made it provably runs no more.
        user: `UID[:GID]`; "" means root.
        init: Whether an init of the engine's stands first.
        read_only: Whether its root file system is.
        privileged: Whether it may do everything.
        capabilities: Those that it has, without `CAP_`.
        new_privileges: Whether its programs can gain some by setuid.
        shares: What of the machine it has that no server has, in words: a namespace, a device.
        seccomp: `default`, `unconfined`, or a profile.
        apparmor: `default`, or what was asked for.
        selinux: `default`, or what was asked for.
        network: `none`, `bridge`, `host`, `container` for that of another one, or a network's name.
        memory: Bytes; 0 for no limit.
        swap: Bytes of swap; -1 for no limit.
        cpus: Cores; 0 for no limit.
        pids: Processes; 0 for no limit.
        temporary: Where it has memory to write to.
        writable: Paths inside at which it can write to something of the machine.
    """

    name: str
    server: str
    role: str = ""
    owner_gone: bool = False
    user: str = ""
    init: bool = False
    read_only: bool = False
    privileged: bool = False
    capabilities: tuple[str, ...] = ()
    new_privileges: bool = False
    shares: tuple[str, ...] = ()
    seccomp: str = "default"
    apparmor: str = "default"
    selinux: str = "default"
    network: str = ""
    memory: int = 0
    swap: int = 0
    cpus: float = 0.0
    pids: int = 0
    temporary: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """`container:NAME`."""
        return f"container:{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFacts:
    """The container engine.

    Attributes:
        address: `unix:///…`, `tcp://…`; "" if none was found.
        problem: Why it could not be asked, as a clause; "" if it could.
        security: What it has of `seccomp`, `apparmor`, `selinux`, `rootless`, `userns`.
        unbound: The limits that it takes and that bind nothing: of `memory`, `swap`, `cpus`, `pids`.
        socket_mode: The permission bits of its socket; None if it has none on this machine.
        tls: Whether its address is spoken to with TLS.
    """

    address: str = ""
    problem: str = ""
    security: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()
    socket_mode: int | None = None
    tls: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """An image of the project in the engine.

    Attributes:
        tag: Its name.
        stated: Whether the store has a statement of what it was made from.
    """

    tag: str
    stated: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PathFacts:
    """A file or directory that decides on what is run.

    Attributes:
        path: Where it is.
        role: `store`: its root; `inside`: what below that somebody else owns or could write to; `secret`: where it keeps
            secrets; `project`: a file of the project; `client`: a file of an application.
        mine: Whether it belongs to whoever audits.
        mode: Its permission bits.
    """

    path: str
    role: Literal["store", "inside", "secret", "project", "client"]
    mine: bool
    mode: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFacts:
    """The audit log.

    Attributes:
        path: Where it is.
        entries: How many it has.
        damaged: Lines of it that cannot be read.
        broken: Places of entries before which something else stands than when they were written.
        mine: Whether it belongs to whoever audits.
        mode: Its permission bits.
        problem: Why it cannot be read, or written, as a clause; "" if it can.
    """

    path: str
    entries: int = 0
    damaged: int = 0
    broken: tuple[str, ...] = ()
    mine: bool = True
    mode: int = 0o600
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretFile:
    """A file that a secret comes from.

    Attributes:
        server: The server that gets it.
        variable: The variable.
        path: Where it is.
        exists: Whether it is there.
        open_to: Who besides its owner can read or change it, in words; "" for nobody.
        mine: Whether it belongs to whoever audits.
        committed: Whether it lies in the project's repository, and git does not ignore it.
        required: Whether the server is refused without it.
    """

    server: str
    variable: str
    path: str
    exists: bool = True
    open_to: str = ""
    mine: bool = True
    committed: bool = False
    required: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexFacts:
    """A package index or image registry that the manifest names.

    Attributes:
        key: Where in the manifest.
        url: Its address, without a login.
        plain: Whether it is spoken to without TLS, and not on loopback.
        ttl: Seconds that its answers are kept; None when the manifest does not say.
    """

    key: tuple[str | int, ...]
    url: str
    plain: bool = False
    ttl: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Loose:
    """A requirement without an upper bound, or a mutable reference."""

    key: tuple[str | int, ...]
    what: str
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What another part of hatchlock has to say of a resource: a step of the plan, damage of an environment.

    Attributes:
        address: Which.
        what: The sentence.
        hint: What to do about it.
        blocks: Whether it is a problem, and not merely a difference.
    """

    address: str
    what: str
    hint: str = ""
    blocks: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a locked package or image stands against what there is, as `outdated` has it."""

    what: str
    current: str
    compatible: str
    newest: str
    state: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The snapshot. A reason in an `…_unknown` says why the values beside it could not be had.

    Attributes:
        lock: The lock.
        is_root: Whether root audits.
        process_limits: What the limits of processes bind, as a clause; "" if they bind as those of containers do.
        servers: By name.
        engine: The container engine; None where nothing needs one.
        containers: With our label and the project's name.
        images: Of the project, in the engine.
        paths: Of the store, the project, and applications.
        log: The audit log; None before its first entry.
        secret_files: By server and variable.
        indexes: Those of the manifest.
        loose: In the order of the manifest.
        plan: What an apply would do, and what cannot be planned.
        damages: Of environments that were built.
        uncompared: What of them cannot be compared with what was installed.
        environments: `env:NAME` of those.
        garbage: What nobody uses any more.
        standings: What is outdated, yanked, deprecated or gone.
        asked: How many packages and images `standings` is about.
        online: Whether indexes were asked for `standings`.
    """

    lock: Lock
    is_root: bool = False
    process_limits: str = ""
    servers: tuple[ServerFacts, ...] = ()
    engine: EngineFacts | None = None
    containers: tuple[ContainerFacts, ...] = ()
    images: tuple[ImageFacts, ...] = ()
    paths: tuple[PathFacts, ...] = ()
    log: LogFacts | None = None
    secret_files: tuple[SecretFile, ...] = ()
    indexes: tuple[IndexFacts, ...] = ()
    loose: tuple[Loose, ...] = ()
    plan: tuple[Remark, ...] = ()
    plan_unknown: str = ""
    damages: tuple[Remark, ...] = ()
    uncompared: tuple[Remark, ...] = ()
    environments: tuple[str, ...] = ()
    garbage: tuple[str, ...] = ()
    garbage_unknown: str = ""
    standings: tuple[Standing, ...] = ()
    standings_unknown: str = ""
    asked: int = 0
    online: bool = False

    @property
    def engine_unknown(self) -> str:
        """Why nothing can be said of containers and images, as a clause; "" where there are none, or they were seen."""
        if self.engine is None or not self.engine.problem:
            return ""
        return self.engine.problem

    @property
    def here(self) -> tuple[ServerFacts, ...]:
        """The servers that run on this machine, and so have a sandbox."""
        return tuple(item for item in self.servers if not item.url)

    def server(self, name: str) -> ServerFacts | None:
        """Return a server by its name."""
        return next((item for item in self.servers if item.name == name), None)
