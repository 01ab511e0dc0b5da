"""`login` and `logout`."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hatchlock.cli.context import home_of, project_name_of, project_of
from hatchlock.cli.layout import table
from hatchlock.cli.ui import Ui, printable
from hatchlock.cli.world_arguments import seconds
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.logins import LoginView

__all__ = ["login", "login_arguments", "logout", "logout_arguments"]

_USUAL_SECONDS = 300.0


def login_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `login`."""
    command.add_argument("name", nargs="?", metavar="NAME", help="the remote server")
    command.add_argument("--status", action="store_true", help="say who is logged in where; ask nobody")
    command.add_argument("--no-browser", action="store_true", help="open no browser; the address is printed anyway")
    command.add_argument(
        "--timeout", type=seconds, default=_USUAL_SECONDS, metavar="SECONDS", help="for all of it; 300 if not said"
    )


def logout_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `logout`."""
    command.add_argument("name", metavar="NAME", help="the remote server")


def login(arguments: argparse.Namespace, ui: Ui) -> int:
    """Log in at a remote server, or say who is."""
    from hatchlock.usecases.logins import declared_remotes, list_logins, log_in, remote_of

    project = project_of(arguments)
    remotes = declared_remotes(project)
    if arguments.name:
        remotes = (remote_of(remotes, arguments.name),)
    if arguments.status:
        return _status(list_logins(remotes, project.home, os.environ), ui)
    if not arguments.name:
        raise UsageError(what="login needs the name of a remote server", advice="see `hatchlock login --status`")
    if arguments.offline:
        raise UsageError(what="a login needs the network", advice="leave --offline out")

    def show(address: str) -> None:
        ui.say(f"to log in, open this address in a browser:\n\n    {printable(address)}\n")
        if not arguments.no_browser and _has_browser():
            _open(address)

    view, where = log_in(remotes[0], project.home, os.environ, timeout=arguments.timeout, show=show)
    if ui.json:
        ui.document({**_document(view), "where": where})
    else:
        place = "the keyring of this system" if where == "keyring" else "the store, which only you can read"
        ui.result(f"logged in at {view.server} ({view.url}): {_words(view)}; kept in {place}")
    return 0


def logout(arguments: argparse.Namespace, ui: Ui) -> int:
    """Forget a login."""
    from hatchlock.usecases.logins import log_out

    told = log_out(project_name_of(arguments), arguments.name, home_of(arguments), os.environ)
    if ui.json:
        ui.document({"server": arguments.name, "revoked": told})
    else:
        ui.result(f"logged out of {arguments.name}" + (", which was told so" if told else ""))
    return 0


def _status(views: tuple[LoginView, ...], ui: Ui) -> int:
    if ui.json:
        ui.document({"logins": [_document(view) for view in views]})
        return 0
    if not views:
        ui.say("there are no logins: none of the servers has a url")
        return 0
    ui.result(table([("SERVER", "URL", ""), *((view.server, printable(view.url), _words(view)) for view in views)]))
    return 0


def _document(view: LoginView) -> dict[str, object]:
    return {**asdict(view), "expires": _when(view.expires)}


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def _words(view: LoginView) -> str:
    said = {
        "out": "not logged in",
        "ended": "the login has ended",
        "elsewhere": "logged in at another address than this one",
        "header": "its headers say who asks",
    }
    if view.state != "in":
        return said[view.state]
    until = f"the token lasts until {_when(view.expires)}" if view.expires else "the token lasts until it is refused"
    scope = f", for {printable(view.scope)}" if view.scope else ""
    return f"{until}{', and is refreshed' if view.refreshed else ''}{scope}"


def _has_browser() -> bool:
    """Whether a browser with a window can be opened; one for terminals would wait for us, as we for it."""
    named = any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
    return named or sys.platform in {"darwin", "win32"}


def _open(address: str) -> None:
    import threading
    import webbrowser

    # some browsers return when they are closed
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
