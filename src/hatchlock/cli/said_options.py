"""What is wrong with a server of `add` or `try`, or a project of `init`, said of the options that gave it: no file has those lines."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from hatchlock.errors import HatchlockError, KeyProblem, ManyErrors, UsageError

__all__ = ["WrongOptions", "project_options", "said_of_options", "server_options"]

_SINGLE = {"runtime": "runtime", "python": "python"}
_NUMBERED = {"clients": ("client", "clients"), "sandbox.network": ("network", "network")}
_OF_SEVERAL = {"with": ("with", "also"), "sandbox.mounts": ("mount", "mount")}
"""What the source may have given some of as well, so that their numbers say nothing."""
_NAMED = {"env": (("env", "env"), ("secret", "secrets")), "headers": (("header", "headers"),)}


class WrongOptions(ManyErrors):
    """Several mistakes in the options of one command."""

    exit_status: ClassVar[int] = UsageError.exit_status


@contextmanager
def said_of_options(options: Mapping[str, str], *table: str) -> Iterator[None]:
    """Say of mistakes in a table that stand in no line which options of the command they are.

    Args:
        options: The keys of the table that options give, and each option as it may be shown; "" is the table itself.
        table: Where it is: `"servers", "time"`.

    Raises:
        UsageError, WrongOptions: It is one mistake in an option, or there are several.
        ManyErrors: Some are about something else.
    """
    try:
        yield
    except ManyErrors as found:
        from hatchlock.manifest.problem import dotted

        errors = tuple(_said(error, options, dotted(table)) for error in found.errors)
        if not all(isinstance(error, UsageError) for error in errors):
            raise ManyErrors(errors=errors) from None
        raise (errors[0] if len(errors) == 1 else WrongOptions(errors=errors)) from None


def project_options(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return what options of `init` give of the table `project`, for `said_of_options`."""
    named = {"name": _option("name", arguments.name)} if arguments.name else {}
    platforms = enumerate(arguments.platforms or ())
    return named | {f"platforms[{number}]": _option("platform", value) for number, value in platforms}


def server_options(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return what options of `add` or `try` give of a server's table, for `said_of_options`."""
    from hatchlock.manifest.problem import dotted

    given = vars(arguments)
    said = {key: _option(option, given[option]) for key, option in _SINGLE.items() if given.get(option)}
    if named := next((option for option in ("name", "keep") if given.get(option)), ""):
        said[""] = _option(named, given[named])
    for key, (option, where) in (_NUMBERED | _OF_SEVERAL).items():
        values = given.get(where) or ()
        said |= {key: f"--{option}"} if values else {}
        if key in _NUMBERED:
            said |= {f"{key}[{number}]": _option(option, value) for number, value in enumerate(values)}
    for key, sorts in _NAMED.items():
        for option, where in sorts:
            # the value may be a secret
            names = (text.partition("=")[0] for text in given.get(where) or ())
            said |= {dotted((key, name)): _option(option, name) for name in names}
    return said


def _option(option: str, value: str) -> str:
    return f"--{option} {shlex.quote(value)}"


def _said(error: HatchlockError, options: Mapping[str, str], table: str) -> HatchlockError:
    if not isinstance(error, KeyProblem) or error.place or not f"{error.key}.".startswith(f"{table}."):
        return error
    key = error.key.removeprefix(table).removeprefix(".")
    known = [said for said in options if key == said or (said and key.startswith((f"{said}.", f"{said}[")))]
    if not known:
        return error
    option = options[max(known, key=len)]
    advice, name = error.advice, option.removeprefix("--env ")
    if option != name and "{ secret = " in advice:  # as it would be written into a manifest
        advice = f"write --secret {name}=keyring:{name}, and set it with `hatchlock secret set {name}`"
    return UsageError(what=f"{option}: {error.what}", advice=advice)
