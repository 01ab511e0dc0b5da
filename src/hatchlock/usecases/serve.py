"""`serve`: a server, or a group of servers, over streamable HTTP on this machine's loopback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hatchlock.usecases.wanted import Wanted, run_command

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.serve.front.front import Limits

__all__ = ["bearer_token", "serve"]

_PATH = "/mcp"


def serve(
    home: Home,
    wanted: Wanted,
    environ: Mapping[str, str],
    *,
    limits: Limits,
    ready: Callable[[str], None],
    port: int | None = None,
    with_token: bool = True,
) -> int:
    """Serve it until a signal ends us.

    Each session is a `hatchlock run` of its own, so pins, filters, sandbox, secrets and the end of everything are those of
    `run`.

    Args:
        home: The store.
        wanted: What.
        environ: What sessions get as their environment: for secrets, and to find programs.
        limits: What it takes on.
        ready: Told the URL, once it is answered.
        port: On loopback; None for that of its launch record, and without one for any that is free.
        with_token: Whether requests have to bring its token.

    Returns:
        128+N after signal N.

    Raises:
        NoSuchProject, NoSuchServer, NoSuchGroup, BrokenState: It was not applied.
        PortTaken: Its port is somebody else's.
        BadToken: Its token was changed.
        InQuarantine: It is, and every session of it would be refused. Of a group the other servers are served.
    """
    from hatchlock.serve.front.serving import Served, serve_front
    from hatchlock.serve.knocks import Knocks
    from hatchlock.state.quarantine import check_quarantine
    from hatchlock.usecases.bridging import SERVED

    records = _records(home, wanted)
    if not wanted.is_group:
        check_quarantine(home.project(wanted.project), wanted.name)
    endpoint = None if wanted.is_group else records[0].endpoint
    chosen = port if port is not None else endpoint.host_port if endpoint else 0
    served = Served(
        command=run_command(home, wanted),
        # of a group each server stays stopped that is
        environ=environ if wanted.is_group else {**environ, SERVED: "1"},
        grace=max(record.sandbox.stop_grace for record in records),
        port=chosen,
        path=endpoint.path if endpoint else _PATH,
        token=bearer_token(home, wanted) if with_token else "",
        token_command=wanted.token_command,
        limits=limits,
        knocks=Knocks(home.project(wanted.project), ((record.server, record.digest) for record in records)),
    )
    return serve_front(served, ready=ready)


def bearer_token(home: Home, wanted: Wanted, *, anew: bool = False) -> str:
    """Return what requests have to bring; it is made when there is none.

    Raises:
        NoSuchProject, NoSuchServer, NoSuchGroup, BrokenState: It was not applied.
        BadToken: It was changed.
    """
    from hatchlock.state.tokens import token_of

    _records(home, wanted)
    return token_of(home.project(wanted.project), wanted.key, anew=anew)


def _records(home: Home, wanted: Wanted) -> tuple[LaunchRecord, ...]:
    from hatchlock.usecases.run import find_record

    if not wanted.is_group:
        return (find_record(home, wanted.project, wanted.name),)
    from hatchlock.usecases.group import find_group

    return find_group(home, wanted.project, wanted.name).records
