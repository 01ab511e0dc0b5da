"""`init`, `add`, `remove`, `validate`, `schema`, `lock`, `tree`, `why`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hatchlock.cli.adding import is_taken_over, taken_over
from hatchlock.cli.context import changed_project, directory_of, project_of
from hatchlock.cli.registry_commands import entry_server, given_of
from hatchlock.cli.ui import Ui
from hatchlock.errors import UsageError
from hatchlock.files import atomic_write

if TYPE_CHECKING:
    from hatchlock.usecases.lock import LockResult
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.registry_servers import Given

__all__ = ["add", "init", "lock", "remove", "schema", "tree", "validate", "why"]


def init(arguments: argparse.Namespace, ui: Ui) -> int:
    """Write a manifest."""
    from hatchlock.cli.said_options import project_options, said_of_options
    from hatchlock.paths import global_manifest
    from hatchlock.usecases import manifest

    directory = global_manifest(os.environ).parent if arguments.use_global else directory_of(arguments)
    directory.mkdir(parents=True, exist_ok=True)
    with said_of_options(project_options(arguments), "project"):
        written = manifest.init(directory, name=arguments.name, platforms=arguments.platforms)
    if ui.json:
        ui.document({"written": [str(path) for path in written]})
    else:
        ui.result("\n".join(f"+ {path}" for path in written))
        ui.say("next: hatchlock add pypi:NAME")
    return 0


def validate(arguments: argparse.Namespace, ui: Ui) -> int:
    """Check a manifest, or the Hatch package that is named."""
    if arguments.path is not None:
        from hatchlock.cli.hatch_commands import validate_package

        return validate_package(arguments, ui)
    from hatchlock.usecases import manifest
    from hatchlock.usecases.lock import warnings_of
    from hatchlock.usecases.secrets import check_secret_places

    project = project_of(arguments)
    loaded = manifest.validate(project.manifest)
    check_secret_places(project)
    warnings = warnings_of(loaded.warnings)
    if ui.json:
        ui.document({"valid": True, "servers": sorted(loaded.manifest.servers), "warnings": list(warnings)})
        return 0
    for warning in warnings:
        ui.say(f"warning: {warning}")
    ui.result(f"{project.manifest.name} is valid: {_counted(len(loaded.manifest.servers), 'server')}")
    return 0


def schema(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print the JSON Schema of the manifest, or of plans."""
    if arguments.what == "plan":
        from hatchlock.reconcile.plan_schema import plan_schema as json_schema
    else:
        from hatchlock.usecases.manifest import json_schema
    ui.result(json.dumps(json_schema(), indent=2))
    return 0


def add(arguments: argparse.Namespace, ui: Ui) -> int:
    """Add servers to the manifest, and lock. When one cannot be added or locked, the manifest stays as it was."""
    if bool(arguments.source) == bool(arguments.words):
        raise UsageError(
            what="`add` takes a SOURCE, what an application's file has, or a command line behind `--`",
            advice="hatchlock add pypi:mcp-server-time, or hatchlock add -- uvx mcp-server-time",
        )
    given = given_of(arguments)
    notes: Sequence[str] = ()
    if (arguments.source or "").startswith("mcp:"):
        servers = _called(arguments, *entry_server(arguments, ui, project_of(arguments), given))
    elif given.arguments:
        advice = "write a server's own arguments behind its command: hatchlock add -- COMMAND ARGUMENT…"
        raise UsageError(what="--arg answers what an entry of the MCP registry asks, and this is none", advice=advice)
    elif is_taken_over(arguments):
        servers, notes = taken_over(arguments, given, project_of(arguments).manifest_text)
    else:
        servers = _called(arguments, *_described(arguments.source, given))
    with changed_project(arguments, ui) as project:
        edited = _with_servers(project.manifest_text, servers, arguments)
        what = ", ".join(f"+ server:{name}" for name in servers)
        status = _edit_and_lock(arguments, ui, project, edited, what, added=tuple(servers))
    for note in notes:
        ui.say(note)
    return status


def _called(arguments: argparse.Namespace, name: str, fields: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return {arguments.name or name: fields}


def _with_servers(text: str, servers: Mapping[str, Mapping[str, Any]], arguments: argparse.Namespace) -> str:
    from hatchlock.cli.said_options import said_of_options, server_options
    from hatchlock.usecases import manifest

    for name, fields in servers.items():
        chosen = {"runtime": arguments.runtime, "clients": arguments.clients}
        if "url" in fields and is_taken_over(arguments):
            del chosen["runtime"]  # it is for those that run here, and what was pasted may have none
        with said_of_options(server_options(arguments), "servers", name):
            text = manifest.add(text, name, {**fields, **{key: value for key, value in chosen.items() if value}})
    return text


def _described(source: str, given: Given) -> tuple[str, dict[str, Any]]:
    """What a source says by itself, and what was given beside it."""
    from hatchlock.usecases import manifest

    name, fields = manifest.server_from_source(source)
    return name, fields | {key: {**fields.get(key, {}), **value} for key, value in given.keys().items()}


def remove(arguments: argparse.Namespace, ui: Ui) -> int:
    """Remove servers from the manifest, all or none, and from the lock; what stays is locked as far as it can be."""
    from hatchlock.usecases import manifest

    names = tuple(dict.fromkeys(arguments.names))
    with changed_project(arguments, ui) as project:
        edited, what = manifest.remove(project.manifest_text, names), ", ".join(f"- server:{name}" for name in names)
        return _edit_and_lock(arguments, ui, project, edited, what, removed=names)


def _edit_and_lock(
    arguments: argparse.Namespace,
    ui: Ui,
    project: Project,
    edited: str,
    what: str,
    *,
    added: Sequence[str] = (),
    removed: Sequence[str] = (),
) -> int:
    from hatchlock.usecases.lock import lock_project
    from hatchlock.usecases.removal import lock_without

    mode = project.manifest.stat().st_mode & 0o7777
    target = project.manifest.resolve()
    # The lock first: what cannot be locked changes nothing, and after a kill in between the same command goes on.
    after = replace(project, manifest_bytes=edited.encode())
    if removed:
        result = lock_without(after, removed, offline=arguments.offline, emit=ui.event)
    else:
        result = lock_project(after, offline=arguments.offline, emit=ui.event)
    atomic_write(target, after.manifest_bytes, mode=mode)
    if not ui.json:
        ui.result(f"{project.manifest.name}: {what}")
    # of the others nobody has asked, and what the lock pins is for `lock` and `validate` to say
    told = tuple(item for item in result.cautions if item.server in added and not item.is_locked)
    result = replace(result, cautions=told)
    return _show_lock(result, ui, check=False, is_there=result.written or project.lock_bytes is not None)


def lock(arguments: argparse.Namespace, ui: Ui) -> int:
    """Resolve the manifest into the lock."""
    from hatchlock.usecases.lock import lock_project

    asked = arguments.upgrade
    upgrade = frozenset[str]() if asked is None else (frozenset(asked) or None)
    opened = nullcontext(project_of(arguments)) if arguments.check else changed_project(arguments, ui)
    with opened as project:
        result = lock_project(
            project,
            upgrade=upgrade,
            offline=arguments.offline,
            refresh=arguments.refresh,
            check=arguments.check,
            images=arguments.images,
            emit=ui.event,
        )
    return _show_lock(result, ui, check=arguments.check)


def _show_lock(result: LockResult, ui: Ui, *, check: bool, is_there: bool = True) -> int:
    from hatchlock.usecases.lock import warnings_of

    warnings = (*warnings_of(result.cautions), *result.warnings)
    status = 2 if check and result.differs else 0
    if ui.json:
        changes = [
            {"what": item.what, "sign": item.sign, "before": item.before, "after": item.after}
            for item in result.changes
        ]
        told = {"warnings": list(warnings), "reasons": list(result.reasons)}
        ui.document({"changes": changes, "written": result.written, **told})
        return status
    for warning in warnings:
        ui.say(f"warning: {warning}")
    for reason in result.reasons:
        ui.say(reason)
    ui.result("\n".join(map(str, result.changes)))
    if not is_there:
        return status
    packages = _counted(len(result.lock.packages), "package")
    servers = _counted(len(result.lock.servers), "server")
    state = "would change" if status else "written" if result.written else "unchanged"
    ui.result(f"hatch.lock {state}: {servers}, {packages}")
    return status


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def tree(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what each environment brings in."""
    from dataclasses import asdict

    from hatchlock.resolve.graph import render_tree
    from hatchlock.usecases.inspect import trees_of
    from hatchlock.usecases.locked import read_project_lock

    trees = trees_of(read_project_lock(project_of(arguments)), name=arguments.name, platform=arguments.platform)
    if ui.json:
        ui.document({"trees": [asdict(item) for item in trees]})
    else:
        ui.result("\n\n".join(map(render_tree, trees)))
    return 0


def why(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print why a package is in the lock."""
    from dataclasses import asdict

    from hatchlock.resolve.graph import render_why
    from hatchlock.usecases.inspect import reasons_of
    from hatchlock.usecases.locked import read_project_lock

    reasons = reasons_of(read_project_lock(project_of(arguments)), arguments.package)
    if ui.json:
        ui.document({"reasons": [asdict(item) for item in reasons]})
    else:
        ui.result(render_why(reasons))
    return 0
