"""`try`: a server that is resolved, laid out and started as an applied one is, in a project of its own that goes afterwards.

What is named by what is in it (blobs, environments) is the store's, so that a second try is quick, and `gc` takes it away.
What says how things stand is the trial's own, and nobody else's: its manifest and lock (`tries/ID`), its state (`projects/try-ID`),
what it has in an engine. It goes when the session ends; after a kill the next trial, or `gc`, sees to that, by its owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError, SystemProblem, about
from hatchlock.events import Sink, discard
from hatchlock.files import atomic_write, private_directory, read_optional, remove_tree
from hatchlock.paths import MANIFEST_NAME, Home
from hatchlock.process import owner, process_has_ended
from hatchlock.usecases.audit_trail import note

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.lock.model import Lock
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.project import Project

__all__ = [
    "Keep",
    "Prepared",
    "Trial",
    "TrialFailed",
    "begin_trial",
    "end_trial",
    "prepare_trial",
    "read_trial",
    "sweep_trials",
]

_FORMAT = 1
_ROOT = "tries"
_FACTS = "trial.json"
_PREFIX = "try-"
_FORMING = 60.0
_PATIENCE = 20.0
"""Seconds for sessions and locks of a trial that is over."""


@dataclass(kw_only=True, eq=False)
class TrialFailed(HatchlockError):
    """A server cannot be tried on this machine.

    Attributes:
        why: What is in the way, or what failed.
        advice: What helps; "" for nothing.
    """

    code: ClassVar[str] = "trial-failed"

    why: str
    advice: str = ""

    def __str__(self) -> str:
        return self.why

    def _hint(self) -> str:
        return self.advice


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep:
    """What is to become of a server that was tried with success.

    Attributes:
        manifest: Which manifest it is added to.
        fields: Its keys there.
        lock_timeout: Seconds to wait for another command that changes it.
        offline: Whether no network may be asked.
    """

    manifest: str
    fields: Mapping[str, Any]
    lock_timeout: float
    offline: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A server that is being tried.

    Attributes:
        home: The store.
        id: What tells it from others.
        server: The server's name.
        keep: What is to become of it; None for nothing.
    """

    home: Home
    id: str
    server: str
    keep: Keep | None = None

    @property
    def project(self) -> str:
        """The name of its project."""
        return _PREFIX + self.id

    @property
    def directory(self) -> Path:
        """Where its manifest and its lock are."""
        return self.home.root / _ROOT / self.id

    def opened(self, environ: Mapping[str, str]) -> Project:
        """Return its project, with its files as they are now."""
        from hatchlock.usecases.project import open_project

        manifest = self.directory / MANIFEST_NAME
        return open_project(
            directory=self.directory, manifest=manifest, use_global=False, home=self.home, environ=environ
        )


def begin_trial(
    home: Home, server: str, manifest: Callable[[str], str], *, what: str, keep: Keep | None = None
) -> Trial:
    """Write the manifest of a trial, and whose it is: this process's.

    Args:
        home: The store.
        server: The server's name.
        manifest: Gives the manifest's text for a project's name.
        what: Its source, or its program, for the audit log.
        keep: What is to become of it.

    Raises:
        PermissionProblem: The store cannot be written to.
    """
    trial = Trial(home=home, id=os.urandom(6).hex(), server=server, keep=keep)
    beside = private_directory(trial.directory.with_name(f".{trial.id}"))
    facts = {"owner": owner(os.getpid()), "pid": os.getpid(), "server": server, "keep": asdict(keep) if keep else None}
    atomic_write(beside / _FACTS, json.dumps({"format_version": _FORMAT, **facts}).encode(), durable=False)
    atomic_write(beside / MANIFEST_NAME, manifest(trial.project).encode(), durable=False)
    beside.rename(trial.directory)  # whole: what has no owner is nobody's, and goes
    note(home.root, "trial", project=trial.project, server=server, tried=what, **({"keep": True} if keep else {}))
    return trial


def read_trial(home: Home, trial_id: str) -> Trial:
    """Return a trial that was begun.

    Raises:
        TrialFailed: There is none of this name.
    """
    facts = _facts(home.root / _ROOT / trial_id)
    if facts is None:
        raise TrialFailed(why=f"there is no trial {trial_id}")
    keep = Keep(**facts["keep"]) if facts["keep"] else None
    return Trial(home=home, id=trial_id, server=facts["server"], keep=keep)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A server that can be started.

    Attributes:
        record: How.
        resolved: What it came to, in one line.
        notes: What people should know of it, a sentence each.
    """

    record: LaunchRecord
    resolved: str
    notes: tuple[str, ...] = ()


def prepare_trial(trial: Trial, *, environ: Mapping[str, str], offline: bool = False, emit: Sink = discard) -> Prepared:
    """Resolve the server of a trial, and bring it to where it can be started.

    Args:
        trial: Which.
        environ: This command's environment.
        offline: Ask no network.
        emit: Told about progress.

    Raises:
        TrialFailed: It cannot be placed on this machine, or laid out.
        RefusedError: It needs packages of the host.
        MountRefused: What it is to see is not there, or is not for servers; nothing was resolved.
        HatchlockError: What resolving, fetching and planning raise.
        KeyboardInterrupt: Somebody has ended it.
    """
    from hatchlock.usecases.carry_out import carry_out
    from hatchlock.usecases.consent import Consent, check_consent
    from hatchlock.usecases.fetch import fetch_for
    from hatchlock.usecases.leases import project_lease
    from hatchlock.usecases.lock import lock_project
    from hatchlock.usecases.plan import make_plan, project_state
    from hatchlock.usecases.run import find_record

    _check_mounts(trial, environ)
    locked = lock_project(trial.opened(environ), offline=offline, emit=emit)
    project = trial.opened(environ)
    state = project_state(project, trial.project)
    with project_lease(trial.home, trial.project, state, purpose="try", timeout=_PATIENCE, emit=emit):
        planned = make_plan(project, purpose="try", lock_timeout=_PATIENCE, offline=offline, emit=emit)
        for problem in planned.plan.problems:
            raise TrialFailed(address=str(problem.address), why=problem.what, advice=problem.hint)
        check_consent(planned.plan, Consent(yes=True), None)

        def prepare(told: Sink) -> None:
            fetch_for(project, planned, offline=offline, emit=told)
            state.bind(project.directory)

        outcome = carry_out(planned, command="try", prepare=prepare, settle=lambda _: None, emit=emit)
    if outcome.is_interrupted:
        raise KeyboardInterrupt
    for step, error in outcome.failed:
        known = SystemProblem.known(error)
        raise TrialFailed(address=str(step.address), why=str(known), advice=known.hint) from error
    record = find_record(trial.home, trial.project, trial.server)
    # what may surprise in a manifest is about one that stays
    resolved = _resolved(locked.lock, trial.server, record)
    return Prepared(record=record, resolved=resolved, notes=locked.warnings)


def _check_mounts(trial: Trial, environ: Mapping[str, str]) -> None:
    """Look at what it is to see before anybody is asked for anything; it is looked at again when it is placed."""
    from hatchlock.launch import WORKSPACE
    from hatchlock.manifest.load import load
    from hatchlock.paths import placed, user_home
    from hatchlock.security.mounts import Protected, settle

    declared = load(trial.directory / MANIFEST_NAME).manifest.servers[trial.server]
    home = user_home(environ)
    mounts = (
        replace(mount, source=str(placed(mount.source, directory=trial.directory, home=home)))
        for mount in declared.sandbox.mounts
        if mount.source != WORKSPACE
    )
    with about(f"server:{trial.server}"):
        settle(mounts, Protected(home=str(home), store=str(trial.home.root)))


def _resolved(lock: Lock, name: str, record: LaunchRecord) -> str:
    """Return what a server came to: its package with the number of those that it brings along, its image by digest, or its program."""
    from hatchlock.address import Source
    from hatchlock.resolve.command import main_package

    server = lock.server(name)
    if server.image:
        image = lock.image(server.image)
        return f"{image.reference}, {image.digest}"
    if server.url:
        return f"{server.url}, which somebody else runs"
    if not server.environment:
        return f"{record.argv[0]}, a program of this machine, which nobody has pinned"
    environment = lock.environment(server.environment, server.runtime)
    package = main_package(Source.parse(server.source), environment, lock)
    named, count = package.id if package else server.source, len(environment.everywhere)
    return f"{named}, {count} package{'s' * (count != 1)}"


def end_trial(trial: Trial, *, environ: Mapping[str, str]) -> None:
    """Remove everything that is a trial's own. After a kill the same call goes on.

    Raises:
        HatchlockError, OSError: Something of it could not be removed, and stays for the next one to see to.
    """
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.leases import project_lease

    manifest, state = trial.directory / MANIFEST_NAME, ProjectState(trial.home.project(trial.project), forgiving=True)
    if state.root.exists():
        if _may_have_more(state):
            _destroy(trial.opened(environ))
        with project_lease(trial.home, trial.project, state, purpose="try", timeout=_PATIENCE):
            remove_tree(state.root)  # the session may still be at its very end
    memo = trial.home.cache / "memo" / f"{sha256_bytes(bytes(manifest))[:20]}.json"
    memo.unlink(missing_ok=True)
    _remove_directory(trial.directory)


def _may_have_more(state: ProjectState) -> bool:
    """Whether something of a trial is elsewhere: in an engine, where it begins to be before there is a launch record; a keeper."""
    records = [state.record(digest) for digest in state.active().values()]
    return not records or any(
        record is None or record.engine or record.volumes or record.endpoint for record in records
    )


def _destroy(project: Project) -> None:
    from hatchlock.usecases.consent import Consent
    from hatchlock.usecases.destroy import destroy_project

    agreed = Consent(yes=True, destructive=True, mass_removal=True)
    destroy_project(project, consent=agreed, stop_sessions=True, lock_timeout=_PATIENCE)


def sweep_trials(home: Home, *, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Remove what trials have left that were killed; return what could not be removed, a sentence each.

    Raises:
        PermissionProblem: The store could be another user's.
    """
    problems = []
    with _alone(home) as is_mine:
        for trial in _left(home) if is_mine else ():
            try:
                end_trial(trial, environ=environ)
            except (HatchlockError, OSError) as error:
                problems.append(f"what an earlier trial has left stays: {SystemProblem.known(error)}")
    return tuple(problems)


def _left(home: Home) -> Iterator[Trial]:
    """Yield the trials whose process is gone. What has no facts is being made, or was killed at its very first step."""
    for directory in sorted((home.root / _ROOT).iterdir()):
        facts = _facts(directory)
        if process_has_ended(facts["owner"], facts["pid"]) if facts else _is_old(directory):
            yield Trial(home=home, id=directory.name, server=facts["server"] if facts else "")


def _is_old(directory: Path) -> bool:
    """Whether something without facts was begun long ago; what is not there any more has just been removed by its own trial."""
    try:
        return time.time() - directory.stat().st_mtime > _FORMING
    except FileNotFoundError:
        return False


def _facts(directory: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads(read_optional(directory / _FACTS) or b"null")
        if facts["format_version"] != _FORMAT:
            return None
        return {"server": str(facts["server"]), "owner": str(facts["owner"]), "pid": int(facts["pid"])} | {
            "keep": facts["keep"]
        }
    except (ValueError, TypeError, KeyError):
        return None


def _remove_directory(directory: Path) -> None:
    """The facts go last: until then it has an owner."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir(), key=lambda path: path.name == _FACTS):
        path.unlink()
    directory.rmdir()


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[bool]:
    """Tell whether nobody else is sweeping: what two of them remove at once one of them does not find."""
    if not (home.root / _ROOT).is_dir():
        yield False
        return
    handle = os.open(home.root / _ROOT, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)
