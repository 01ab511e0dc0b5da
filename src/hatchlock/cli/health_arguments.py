"""The arguments of the commands that ask how servers are, and that take one out of use."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from hatchlock.cli.world_arguments import seconds

__all__ = ["HEALTH_ARGUMENTS"]


def _probe(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="servers; every applied one if not said")
    command.add_argument("--timeout", type=seconds, metavar="SECONDS", help="the server's startup-timeout if not said")
    command.add_argument("--call", dest="tool", metavar="TOOL", help="run this tool as well")
    command.add_argument("--args", dest="tool_arguments", metavar="JSON", help="with --call: what the tool gets")
    command.add_argument(
        "--learn", action="store_true", help="watch what it tries, and say the smallest profile for it"
    )


def _quarantine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name", nargs="?", metavar="NAME", help="the server; without one those in quarantine are listed"
    )
    command.add_argument("--release", action="store_true", help="let it be started again")
    command.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever wants to start it")


HEALTH_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {"probe": _probe, "quarantine": _quarantine}
