"""`exec NAME -- COMMAND`: run a command where a server runs, or in an environment that nobody has to serve."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError, about
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.paths import Home
from hatchlock.state.quarantine import check_quarantine
from hatchlock.usecases.run import NoSuchProject, NoSuchServer, find_record, log_path, settled

if TYPE_CHECKING:
    from hatchlock.lock.model import Environment
    from hatchlock.resources.env_spec import EnvSpec
    from hatchlock.resources.target import Target
    from hatchlock.usecases.project import Project

__all__ = ["EnvironmentMissing", "NoSuchCommand", "execute"]

_SERVER, _ENVIRONMENT = "server:", "env:"
_SHOWN = 12


@dataclass(kw_only=True, eq=False)
class EnvironmentMissing(HatchlockError):
    """An environment is in the lock and not on this machine."""

    code: ClassVar[str] = "environment-missing"

    name: str
    why: str = ""
    advice: str = ""

    def __str__(self) -> str:
        return f"the environment {self.name} is not on this machine" + (f": {self.why}" if self.why else "")

    def _hint(self) -> str:
        return self.advice or "make it with `hatchlock apply`"


@dataclass(kw_only=True, eq=False)
class NoSuchCommand(HatchlockError):
    """There is no such program where it was to run."""

    code: ClassVar[str] = "no-such-command"

    name: str
    command: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"there is no command {self.command!r} in {self.name}"

    def _hint(self) -> str:
        close = get_close_matches(self.command, self.known, n=1)
        if close:
            return f"did you mean {close[0]!r}?"
        own = f"{', '.join(self.known[:_SHOWN])}{', …' if len(self.known) > _SHOWN else ''}, and "
        return f"it has {own if self.known else ''}what the system has in /usr/bin"


def execute(
    home: Home,
    name: str,
    command: Sequence[str],
    *,
    project: Project | str,
    runtime: str | None = None,
    environ: Mapping[str, str],
    workspace: Path | None = None,
) -> int:
    """Run a command with our own stdin, stdout and stderr.

    Under a server's name it gets that server's sandbox, as it was applied: its network, mounts, variables and directory,
    and none of its secrets. Under an environment's name it gets the default sandbox: no network, a read-only root, and an
    empty home of its own, which is gone afterwards.

    Args:
        home: The store.
        name: A server, else an environment; `server:NAME` and `env:NAME` say which.
        command: What to run; a first word without a slash is looked for in the environment, then in the system.
        project: Whose; a name alone, which knows only servers.
        runtime: Which of two environments of that name.
        environ: Our own environment, to find programs.
        workspace: What mounts of `workspace` are; None for the working directory.

    Returns:
        The command's exit status, 128+N after signal N.

    Raises:
        EnvironmentMissing, NoSuchServer, NoSuchProject: It is not there.
        NotInLock, UsageError: The lock has no such environment, or two, or not for that runtime.
        NoSuchCommand: There is no such program.
        RunsElsewhere: It is a remote server.
        InQuarantine: It must not be started.
        HatchlockError: It could not be started (`serve.command.run_command`).
    """
    from hatchlock.security.provided import NOTHING
    from hatchlock.serve.command import run_command
    from hatchlock.serve.profile import with_profile
    from hatchlock.serve.unfinished import await_finished
    from hatchlock.usecases.elsewhere import check_runs_here

    # the port of a server that stays is the server's own
    found = replace(_record(home, name, project, runtime), endpoint=None)
    check_runs_here(found)
    await_finished(found, home.root, stderr=2)
    record = settled(found, home, workspace or Path.cwd(), environ)
    if record.runtime == "process" and record.key:
        # what stands here names the directory that comes first on PATH
        record = replace(record, argv=(str(home.envs / record.key / "bin" / command[0]),))
        _check_command(record, name, command[0])
    with about(name):
        provided = with_profile(NOTHING, record, home.root)
        log = log_path(home, record.project, record.server)
        return run_command(record, tuple(command), environ=environ, provided=provided, log=log)


def _record(home: Home, name: str, project: Project | str, runtime: str | None) -> LaunchRecord:
    if isinstance(project, str):
        return _of_server(home, project, name.removeprefix(_SERVER))
    if name.startswith(_ENVIRONMENT):
        return _of_environment(project, name.removeprefix(_ENVIRONMENT), runtime)
    from hatchlock.usecases.locked import read_project_lock
    from hatchlock.usecases.run import project_name

    try:
        return _of_server(home, project_name(project.manifest), name.removeprefix(_SERVER))
    except (NoSuchServer, NoSuchProject):
        lock = read_project_lock(project)
        is_environment = any(item.name == name for item in lock.environments)
        if not is_environment and any(item.name == name.removeprefix(_SERVER) for item in lock.servers):
            raise  # not applied yet
    return _of_environment(project, name, runtime)


def _of_server(home: Home, project: str, name: str) -> LaunchRecord:
    """What must not be started runs no commands either: they would run its code, with its files."""
    record = find_record(home, project, name)
    check_quarantine(home.project(project), name)
    return record


def _of_environment(project: Project, name: str, runtime: str | None) -> LaunchRecord:
    """Return a launch record as a server without a sandbox of its own would get it."""
    from hatchlock.usecases.environments import environment_of
    from hatchlock.usecases.locked import read_project_lock
    from hatchlock.usecases.plan import read_target

    locked, target = environment_of(read_project_lock(project), name, runtime), read_target(project)
    if locked.runtime == "container":
        return _in_image(locked, target)
    spec = next((item for item in target.environments if item.name == locked.name), None)
    if spec is None:
        raise _blocked(locked, target)
    return _in_directory(spec, target, project)


def _in_directory(spec: EnvSpec, target: Target, project: Project) -> LaunchRecord:
    from hatchlock.security.sandbox import private_uid
    from hatchlock.store.receipts import finished

    tree = project.home.envs / spec.key
    if not finished(tree):
        raise EnvironmentMissing(address=str(spec.address), name=spec.name)
    uid = private_uid(target.project, str(spec.address))
    sandbox = Sandbox(user=f"{uid}:{uid}") if os.geteuid() == 0 else Sandbox()
    return LaunchRecord(
        project=target.project,
        server=spec.name,
        runtime="process",
        argv=(str(tree),),
        sandbox=sandbox,
        key=spec.key,
        read_only_paths=(str(tree), *spec.prefixes),
    )


def _in_image(locked: Environment, target: Target) -> LaunchRecord:
    keys = set(locked.keys.values())
    image = next((item for item in target.images if item.is_assembled and item.key in keys), None)
    if image is None:
        raise _blocked(locked, target)
    return LaunchRecord(
        project=target.project,
        server=locked.name,
        runtime="container",
        argv=(),
        key=image.key,
        image=image.started_as(target.project),
        engine=target.engine,
    )


def _blocked(locked: Environment, target: Target) -> EnvironmentMissing:
    """The reason is its own problem, else one of the servers'."""
    own = [item for item in target.problems if item.address.name == locked.name]
    problem = next(iter([*own, *target.problems]), None)
    return EnvironmentMissing(
        address=f"env:{locked.name}",
        name=locked.name,
        why=problem.what if problem else "",
        advice=problem.hint if problem else "",
    )


def _check_command(record: LaunchRecord, name: str, command: str) -> None:
    """Mounts may have programs that are not seen from here."""
    from hatchlock.security.sandbox import server_environment

    if "/" in command or record.sandbox.mounts:
        return
    directories = server_environment(record, {})["PATH"].split(":")
    if any(os.access(f"{directory}/{command}", os.X_OK) for directory in directories):
        return
    own = Path(record.argv[0]).parent
    known = sorted(path.name for path in own.iterdir() if os.access(path, os.X_OK)) if own.is_dir() else []
    raise NoSuchCommand(address=name, name=name, command=command, known=tuple(known))
