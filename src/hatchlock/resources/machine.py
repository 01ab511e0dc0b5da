"""What must be known of this machine, as one value, before it can be said what should be on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hatchlock.engines.debian_host import HostSystem
from hatchlock.engines.facts import Lack
from hatchlock.errors import HatchlockError
from hatchlock.net.trust import Certificates
from hatchlock.paths import Home, placed
from hatchlock.resources.env_target import InterpreterFacts

__all__ = ["Machine", "or_raise"]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What must be known of this machine.

    Attributes:
        platform: "linux/amd64".
        system: `sys.platform`.
        home: The store.
        user_home: The user's home directory.
        directory: The project's, absolute.
        environ: Variables that name the files of applications.
        interpreters: "3.11" -> facts, or the error that looking for it gave.
        nodes: "22" -> facts, or the error that looking for it gave.
        programs: Command of a server that is a program of this machine -> its path, or the error.
        engine: The engine's address, the error that looking for it gave, or "" if nothing needs one.
        lacks: What the engine does not do.
        isolation: Why processes cannot be isolated here; "" if they can, or if no server is a process and nothing is built for one.
        is_root: Whether root starts the servers.
        host: Which system it runs.
        certificates: What it trusts besides the usual, as the user's variables say.
        is_assumed: Whether nobody looked at it: what servers may see of it cannot be looked at either.
        absent: Applications that some server is for and that were not found: their user's file is not there, nor anything
            else of theirs.
        ports: Server that stays -> the port that leads to it, where the manifest does not say.
    """

    platform: str
    system: str
    home: Home
    user_home: Path
    directory: Path
    environ: Mapping[str, str]
    interpreters: Mapping[str, InterpreterFacts | HatchlockError]
    programs: Mapping[str, str | HatchlockError]
    engine: str | HatchlockError
    nodes: Mapping[str, InterpreterFacts | HatchlockError] = field(default_factory=dict)
    lacks: tuple[Lack, ...] = ()
    isolation: str = ""
    is_root: bool = False
    host: HostSystem = field(default_factory=HostSystem)
    certificates: Certificates = field(default_factory=Certificates)
    is_assumed: bool = False
    absent: frozenset[str] = frozenset()
    ports: Mapping[str, int] = field(default_factory=dict)

    def path(self, written: str) -> str:
        """Return the absolute form of a path of the manifest: below the user's home (`~`), else below the project."""
        return str(placed(written, directory=self.directory, home=self.user_home).absolute())


def or_raise(found: _T | HatchlockError) -> _T:
    """Return what was found of this machine, or raise the error that looking for it gave."""
    if isinstance(found, HatchlockError):
        raise found
    return found
