"""`validate`, `schema`, `init`, `add` and `remove`: what they do to manifests. `add` and `remove` end in `lock`, elsewhere."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.files import atomic_write, read_optional
from hatchlock.paths import LOCK_NAME, MANIFEST_NAME, OVERLAY_NAME
from hatchlock.place import Place

if TYPE_CHECKING:
    from hatchlock.manifest.load import LoadedManifest
    from hatchlock.manifest.model import Manifest
    from hatchlock.usecases.project import Project

__all__ = [
    "ManifestExists",
    "add",
    "init",
    "json_schema",
    "manifest_or_empty",
    "overlay_of",
    "remove",
    "server_from_command",
    "server_from_source",
    "tell_git",
    "this_platforms",
    "validate",
]

_ATTRIBUTES = f"{LOCK_NAME} linguist-generated=true"


@dataclass(kw_only=True, eq=False)
class ManifestExists(HatchlockError):
    """`init` found a manifest where it was to write one."""

    code: ClassVar[str] = "manifest-exists"

    def __str__(self) -> str:
        return "there is a manifest already, and `init` overwrites nothing"

    def _hint(self) -> str:
        return "add servers to it with `hatchlock add SOURCE`"


def overlay_of(manifest: Path) -> Path:
    """Return where a manifest's overlay is, if there is one."""
    return manifest.with_name(OVERLAY_NAME)


def validate(manifest: Path) -> LoadedManifest:
    """Read a manifest with its overlay, and return it with its warnings.

    Raises:
        ManyErrors: All its mistakes, as `ManifestProblem` and `NotYet`.
        ManifestProblem: There is none.
    """
    from hatchlock.manifest.load import load

    return load(manifest, overlay_of(manifest))


def json_schema() -> dict[str, Any]:
    """Return the manifest's JSON Schema, draft 2020-12."""
    from hatchlock.manifest.schema import json_schema as schema

    return schema()


def this_platforms() -> tuple[str, ...]:
    """Return the platforms of this machine: its own, and on macOS that of its containers."""
    machine = "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "amd64"
    return (f"darwin/{machine}", f"linux/{machine}") if sys.platform == "darwin" else (f"linux/{machine}",)


def init(directory: Path, *, name: str | None = None, platforms: Iterable[str] | None = None) -> list[Path]:
    """Write a manifest without servers, and what git has to know about its companions.

    Args:
        directory: Exists.
        name: The project's name; the directory's unless said.
        platforms: What to lock for; this machine's unless said.

    Returns:
        The files that were written or added to. Lines that `.gitattributes` and `.gitignore` have are not added again.

    Raises:
        ManifestExists: There is one; nothing was written.
        ManyErrors: `name` or `platforms` are not allowed; nothing was written, so they have no places.
    """
    from hatchlock.manifest.edit import new_manifest
    from hatchlock.manifest.takeover import name_from

    path = directory / MANIFEST_NAME
    if path.exists() or path.is_symlink():
        raise ManifestExists(place=Place(file=str(path)))
    text = new_manifest(name or name_from(directory.resolve().name), platforms or this_platforms())
    _check_unwritten(text)
    atomic_write(path, text.encode(), mode=0o644)
    return [path, *tell_git(directory)]


def tell_git(directory: Path) -> list[Path]:
    """Write what git has to know about a manifest's companions, and return the files that got a line."""
    written = []
    for file, line in ((".gitattributes", _ATTRIBUTES), (".gitignore", OVERLAY_NAME)):
        if _append_line(directory / file, line):
            written.append(directory / file)
    return written


def _append_line(path: Path, line: str) -> bool:
    data = read_optional(path) or b""
    if line.encode() in (existing.strip() for existing in data.splitlines()):
        return False
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    if data and not data.endswith(b"\n"):
        data += newline
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    atomic_write(path.resolve(), data + line.encode() + newline, mode=mode)
    return True


def add(text: str, name: str, fields: Mapping[str, Any]) -> str:
    """Return a manifest's text with one more server, found to be right.

    Raises:
        ServerExists: It has one of this name.
        ManyErrors: The manifest has mistakes, or the server would be one: then without places, for nobody has those lines yet.
    """
    from hatchlock.manifest.edit import add_server
    from hatchlock.manifest.load import loads

    loads(text, shown=MANIFEST_NAME)
    result = add_server(text, name, fields)
    _check_unwritten(result)
    return result


def _check_unwritten(text: str) -> None:
    from hatchlock.manifest.load import loads

    try:
        loads(text, shown=MANIFEST_NAME)
    except ManyErrors as found:
        raise ManyErrors(errors=tuple(replace(error, place=None) for error in found.errors)) from None


def remove(text: str, names: Sequence[str]) -> str:
    """Return a manifest's text without some servers.

    Raises:
        UnknownServer: It has none of one of these names.
        ManyErrors: It has none of several; or it is not valid TOML.
    """
    from hatchlock.manifest.edit import remove_servers

    return remove_servers(text, names)


def server_from_source(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the keys of the server that a source (`pypi:…`, `oci:…`, a bare image reference) describes.

    Raises:
        BadSource: It is no source, or no server.
    """
    from hatchlock.manifest import takeover

    return takeover.server_from_source(text)


def server_from_command(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the name and the keys of the server that a command line, such as `uvx mcp-server-time`, starts (`typed`).

    What looks like a secret in a variable becomes a reference to the variable of the same name.

    Raises:
        BadSource: What it runs is no source.
        CannotTakeOver: Nothing of it can be a server of a manifest.
    """
    from hatchlock.manifest.takeover import CannotTakeOver
    from hatchlock.migrate.translate import typed

    if not words or not words[0]:
        raise CannotTakeOver(what="there is no command", advice="write hatchlock add -- COMMAND ARGUMENT…")
    found = typed(words)
    return found.name, found.with_references({secret: f"env:{secret.key}" for secret in found.secrets})


def manifest_or_empty(project: Project) -> Manifest:
    """Return a project's manifest without its overlay; one that declares nothing where there is none.

    Raises:
        ManyErrors: It has mistakes.
    """
    from hatchlock.manifest.load import load_bytes
    from hatchlock.manifest.model import Manifest
    from hatchlock.manifest.model import Project as Table

    if not project.manifest_bytes:
        return Manifest(project=Table(name="none"))
    return load_bytes(project.manifest, project.manifest_bytes, b"").manifest
