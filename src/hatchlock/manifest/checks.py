"""What fits together in a manifest, across keys and tables; and what works but may surprise.

All checks read the document as TOML gave it, whatever else is wrong with it, so that every mistake is found at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

import hatchlock
from hatchlock.launch import Sandbox, place_inside, size_in_bytes, target_problem
from hatchlock.manifest.client_rules import client_cautions, client_findings
from hatchlock.manifest.dockerfiles import build_findings
from hatchlock.manifest.endpoints import endpoint_findings
from hatchlock.manifest.fitting import index_findings, kind_findings, runtime_findings
from hatchlock.manifest.handing_over import handover_findings
from hatchlock.manifest.later import matches
from hatchlock.manifest.literals import literal_cautions, literal_findings
from hatchlock.manifest.loose import loose_findings
from hatchlock.manifest.problem import Finding, KeyPath, did_you_mean, dotted
from hatchlock.manifest.remotes import remote_findings
from hatchlock.manifest.tool_rules import tool_findings
from hatchlock.manifest.writable import relabel_findings, writable_findings

__all__ = ["cautions", "mistakes", "overlay_mistakes", "relaxations"]

_PRIVATE = ("python", "node", "base", "with", "constraints", "overrides")
_DEFAULT = Sandbox()
_SIZES = {"memory": _DEFAULT.memory, "swap": _DEFAULT.swap, "tmp": _DEFAULT.tmp, "log-size": _DEFAULT.log_size}
_COUNTS = {"cpus": _DEFAULT.cpus, "pids": _DEFAULT.pids, "files": _DEFAULT.files}
_SMALLEST_MEMORY = 6 << 20


def _table(value: Any, *keys: str) -> dict[str, Any]:
    """Return the table at these keys, empty if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def mistakes(document: dict[str, Any], overlay: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in a manifest beyond its schema; paths are the manifest's.

    Args:
        document: The manifest.
        overlay: What is merged over it; only its `runtime` keys matter here.
    """
    yield from _version(_text(_table(document, "project").get("requires-hatchlock")))
    yield from kind_findings(document)
    yield from runtime_findings(document, overlay)
    yield from index_findings(document)
    yield from build_findings(document)
    yield from literal_findings(document)
    yield from handover_findings(document)
    yield from tool_findings(document)
    yield from endpoint_findings(document)
    yield from remote_findings(document)
    yield from client_findings(document)
    servers = _table(document, "servers")
    environments = _table(document, "environments")
    defaults = _table(document, "defaults")
    for path, table in (("defaults",), defaults), *((("servers", name), _table(servers, name)) for name in servers):
        yield from _environment(path, table, environments)
        yield from _sandbox((*path, "sandbox"), _table(table, "sandbox"))
    for name in servers:
        if isinstance(servers[name], dict):
            own_runtime = _table(overlay, "servers", name).get("runtime") or servers[name].get("runtime")
            yield from _server(("servers", name), servers[name], _text(own_runtime))
            yield from _same_name(name, {**defaults, **servers[name]}, servers[name], environments)


def overlay_mistakes(document: dict[str, Any], overlay: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in an overlay beyond its schema; paths are the overlay's."""
    servers = _table(document, "servers")
    for name in _table(overlay, "servers"):
        path = ("servers", name)
        if name not in servers:
            yield Finding(
                path=path,
                what=f"the manifest has no server {name!r}",
                advice=did_you_mean(name, servers, "an overlay only changes what the manifest declares"),
            )
            continue
        sandbox = _table(overlay, "servers", name, "sandbox")
        reason = _table(servers, name, "sandbox").get("reason")
        yield from _sandbox((*path, "sandbox"), {"reason": reason, **sandbox} if reason else sandbox)


def _version(text: str) -> Iterator[Finding]:
    try:
        fits = SpecifierSet(text).contains(hatchlock.__version__, prereleases=True)
    except InvalidSpecifier:
        return
    if not fits:
        yield Finding(
            path=("project", "requires-hatchlock"),
            what=f"this is hatchlock {hatchlock.__version__}, and the project requires {text}",
            advice="install a version that fits",
        )


def _environment(path: KeyPath, table: dict[str, Any], environments: dict[str, Any]) -> Iterator[Finding]:
    name = table.get("environment")
    if not isinstance(name, str):
        return
    if name not in environments:
        yield Finding(
            path=(*path, "environment"),
            what=f"there is no environment {name!r}",
            advice=did_you_mean(name, environments, f"declare it: [environments.{name}]"),
        )
    for key in _PRIVATE:
        if key in table:
            yield Finding(
                path=(*path, key),
                what=f"{key!r} is for a private environment, and this one shares {name!r}",
                advice=f"write it into [environments.{name}], or remove 'environment'",
            )


def _server(path: KeyPath, table: dict[str, Any], runtime: str) -> Iterator[Finding]:
    given = [key for key in ("source", "url", "build") if key in table]
    if len(given) > 1:
        what = f"it has both {given[0]!r} and {given[1]!r}"
        yield Finding(path=path, what=what, advice="keep the one that is meant")
    elif given == ["url"] and "command" in table:
        yield Finding(
            path=(*path, "command"), what="a remote server has no command", advice="remove 'command' or 'url'"
        )
    elif not given and "command" not in table:
        yield Finding(
            path=path,
            what="it says nothing that could run: no 'source', no 'url', no 'build', no 'command'",
            advice='write source = "pypi:…" or source = "oci:…"',
        )
    command = _text(table.get("command"))
    if " " in command and "/" not in command.partition(" ")[0]:
        yield Finding(
            path=(*path, "command"),
            what=f"{command!r} is taken as one word, for no shell reads it",
            advice=f"write command = {json.dumps(command.split())}",
        )
    if not given and "command" in table:
        yield from _program(path, table, runtime)
    elif "build" in table or _text(table.get("source")).startswith("oci:"):
        yield from _image(path, table, runtime)
    elif runtime == "process" and "base" in table:
        yield Finding(
            path=(*path, "base"),
            what="a process has no base image",
            advice='remove it, or write runtime = "container"',
        )


def _program(path: KeyPath, table: dict[str, Any], runtime: str) -> Iterator[Finding]:
    if runtime == "container":
        yield Finding(
            path=(*path, "runtime"),
            what="a program of this machine, which a server without 'source' is, does not run in a container",
            advice="name its package as 'source', or remove 'runtime'",
        )
    for key in ("environment", *_PRIVATE):
        if key in table:
            yield Finding(
                path=(*path, key),
                what=f"{key!r} says nothing about a program of this machine, which a server without 'source' is",
                advice="name the package that it comes from as 'source'",
            )


def _image(path: KeyPath, table: dict[str, Any], runtime: str) -> Iterator[Finding]:
    if runtime == "process":
        yield Finding(
            path=(*path, "runtime") if "runtime" in table else path,
            what="an image runs in a container, not as a process",
            advice="remove 'runtime', or name a package as 'source'",
        )
    for key in ("environment", *_PRIVATE):
        if key in table:
            yield Finding(
                path=(*path, key), what=f"{key!r} says nothing about an image, which brings its own", advice="remove it"
            )


def _same_name(
    name: str, merged: dict[str, Any], own: dict[str, Any], environments: dict[str, Any]
) -> Iterator[Finding]:
    shares = "environment" in own or ("environment" in merged and not any(key in own for key in _PRIVATE))
    if name in environments and _text(own.get("source")).startswith("pypi:") and not shares:
        yield Finding(
            path=("environments", name),
            what=f"server {name!r} has a private environment of the same name",
            advice=f"rename one of them, or write environment = {name!r} for the server",
        )


def relaxations(sandbox: dict[str, Any]) -> tuple[str, ...]:
    """Return the keys of a `sandbox` table that allow more than the default profile does, in its own order."""
    return tuple(key for key, value in sandbox.items() if _relaxes(key, value))


def _relaxes(key: str, value: Any) -> bool:
    if key in _SIZES:
        return _bytes(value) > size_in_bytes(_SIZES[key])
    if key in _COUNTS:
        return isinstance(value, (int, float)) and _COUNTS[key] < value < math.inf
    if key in {"mounts", "capabilities", "writable"}:
        return isinstance(value, list) and bool(value)
    if key in {"seccomp", "apparmor", "selinux"}:
        return isinstance(value, str) and value != "default"
    if key == "network":
        return value in ("internet", "host") or (isinstance(value, list) and bool(value))
    return (key == "run-as" and value == "host") or (key == "read-only" and value is False)


def _bytes(value: Any) -> int:
    try:
        return size_in_bytes(_text(value))
    except ValueError:
        return 0


def _sandbox(path: KeyPath, sandbox: dict[str, Any]) -> Iterator[Finding]:
    if "reason" not in sandbox:
        for key in relaxations(sandbox):
            yield Finding(
                path=(*path, key),
                what="it allows more than the default, without a reason",
                advice=f'write reason = "…" into [{dotted(path)}]',
            )
    yield from _limits(path, sandbox)
    seen: set[str] = set()
    for at, target in matches(sandbox, "mounts.*.target"):
        place = place_inside(_text(target))
        if place in seen:
            yield Finding(path=(*path, *at), what=f"two mounts have the target {target!r}", advice="keep one")
        seen |= {place} if _text(target) else set()
    yield from writable_findings(path, sandbox)
    yield from relabel_findings(path, sandbox)
    for key in ("mounts.*.target", "writable.*"):
        for at, target in matches(sandbox, key):
            if problem := target_problem(_text(target)) if _text(target).startswith("/") else "":
                yield Finding(
                    path=(*path, *at),
                    what=f"nothing can be put at {target!r}: {problem}",
                    advice="choose another, such as /data",
                )


def _limits(path: KeyPath, sandbox: dict[str, Any]) -> Iterator[Finding]:
    for key in ("memory", "tmp", "log-size"):
        smallest = _SMALLEST_MEMORY if key == "memory" else 1
        if _text(sandbox.get(key)).rstrip("kmg").isdecimal() and _bytes(sandbox[key]) < smallest:
            yield Finding(
                path=(*path, key),
                what=f"{sandbox[key]!r} is too small" + (": engines refuse less than 6m" if key == "memory" else ""),
                advice=f"leave it out for {_SIZES[key]}",
            )


def cautions(document: dict[str, Any]) -> Iterator[Finding]:
    """Yield what works in a manifest but may surprise."""
    project = document.get("project")
    if isinstance(project, dict) and "platforms" not in project:
        yield Finding(
            path=("project",),
            what="it does not say its platforms, so the first lock records this machine's",
            advice='write platforms = ["linux/amd64", …]',
        )
    places = ("servers.*.source", "servers.*.with.*", "environments.*.dependencies.*", "defaults.with.*")
    bases = ("servers.*.base", "environments.*.base", "defaults.base")
    for pattern in (*places, *bases):
        for path, value in matches(document, pattern):
            yield from loose_findings(path, _text(value))
    yield from literal_cautions(document)
    yield from client_cautions(document)
    for path, value in (*matches(document, "indexes.*.url"), *matches(document, "indexes.*.mirrors.*")):
        if _text(value).startswith("http://") and not _is_loopback(_text(value)):
            yield Finding(path=path, what="its answers can be changed on the way", advice="use https://")


def _is_loopback(url: str) -> bool:
    host = url.removeprefix("http://").partition("/")[0]
    return host.startswith(("127.", "localhost", "[::1]"))
