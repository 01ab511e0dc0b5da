"""The entry point: parse, do, and turn errors into sentences and exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hatchlock import __version__

__all__ = ["main"]

INTERRUPTED = 130
_STREAMING = {"apply", "up"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run hatchlock with arguments (the process's own if not given) and return the exit status.

    0 done or nothing to do; 1 error; 2 changes or differences (with `--check`); 3 refused; 64 wrong usage; 130
    interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words in (["--help"], ["-h"], ["help"]):
        from hatchlock.cli.help import overview

        print(overview())
        return 0 if words else 64
    if words == ["--version"]:
        print(f"hatchlock {__version__}")
        return 0
    return _main(words)


def _main(words: list[str]) -> int:
    try:
        return _reported(words)
    except BrokenPipeError:
        # whoever read our stdout has gone; what is left in the buffer must not be tried again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _reported(words: list[str]) -> int:
    from hatchlock.cli.ui import Ui
    from hatchlock.errors import HatchlockError, SystemProblem

    own = _split(words)[0]
    # the stdout of `run` is its server's
    ui = Ui(json="--json" in own and "run" not in own, stream=not _STREAMING.isdisjoint(own))
    debug = "--debug" in own
    try:
        return _dispatch(words)
    except HatchlockError as error:
        if debug:
            raise
        ui.error(error)
        return error.exit_status
    except KeyboardInterrupt:
        ui.say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        if debug:
            raise
        ui.error(SystemProblem.of(error))
        return SystemProblem.exit_status


def _dispatch(words: list[str]) -> int:
    from hatchlock.cli.parser import parse
    from hatchlock.cli.ui import Ui

    own, foreign = _split(words)
    arguments = parse(own)
    arguments.words = foreign
    stream = arguments.command in _STREAMING
    ui = Ui(json=arguments.json, stream=stream, color=arguments.color, verbose=arguments.verbose)
    from hatchlock.cli.commands import handle

    return handle(arguments, ui)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Cut at `--`: what follows is a command line of somebody else (`add -- uvx mcp-server-time`)."""
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]
