"""`plan`: what differs between the lock and this machine. Changes nothing but caches."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hatchlock import __version__
from hatchlock.address import ResourceKind
from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.errors import HatchlockError, PermissionProblem
from hatchlock.events import Sink, discard
from hatchlock.lock.memo import recall, remember
from hatchlock.state.applied import AppliedKeys, read_applied
from hatchlock.state.project import ProjectState
from hatchlock.state.quarantine import quarantined
from hatchlock.usecases.applications import application_notes
from hatchlock.usecases.forgotten import GivenUp, given_up
from hatchlock.usecases.launcher import launcher_problem
from hatchlock.usecases.live import are_unchanged, changed_directories, signatures
from hatchlock.usecases.locked import read_project_lock
from hatchlock.usecases.profiles import profile_paths
from hatchlock.usecases.secrets import store_problem
from hatchlock.usecases.standing import Note
from hatchlock.usecases.surfaces import stale_notes
from hatchlock.usecases.withheld import idle_notes

if TYPE_CHECKING:
    from hatchlock.engines.docker import Engine
    from hatchlock.engines.tagged import ImageFacts
    from hatchlock.reconcile.plan import Plan
    from hatchlock.reconcile.select import Selection
    from hatchlock.resources.base import Desired, Observed
    from hatchlock.resources.target import Target
    from hatchlock.resources.world import World
    from hatchlock.state.journal import Interrupted
    from hatchlock.usecases.project import Project

__all__ = [
    "Connection",
    "Planned",
    "compile_again",
    "engine_is_the_same",
    "make_plan",
    "project_state",
    "read_target",
]

_MEMO_RULE = 8
"""Raised when the same files give another target than before."""
_VARIABLES = (
    *("HOME", "PATH", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
    *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "COPILOT_HOME", "GEMINI_CLI_HOME"),
    *("KIMI_CODE_HOME", "VIBE_HOME"),
    *("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)
"""What of the environment a target depends on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A plan, and what it was made from.

    Attributes:
        plan: The plan.
        target: What should be.
        world: The resources, which were observed.
        state: The project's state.
        interrupted: What an earlier apply had begun and did not finish, or None.
        desired: What should be, as it was compared.
        observed: What is, as it was compared.
        applied: What the last applies left.
        given_up: What is left as it is, although it is not declared.
        notes: What people should know and nothing is done about.
        lock_digest: SHA-256 of the lock.
    """

    plan: Plan
    target: Target
    world: World
    state: ProjectState
    interrupted: Interrupted | None
    desired: tuple[Desired, ...] = ()
    observed: tuple[Observed, ...] = ()
    applied: AppliedKeys = field(default_factory=AppliedKeys)
    given_up: GivenUp = field(default_factory=GivenUp)
    notes: tuple[Note, ...] = ()
    lock_digest: str = ""


def make_plan(
    project: Project,
    *,
    purpose: str = "plan",
    lock_timeout: float = 0,
    takeover: bool = False,
    offline: bool = False,
    selection: Selection | None = None,
    target: Target | None = None,
    spared: Container[ResourceKind] = (),
    emit: Sink = discard,
) -> Planned:
    """Compare the lock with this machine.

    Args:
        project: Whose.
        purpose: The command, for those who wait for its locks.
        lock_timeout: Seconds that its resources wait for locks, when they are applied.
        takeover: Plan for a project that is bound to another directory.
        offline: Whether its resources may fetch nothing when they are applied.
        selection: What of it is wanted, and what is to be made anew; None for the whole plan.
        target: What should be, where that is not what the lock says.
        spared: Kinds of resources that stay although nothing declares them.
        emit: Told for whom its resources wait, when they are applied.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        ManyErrors: The manifest has mistakes.
        BoundElsewhere: The project belongs to another directory.
        EngineFailed: The engine was found and does not list its images.
        NothingNamed, NotReplaceable: What is selected does not exist, or cannot be made anew.
    """
    from hatchlock.reconcile.diff import diff
    from hatchlock.resources.drift import Policies
    from hatchlock.resources.world import World

    target = target or read_target(project)
    state = project_state(project, target.project)
    if not takeover:
        state.check_binding(target.project, project.directory)
    damage = state.damage()
    # what is missing where our own files are damaged is nobody's drift, which a policy could leave as it is
    applied = AppliedKeys() if damage else read_applied(state.root).in_engine(target.engine)
    connection = Connection(target)
    lock_digest = sha256_bytes(project.lock_bytes or b"")
    world = World(
        target,
        home=project.home,
        state=state,
        applied=applied,
        connect=connection,
        listed=connection.images,
        environ=project.environ,
        lock_digest=lock_digest,
        purpose=purpose,
        lock_timeout=lock_timeout,
        offline=offline,
        takeover=takeover,
        emit=emit,
    )
    policies = Policies(target, world)
    observed = policies.observed(item for resource in world.by_kind.values() for item in resource.observe())
    desired = policies.desired(item for resource in world.by_kind.values() for item in resource.desired())
    decide: Callable[..., Plan] = diff
    if selection is not None:
        from hatchlock.usecases.selection import selective_diff

        decide = partial(selective_diff, selection=selection, target=target, world=world)
    gone = given_up(state, target.handover, desired, observed)
    plan = decide(
        desired,
        observed,
        [*target.problems, *world.problems],
        applied=applied.keys,
        forgotten=gone.found | {item.address for item in observed if item.address.kind in spared},
    )
    plan = replace(plan, packages=target.packages, held=state.generations.held())
    return Planned(
        plan=plan,
        target=target,
        world=world,
        state=state,
        interrupted=_interrupted(state),
        desired=tuple(desired),
        observed=tuple(observed),
        applied=applied,
        given_up=gone,
        notes=(*_notes(project, target, world, damage), *_parted(world, plan), *gone.notes),
        lock_digest=lock_digest,
    )


def _notes(project: Project, target: Target, world: World, damage: Iterable[HatchlockError]) -> Iterator[Note]:
    """What people should know of a world that was observed, and nothing is done about."""
    yield from (Note(address="engine", what=what) for what in target.notes)
    yield from (Note(address=str(address), what=what) for address, what in world.containers.unknown.items())
    yield from _left(project, target, world)
    yield from (Note(address="state", what=f"{error}; `hatchlock apply` puts it aside") for error in damage)
    yield from _launcher_notes(project, world)
    for name, what in (*stale_notes(target), *idle_notes(target)):
        yield Note(address=f"server:{name}", what=what)
    apart = quarantined(project.home.project(target.project))
    yield from (Note(address=f"server:{name}", what=f"it is {found}") for name, found in apart.items())
    yield from application_notes(project, target)
    if what := store_problem(project.home, (spec.record for spec in target.servers)):
        yield Note(address="secrets", what=what)
    yield from _unmarked(world)


def _left(project: Project, target: Target, world: World) -> Iterator[Note]:
    """What sessions have left that were killed with everything that would have ended them."""
    from hatchlock.usecases.remains import REMOVED_BY, left_notes

    for address, server in world.containers.left.items():
        yield Note(address=str(address), what=f"it is left of a session of {server} that was killed; {REMOVED_BY}")
    yield from left_notes(project.home.project(target.project))


def _unmarked(world: World) -> Iterator[Note]:
    for item in world.clients.unmarked():
        yield Note(address=str(item.address), what=f"the entry {item.name!r} in {item.file.path} was {item.what}")


def _parted(world: World, plan: Plan) -> Iterator[Note]:
    for item in world.clients.parted({step.address for step in plan.steps}):
        yield Note(address=str(item.address), what=item.what)


def _launcher_notes(project: Project, world: World) -> Iterator[Note]:
    """Our entries name the launcher, so without it none of them starts anything; one that is to be replaced does not yet."""
    if world.clients.has_own() and (what := launcher_problem(project.home)):
        yield Note(address="launcher", what=f"{what}; `hatchlock apply` writes it anew")


def _interrupted(state: ProjectState) -> Interrupted | None:
    if not state.journal_path.exists():
        return None
    from hatchlock.state.journal import read_interrupted
    from hatchlock.state.lease import holder_elsewhere

    found, holder = read_interrupted(state.journal_path), holder_elsewhere(state.lease_path)
    if found is None or holder is None or holder.since[:19] > found.began[:19]:  # who came later has begun nothing yet
        return found
    return replace(found, held_by=str(holder))


def project_state(project: Project, name: str) -> ProjectState:
    """Return the state of a project of this store, for those who look at the world besides: a damaged file is none to them."""
    return ProjectState(project.home.project(name), forgiving=True)


def read_target(project: Project) -> Target:
    """Return what should be on this machine: from memory when nothing that it depends on has changed.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        ManyErrors: The manifest has mistakes.
    """
    from hatchlock.resources.target import target_to_dict

    path = project.home.cache / "memo" / f"{sha256_bytes(bytes(project.manifest))[:20]}.json"
    key = _memo_key(project)
    known = recall(path, key)
    if known is not None and "directories" in known and are_unchanged(known["directories"], project):
        target = _remembered(known)
        if target is not None and engine_is_the_same(target, project.environ):
            return target
    target, witnesses, directories = _compile(project)
    if not target.problems and witnesses is not None:
        with contextlib.suppress(PermissionProblem, OSError):  # without a memo the next plan takes longer, no more
            others = [asdict(file) for file in target.other_files]
            known = {**target_to_dict(target), "other_files": others, "directories": directories}
            remember(path, key, known, witnesses=witnesses)
    return target


def _memo_key(project: Project) -> str:
    variables = {name: project.environ.get(name) for name in _VARIABLES}
    parts = [project.manifest_bytes, project.overlay_bytes, project.lock_bytes or b""]
    facts = [
        _MEMO_RULE,
        __version__,
        str(project.home.root),
        sys.executable,
        variables,
        [sha256_bytes(part) for part in parts],
    ]
    return sha256_bytes(canonical_json(facts))


def _remembered(known: Mapping[str, Any]) -> Target | None:
    from hatchlock.resources.target import target_from_dict

    try:
        return target_from_dict(known)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def compile_again(project: Project) -> Target:
    """Return what should be by a project's files as they are given, whatever its directories hold by now.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: Its lock does not satisfy its manifest.
        ManyErrors: The manifest has mistakes.
    """
    return _compile(project, is_live=False)[0]


def engine_is_the_same(target: Target, environ: Mapping[str, str]) -> bool:
    """Whether the engine that a target is for, if it needs one, is the one that this machine would use now."""
    if not target.engine:
        return True
    from hatchlock.engines.locate import EngineNotFound, find_engine

    try:
        return target.engine == find_engine(environ)
    except EngineNotFound:
        return False


def _compile(project: Project, *, is_live: bool = True) -> tuple[Target, list[str] | None, dict[str, str]]:
    """Return the target, the files that it depends on (None: it depends on more than files), and marks of directories."""
    from hatchlock.manifest.load import load_bytes
    from hatchlock.resolve.consistent import inconsistencies
    from hatchlock.resolve.freshness import StaleLock, stale_reasons
    from hatchlock.resources.compile import compile_target
    from hatchlock.usecases.machine_facts import look_at_machine

    # never the files as they are by now: the answer is kept under the digests of what was read before
    shared = load_bytes(project.manifest, project.manifest_bytes, b"")
    merged = (
        load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes) if project.overlay_bytes else shared
    )
    lock = read_project_lock(project)
    # before they are read: what changes meanwhile has another mark the next time
    directories = signatures(project, lock) if is_live else {}
    reasons = stale_reasons(shared.manifest, lock) or inconsistencies(lock)
    if reasons := reasons or (changed_directories(project, lock) if is_live else ()):
        raise StaleLock(reasons=reasons)
    machine, witnesses = look_at_machine(project, merged.manifest, lock)
    if witnesses is not None:
        witnesses = [*witnesses, *profile_paths(project, lock)]
    return compile_target(merged.manifest, lock, machine), witnesses, directories


class Connection:
    """Connects to the target's engine on the first call, once; a target with an image or a container has an engine."""

    def __init__(self, target: Target) -> None:
        self._address = target.engine
        self._engine: Engine | None = None

    def __call__(self) -> Engine:
        """Return the engine.

        Raises:
            EngineFailed: It does not answer.
        """
        from hatchlock.engines.docker import Engine

        if self._engine is None:
            self._engine = Engine(self._address)
        return self._engine

    def images(self) -> Mapping[str, ImageFacts]:
        """Return the engine's images of ours, by tag: without connecting as long as nothing else has to be asked.

        Raises:
            EngineFailed: It does not list them.
        """
        from hatchlock.engines import api
        from hatchlock.engines.connect import EngineUnreachable
        from hatchlock.engines.tagged import images_of

        if self._engine is None:
            with contextlib.suppress(api.EngineError, EngineUnreachable):  # what is wrong is said below
                return images_of(api.Engine(self._address))
        return self().images()
