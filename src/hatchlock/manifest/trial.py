"""The manifest of a server that is only tried: it alone, with what the project around it says about where things come from."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from hatchlock.address import Kind
from hatchlock.launch_parts import WORKSPACE

__all__ = ["absolute", "relative", "source_word", "trial_manifest", "with_paths"]

_PROJECT = ("exclude-newer", "min-glibc", "min-macos")
_TABLES = ("indexes", "registries")
_OF_PROJECTS = ("clients", "client", "groups", "drift", "host-port")
"""What of `[defaults]` is about a project, and not about how a server runs."""
_REPOSITORY = re.compile(
    r"(?:git\+)?(?:git|ssh)://|git\+https?://|git@[\w.-]+:|https://[^#?]+\.git(?:[#@]|$)"
    r"|https://(?:github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)/[^/#?]+/[^/#?@]+(?:[#@/]|$)"
)
_PATH_SECRET = re.compile(r"file:(?!/|~)(?P<path>.+)")


def source_word(text: str, *, is_directory: Callable[[str], bool]) -> str:
    """Return what somebody types for something to try as a source: a directory and a repository's address need no kind.

    Args:
        text: `kind:spec`, an image reference, a directory, or the address of a repository, also with `#REF` or `@REF`.
        is_directory: Tells whether a path is one.
    """
    if text.partition(":")[0] in set(Kind):
        return text
    if _REPOSITORY.match(text):
        address, _, ref = text.removeprefix("git+").partition("#")
        return f"{Kind.GIT}:{address.rstrip('/')}{f'@{ref}' if ref else ''}"
    if text.startswith((".", "/", "~")) or is_directory(text):
        return f"{Kind.PATH}:{text}"
    return text


def trial_manifest(
    around: bytes, *, name: str, platforms: Sequence[str], server: str, fields: Mapping[str, Any]
) -> str:
    """Return the text of a manifest with one server.

    Args:
        around: The manifest of the project in which it is tried, without mistakes; b"" for none.
        name: The project's name.
        platforms: What is locked for.
        server: The server's name.
        fields: Its keys, as in a manifest.
    """
    outer = tomllib.loads(around.decode()) if around else {}
    project = {key: outer["project"][key] for key in _PROJECT if key in outer.get("project", {})}
    defaults = {key: value for key, value in outer.get("defaults", {}).items() if key not in _OF_PROJECTS}
    document = {
        "project": {"name": name, "platforms": list(platforms), **project},
        **({"defaults": defaults} if defaults else {}),
        **{key: outer[key] for key in _TABLES if key in outer},
        "servers": {server: dict(fields)},
    }
    return tomlkit.dumps(document)


def with_paths(fields: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """Return a server's keys with each path of this machine that is in them put elsewhere: source, mounts, secrets in files.

    Args:
        fields: Its keys, as in a manifest.
        place: What becomes of a path.
    """
    found = dict(fields)
    source = found.get("source")
    if isinstance(source, str) and source.startswith(f"{Kind.PATH}:"):
        found["source"] = f"{Kind.PATH}:{place(source.partition(':')[2])}"
    for key in ("env", "headers"):
        if isinstance(values := found.get(key), Mapping):
            found[key] = {name: _with_secret(value, place) for name, value in values.items()}
    if isinstance(sandbox := found.get("sandbox"), Mapping) and "mounts" in sandbox:
        mounts = [
            {**mount, "source": mount["source"] if mount["source"] == WORKSPACE else place(mount["source"])}
            for mount in sandbox["mounts"]
        ]
        found["sandbox"] = {**sandbox, "mounts": mounts}
    return found


def absolute(directory: Path) -> Callable[[str], str]:
    """Return what makes a path that was written in a directory one that means the same everywhere."""
    return lambda path: path if path.startswith("~") else os.path.normpath(directory / path)


def relative(directory: Path) -> Callable[[str], str]:
    """Return what makes an absolute path in or below a directory one from there, as people write it; others stay."""

    def place(path: str) -> str:
        if not path.startswith("/") or not Path(path).is_relative_to(directory):
            return path
        inner = str(Path(path).relative_to(directory))
        return "." if inner == "." else f"./{inner}"

    return place


def _with_secret(value: Any, place: Callable[[str], str]) -> Any:
    match = _PATH_SECRET.fullmatch(str(value["secret"])) if isinstance(value, Mapping) and "secret" in value else None
    return {**value, "secret": f"file:{place(match['path'])}"} if match else value
