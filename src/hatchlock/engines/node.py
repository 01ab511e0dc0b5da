"""The Node of this machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.engines.reach import shows_too_much
from hatchlock.errors import HatchlockError

__all__ = ["Node", "NodeMissing", "find_node"]

_QUESTION = "JSON.stringify([process.execPath, process.versions.node])"
_TRIAL_SECONDS = 10.0


@dataclass(kw_only=True, eq=False)
class NodeMissing(HatchlockError):
    """No Node of the wanted version was found."""

    code: ClassVar[str] = "node-missing"

    version: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        wanted = f"Node {self.version}" if self.version else "Node"
        return f"{wanted} is not on PATH" + (f"; found: {', '.join(self.found)}" if self.found else "")

    def _hint(self) -> str:
        if self.found:
            return (
                f'install it and put it on PATH, or set node = "{self.found[0].rpartition("(")[2].partition(".")[0]}"'
            )
        return "install Node and put its directory on PATH"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A Node of this machine.

    Attributes:
        path: Its real path, no shim.
        version: Full version, "22.4.1".
        prefixes: What it needs to run, absolute and real: the directory of its installation if that is Node's own, else
            the program alone.
    """

    path: str
    version: str
    prefixes: tuple[str, ...]


def find_node(version: str, environ: Mapping[str, str]) -> Node:
    """Return the first Node of a version ("22", "22.4"; "" for any) on PATH.

    Candidates are asked themselves, so shims lead to the real program. That takes some 40 ms each; callers keep the answer.

    Raises:
        NodeMissing: There is none.
    """
    found = []
    for candidate in _candidates(environ):
        node = _ask(candidate, environ)
        if node is None:
            continue
        if not version or f"{node.version}.".startswith(f"{version}."):
            return node
        found.append(f"{node.path} ({node.version})")
    raise NodeMissing(version=version, found=tuple(dict.fromkeys(found)))


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    for directory in environ.get("PATH", "").split(os.pathsep):
        for name in ("node", "nodejs"):
            candidate = f"{directory}/{name}"
            if directory.startswith("/") and os.access(candidate, os.X_OK):
                yield candidate


def _ask(candidate: str, environ: Mapping[str, str]) -> Node | None:
    # options of the user's are for the user's own programs
    env = {name: value for name, value in environ.items() if not name.startswith("NODE_")}
    try:
        answer = subprocess.run(
            [candidate, "-p", _QUESTION], env=env, capture_output=True, timeout=_TRIAL_SECONDS, check=True
        )
        path, version = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    real = Path(path).resolve()
    return Node(path=str(real), version=version, prefixes=(_prefix(real, environ),))


def _prefix(program: Path, environ: Mapping[str, str]) -> str:
    """`~/.local/bin/node` is no reason to show `~/.local`; the program needs nothing beside it, its tree has npm."""
    tree = program.parent.parent
    its_own = (tree / "include" / "node").is_dir() or (tree / "lib" / "node_modules").is_dir()
    if program.parent.name == "bin" and its_own and not shows_too_much(tree, environ):
        return str(tree)
    return str(program)
