"""mcp-compose (phildougherty/mcp-compose): the servers of an `mcp-compose.yaml`.

The form is that of `internal/config/config.go`: keys of its own for how a server is spoken to, and compose's for its container.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hatchlock.clients.shape import Start
from hatchlock.migrate import yaml_lines
from hatchlock.migrate.compose_sandbox import SANDBOX_KEYS, sandbox_of
from hatchlock.migrate.compose_texts import Surroundings, Texts
from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import (
    contained,
    directory_for,
    each,
    enriched,
    gathered,
    is_set,
    members,
    number,
    open_places,
    recognised,
    said,
    sandboxed,
    texts,
    unread,
    words,
)
from hatchlock.migrate.image_use import ImageUse
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.translate import translated
from hatchlock.migrate.values import at_home

__all__ = ["MCP_COMPOSE"]

_TITLE = "mcp-compose file"
_NAME = re.compile(r"mcp-compose(?:[\w.-]+)?\.ya?ml")
_ENVIRONMENT = "MCP_ENV"
_USUAL_ENVIRONMENT = "development"
_REASON = "taken over from an mcp-compose file"
_RUNNERS = frozenset({"npx", "uvx", "uv", "bunx", "pnpm", "pipx"})
_SIGNS = ("capabilities", "protocol", "stdio_hoster_port", "tools", "prompts", "capability_options")
_READ = frozenset(
    {
        *("command", "args", "image", "build", "workdir", "env", "ports", "http_port", "http_path", "protocol"),
        *("resources", "network_mode", "capabilities", "stdio_hoster_port", "tools", "cap_drop", "pull", "runtime"),
        *(
            "capability_options",
            "sse_path",
            "sse_port",
            "sse_heartbeat",
            "hostname",
            "domainname",
            "labels",
            "annotations",
        ),
        *("security", "read_only"),
    }
)
_NO_PROXY = "there is no proxy: each application starts the servers that it lists"
_OWN_NETWORK = "each server has its own network; a host is reached by its name, in sandbox.network"
_WHY_OF_SERVER = {
    "depends_on": "servers do not start each other; what it needs has to be there",
    "networks": _OWN_NETWORK,
    "dns": _OWN_NETWORK,
    "dns_search": _OWN_NETWORK,
    "extra_hosts": _OWN_NETWORK,
    "authentication": _NO_PROXY,
    "oauth": _NO_PROXY,
    "healthcheck": "a server is healthy if it answers over MCP; `probe` says how it is asked",
    "lifecycle": "nothing else is run when a server starts or ends",
    "restart": "hatchlock starts a server again by itself",
    "prompts": "prompts are the server's own",
    "sampling": "models are the application's",
    "platform": "the lock has each platform of the manifest",
    "groups": "a server has one user, and its group",
    "log_driver": "hatchlock keeps what it writes to stderr, up to sandbox.log-size",
    "log_options": "hatchlock keeps what it writes to stderr, up to sandbox.log-size",
}
_WHY_OF_FILE = {
    **dict.fromkeys(("proxy_auth", "oauth", "rbac", "users", "oauth_clients", "connections", "dashboard"), _NO_PROXY),
    "audit": 'write audit = "calls" into [project]',
    "logging": "`hatchlock logs` has what servers write",
    "monitoring": "`hatchlock top` shows what servers use",
    "development": "`hatchlock probe` calls a server's tools",
    "networks": _OWN_NETWORK,
    "memory": "it is a part of mcp-compose",
    "task_scheduler": "it is a part of mcp-compose",
}


def _matches(path: Path, data: bytes) -> bool:
    return _NAME.fullmatch(path.name) is not None or recognised(
        data, ("version", "servers", "capabilities"), _is_file, load=yaml_lines.load
    )


def _is_file(root: Part) -> bool:
    servers = list(members(root, "servers"))
    return said(root, "version") == "1" and bool(servers) and any("capabilities" in server for server in servers)


def _read(path: Path, data: bytes) -> Reading:
    document = yaml_lines.load(data, file=str(path))
    root = document.root
    around, left = Surroundings.of(path)
    chosen = os.environ.get(_ENVIRONMENT) or _USUAL_ENVIRONMENT
    found = [_server(part, _overrides(root, chosen, part.key), around) for part in members(root, "servers")]
    known = ("version", "servers", "environments", "volumes")
    return gathered(document, _TITLE, found, left=(*left, *_others(root, chosen), *unread(root, known, _WHY_OF_FILE)))


def _overrides(root: Part, chosen: str, name: str) -> dict[str, str]:
    """Return the variables that a server has in the environment that is in use."""
    of_it = next((item for item in members(root, "environments") if item.key == chosen), None)
    server = next((item for item in members(of_it, "servers") if item.key == name), None) if of_it else None
    return texts(server, "env") if server else {}


def _others(root: Part, chosen: str) -> Iterator[Left]:
    for item in members(root, "environments"):
        if item.key != chosen:
            yield Left(
                line=item.line, what=f"the environment `{item.key}`: {chosen} is in use; {_ENVIRONMENT} chooses another"
            )


def _server(part: Part, overrides: Mapping[str, str], around: Surroundings) -> Proposed | Left:
    name, protocol = part.key, said(part, "protocol", "stdio")
    if protocol == "sse":
        return part.left(
            "it speaks the older HTTP with server-sent events, which hatchlock speaks to remote servers only"
        )
    if protocol not in {"stdio", "http"}:
        return part.left(f"hatchlock speaks to no server over {protocol}")
    if "command" not in part and not any(key in part for key in ("image", "build")):
        part.fail("it has no command, image or build")
    if "image" in part and said(part, "command") not in _RUNNERS and not any(sign in part for sign in _SIGNS):
        return part.left("nothing says that it is an MCP server: it has no capabilities and no protocol")
    filler = Texts(around)
    sandbox, lost = sandbox_of(part, filler, project="")
    env = {**texts(part, "env"), **overrides}
    found = _started(part, filler, env, name)
    mounts = [
        *({**mount, "target": at_home(mount["target"])} for mount in sandbox.get("mounts", ())),
        *_paths(part, filler),
    ]
    network = "host" if said(part, "network_mode") == "host" else ""
    found = sandboxed(found, {**sandbox, "mounts": mounts, "network": network}, reason=_REASON)
    return enriched(
        found,
        _endpoint(part) if protocol == "http" else {},
        left=(*filler.left, *lost, *_guarded(part), *unread(part, _READ | SANDBOX_KEYS, _WHY_OF_SERVER)),
    )


def _started(part: Part, filler: Texts, env: dict[str, str], name: str) -> Proposed | Left:
    command, args, cwd = said(part, "command"), words(part, "args"), said(part, "workdir")
    own_container = "image" in part or "build" in part
    if command in _RUNNERS or not own_container:
        start = Start(command=command, args=args, env=env, cwd="" if own_container else cwd)
        directory = "" if own_container else directory_for((command, *args, cwd), filler.around.directory)
        found = translated(start, name=name, line=part.line, directory=directory)
        only_runs = (
            [
                part.need("image" if "image" in part else "build").left(
                    f"it only ran {command}; name it as `base` to start from it"
                )
            ]
            if own_container
            else []
        )
        return enriched(found, {}, left=only_runs)
    cmd = (*((command,) if command else ()), *args)
    if places := open_places(cmd):
        return part.left(f"hatchlock puts nothing into arguments, and mcp-compose does for {places[0]}")
    use = ImageUse(image=said(part, "image"), args=cmd, env=env, cwd=cwd)
    return contained(use, name=name, line=part.line, reason=_REASON, made_of=_build(part, filler.around))


def _build(part: Part, around: Surroundings) -> dict[str, Any]:
    build = part.get("build")
    if build is None or "context" not in build:
        return {}
    table = {
        "context": around.path(build.need("context").text()),
        "dockerfile": said(build, "dockerfile"),
        "target": said(build, "target"),
        "args": texts(build, "args"),
    }
    return {"build": {key: value for key, value in table.items() if value}}


def _paths(part: Part, filler: Texts) -> Iterator[dict[str, str]]:
    """Yield the paths that a server is given as resources: they are mounted."""
    resources = part.get("resources")
    for item in each(resources, "paths") if resources else ():
        source = filler.around.path(filler.of(item.need("source")))
        target = at_home(filler.of(item.need("target")))
        yield {"source": source, "target": target, "mode": "ro" if is_set(item, "read_only") else "rw"}


def _endpoint(part: Part) -> dict[str, Any]:
    ports = [text.partition("/")[0].split(":") for text in words(part, "ports")]
    inside = number(part, "http_port") or next((int(item[-1]) for item in ports if item[-1].isdigit()), 0)
    outside = next((int(item[-2]) for item in ports if item[1:] and item[-1] == str(inside) and item[-2].isdigit()), 0)
    path = said(part, "http_path")
    fields = {"transport": "http", "port": inside, "host-port": outside, "path": path if path.startswith("/") else ""}
    return {key: value for key, value in fields.items() if value}


def _guarded(part: Part) -> Iterator[Left]:
    """Yield what its container was allowed, and is not."""
    read_only = part.get("read_only")
    if read_only is not None and not read_only.flag():
        yield read_only.left("its root is read-only; a directory of sandbox.writable can be written")
    security = part.get("security")
    if security is not None:
        for key in ("allow_docker_socket", "allow_privileged_ops"):
            if is_set(security, key):
                yield security.need(key).left("no server reaches an engine, or is privileged")
        for key in ("apparmor", "seccomp"):
            if said(security, key) not in {"", "default"}:
                yield security.need(key).left("write it as a key of the sandbox")


MCP_COMPOSE = Format(name="mcp-compose", title=_TITLE, matches=_matches, read=_read)
"""Files of mcp-compose."""
