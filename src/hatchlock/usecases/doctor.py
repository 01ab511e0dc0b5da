"""`doctor`: what this machine lacks, each with a way to mend it. Changes nothing."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.engines.facts import EngineFacts
    from hatchlock.paths import Home

__all__ = ["Check", "diagnose"]

_ELSEWHERE = (
    "it is another machine, so servers there have no mounts of this one, no lists of hosts and no secrets as files"
)
_MEND_ELSEWHERE = 'keep such servers on an engine of this machine, or give them runtime = "process"'
_MEND_LIMITS = (
    "start applications below your user's systemd (a desktop does), whose control groups are yours, "
    'or use runtime = "container"'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: "ok"; "missing", where something works only without it; "bad", where nothing works with it.
        found: What was found.
        mend: What to do about it.
    """

    name: str
    state: Literal["ok", "missing", "bad"]
    found: str
    mend: str = ""


def diagnose(home: Home, environ: Mapping[str, str], *, pythons: tuple[str, ...]) -> tuple[Check, ...]:
    """Look at interpreter, container engine, bubblewrap and the store's permissions.

    Args:
        home: The store.
        environ: The environment.
        pythons: The versions that the project's lock wants; the one that runs us is looked at where there are none.
    """
    return (
        *_interpreters(environ, pythons),
        _isolation(environ),
        _limits(),
        *_engine(environ),
        *_permissions(home),
        _launcher(home),
        _left(home),
    )


def _interpreters(environ: Mapping[str, str], pythons: tuple[str, ...]) -> Iterator[Check]:
    from hatchlock.engines.process import find_interpreter
    from hatchlock.resolve.wanted import default_python

    for version in pythons or (default_python(),):
        try:
            found = find_interpreter(version, environ)
        except HatchlockError as error:
            yield Check(name=f"Python {version}", state="missing", found=str(error), mend=error.hint)
        else:
            yield Check(name=f"Python {version}", state="ok", found=f"{found.version} at {found.path}")


def _isolation(environ: Mapping[str, str]) -> Check:
    from hatchlock.engines.process import check_isolation
    from hatchlock.security.sandbox import NotIsolated

    problem = check_isolation(environ)
    if problem is None:
        return Check(name="bubblewrap", state="ok", found="isolates processes")
    return Check(name="bubblewrap", state="missing", found=problem, mend=NotIsolated(problem=problem).hint)


def _limits() -> Check:
    """Say how the limits of processes bind."""
    from hatchlock.engines.cgroups import CONTROLLERS, bound_here

    words = {"cpu": "processors", "memory": "memory", "pids": "processes"}
    together = bound_here()
    bind = [words[name] for name in sorted(together)]
    found = (
        f"{', '.join(bind)} limited for all of a server together" if bind else "there are no control groups for servers"
    )
    if together == CONTROLLERS:
        return Check(name="process limits", state="ok", found=found)
    alone = {"memory": "memory binds for each process", "cpu": "processors are not limited"}
    rest = [text for name, text in alone.items() if name not in together]
    return Check(name="process limits", state="missing", found="; ".join([found, *rest]), mend=_MEND_LIMITS)


def _engine(environ: Mapping[str, str]) -> Iterator[Check]:
    from hatchlock.engines.api import Engine
    from hatchlock.engines.connect import engine_is_local
    from hatchlock.engines.facts import read_facts
    from hatchlock.engines.locate import EngineNotFound, found_engines

    engines = list(found_engines(environ))
    chosen = next((item for item in engines if not item.problem), None)
    if chosen is None:
        error = EngineNotFound(looked_in=tuple(f"{item}: {item.problem}" for item in engines))
        yield Check(name="container engine", state="missing", found=str(error), mend=error.hint)
        return
    try:
        facts = read_facts(Engine(chosen.address))
    except HatchlockError as error:
        yield Check(name="container engine", state="missing", found=f"{chosen}: {error}", mend=error.hint)
        return
    yield Check(name="container engine", state="ok", found=f"{chosen}: {facts}")
    yield from _what_the_engine_does(facts)
    if not engine_is_local(chosen.address):
        yield Check(name="engine: machine", state="missing", found=_ELSEWHERE, mend=_MEND_ELSEWHERE)
    for item in engines:
        if not item.problem and item is not chosen:
            yield Check(name="another engine", state="ok", found=f"{item}; DOCKER_HOST={item.address} would use it")


def _what_the_engine_does(facts: EngineFacts) -> Iterator[Check]:
    from hatchlock.engines.facts import LIMITS, lacks

    if bound := [name for name in LIMITS if name not in facts.unbound]:
        yield Check(name="engine: limits", state="ok", found=f"{', '.join(bound)} bind")
    if facts.guards:
        yield Check(name="engine: guards", state="ok", found=", ".join(facts.guards))
    for lack in lacks(facts, kernel=os.uname().release):
        yield Check(name=f"engine: {lack.about}", state="missing", found=lack.what, mend=lack.mend)


def _permissions(home: Home) -> Iterator[Check]:
    paths = [home.root, home.blobs, home.envs, home.cache, home.bin, home.root / "projects"]
    present = [path for path in paths if path.exists()]
    bad = [check for path in present if (check := _permission(path))]
    if bad:
        yield from bad
    elif present:
        yield Check(name="store", state="ok", found=f"{home.root} is yours alone")
    else:
        yield Check(name="store", state="ok", found=f"{home.root} does not exist yet; `apply` makes it")


def _permission(path: Path) -> Check | None:
    facts = path.stat()
    shown = f"{path}: owner {facts.st_uid}, mode {stat.S_IMODE(facts.st_mode):04o}"
    if facts.st_uid != os.geteuid():
        return Check(name="store", state="bad", found=shown, mend=f"chown -R {os.geteuid()} {path}")
    if facts.st_mode & 0o077:
        return Check(name="store", state="bad", found=shown, mend=f"chmod 0700 {path}")
    if not os.access(path, os.W_OK):
        return Check(name="store", state="bad", found=shown, mend=f"chmod u+w {path}")
    return None


def _launcher(home: Home) -> Check:
    launcher = home.bin / "hatchlock"
    if not launcher.exists():
        return Check(name="launcher", state="ok", found=f"{launcher} does not exist yet; `apply` makes it")
    if not os.access(launcher, os.X_OK):
        return Check(name="launcher", state="bad", found=f"{launcher} is not executable", mend=f"chmod 0755 {launcher}")
    program = _started_by(launcher)
    if not os.access(program, os.X_OK):
        found = f"{launcher} starts {program or 'nothing'}, which is not there for you"
        return Check(
            name="launcher", state="bad", found=found, mend="run `hatchlock apply` with the hatchlock that you use now"
        )
    return Check(name="launcher", state="ok", found=str(launcher))


def _left(home: Home) -> Check:
    from hatchlock.usecases.remains import left_notes

    found = {f"{note.address}: {note.what}" for project in home.root.glob("projects/*") for note in left_notes(project)}
    if not found:
        return Check(name="sessions", state="ok", found="nothing is left of any that was killed")
    mend = "run `hatchlock gc` in the project's directory"
    return Check(name="sessions", state="missing", found="; ".join(sorted(found)), mend=mend)


def _started_by(launcher: Path) -> str:
    """Return the interpreter that a launcher starts; "" for none."""
    try:
        return shlex.split(launcher.read_text(errors="replace").partition("exec ")[2])[0]
    except (ValueError, IndexError):  # not as `apply` writes it
        return ""
