"""The arguments of `pin`."""

from __future__ import annotations

import argparse

from hatchlock.cli.world_arguments import lock_timeout, seconds

__all__ = ["pin_arguments"]


def pin_arguments(command: argparse.ArgumentParser) -> None:
    """Add what `pin` takes."""
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="servers; all of the manifest that may be probed if not said"
    )
    command.add_argument("--check", action="store_true", help="write nothing; exit 2 if a pin would change")
    command.add_argument("--remove", action="store_true", help="remove the pins of the servers that are named")
    command.add_argument(
        "--import", dest="source", metavar="FILE", help="take what an mcp-pin.lock says instead of looking"
    )
    command.add_argument("--yes", action="store_true", help="take pins that change without being asked")
    command.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="for each look; the server's startup-timeout if not said"
    )
    lock_timeout(command, "another command that changes the manifest or the lock")
