"""What servers ask of the kernel of their engine, and whether it has it: an engine leaves out what it cannot do, silently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import Sandbox
from hatchlock.resources.base import Problem

if TYPE_CHECKING:
    from hatchlock.resources.server import ServerSpec

__all__ = ["GuardMissing", "guard_problems", "missing_guards"]


@dataclass(kw_only=True, eq=False)
class GuardMissing(HatchlockError):
    """An engine would start a server without a profile that it was told to have."""

    code: ClassVar[str] = "guard-missing"

    problems: tuple[str, ...]

    def __str__(self) -> str:
        return f"its engine would start it without what it asks for: {'; '.join(self.problems)}"

    def _hint(self) -> str:
        return 'write "default" in its [sandbox] table, or let DOCKER_HOST name an engine that has it'


def guard_problems(servers: Iterable[ServerSpec]) -> Iterator[Problem]:
    """Yield the servers in containers whose engine does not have what their sandbox names. Asks only for those that do.

    Raises:
        EngineError, EngineUnreachable: The engine does not say what it has.
    """
    asking = [server for server in servers if server.record.engine and _asks(server.record.sandbox)]
    if not asking:
        return
    from hatchlock.engines.api import Engine  # noqa: PLC0415  most projects ask for nothing
    from hatchlock.engines.facts import engine_facts  # noqa: PLC0415

    address = asking[0].record.engine
    engine = Engine(address)
    guards = engine_facts(engine.ask("GET", "/info"), {}).guards
    reads_files = engine.is_podman and not address.startswith("unix://")
    for server in asking:
        missing = missing_guards(server.record.sandbox, guards)
        if reads_files and server.record.sandbox.seccomp_sha256:
            missing = (*missing, "Podman reads a seccomp profile from its own disk, and is on another machine")
        if missing:
            yield Problem.of(server.address, GuardMissing(problems=missing))


def missing_guards(sandbox: Sandbox, guards: Iterable[str]) -> tuple[str, ...]:
    """Return what a profile asks for and an engine does not have, one clause each.

    Args:
        sandbox: The profile.
        guards: What the engine names among its security options: `seccomp`, `apparmor`, `selinux`.
    """
    has = set(guards)
    wanted = (
        ("seccomp", sandbox.seccomp if sandbox.seccomp_sha256 else "", "it has no seccomp for"),
        ("apparmor", _unless(sandbox.apparmor, "unconfined"), "it has no AppArmor for"),
        ("selinux", _unless(sandbox.selinux, "disable"), "it has no SELinux for"),
    )
    return tuple(f"{what} {value}" for name, value, what in wanted if value and name not in has)


def _asks(sandbox: Sandbox) -> bool:
    return bool(missing_guards(sandbox, ()))


def _unless(value: str, off: str) -> str:
    return "" if value in {"default", off} else value
