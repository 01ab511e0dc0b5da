"""`add` of what people paste and of command lines, which may be several servers."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.registry_servers import Given

__all__ = ["is_taken_over", "refuse_command_line", "taken_over"]


def is_taken_over(arguments: argparse.Namespace) -> bool:
    """Return whether `add` was given something else than a source."""
    from hatchlock.usecases.pasted import is_pasted

    return bool(arguments.words) or arguments.source == "-" or is_pasted(arguments.source or "")


def refuse_command_line(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """Refuse `add COMMAND ARGUMENT…` and `exec NAME COMMAND…`, of which options may be meant for either.

    Args:
        arguments: What was understood of the command line.
        words: The command line.

    Raises:
        UsageError: It is one; with the way to write it.
    """
    is_exec = arguments.command == "exec"
    if not is_exec and (arguments.command != "add" or not arguments.source or set(":/") & set(arguments.source)):
        return
    from hatchlock.clients.masked import masked_words

    line = list(words[words.index(arguments.command) + 1 :])
    before = [arguments.command]
    if is_exec:
        behind = line.index(arguments.name) + 1
        before, line = [*before, *line[:behind]], line[behind:]
        if not line or line[0].startswith("-"):
            return  # an option of ours, misspelt
    shown = f"hatchlock {shlex.join(before)} -- {shlex.join(masked_words(line))}"
    raise UsageError(what="a command line stands behind `--`", advice=shown)


def taken_over(
    arguments: argparse.Namespace, given: Given, manifest: str
) -> tuple[Mapping[str, Mapping[str, Any]], tuple[str, ...]]:
    """Return the servers that were pasted, or that a command line starts, and what is to be said of them once they are there.

    Args:
        arguments: The command line.
        given: What `--env` and `--secret` say.
        manifest: The manifest's text.

    Raises:
        UsageError: `--name`, `--env` or `--secret` stand beside several servers.
        ManyErrors, Unreadable, CannotTakeOver: Some of it can be no server of a manifest.
    """
    from hatchlock.usecases.pasted import from_text, from_words

    name, project = arguments.name or "", _project_in(manifest)
    if arguments.words:
        found = from_words(arguments.words, manifest=manifest, project=project)
    else:
        text = sys.stdin.read() if arguments.source == "-" else arguments.source
        if not text.strip():
            advice = "hatchlock add - < FILE, or paste it here and end with ctrl-D"
            raise UsageError(
                what="stdin is empty: `add -` reads what an application's file has from there", advice=advice
            )
        found = from_text(text, name=name, manifest=manifest, project=project)
    tables = given.keys()
    if len(found.servers) > 1 and (name or tables):
        option = "--name" if name else "--env and --secret"
        raise UsageError(
            what=f"{option} is for one server, and these are {len(found.servers)}: {', '.join(found.servers)}",
            advice="leave it out, or paste them one by one",
        )
    servers = {(name or key): _with(fields, tables) for key, fields in found.servers.items()}
    return servers, tuple(note if note.startswith("next: ") else f"note: {note}" for note in found.notes)


def _project_in(manifest: str) -> str:
    """Return the project's name; "" for a broken manifest, which whoever changes it reports."""
    from hatchlock.usecases.run import project_name_in

    try:
        return project_name_in(manifest)
    except (ValueError, KeyError, TypeError):
        return ""


def _with(fields: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {**fields, **{key: {**fields.get(key, {}), **value} for key, value in tables.items()}}
