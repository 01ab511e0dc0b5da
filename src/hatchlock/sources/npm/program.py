"""npm itself: where it is, and what it says without being told anything."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.process import on_path, run

__all__ = ["HERE_ONLY", "Npm", "NpmNotFound", "find_npm", "quiet_settings"]

HERE_ONLY = ("--prefix=.", "--workspaces=false")
"""Arguments by which npm takes its working directory as the project, and reads nothing that lies above it."""

_SECONDS = 60.0


@dataclass(kw_only=True, eq=False)
class NpmNotFound(HatchlockError):
    """A program that npm packages need is not on PATH."""

    code: ClassVar[str] = "npm-not-found"

    program: str

    def __str__(self) -> str:
        return f"{self.program} is not on PATH; npm's own resolver decides which packages a tree has"

    def _hint(self) -> str:
        return "install Node.js with npm, version 9 or newer; only `lock` needs npm"


@dataclass(frozen=True, kw_only=True, slots=True)
class Npm:
    """An npm that can be run.

    Attributes:
        argv: How it is started.
        path: The PATH where it was found.
        node: Node's own path.
        is_script: Whether it is the usual script, which Node runs, and which needs nothing but Node on PATH.
        version: Its own version, or "" if that takes running it.
    """

    argv: tuple[str, ...]
    path: str
    node: Path
    is_script: bool
    version: str

    def default_registry(self) -> str:
        """Return the address of the registry that npm uses when no file and no variable of the user names one.

        Raises:
            ProcessFailed: npm does not run.
        """
        with tempfile.TemporaryDirectory() as empty:
            environment = {"PATH": self.path, **quiet_settings(Path(empty))}
            argv = [*self.argv, *HERE_ONLY, "config", "get", "registry"]
            return run(argv, env=environment, cwd=Path(empty), timeout=_SECONDS).decode().strip()


def quiet_settings(home: Path) -> dict[str, str]:
    """Return variables by which npm keeps to `home`, reads nobody's configuration, and asks for nothing but packages."""
    return {
        "HOME": str(home),
        "npm_config_userconfig": str(home / "user.npmrc"),
        "npm_config_globalconfig": str(home / "global.npmrc"),
        "npm_config_cache": str(home / "cache"),
        "npm_config_logs_max": "0",
        "npm_config_update_notifier": "false",
    }


def find_npm(environ: Mapping[str, str]) -> Npm:
    """Return the npm on PATH.

    Raises:
        NpmNotFound: npm or node is not there.
    """
    path = environ.get("PATH", "")
    found = {program: on_path(program, path) for program in ("npm", "node")}
    for program, where in found.items():
        if where is None:
            raise NpmNotFound(program=program)
    npm, node = Path(str(found["npm"])).resolve(), Path(str(found["node"]))
    # a script is given to Node; what version managers put in its place needs to be started by itself
    is_script = npm.suffix in {".js", ".cjs", ".mjs"}
    argv = (str(node), str(npm)) if is_script else (str(found["npm"]),)
    version = _version(npm.parents[1] / "package.json") if is_script else ""
    return Npm(argv=argv, path=path, node=node, is_script=is_script, version=version)


def _version(package: Path) -> str:
    try:
        return str(json.loads(package.read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
