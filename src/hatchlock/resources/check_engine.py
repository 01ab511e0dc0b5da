"""Whether a container engine can serve a server at all, and what people should know of it before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from hatchlock.engines.connect import engine_is_local
from hatchlock.engines.facts import Lack
from hatchlock.launch import LaunchRecord
from hatchlock.resources.unplaced import EngineElsewhere, EngineUnfit
from hatchlock.security.network import is_listed, published

__all__ = ["check_engine", "engine_notes"]

_LISTED = "a network that is limited to a list of hosts, which a program of this machine sees to"
_PUBLISHED = "its port on this machine"


def check_engine(record: LaunchRecord, lacks: Collection[Lack]) -> None:
    """Refuse a server of the container runtime that its engine cannot serve.

    Args:
        record: Its launch record; `engine` is an address.
        lacks: What the engine does not do.

    Raises:
        EngineUnfit: No server can run there.
        EngineElsewhere: It is another machine, or in a virtual one, and the server needs files or sockets of this one.
    """
    for lack in lacks:
        if lack.is_fatal:
            raise EngineUnfit(engine=record.engine, why=lack.what, advice=lack.mend)
    shares_no_sockets = any(lack.about == "sockets" for lack in lacks)
    needs_sockets = is_listed(record.sandbox) or bool(published(record))
    if shares_no_sockets and needs_sockets:
        what = _LISTED if is_listed(record.sandbox) else _PUBLISHED
        raise EngineElsewhere(engine=record.engine, needs=(what,), where="in a virtual machine")
    if needs := () if engine_is_local(record.engine) else tuple(_of_this_machine(record)):
        raise EngineElsewhere(engine=record.engine, needs=needs)


def engine_notes(lacks: Iterable[Lack]) -> tuple[str, ...]:
    """Return what of the profiles of all servers would not hold on an engine, a sentence each."""
    return tuple(f"{lack.what}; {lack.mend}" for lack in lacks if lack.about in {"limits", "seccomp"})


def _of_this_machine(record: LaunchRecord) -> Iterator[str]:
    sandbox = record.sandbox
    if sandbox.mounts:
        yield f"its mounts ({', '.join(mount.source for mount in sandbox.mounts)})"
    if is_listed(sandbox):
        yield _LISTED
    elif record.speaks_http:
        yield _PUBLISHED
