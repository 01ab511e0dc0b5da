"""Proposed servers as a manifest takes them: what it would refuse is left out, and said."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hatchlock.manifest.checks import mistakes, relaxations
from hatchlock.manifest.later import not_yet
from hatchlock.manifest.problem import Finding, KeyPath
from hatchlock.manifest.schema import Document
from hatchlock.manifest.suspicion import known_tokens
from hatchlock.manifest.translate import schema_findings
from hatchlock.migrate.model import Left, Proposed, Reading
from hatchlock.security.mounts import Protected, mount_problem

__all__ = ["fitted", "fitted_server", "without_tokens"]

_NAME = "server"
_ESSENTIAL = frozenset({"source", "url", "build", "command", "args", "environment"})
"""Keys without which a server would be another one."""
_SANDBOX = "sandbox"
_KEY = re.compile(
    r"(?=(?:\D*\d){5})(?=(?:[^A-Za-z]*[A-Za-z]){5})[A-Za-z0-9]{20,}|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[\w-]{20,}={0,2}"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    re.ASCII,
)
"""A part of an address that nobody would think of."""
_KEY_IN_ADDRESS = (
    "its address has a part that looks like a key, and a manifest is no place for one; if whoever knows it may know it,"
    " hatchlock add ADDRESS"
)
_MISPLACED = "a token stands where only a name can: nothing of it is taken over; write the server by hand, without it"
_QUERY = re.compile(r"\?[^\s'\"`?]*=[^\s'\"`]*")
_MOST = 100


def fitted(reading: Reading) -> Reading:
    """Return a reading whose servers a manifest takes.

    A key of a server that the manifest refuses (a user that is root, a mount over `/proc`) is left out of it, an item of a
    list alone where that is enough; likewise what this machine shows no server (logins, its system). A server that would be
    another one without that key becomes a `Left` of the reading, and so does one with a token among its keys. Nothing that is
    said has a token in it.
    """
    servers: list[Proposed] = []
    left = list(map(_masked, reading.left))
    for server in reading.servers:
        found = fitted_server(server, reading.environments)
        if isinstance(found, Left):
            left.append(found)
        else:
            servers.append(found)
    return replace(reading, servers=tuple(servers), left=tuple(left))


def fitted_server(server: Proposed, environments: Mapping[str, Mapping[str, Any]]) -> Proposed | Left:
    """Return a server as a manifest takes it, or why it takes none; see `fitted`.

    Args:
        server: The server.
        environments: `[environments.X]` tables that it may name.
    """
    found = _fitted(server, environments)
    if isinstance(found, Left):
        return _masked(found)
    if known_tokens().search(json.dumps([found.name, dict(found.fields)], ensure_ascii=False)):
        return _masked(Left(line=found.line, what=f"`{found.found_as or 'it'}`: {_MISPLACED}"))
    return replace(found, left=tuple(map(_masked, found.left)), notes=tuple(map(without_tokens, found.notes)))


def without_tokens(text: str) -> str:
    """Return a sentence for people without anything that has a token's form, and without what addresses ask for.

    What is wrong with a value may repeat it, and a token can stand anywhere.
    """
    return known_tokens().sub("…", _QUERY.sub("?…", text))


def _masked(left: Left) -> Left:
    return replace(left, what=without_tokens(left.what))


def _fitted(server: Proposed, environments: Mapping[str, Mapping[str, Any]]) -> Proposed | Left:
    if _has_key(server.fields.get("url")):
        return Left(line=server.line, what=f"`{server.found_as or server.name}`: {_KEY_IN_ADDRESS}")
    server, lost = _without_forbidden(replace(server, fields=copy.deepcopy(dict(server.fields))))
    for _ in range(_MOST):
        problem = next(iter(_problems(server, environments)), None)
        if problem is None:
            return replace(server, left=(*server.left, *lost))
        path = problem.path[2:]
        if not path or path[0] in _ESSENTIAL:
            break
        lost.append(Left(line=server.line, what=f"`{_shown(path)}`: {problem.what}"))
        server = _without(server, path)
    return Left(line=server.line, what=f"`{server.found_as or server.name}`: {_said(problem)}")


def _has_key(url: Any) -> bool:
    return isinstance(url, str) and any(_KEY.fullmatch(unquote(part)) for part in re.split(r"[/?#]", url)[3:])


def _without_forbidden(server: Proposed) -> tuple[Proposed, list[Left]]:
    """Return a server without the mounts that no plan would allow, such as of logins, and why each is left out.

    What is not there is kept: it may be on the machine where the manifest is used.
    """
    sandbox = server.fields.get(_SANDBOX)
    if not isinstance(sandbox, dict) or not isinstance(mounts := sandbox.get("mounts"), list):
        return server, []
    kept: list[Any] = []
    lost: list[Left] = []
    notes = server.notes
    for mount in mounts:
        if why := _why_forbidden(mount):
            notes = tuple(note for note in notes if not note.startswith(f"{mount['source']} is mounted "))
            lost.append(Left(line=server.line, what=f"`sandbox.mounts`: {mount['source']}: {why}"))
        else:
            kept.append(mount)
    if not lost:
        return server, []
    fields = {**server.fields, _SANDBOX: {**sandbox, "mounts": kept}}
    if not kept:
        _drop(fields, (_SANDBOX, "mounts"))
    if not relaxations(fields.get(_SANDBOX, {})):
        _without_reason(fields)
    return replace(server, fields=fields, notes=notes), lost


def _why_forbidden(mount: Any) -> str:
    source = mount.get("source") if isinstance(mount, dict) else None
    if not isinstance(source, str) or re.search(r"[\0\ud800-\udfff]", source) or not source.startswith(("/", "~/")):
        return ""
    real = os.path.realpath(Path(source).expanduser())
    if not os.path.lexists(real):
        return ""
    return mount_problem(real, str(mount.get("mode", "ro")), Protected(home=str(Path.home()), store=os.devnull))


def _said(problem: Finding | None) -> str:
    if problem is None:
        return "too much of it has no counterpart"
    return f"{problem.what}; {problem.advice}" if problem.advice else problem.what


def _problems(server: Proposed, environments: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    fields = server.with_references(dict.fromkeys(server.secrets, "env:X"))
    document = {"project": {"name": "p"}, "servers": {_NAME: fields}, "environments": dict(environments)}
    found = [*schema_findings(Document, document), *mistakes(document, {})]
    found += [Finding(path=item.path, what=item.what) for item in not_yet(document)]
    return [item for item in found if item.path[:2] == ("servers", _NAME)]


def _without(server: Proposed, path: KeyPath) -> Proposed:
    kept = tuple(item for item in server.secrets if (item.table, item.key) != path[:2])
    if len(kept) < len(server.secrets):
        return replace(server, secrets=kept)
    fields = copy.deepcopy(dict(server.fields))
    _drop(fields, path)
    if path[0] == _SANDBOX and not relaxations(fields.get(_SANDBOX, {})):
        _without_reason(fields)
    return replace(server, fields=fields)


def _without_reason(fields: dict[str, Any]) -> None:
    """A reason for nothing is not worth a line of every plan."""
    if "reason" in fields.get(_SANDBOX, {}):
        _drop(fields, (_SANDBOX, "reason"))


def _shown(path: KeyPath) -> str:
    return ".".join(str(part) for part in path if not isinstance(part, int))


def _drop(fields: dict[str, Any], path: KeyPath) -> None:
    """Take out what a path leads to: of a table in a list all of it, and what is empty then."""
    numbers = [index for index, part in enumerate(path) if isinstance(part, int)]
    whole = path[: numbers[0] + 1] if numbers else path
    holder: Any = fields
    for part in whole[:-1]:
        holder = holder[part]
    del holder[whole[-1]]
    if not holder and len(whole) > 1:
        _drop(fields, whole[:-1])
