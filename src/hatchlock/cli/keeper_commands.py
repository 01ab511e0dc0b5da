"""`start`, `stop`, `restart`, `top`, and `logs -f`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

from hatchlock.cli.context import home_of, project_name_of
from hatchlock.cli.ui import Ui, printable

if TYPE_CHECKING:
    from hatchlock.usecases.keepers import Changed
    from hatchlock.usecases.top import Running

__all__ = ["KEEPER_ARGUMENTS", "follow", "follow_arguments", "restart", "start", "stop", "top"]

_EVERY = 2.0
_CLEAR = "\x1b[H\x1b[J"
_NOTHING = {"start": "runs already", "stop": "did not run"}


def _names(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="servers that stay; all of them if not said")


def _top(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="servers; all that run if not said")
    command.add_argument("--watch", action="store_true", help="go on, every two seconds, until ctrl-C")


def follow_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `logs` by which it goes on."""
    command.add_argument("others", nargs="*", metavar="NAME", help="with -f: more servers; all of them if none is said")
    command.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")


KEEPER_ARGUMENTS = {**dict.fromkeys(("start", "stop", "restart"), _names), "top": _top}


def start(arguments: argparse.Namespace, ui: Ui) -> int:
    """Start servers that stay, also those that were stopped by hand."""
    from hatchlock.usecases.keepers import start as start_servers

    return _tell(
        start_servers(home_of(arguments), project_name_of(arguments), arguments.names, os.environ), "start", ui
    )


def stop(arguments: argparse.Namespace, ui: Ui) -> int:
    """Stop servers that stay, until they are started by hand."""
    from hatchlock.usecases.keepers import stop as stop_servers

    return _tell(stop_servers(home_of(arguments), project_name_of(arguments), arguments.names), "stop", ui)


def restart(arguments: argparse.Namespace, ui: Ui) -> int:
    """Stop servers that stay, and start them again."""
    from hatchlock.usecases.keepers import restart as restart_servers

    done = restart_servers(home_of(arguments), project_name_of(arguments), arguments.names, os.environ)
    return _tell(done, "restart", ui)


def top(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what the servers take that run now, or with `--watch` again and again, until somebody ends it."""
    from hatchlock.usecases.top import running_servers

    home, project = home_of(arguments), project_name_of(arguments)
    found = running_servers(home, project, arguments.names)
    if arguments.watch:
        _watch(found, lambda: running_servers(home, project, arguments.names, interval=_EVERY, calmly=True), ui)
    elif ui.json:
        ui.document({"servers": [asdict(item) for item in found]})
    elif not found:
        ui.say("no server runs")
    else:
        ui.result(_usage(found))
    return 0


def _watch(found: Sequence[Running], look: Callable[[], Sequence[Running]], ui: Ui) -> None:
    """Show what was found, look again, and so on: in the place of what was there before on a terminal, else below it."""
    import shutil

    while True:
        if ui.json:
            ui.line({"servers": [asdict(item) for item in found]})
        else:
            shown = _usage(found) if found else "no server runs"
            if sys.stdout.isatty():
                sys.stdout.write(_CLEAR)
                lines, room = shown.split("\n"), max(shutil.get_terminal_size().lines - 2, 1)
                more = [f"and {len(lines) - room} more"] if len(lines) > room else []
                shown = "\n".join((*lines[:room], *more))
            ui.result(shown)
        found = look()


def _usage(found: Sequence[Running]) -> str:
    from hatchlock.cli.layout import table

    rows = [("SERVER", "USED BY", "PID", "UP", "CPU", "MEMORY", "PROCESSES", "RUNNER")]
    rows += [
        (
            item.server,
            printable(item.application) if item.kind == "session" else f"kept, {_sessions(item.sessions)}",
            str(item.pid),
            _duration(item.seconds),
            f"{item.cpu:.0%}",
            _size(item.memory),
            str(item.processes),
            _size(item.runner_memory),
        )
        for item in found
    ]
    return table(rows)


def follow(arguments: argparse.Namespace, ui: Ui) -> NoReturn:
    """Print what servers write, until somebody ends it."""
    from hatchlock.cli.audit_log_command import last_lines, start_of
    from hatchlock.usecases.follow import follow_logs

    names = tuple(dict.fromkeys(name for name in (arguments.name, *arguments.others) if name))

    def told(name: str, line: str) -> None:
        text = printable(line)
        if ui.json:
            ui.line({"server": name, "line": text})
        else:
            ui.result(text if len(names) == 1 else f"{name}  {text}")
        sys.stdout.flush()

    lines, start = last_lines(arguments), start_of(arguments)
    follow_logs(home_of(arguments), project_name_of(arguments), names, told, lines=lines, start=start)


def _sessions(count: int) -> str:
    return f"{count} session{'s' * (count != 1)}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    shown = [f"{number}{unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0s"


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def _tell(done: Sequence[Changed], command: str, ui: Ui) -> int:
    if ui.json:
        ui.document({"servers": [asdict(item) for item in done]})
        return 0
    for item in done:
        where = f", at {item.url}" if item.pid else ""
        ui.result(f"{item.server} {_NOTHING[command] if item.did == 'nothing' else item.did}{where}")
    return 0
