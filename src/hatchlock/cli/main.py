"""The entry point: parse, do, and turn errors into sentences and exit statuses."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hatchlock import __version__

if TYPE_CHECKING:
    from hatchlock.cli.ui import Ui

__all__ = ["main"]

_GRACE = 1.0
_FOREIGN = {"run", "try", "exec"}
_STREAMING = {"apply", "up", "rollback", "destroy"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run hatchlock with arguments (the process's own if not given) and return the exit status.

    0 done or nothing to do; 1 error; 2 changes or differences (with `--check`); 3 refused; 64 wrong usage; 130
    interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"] and words[1:]:
        words = [*words[1:], "--help"]
    if words[:1] == ["run"]:
        from hatchlock.cli.quick import quicken

        quicken()
    status = _main(words)
    from hatchlock.errors import INTERRUPTED

    if status == INTERRUPTED and argv is None:
        _leave(status)
    return status


def _main(words: list[str]) -> int:
    try:
        status = _told(words)
        return _reported(words) if status is None else status
    except BrokenPipeError:
        # whoever read our stdout has gone; what is left in the buffer must not be tried again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _told(words: list[str]) -> int | None:
    """Print what needs no parser, and return the status; None for every other command line."""
    if not words or words in (["--help"], ["-h"], ["help"]):
        from hatchlock.cli.help import overview

        print(overview(), flush=True)
        return 0 if words else 64
    if words == ["--version"]:
        print(f"hatchlock {__version__}", flush=True)
        return 0
    return None


def _leave(status: int) -> None:
    """End the process at once if threads are left that do not end soon: they may wait for a server for minutes."""
    deadline = time.monotonic() + _GRACE
    others = [item for item in threading.enumerate() if item is not threading.current_thread() and not item.daemon]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _reported(words: list[str]) -> int:
    from hatchlock.errors import INTERRUPTED, HatchlockError, SystemProblem

    own = _split(words)[0]
    debug = "--debug" in own
    try:
        return _flushed(words)
    except HatchlockError as error:
        if debug:
            raise
        _ui(own).error(error)
        return error.exit_status
    except KeyboardInterrupt:
        _ui(own).say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        if debug:
            raise
        _ui(own).error(SystemProblem.of(error))
        return SystemProblem.exit_status


def _ui(own: list[str]) -> Ui:
    """Return what tells of a failure, whatever the command line is."""
    from hatchlock.cli.ui import Ui

    # the stdout of `run` and `try` is their server's, that of `exec` its command's
    return Ui(json="--json" in own and _FOREIGN.isdisjoint(own), stream=not _STREAMING.isdisjoint(own))


def _flushed(words: list[str]) -> int:
    """Do what is asked, and find out here whether nobody reads it: as Python ends it would be a traceback."""
    try:
        status = _dispatch(words)
    except SystemExit:  # argparse has printed a help
        print(end="", flush=True)
        raise
    print(end="", flush=True)
    return status


def _dispatch(words: list[str]) -> int:
    from hatchlock.cli.entry import entry_of, serve_entry

    if entry := entry_of(words):
        return serve_entry(entry)
    gc.enable()
    from hatchlock.cli.commands import handle
    from hatchlock.cli.parser import parse
    from hatchlock.cli.progress import Progress
    from hatchlock.cli.surplus_words import refuse_foreign_words
    from hatchlock.cli.ui import Ui

    own, foreign = _split(words)
    arguments = parse(own)
    arguments.words = foreign
    refuse_foreign_words(arguments.command, foreign)
    stream = arguments.command in _STREAMING
    with Progress(shown=not arguments.json) as progress:
        ui = Ui(
            json=arguments.json,
            stream=stream,
            color=arguments.color,
            verbose=arguments.verbose,
            progress=progress,
        )
        return handle(arguments, ui)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Cut at `--`: what follows is a command line of somebody else (`add -- uvx mcp-server-time`)."""
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]
