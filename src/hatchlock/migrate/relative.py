"""Paths below a project, as its manifest says them: a manifest is committed, and others have it elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from hatchlock.migrate.model import Proposed

__all__ = ["relative_to"]

_PATH = "path:"


def relative_to(server: Proposed, directory: PurePath) -> Proposed:
    """Return a server whose source, and the sources of whose mounts, are relative where they are in a directory.

    Args:
        server: As it was read, with absolute paths.
        directory: The manifest's.
    """
    fields: dict[str, Any] = dict(server.fields)
    source = fields.get("source")
    if isinstance(source, str) and source.startswith(_PATH):
        fields["source"] = _PATH + _shortened(source.removeprefix(_PATH), directory)
    sandbox = fields.get("sandbox")
    if isinstance(sandbox, Mapping) and isinstance(sandbox.get("mounts"), list):
        fields["sandbox"] = {**sandbox, "mounts": [_mount(mount, directory) for mount in sandbox["mounts"]]}
    return replace(server, fields=fields)


def _mount(mount: Any, directory: PurePath) -> Any:
    if not isinstance(mount, Mapping) or not isinstance(mount.get("source"), str):
        return mount
    return {**mount, "source": _shortened(mount["source"], directory)}


def _shortened(text: str, directory: PurePath) -> str:
    path, mark, rest = text.partition("#")
    if not path.startswith("/") or not PurePath(path).is_relative_to(directory):
        return text
    return f"./{PurePath(path).relative_to(directory)}".removesuffix("/.") + mark + rest
