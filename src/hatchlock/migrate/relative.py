"""Paths below a project or a home, as a manifest says them: it is committed, and others have it elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from hatchlock.migrate.model import Proposed

__all__ = ["relative_fields", "relative_to"]

_KINDS = ("path:", "hatch:")
_FILE = "file:"


def relative_to(server: Proposed, directory: PurePath, *, home: PurePath | None = None) -> Proposed:
    """Return a server whose paths are relative where they are in a directory: its source, mounts, Dockerfile, secrets' files.

    Args:
        server: As it was read, with absolute paths.
        directory: The manifest's.
        home: The user's; what is below it, and not in the directory, begins with `~/`.
    """
    own = _Places(directory=directory, home=home)
    fields = relative_fields(server.fields, directory, home=home)
    secrets = tuple(replace(item, reference=_file(item.reference, own)) for item in server.secrets)
    return replace(server, fields=fields, secrets=secrets)


def relative_fields(given: Mapping[str, Any], directory: PurePath, *, home: PurePath | None = None) -> dict[str, Any]:
    """Return the keys of `[servers.NAME]` with their paths as `relative_to` has them."""
    own = _Places(directory=directory, home=home)
    fields: dict[str, Any] = dict(given)
    source, build, env = fields.get("source"), fields.get("build"), fields.get("env")
    if isinstance(source, str) and (kind := next((kind for kind in _KINDS if source.startswith(kind)), "")):
        fields["source"] = kind + own.shortened(source.removeprefix(kind))
    if isinstance(build, str):
        fields["build"] = own.shortened(build)
    if isinstance(build, Mapping) and isinstance(build.get("context"), str):
        fields["build"] = {**build, "context": own.shortened(build["context"])}
    if isinstance(env, Mapping):
        fields["env"] = {name: _reference(value, own) for name, value in env.items()}
    sandbox = fields.get("sandbox")
    if isinstance(sandbox, Mapping) and isinstance(sandbox.get("mounts"), list):
        fields["sandbox"] = {**sandbox, "mounts": [_mount(mount, own) for mount in sandbox["mounts"]]}
    return fields


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    directory: PurePath
    home: PurePath | None

    def shortened(self, text: str) -> str:
        found = _shortened(text, self.directory)
        if found != text or self.home is None or self.home not in PurePath(text).parents or self.home == PurePath("/"):
            return found
        return f"~/{PurePath(text).relative_to(self.home)}"


def _reference(value: Any, own: _Places) -> Any:
    is_one = isinstance(value, Mapping) and isinstance(value.get("secret"), str)
    return {**value, "secret": _file(value["secret"], own)} if is_one else value


def _file(reference: str, own: _Places) -> str:
    path = reference.removeprefix(_FILE)
    return _FILE + own.shortened(path) if reference.startswith(_FILE) else reference


def _mount(mount: Any, own: _Places) -> Any:
    if not isinstance(mount, Mapping) or not isinstance(mount.get("source"), str):
        return mount
    return {**mount, "source": own.shortened(mount["source"])}


def _shortened(text: str, directory: PurePath) -> str:
    path, mark, rest = text.partition("#")
    if not path.startswith("/") or not PurePath(path).is_relative_to(directory):
        return text
    return f"./{PurePath(path).relative_to(directory)}".removesuffix("/.") + mark + rest
