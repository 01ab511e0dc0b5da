"""`plan --assume`: what would change on a machine that is as another lock says. Looks at no machine: neither state nor engine.

It is for those who read a change of the lock before it is applied anywhere: a machine is made up for both locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hatchlock.errors import UsageError
from hatchlock.paths import Home, placed
from hatchlock.usecases.version_moves import VersionMoves, moves_between

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.lock.model import Environment, Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.reconcile.plan import Plan
    from hatchlock.resources.base import Desired, Observed
    from hatchlock.resources.machine import Machine
    from hatchlock.resources.target import Target
    from hatchlock.usecases.project import Project

__all__ = ["Assumed", "assumed_home", "assumed_machine", "plan_from"]

_HOME = Path("~")
_ENGINE = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumed:
    """A plan for a machine that nobody looked at.

    Attributes:
        plan: The plan.
        platform: The machine's.
        moves: Which versions differ.
        notes: What people should know of the two locks.
    """

    plan: Plan
    platform: str
    moves: VersionMoves
    notes: tuple[str, ...] = ()


def assumed_home() -> Home:
    """Return a store that is none: there is nothing to read at this place."""
    return Home(root=_HOME / ".local/share/hatchlock", is_default=True)


def plan_from(project: Project, text: str, *, platform: str | None = None) -> Assumed:
    """Return what would change when the project's lock is applied to a machine that is as another lock says.

    Args:
        project: Which, with `assumed_home` as its store.
        text: A lock file, a git revision, or a file of one; see `usecases.diff`.
        platform: The machine's; None for that of this one.

    Raises:
        NoSuchLock: There is no such lock.
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        ManyErrors: The manifest has mistakes.
        UsageError: There is no such platform.
    """
    from hatchlock.engines.process import host_platform
    from hatchlock.manifest.model import PLATFORMS
    from hatchlock.reconcile.diff import diff
    from hatchlock.usecases.diff import named_lock

    if platform is not None and platform not in PLATFORMS:
        raise UsageError(
            what=f"--platform {platform}: there is no such platform", advice=f"one of {', '.join(PLATFORMS)}"
        )
    manifest, lock = _fresh(project)
    before, notes = named_lock(text, project)
    platform = platform or host_platform()
    target = _target(manifest, lock, assumed_machine(project, platform, lock))
    old = _target(manifest, before, assumed_machine(project, platform, before))
    desired = list(_desired(target, project))
    present = _present(_desired(old, project), {item.address: item for item in desired})
    plan = diff(desired, present, target.problems)
    return Assumed(
        plan=replace(plan, packages=target.packages),
        platform=platform,
        moves=moves_between(before, lock, since=text),
        notes=notes,
    )


def _fresh(project: Project) -> tuple[Manifest, Lock]:
    """Return the manifest, without this machine's overlay, and the lock that satisfies it."""
    from hatchlock.manifest.load import load_bytes
    from hatchlock.resolve.consistent import inconsistencies
    from hatchlock.resolve.freshness import StaleLock, stale_reasons
    from hatchlock.usecases.live import changed_directories
    from hatchlock.usecases.locked import read_project_lock

    manifest = load_bytes(project.manifest, project.manifest_bytes, b"").manifest
    lock = read_project_lock(project)
    if reasons := stale_reasons(manifest, lock) or inconsistencies(lock) or changed_directories(project, lock):
        raise StaleLock(reasons=reasons)
    return manifest, lock


def _target(manifest: Manifest, lock: Lock, machine: Machine) -> Target:
    from hatchlock.resolve.declared_by_lock import declared_by
    from hatchlock.resources.compile import compile_target

    return compile_target(declared_by(lock, manifest), lock, machine)


def assumed_machine(project: Project, platform: str, lock: Lock) -> Machine:
    """Return a machine that has everything that a lock needs; nobody has looked at it."""
    from hatchlock.engines.debian_host import HostSystem
    from hatchlock.resources.env_target import InterpreterFacts
    from hatchlock.resources.machine import Machine

    def having(program: str, versions: Iterable[str]) -> dict[str, InterpreterFacts]:
        return {
            version: InterpreterFacts(path=f"/usr/bin/{program}{version}", version=version, prefixes=())
            for version in versions
        }

    own: list[Environment] = [item for item in lock.environments if item.runtime == "process"]
    commands = {server.command[0] for server in lock.servers if server.command and not server.environment}
    return Machine(
        platform=platform,
        system=platform.partition("/")[0],
        home=project.home,
        user_home=_HOME,
        directory=project.directory,
        environ={},
        interpreters=having("python", {item.python for item in own}),
        nodes=having("node", {item.node for item in own}),
        programs={command: str(placed(command, directory=Path("/usr/bin"), home=_HOME)) for command in commands},
        engine=_ENGINE,
        host=HostSystem(title="Debian", families=frozenset({"debian"})),
        is_assumed=True,
    )


def _desired(target: Target, project: Project) -> Iterator[Desired]:
    from hatchlock.resources.world import World
    from hatchlock.state.applied import AppliedKeys
    from hatchlock.state.project import ProjectState

    def connect() -> NoReturn:
        raise AssertionError  # whoever says what should be looks at nothing

    world = World(
        replace(target, engine=""),
        home=project.home,
        state=ProjectState(project.home.project(target.project)),
        applied=AppliedKeys(),
        connect=connect,
        environ={},
        lock_digest="",
        purpose="plan",
        lock_timeout=0,
    )
    for resource in world.by_kind.values():
        yield from resource.desired()


def _present(before: Iterable[Desired], wanted: Mapping[Address, Desired]) -> Iterator[Observed]:
    """Yield what a plan would see on a machine where all of this is: of names that follow content only those that stay."""
    from hatchlock.address import ResourceKind
    from hatchlock.resources.base import Observed

    for item in before:
        kind, after = item.address.kind, wanted.get(item.address)
        if kind in {ResourceKind.ENV, ResourceKind.IMAGE} and (after is None or after.key != item.key):
            continue  # it stays where it is until `gc`
        if kind is ResourceKind.SYSTEM and after is None:
            continue  # nothing is removed from a host
        loss = ""
        if kind is ResourceKind.VOLUME:
            server, _, path = item.address.name.partition("/")
            loss = f"what {server} keeps in /{path.removesuffix('@process')}"
        yield Observed(address=item.address, key=item.key, facts=item.facts, loss=loss)
