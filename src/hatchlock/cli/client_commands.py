"""`client`: what applications list, and what is done in their files besides `apply`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from hatchlock.cli.client_arguments import TAKEN
from hatchlock.cli.client_changes import clean, diff, remove, restore, sync
from hatchlock.cli.client_views import application_lines, application_to_dict, by_application, by_server
from hatchlock.cli.client_words import matcher
from hatchlock.cli.context import project_or_none
from hatchlock.cli.layout import printable
from hatchlock.cli.plan_commands import tell_hints
from hatchlock.cli.ui import Ui
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.client_entries import Application, ApplicationFile

__all__ = ["client"]


def client(arguments: argparse.Namespace, ui: Ui) -> int:
    """List or show what stands in the files of applications, or change it."""
    _check_options(arguments)
    actions: dict[str, Callable[[argparse.Namespace, Ui], int]] = {
        "list": _list,
        "show": _show,
        "diff": diff,
        "restore": restore,
        "clean": clean,
        "sync": sync,
        "remove": remove,
    }
    return actions[arguments.action](arguments, ui)


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse options that the action does not know: what is silently left aside is not what somebody wanted."""
    for option, actions in TAKEN.items():
        if getattr(arguments, option) and arguments.action not in actions:
            what = f"client {arguments.action} does not take --{_OPTIONS.get(option, option.replace('_', '-'))}"
            raise UsageError(what=what, advice="see `hatchlock client --help`")


_OPTIONS = {"clients": "client", "states": "state"}


def _list(arguments: argparse.Namespace, ui: Ui) -> int:
    if arguments.names:
        return _show(arguments, ui)
    everything = _applications(arguments)
    shown = _worth_showing(everything, arguments)
    if ui.json:
        ui.document({"applications": [application_to_dict(item) for item in shown]})
        return _status(shown)
    if shown:
        ui.result(by_server(shown) if arguments.by == "server" else by_application(shown))
    if left := len(everything) - len(shown):
        ui.say(f"{left} more that are known are not on this machine, or have nothing like that; -v lists them too")
    for file in _broken(shown):
        ui.say(f"! {printable(file.problem)}")
    tell_hints((file.hint for file in _broken(shown)), ui)
    return _status(shown)


def _show(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.client_names import known_application

    name, *servers = arguments.names or [""]
    arguments.servers = [*(arguments.servers or ()), *map(re.escape, servers)] or None
    wanted, scope = known_application(name) if name else ("", "")
    found = [item for item in _applications(arguments) if not wanted or item.name == wanted]
    if scope:
        found = [replace(item, files=tuple(file for file in item.files if file.scope == scope)) for item in found]
    shown = found if wanted else _worth_showing(found, arguments)
    if servers and not any(item.entries for item in shown) and not _broken(shown):
        from hatchlock.usecases.client_names import NoSuchEntry

        arguments.servers = None
        entries = (entry for item in _applications(arguments) if item.name == wanted for _, entry in item.entries)
        listed = dict.fromkeys(entry.name for entry in entries)
        raise NoSuchEntry(client=name, servers=tuple(servers), listed=tuple(listed))
    if ui.json:
        ui.document({"applications": [application_to_dict(item) for item in shown]})
    else:
        ui.result("\n\n".join("\n".join(application_lines(item)) for item in shown))
        tell_hints((file.hint for file in _broken(shown)), ui)
    return _status(shown)


def _status(shown: Iterable[Application]) -> int:
    """A file that nobody can read is an error: what it lists is not known."""
    return 1 if _broken(shown) else 0


def _broken(shown: Iterable[Application]) -> list[ApplicationFile]:
    return [file for item in shown for file in item.files if file.problem]


def _applications(arguments: argparse.Namespace) -> list[Application]:
    from hatchlock.usecases.client_entries import list_applications

    is_server, is_client = matcher(arguments.servers), matcher(arguments.clients)
    states = set(arguments.states or ())
    found = [item for item in list_applications(project_or_none(arguments)) if is_client(item.name)]
    if not arguments.servers and not states:
        return found
    return [
        replace(
            item,
            files=tuple(
                replace(file, entries=kept)
                for file in item.files
                if (kept := tuple(e for e in file.entries if is_server(e.name) and (not states or e.state in states)))
                or file.problem  # whatever is asked for may be in it
            ),
        )
        for item in found
    ]


def _worth_showing(found: Iterable[Application], arguments: argparse.Namespace) -> list[Application]:
    """Leave out what is not on this machine, and of the rest what was not asked for."""
    items = list(found)
    if arguments.servers or arguments.states:
        return [item for item in items if item.entries or _broken([item])]
    if arguments.verbose or arguments.clients:
        return items
    there = [item for item in items if item.is_installed or item.entries or any(file.exists for file in item.files)]
    return [
        replace(item, files=tuple(file for file in item.files if file.exists or file.entries) or item.files[:1])
        for item in there
    ]
