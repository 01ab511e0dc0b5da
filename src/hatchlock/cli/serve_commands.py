"""`serve`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hatchlock.cli.context import home_of, project_name_of
from hatchlock.cli.ui import Ui
from hatchlock.cli.world_arguments import seconds
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.paths import Home
    from hatchlock.usecases.wanted import Wanted

__all__ = ["serve", "serve_arguments"]

_PORTS = range(1, 1 << 16)


def serve_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    command.add_argument("name", nargs="?", metavar="NAME", help="the server")
    command.add_argument("--group", metavar="GROUP", help="all servers of a group, as one")
    command.add_argument("--port", type=_port, metavar="PORT", help="on 127.0.0.1; its own, or a free one, if not said")
    command.add_argument("--no-token", action="store_true", help="let every program of this machine in")
    command.add_argument("--show-token", action="store_true", help="print what clients have to bring, and end")
    command.add_argument("--new-token", action="store_true", help="make another token, print it, and end")
    command.add_argument(
        "--keep", action="store_true", help="in the background, started again whenever it ends, as `start` does"
    )
    command.add_argument("--sessions", type=_count, default=32, metavar="N", help="most sessions at once (32)")
    command.add_argument(
        "--idle", type=seconds, default=1800.0, metavar="SECONDS", help="end a session that nobody uses (1800)"
    )


def serve(arguments: argparse.Namespace, ui: Ui) -> int:
    """Serve a server, or a group of servers, over HTTP; or print its token."""
    from hatchlock.serve.front.front import Limits
    from hatchlock.usecases.serve import bearer_token
    from hatchlock.usecases.serve import serve as serve_over_http

    wanted = _wanted(arguments)
    home = home_of(arguments)
    if arguments.show_token or arguments.new_token:
        token = bearer_token(home, wanted, anew=arguments.new_token)
        if ui.json:
            ui.document({"name": wanted.key, "token": token})
        else:
            ui.raw(token)
        return 0
    if arguments.keep:
        from hatchlock.usecases.keep import keep_server

        if wanted.is_group:
            raise UsageError(what="a group is not kept", advice="name a server that stays")
        return keep_server(home, wanted.project, wanted.name, os.environ)
    if not wanted.is_group and (status := _stand(home, wanted, ui)) is not None:
        return status
    if arguments.no_token:
        ui.say(f"hatchlock: every program of this machine, of whichever user, may use {wanted.name}: --no-token")

    def ready(url: str) -> None:
        if ui.json:
            ui.document({"name": wanted.key, "url": url, "token": not arguments.no_token, "pid": os.getpid()})
            return
        ui.result(url)
        if not arguments.no_token:
            ui.say(f"hatchlock: clients bring the token that `{wanted.token_command}` prints")

    return serve_over_http(
        home,
        wanted,
        os.environ,
        limits=Limits(sessions=arguments.sessions, idle=arguments.idle),
        ready=ready,
        port=arguments.port,
        with_token=not arguments.no_token,
    )


def _stand(home: Home, wanted: Wanted, ui: Ui) -> int | None:
    """Serve a server that speaks HTTP itself, and asks for what it likes; None if it is another one."""
    from hatchlock.usecases.run import find_record

    record = find_record(home, wanted.project, wanted.name)
    if not record.speaks_http:
        return None
    from hatchlock.usecases.keep import stand_here

    def ready(url: str) -> None:
        if ui.json:
            ui.document({"name": wanted.key, "url": url, "token": False, "pid": os.getpid()})
        else:
            ui.result(url)

    return stand_here(home, record, os.environ, ready=ready)


def _wanted(arguments: argparse.Namespace) -> Wanted:
    from hatchlock.usecases.wanted import Wanted

    if arguments.name and arguments.group:
        raise UsageError(what="name a server or a group, and not both", advice="see `hatchlock serve --help`")
    if not arguments.name and not arguments.group:
        raise UsageError(what="name a server, or a group with --group", advice="see `hatchlock serve --help`")
    project = project_name_of(arguments)
    return Wanted(project=project, name=arguments.group or arguments.name, is_group=bool(arguments.group))


def _port(text: str) -> int:
    value = int(text)
    if value not in _PORTS:
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


_port.__name__ = "port"  # argparse says what it should be
_count.__name__ = "number"
