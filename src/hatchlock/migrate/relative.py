"""Paths below a project, as its manifest says them: a manifest is committed, and others have it elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from hatchlock.migrate.model import Proposed

__all__ = ["relative_to"]

_KINDS = ("path:", "hatch:")
_FILE = "file:"


def relative_to(server: Proposed, directory: PurePath) -> Proposed:
    """Return a server whose paths are relative where they are in a directory: its source, mounts, Dockerfile, secrets' files.

    Args:
        server: As it was read, with absolute paths.
        directory: The manifest's.
    """
    fields: dict[str, Any] = dict(server.fields)
    source, build, env = fields.get("source"), fields.get("build"), fields.get("env")
    if isinstance(source, str) and (kind := next((kind for kind in _KINDS if source.startswith(kind)), "")):
        fields["source"] = kind + _shortened(source.removeprefix(kind), directory)
    if isinstance(build, str):
        fields["build"] = _shortened(build, directory)
    if isinstance(build, Mapping) and isinstance(build.get("context"), str):
        fields["build"] = {**build, "context": _shortened(build["context"], directory)}
    if isinstance(env, Mapping):
        fields["env"] = {name: _reference(value, directory) for name, value in env.items()}
    sandbox = fields.get("sandbox")
    if isinstance(sandbox, Mapping) and isinstance(sandbox.get("mounts"), list):
        fields["sandbox"] = {**sandbox, "mounts": [_mount(mount, directory) for mount in sandbox["mounts"]]}
    return replace(server, fields=fields)


def _reference(value: Any, directory: PurePath) -> Any:
    if not isinstance(value, Mapping) or not str(value.get("secret")).startswith(_FILE):
        return value
    return {**value, "secret": _FILE + _shortened(value["secret"].removeprefix(_FILE), directory)}


def _mount(mount: Any, directory: PurePath) -> Any:
    if not isinstance(mount, Mapping) or not isinstance(mount.get("source"), str):
        return mount
    return {**mount, "source": _shortened(mount["source"], directory)}


def _shortened(text: str, directory: PurePath) -> str:
    path, mark, rest = text.partition("#")
    if not path.startswith("/") or not PurePath(path).is_relative_to(directory):
        return text
    return f"./{PurePath(path).relative_to(directory)}".removesuffix("/.") + mark + rest
