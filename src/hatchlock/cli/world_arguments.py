"""The arguments of the commands that compare and change the world."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from hatchlock.errors import UsageError

__all__ = ["WORLD_ARGUMENTS", "lock_timeout", "seconds"]

_FOREVER = 1e9


def seconds(text: str) -> float:
    """Read a number of seconds, for argparse.

    Raises:
        ValueError: It is none, negative or endless.
    """
    value = float(text)
    if not 0 <= value < _FOREVER:
        raise ValueError
    return value


def lock_timeout(command: argparse.ArgumentParser, who: str) -> None:
    """Add `--lock-timeout`: how long to wait for `who`."""
    command.add_argument("--lock-timeout", type=seconds, default=60.0, metavar="SECONDS", help=f"wait for {who}")


seconds.__name__ = "number of seconds"  # argparse says what it should be


def _selection(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help="an address, a pattern of addresses, group:NAME or client:APPLICATION, and what that needs; may be repeated",
    )
    command.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="make it anew, though it is as it should be; may be repeated",
    )


def _plan(command: argparse.ArgumentParser) -> None:
    command.add_argument("--check", action="store_true", help="exit 2 if there is something to do")
    command.add_argument("--out", metavar="FILE", help="save the plan for `apply FILE`")
    command.add_argument("--markdown", action="store_true", help="write markdown, for a pull request")
    command.add_argument(
        "--assume",
        metavar="LOCK",
        help="plan from a machine that is as this lock file or git revision says, and look at none",
    )
    command.add_argument("--platform", metavar="OS/ARCH", help="with --assume: that machine's; this one's if not said")
    _selection(command)


def count(text: str) -> int:
    """Read a number that is at least 1, for argparse.

    Raises:
        ValueError: It is none, or less.
    """
    value = int(text)
    if value < 1:
        raise ValueError
    return value


count.__name__ = "positive number"


def pace(command: argparse.ArgumentParser) -> None:
    """Add how steps are done, and where that is told: `--jobs`, `--fail-fast`, `--events`."""
    command.add_argument("--jobs", type=count, metavar="N", help="do at most N steps at once (4)")
    command.add_argument("--fail-fast", action="store_true", help="begin no other step when one has failed")
    command.add_argument("--events", metavar="FILE", help="add what happens to FILE, a line of JSON each")


def _consents(command: argparse.ArgumentParser) -> None:
    _selection(command)
    pace(command)
    _agreements(command)
    command.add_argument("--takeover", action="store_true", help="bind the project to this directory")
    lock_timeout(command, "another apply")
    command.add_argument("--no-probe", action="store_true", help="do not probe the servers that changed")
    command.add_argument(
        "--rollback-on-failure",
        action="store_true",
        dest="undo",
        help="if a step fails, or a server does not answer, go back to what was there before",
    )


def _apply(command: argparse.ArgumentParser) -> None:
    command.add_argument("plan", nargs="?", metavar="FILE", help="a saved plan: exactly this, or nothing")
    command.add_argument(
        "--from", dest="source", metavar="BUNDLE", help="take files from a bundle of `fetch --to` first"
    )
    _consents(command)


def _status(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", nargs="?", type=_images, metavar="WHAT", help="images: what the engine has of them")
    command.add_argument(
        "--check-secrets", action="store_true", help="look whether a running server has secrets that have changed"
    )


def _images(word: str) -> str:
    if word != "images":
        what = f"`status` tells of all servers at once: it takes no {word!r}"
        raise UsageError(what=what, advice="hatchlock status, or hatchlock status images")
    return word


def _agreements(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", "-y", action="store_true", help="do not ask")
    command.add_argument("--allow-destructive", action="store_true", help="agree to what would be lost")
    command.add_argument("--allow-privileged", action="store_true", help="agree to changes of the host as root")
    command.add_argument("--allow-mass-removal", action="store_true", help="agree to removing more than half")


def _history(command: argparse.ArgumentParser) -> None:
    command.add_argument("number", nargs="?", type=int, metavar="N", help="this generation; all if not said")


def _rollback(command: argparse.ArgumentParser) -> None:
    command.add_argument("number", nargs="?", type=int, metavar="N", help="the generation; the one before if not said")
    _agreements(command)
    pace(command)
    lock_timeout(command, "an apply")


def _destroy(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", "-y", action="store_true", help="do not ask")
    command.add_argument("--allow-destructive", action="store_true", help="agree to what would be lost")
    command.add_argument("--stop-sessions", action="store_true", help="end its servers that run")
    pace(command)
    lock_timeout(command, "an apply")


def _gc(command: argparse.ArgumentParser) -> None:
    command.add_argument("--keep", type=int, default=2, metavar="N", help="keep the last N generations (2)")
    command.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    command.add_argument("--yes", "-y", action="store_true", help="do not ask")
    lock_timeout(command, "an apply")


def _show(command: argparse.ArgumentParser) -> None:
    command.add_argument("plan", metavar="FILE", help="a saved plan")


WORLD_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "plan": _plan,
    "show": _show,
    "apply": _apply,
    "up": _consents,
    "status": _status,
    "history": _history,
    "rollback": _rollback,
    "gc": _gc,
    "destroy": _destroy,
}
