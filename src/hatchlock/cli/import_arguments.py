"""The arguments of `import`."""

from __future__ import annotations

import argparse

from hatchlock.cli.world_arguments import lock_timeout

__all__ = ["import_arguments"]


def import_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `import`."""
    command.add_argument(
        "sources",
        nargs="*",
        metavar="FROM",
        help="an application, a file, a directory, or - for stdin; every application that is found here if not said",
    )
    command.add_argument(
        "--as", dest="form", default="", metavar="NAME", help="what FROM is: an application or a format"
    )
    command.add_argument(
        "--client",
        action="append",
        default=[],
        dest="clients",
        metavar="NAME",
        help="an application that lists them too",
    )
    command.add_argument(
        "--rename", action="append", default=[], metavar="OLD=NEW", help="give a server another name; may be repeated"
    )
    command.add_argument(
        "--runtime", choices=["process", "container"], help="where they run; processes if there is no engine"
    )
    secrets = command.add_mutually_exclusive_group()
    secrets.add_argument(
        "--keep-secrets", dest="keep", action="store_true", default=None, help="keep values of secrets, without asking"
    )
    secrets.add_argument("--no-secrets", dest="keep", action="store_false", help="keep none, without asking")
    command.add_argument("--dry-run", action="store_true", help="only show what would be written")
    lock_timeout(command, "another command that changes the manifest or the project")
