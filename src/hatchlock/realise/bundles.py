"""MCP bundles, laid out: their files, and one command that starts them as their manifest says."""

from __future__ import annotations

import shlex
from pathlib import Path

from hatchlock.realise.unpack import BadArchive, unpack

__all__ = ["install_bundle", "is_bundle"]

_LAUNCHERS = ".hatchlock"
_PROGRAM_MODE = 0o755


def is_bundle(file_name: str) -> bool:
    """Return whether a file with this name is an MCP bundle."""
    return file_name.lower().endswith(".mcpb")


def install_bundle(directory: Path, *, name: str, file: Path, file_name: str, system: str) -> Path:
    """Lay out a verified bundle, and return the command that starts its server: a file called `name`.

    The command sets the bundle's variables unless they are set, and gives its own arguments behind the bundle's. What the
    bundle would ask its user is left out: whoever describes the server says it as variables and arguments.

    Args:
        directory: Where to; made if it is missing.
        name: What the command is called.
        file: The verified file.
        file_name: Its own name.
        system: Where it will run: "linux" or "darwin".

    Raises:
        BadBundle: It is none that can be run.
        BadArchive: It cannot be unpacked.
        OSError: The disk is full, or the like.
    """
    # pydantic, for the few environments that have bundles
    from hatchlock.sources.mcp_registry.mcpb import BadBundle, bundle_launch, read_bundle  # noqa: PLC0415

    facts = read_bundle(file, name=file_name)
    if not facts.runs_on(f"{system}/any"):
        raise BadBundle(bundle=file_name, why=f"it is for {', '.join(facts.systems)}")
    unpack(file, directory, name=file_name)
    launcher = directory / _LAUNCHERS / name
    if launcher.parent.exists():
        raise BadArchive(archive=file_name, why=f"it holds {_LAUNCHERS}, where its command goes")
    launch = bundle_launch(facts, f"{system}/any")
    launcher.parent.mkdir(mode=0o755)
    launcher.write_text(_script(launch.command[0], launch.args, dict(launch.env), facts.type))
    launcher.parent.chmod(_PROGRAM_MODE)
    launcher.chmod(_PROGRAM_MODE)
    if facts.type == "binary":
        (directory / facts.entry_point).chmod(_PROGRAM_MODE)
    return launcher


def _script(command: str, args: tuple[str, ...], env: dict[str, str], kind: str) -> str:
    """A shell's: it is started through a link from another directory, so it has to find its own."""
    lines = ["#!/bin/sh", 'here=$(dirname "$(dirname "$(readlink -f "$0")")")']
    for variable, value in sorted(env.items()):
        lines.append(f'if [ -z "${{{variable}+set}}" ]; then {variable}={_quoted(value)}; export {variable}; fi')
    if kind in {"node", "python"}:
        advice = f"this MCP bundle needs {kind}: give its server {kind} = a version"
        lines.append(f"command -v {shlex.quote(command)} >/dev/null || {{ echo {shlex.quote(advice)} >&2; exit 127; }}")
    words = " ".join(map(_quoted, (command, *args)))
    return "\n".join([*lines, f'exec {words} "$@"', ""])


def _quoted(text: str) -> str:
    """For a shell, with the bundle's directory in place of what stands for it."""
    parts = text.split("${__dirname}")
    return '"$here"'.join(shlex.quote(part) if part else "" for part in parts) or "''"
