"""The arguments of `try`."""

from __future__ import annotations

import argparse

from hatchlock.cli.headers import header_arguments
from hatchlock.cli.world_arguments import seconds

__all__ = ["try_arguments"]


def try_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `try`."""
    command.add_argument(
        "source", nargs="?", metavar="SOURCE", help="kind:spec, a directory, or a repository's address; or -- COMMAND …"
    )
    command.add_argument("server_arguments", nargs="*", metavar="ARG", help="the server's arguments; or behind --")
    command.add_argument("--probe", action="store_true", help="speak MCP with it, print what it offers, and end")
    command.add_argument("--timeout", type=seconds, metavar="SECONDS", help="with --probe: for all of it")
    command.add_argument("--call", dest="tool", metavar="TOOL", help="with --probe: run this tool as well")
    command.add_argument("--args", dest="tool_arguments", metavar="JSON", help="with --call: what the tool gets")
    command.add_argument("--keep", metavar="NAME", help="when it went well, add it to the manifest and lock, as tried")
    command.add_argument(
        "--runtime", choices=["process", "container"], help="where it runs; a container if there is an engine"
    )
    command.add_argument(
        "--network", action="append", metavar="HOST:PORT", help="what it may reach, or internet; nothing if not said"
    )
    command.add_argument(
        "--mount", action="append", metavar="SOURCE:TARGET[:rw]", help="what it may read, or with :rw write"
    )
    command.add_argument("--env", action="append", metavar="NAME=VALUE", help="a variable of the server")
    command.add_argument(
        "--secret", action="append", dest="secrets", metavar="NAME=REF", help="a variable, and where it is: env:NAME"
    )
    header_arguments(command)
    command.add_argument(
        "--arg", action="append", dest="answers", metavar="NAME=VALUE", help="what an entry of the MCP registry asks"
    )
    command.add_argument(
        "--with", action="append", dest="also", metavar="SOURCE", help="a package beside it: pypi:tzdata"
    )
    command.add_argument("--python", metavar="VERSION", help="its Python, 3.12")
    command.set_defaults(name=None, clients=None)
