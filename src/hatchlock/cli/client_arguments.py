"""The arguments of `client`."""

from __future__ import annotations

import argparse

from hatchlock.cli.world_arguments import lock_timeout

__all__ = ["ACTIONS", "TAKEN", "client_arguments"]

ACTIONS = ("list", "show", "diff", "restore", "clean", "sync", "remove")
TAKEN = {
    "clients": ("list", "show"),
    "states": ("list", "show"),
    "replace": ("sync",),
    "dry_run": ("restore", "clean", "sync", "remove"),
    "yes": ("restore", "clean", "sync", "remove"),
    "allow_destructive": ("restore", "remove"),
}
"""Options that only some actions know."""
_STATES = ("in-sync", "changed", "drifted", "missing", "foreign", "other-project", "orphaned")


def client_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `client`."""
    command.add_argument(
        "action", choices=ACTIONS, metavar="ACTION", help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}"
    )
    command.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="an application, or application@project for its project's file; sync: first the one to copy from; "
        "show, remove: then servers",
    )
    command.add_argument(
        "--server",
        action="append",
        dest="servers",
        metavar="PATTERN",
        help="only these servers: a name, or a regular expression for all of it",
    )
    command.add_argument(
        "--client",
        action="append",
        dest="clients",
        metavar="PATTERN",
        help="list, show: only these applications, likewise",
    )
    command.add_argument(
        "--state",
        action="append",
        dest="states",
        choices=_STATES,
        metavar="STATE",
        help="list, show: only such entries",
    )
    command.add_argument(
        "--by",
        choices=["application", "server"],
        default="application",
        metavar="WHAT",
        help="list: by application or server",
    )
    command.add_argument(
        "--replace",
        action="store_true",
        help="sync: replace other entries of the same names, unless they are hatchlock's",
    )
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument(
        "--allow-destructive", action="store_true", help="remove: lose what stands there; restore: lose what was edited"
    )
    lock_timeout(command, "restore: another command that changes the project")
