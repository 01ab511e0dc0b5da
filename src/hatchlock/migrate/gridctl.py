"""gridctl's stacks: what a `stack.yaml` says of MCP servers.

The form is that of `pkg/config/types.go` and docs/config-schema.md; variables are those of `pkg/config/expand.go`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.clients.shape import Address, Start
from hatchlock.errors import HatchlockError
from hatchlock.manifest.client_fields import CLIENT_FIELDS
from hatchlock.manifest.takeover import server_from_source
from hatchlock.migrate import yaml_lines
from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import (
    contained,
    directory_for,
    each,
    enriched,
    gathered,
    groups,
    is_over_sse,
    kept_elsewhere,
    members,
    number,
    open_places,
    recognised,
    said,
    texts,
    unread,
    words,
)
from hatchlock.migrate.image_use import ImageUse, Mount
from hatchlock.migrate.model import Format, Left, Proposed, Reading, Secret, Table
from hatchlock.migrate.names import server_name
from hatchlock.migrate.translate import translated

__all__ = ["GRIDCTL"]

_TITLE = "gridctl stack"
_REASON = "said by gridctl's stack"
_KEPT = re.compile(r"\$\{(?:var|vault):([A-Za-z_][A-Za-z0-9_]*)(?::[-+][^}]*)?\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_READ = frozenset(
    {
        *("name", "image", "source", "url", "port", "transport", "command", "env", "build_args", "tools", "auth"),
        *("ready_timeout", "volumes", "execution", "network"),
    }
)
_NO_GATEWAY = "there is no gateway: each application starts the servers that it lists"
_WHY_OF_SERVER = {
    "output_format": "answers stay as the server gives them",
    "pin_schemas": "tools are pinned by `hatchlock pin`, for each server by itself",
    "ping_timeout": "a session is not pinged",
    "protocol_generation": "it is found out when the server starts",
    "replicas": "each session has a server of its own",
    "replica_policy": "each session has a server of its own",
    "autoscale": "each session has a server of its own",
    "telemetry": 'write audit = "calls" into [project]; `hatchlock logs` has the rest',
    "configs": "write the file into the project, and mount it: sandbox.mounts",
}
_WHY_OF_STACK = {
    "extends": "the servers of that file are not in this one; import it, too",
    "gateway": _NO_GATEWAY,
    "logging": "`hatchlock logs` has what servers write",
    "telemetry": 'write audit = "calls" into [project]',
    "network": "no server reaches another one; name hosts in sandbox.network",
    "networks": "no server reaches another one; name hosts in sandbox.network",
    "limits": "calls are not counted",
    "skills": "skills are no servers",
    "model_preferences": "models are no servers",
    "experimental": _NO_GATEWAY,
}
_LINKED = {"claude": "claude-desktop", "roo": "roo-code", "copilot": "copilot-cli"}
"""What gridctl calls an application -> what we do, where that differs."""


def _matches(path: Path, data: bytes) -> bool:
    del path
    return recognised(data, ("mcp-servers", "name"), _is_stack, load=yaml_lines.load)


def _is_stack(root: Part) -> bool:
    return "name" in root and any("name" in server for server in each(root, "mcp-servers"))


def _read(path: Path, data: bytes) -> Reading:
    document = yaml_lines.load(data, file=str(path))
    root = document.root
    clients, unknown = _linked(root)
    in_group = {
        server: [group.key for group in members(root, "groups") if server in words(group, "servers")]
        for server in _names(root)
    }
    found = [
        enriched(_server(item, path.absolute().parent), groups(in_group[item.need("name").text()]), clients=clients)
        for item in each(root, "mcp-servers")
    ]
    return gathered(document, _TITLE, found, left=(*unknown, *_elsewhere(root)))


def _names(root: Part) -> list[str]:
    return [item.need("name").text() for item in each(root, "mcp-servers")]


def _linked(root: Part) -> tuple[list[str], list[Left]]:
    """Return the applications that gridctl connects to its gateway, and those that we do not know."""
    clients: list[str] = []
    unknown: list[Left] = []
    for item in each(root, "link"):
        name = item.value if isinstance(item.value, str) else said(item, "client") or said(item, "name")
        ours = _LINKED.get(name, name)
        if ours in CLIENT_FIELDS:
            clients.append(ours)
        else:
            unknown.append(Left(line=item.line, what=f"`link`: no application is called {name!r} here"))
    return clients, unknown


def _elsewhere(root: Part) -> Iterator[Left]:
    known = ("version", "name", "mcp-servers", "secrets", "resources", "groups", "clients", "link")
    yield from unread(root, known, _WHY_OF_STACK)
    secrets = root.get("secrets")
    for item in each(secrets, "sets") if secrets else ():
        name = item.value if isinstance(item.value, str) else item.need("name").text()
        yield Left(
            line=item.line,
            what=f"the variables of the set `{name}` are not in the file; write those that servers need into env",
        )
    for item in each(root, "resources"):
        name = item.need("name").text()
        yield Left(line=item.line, what=f"the resource `{name}` is no MCP server; go on running it by other means")
    for group in members(root, "groups"):
        yield from unread(
            group,
            ("servers", "description"),
            {
                "tools": "of a group all of its servers' tools",
                "exclude": "write deny into tools of the server",
                "overrides": "tools keep the names that the server gives them",
            },
        )
    scoped = root.get("clients")
    if scoped is not None:
        yield scoped.left("which application lists which server is said by `clients` of each server")


def _server(part: Part, directory: Path) -> Proposed | Left:
    name = part.need("name").text()
    if "ssh" in part:
        return Left(
            line=part.line,
            what=f"`{name}`: it runs on another machine, over ssh; serve it there over HTTP, and write its url",
        )
    if "openapi" in part:
        return Left(
            line=part.line, what=f"`{name}`: hatchlock makes no server of an OpenAPI document; name a server that does"
        )
    if "url" in part:
        found = _remote(part, name)
    elif "image" in part or "source" in part:
        found = _container(part, name, directory)
    else:
        command, *args = words(part, "command") or part.fail("it has no image, source, url or command")
        env, secrets, lost = _values(part)
        found = enriched(
            translated(
                Start(command=command, args=tuple(args), env=env),
                name=name,
                line=part.line,
                directory=directory_for((command, *args), directory),
            ),
            {},
            secrets=secrets,
            left=lost,
            notes=_set_again(secrets),
        )
    tools = list(words(part, "tools"))
    return enriched(
        found,
        {"tools": {"allow": tools} if tools else {}, "startup-timeout": _seconds(said(part, "ready_timeout"))},
        left=unread(part, _READ, _WHY_OF_SERVER),
    )


def _values(part: Part) -> tuple[dict[str, str], list[Secret], list[Left]]:
    """Return a server's variables, those of them whose values gridctl keeps, and what of these cannot be carried over."""
    plain: dict[str, str] = {}
    secrets: list[Secret] = []
    lost: list[Left] = []
    for item in members(part, "env"):
        kept = _of_store("env", item.key, item.text())
        if kept is None:
            plain[item.key] = item.text()
            continue
        secrets.append(kept)
        if not kept.reference:
            lost.append(item.left("it is put together from several parts; set it to the whole value"))
    return plain, secrets, lost


def _of_store(table: Table, name: str, text: str) -> Secret | None:
    """Return what a value becomes that gridctl's own store is put into; None for another.

    Servers that have the same of its values refer to one secret, of the same name.
    """
    places = list(_KEPT.finditer(text))
    if not places:
        return None
    shown = text.replace(places[0][0], "{}")
    if shown.count("{") != 1 or "$" in shown:
        return Secret(table=table, key=name)
    return kept_elsewhere(table, name, places[0][1], shown="" if shown == "{}" else shown)


def _remote(part: Part, name: str) -> Proposed | Left:
    url = part.need("url").text()
    is_old = said(part, "transport") == "sse" or ("transport" not in part and is_over_sse(url))
    auth = part.get("auth")
    kind = said(auth, "type") if auth else ""
    headers = {}
    if auth is not None and kind == "bearer":
        headers = {"Authorization": f"Bearer {auth.need('token').text()}"}
    elif auth is not None and kind == "header":
        headers = {auth.need("header").text(): auth.need("value").text()}
    secrets = [secret for key, value in headers.items() if (secret := _of_store("headers", key, value))]
    plain = {key: value for key, value in headers.items() if key not in {secret.key for secret in secrets}}
    found = translated(
        Address(url=url, transport="sse" if is_old else "http", headers=plain), name=name, line=part.line
    )
    notes = [f"log in with `hatchlock login {server_name(name)}`"] if kind == "oauth" else []
    return enriched(found, {}, secrets=secrets, notes=(*notes, *_set_again(secrets)))


def _set_again(secrets: list[Secret]) -> Iterator[str]:
    for kept in dict.fromkeys(secret.reference for secret in secrets if secret.reference):
        yield f"its value is in gridctl's own store, as {kept.removeprefix('keyring:')}: set it here too"


def _container(part: Part, name: str, directory: Path) -> Proposed | Left:
    how = said(part, "transport", "stdio" if _is_made(part.get("source")) else "http")
    if how == "sse":
        return Left(
            line=part.line,
            what=f"`{name}`: it speaks the older HTTP with server-sent events, which hatchlock speaks to remote servers only",
        )
    args = words(part, "command")
    if places := open_places(args):
        return Left(
            line=part.line, what=f"`{name}`: hatchlock puts nothing into arguments, and gridctl does for {places[0]}"
        )
    made_of, left = _made_of(part, name, directory)
    if isinstance(made_of, Left):
        return made_of
    env, secrets, lost = _values(part)
    execution = part.get("execution")
    use = ImageUse(
        image=said(part, "image"),
        args=args,
        env=env,
        mounts=tuple(_mount(text, directory) for text in words(part, "volumes")),
        user=_user(execution),
        limits=_limits(execution),
    )
    found = contained(use, name=name, line=part.line, reason=_REASON, made_of=made_of)
    return enriched(
        found,
        {"transport": "http", "port": number(part, "port") or None} if how == "http" else {},
        secrets=secrets,
        left=(*left, *lost, *_network_left(part)),
        notes=_set_again(secrets),
    )


def _user(execution: Part | None) -> str:
    if execution is None or "uid" not in execution:
        return ""
    return f"{number(execution, 'uid')}:{number(execution, 'gid') or number(execution, 'uid')}"


def _limits(execution: Part | None) -> Mapping[str, Any]:
    return {"network": "none"} if execution is not None and said(execution, "network") == "none" else {}


def _network_left(part: Part) -> Iterator[Left]:
    if "network" in part:
        yield part.need("network").left("no server reaches another one; name hosts in sandbox.network")


def _is_made(source: Part | None) -> bool:
    """Whether gridctl makes an image of a Python project itself."""
    return source is not None and (
        said(source, "type") == "pypi" or (said(source, "runtime") == "python" and "dockerfile" not in source)
    )


def _made_of(part: Part, name: str, directory: Path) -> tuple[Mapping[str, Any] | Left, tuple[Left, ...]]:
    """Return the keys that say what a server is made of, and what of that cannot be carried over."""
    source = part.get("source")
    if source is None:
        return {}, ()
    kind = source.need("type").text()
    known = ("type", "url", "ref", "path", "project_path", "dockerfile", "runtime", "package", "extras")
    lost = tuple(unread(source, known, {"auth": "git itself has the credentials: a helper, ~/.netrc or an SSH key"}))
    if kind == "pypi":
        extras = ",".join(words(source, "extras"))
        version = said(source, "ref")
        package = source.need("package").text() + (f"[{extras}]" if extras else "")
        return {"source": f"pypi:{package}" + (f"=={version}" if version else "")}, lost
    if kind == "local":
        path = _at(directory, "/".join((source.need("path").text(), said(source, "project_path"))))
        if _is_made(source):
            return {"source": f"path:{path}"}, lost
        build = {"context": path, "dockerfile": said(source, "dockerfile"), "args": texts(part, "build_args")}
        return {"build": {key: value for key, value in build.items() if value}}, lost
    if kind != "git":
        source.need("type").fail("it must be git, local or pypi")
    spec = f"git:{source.need('url').text()}@{said(source, 'ref', 'main')}"
    spec += f"#subdirectory={said(source, 'path')}" if "path" in source else ""
    if not _is_made(source):
        where = said(source, "dockerfile", "Dockerfile")
        lost = (
            *lost,
            source.left(
                f"gridctl built its {where}; hatchlock installs the project itself. To build it, clone it and write build"
            ),
        )
    try:
        server_from_source(spec)
    except HatchlockError as error:
        return Left(line=part.line, what=f"`{name}`: {error}"), ()
    return {"source": spec}, lost


def _mount(text: str, directory: Path) -> Mount:
    mount = Mount.parse(text)
    return replace(mount, source=_at(directory, mount.source)) if mount.source.startswith(".") else mount


def _at(directory: Path, path: str) -> str:
    """Return a path of a stack file, which is relative to the file."""
    return path.rstrip("/") if path.startswith("~") else os.path.normpath(directory / path)


def _seconds(text: str) -> float | None:
    parts = _DURATION.findall(text)
    return sum(float(count) * _SECONDS[unit] for count, unit in parts) or None


GRIDCTL = Format(name="gridctl", title=_TITLE, matches=_matches, read=_read)
"""Stacks of gridctl."""
