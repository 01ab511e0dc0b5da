"""mcpd's `.mcpd.toml`, and its runtime file with the arguments, variables and volumes of the servers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from hatchlock.clients.shape import Start
from hatchlock.files import read_optional
from hatchlock.migrate import toml_lines
from hatchlock.migrate.document import Document, Part
from hatchlock.migrate.gathering import (
    contained,
    each,
    enriched,
    gathered,
    is_set,
    members,
    open_places,
    recognised,
    said,
    texts,
    unread,
    words,
)
from hatchlock.migrate.image_use import ImageUse, Mount
from hatchlock.migrate.model import Format, Left, Proposed, Reading, Secret
from hatchlock.migrate.translate import translated

__all__ = ["MCPD"]

_TITLE = "mcpd project"
_NAME = ".mcpd.toml"
_RUNTIME_FILE = "MCPD_RUNTIME_FILE"
_KNOWN = (
    *("name", "package", "tools", "volumes"),
    *("required_env", "required_args", "required_args_bool", "required_args_positional"),
)
_REASON = "a volume of mcpd's runtime file"
_COMMANDS = {"uvx": ("uvx",), "pypi": ("uvx",), "python": ("uvx",), "npx": ("npx", "-y")}
_WHY_ELSEWHERE = {
    "daemon": "nothing stays between the applications and the servers; each is started by `hatchlock run`",
    "plugins": "nothing of a call is changed on its way",
}


def _matches(path: Path, data: bytes) -> bool:
    return path.name == _NAME or recognised(data, ("servers", "package", "::"), _is_project, load=toml_lines.load)


def _is_project(root: Part) -> bool:
    return any("::" in said(item, "package") for item in each(root, "servers"))


def _read(path: Path, data: bytes) -> Reading:
    document = toml_lines.load(data, file=str(path))
    runtime = _runtime(path)
    found = [_server(item, runtime) for item in each(document.root, "servers")]
    return gathered(document, _TITLE, found, left=unread(document.root, ("servers",), _WHY_ELSEWHERE))


def _runtime(path: Path) -> Document | None:
    """Read the runtime file that mcpd would: the one that it is told, one beside the project, or the user's own."""
    told = os.environ.get(_RUNTIME_FILE, "")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = [Path(told)] if told else [*sorted(path.parent.glob("secrets.*.toml")), home / "mcpd" / "secrets.dev.toml"]
    for place in places:
        data = read_optional(place)
        if data is not None:
            return toml_lines.load(data, file=str(place))
    return None


def _server(part: Part, runtime: Document | None) -> Proposed | Left:
    name, package = part.need("name").text(), part.need("package").text()
    own = _own(runtime, name)
    args, env = words(own, "args") if own else (), texts(own, "env") if own else {}
    if places := open_places(args):
        return Left(
            line=part.line, what=f"`{name}`: hatchlock puts nothing into arguments, and mcpd does for {places[0]}"
        )
    kind, _, spec = package.partition("::")
    if kind == "docker":
        found = contained(_use(part, own, spec, args, env), name=name, line=part.line, reason=_REASON)
    elif kind in _COMMANDS:
        command, *before = _COMMANDS[kind]
        found = translated(Start(command=command, args=(*before, spec, *args), env=env), name=name, line=part.line)
    else:
        return Left(line=part.line, what=f"`{name}`: hatchlock does not know the runtime {kind!r} of its package")
    tools = words(part, "tools")
    notes = [f"its arguments and variables are those of {runtime.file}"] if runtime and own else []
    return enriched(
        found,
        {"tools": {"allow": list(tools)} if tools else {}},
        left=(*_missing(part, own, args), *unread(part, _KNOWN, {})),
        secrets=[
            Secret(table="env", key=key, reference=f"env:{key}")
            for key in words(part, "required_env")
            if key not in env
        ],
        notes=notes,
    )


def _own(runtime: Document | None, name: str) -> Part | None:
    servers = runtime.root.get("servers") if runtime else None
    return servers.get(name) if servers else None


def _use(part: Part, own: Part | None, spec: str, args: tuple[str, ...], env: dict[str, str]) -> ImageUse:
    name, at, version = spec.partition("@")
    image = f"{name}@{version}" if version.startswith("sha256:") else f"{name}:{version}" if at else name
    given = texts(own, "volumes") if own else {}
    mounts = tuple(
        Mount(source=given[volume.key], target=volume.need("path").text())
        for volume in members(part, "volumes")
        if volume.key in given
    )
    return ImageUse(image=image, args=args, env=env, mounts=mounts)


def _missing(part: Part, own: Part | None, args: tuple[str, ...]) -> Iterator[Left]:
    """Yield what the project says that the server needs, and the runtime file does not give it."""
    options = {re.split("[= ]", arg)[0] for arg in args}
    for key in ("required_args", "required_args_bool"):
        if lost := [option for option in words(part, key) if option not in options]:
            yield part.need(key).left(f"{', '.join(lost)} is not in the runtime file; write it into args")
    positional = words(part, "required_args_positional")
    if positional and not [arg for arg in args if not arg.startswith("-")]:
        yield part.need("required_args_positional").left(
            f"{', '.join(positional)} is not in the runtime file; write it into args"
        )
    given = texts(own, "volumes") if own else {}
    for volume in members(part, "volumes"):
        if volume.key not in given and is_set(volume, "required"):
            yield volume.left("the runtime file does not say what is mounted there; write it into sandbox.mounts")


MCPD = Format(name="mcpd", title=_TITLE, matches=_matches, read=_read)
"""mcpd's projects."""
