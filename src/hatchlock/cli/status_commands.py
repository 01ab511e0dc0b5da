"""`status`, `doctor`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from hatchlock.cli.after_views import after_blocks, after_to_dict
from hatchlock.cli.context import project_of
from hatchlock.cli.health_views import health_blocks, health_to_dict, stopped_to_dict
from hatchlock.cli.layout import table
from hatchlock.cli.ui import Ui
from hatchlock.errors import HatchlockError
from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.usecases.status import EnvironmentStatus, ServerStatus, Status
    from hatchlock.usecases.sync import Drift

__all__ = ["doctor", "status"]

_SHOWN_DIGITS = 12


def status(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print sync and health of each server, or the project's images."""
    if arguments.what == "images":
        from hatchlock.cli.gc_commands import status_images

        return status_images(arguments, ui)
    from hatchlock.usecases.status import project_status

    found = project_status(project_of(arguments), offline=arguments.offline, check_secrets=arguments.check_secrets)
    if ui.json:
        ui.document(_to_document(found))
        return 0
    if found.interrupted:
        ui.say(f"note: {found.interrupted}")
    ui.result("\n\n".join(_blocks(found, verbose=arguments.verbose)))
    return 0


def _to_document(found: Status) -> dict[str, object]:
    environments = [asdict(item) | {"drift": list(map(_drift_to_dict, item.drift))} for item in found.environments]
    return {
        "project": found.project,
        "generation": found.generation,
        "servers": list(map(_server_to_dict, found.servers)),
        "environments": environments,
        "notes": [asdict(note) for note in found.notes],
        **after_to_dict(found.after),
    }


def _server_to_dict(server: ServerStatus) -> dict[str, object]:
    return {
        "name": server.name,
        "runtime": server.runtime,
        "sync": server.sync,
        "health": server.health,
        "detail": server.detail,
        "trust": server.trust,
        "sandbox": server.sandbox,
        "relaxations": list(server.relaxations),
        "stopped": [stopped_to_dict(what) for what in server.stopped],
        "restart": server.restart,
        "said": server.said,
        "probed": server.probed,
        "drift": list(map(_drift_to_dict, server.drift)),
        "surface": asdict(server.surface) if server.surface else None,
        **health_to_dict(server),
    }


def _blocks(found: Status, *, verbose: bool) -> Iterator[str]:
    """Yield what is shown, with empty lines between."""
    yield f"project {found.project}, {_generation(found)}"
    rows = [(item.name, item.runtime, item.sync, item.health, _labelled(item)) for item in found.servers]
    yield table([("SERVER", "RUNTIME", "SYNC", "HEALTH", ""), *rows])
    yield from health_blocks(found.servers, verbose=verbose)
    yield from after_blocks(found.after)
    if profiles := [line for item in found.servers if item.sandbox for line in _sandbox_lines(item)]:
        yield "\n".join(["SANDBOX", *profiles])
    if stopped := [f"{what.when}  {what.explanation}" for item in found.servers for what in item.stopped]:
        yield "\n".join(["STOPPED BY THE SANDBOX", *stopped])
    if found.environments:
        others = [(item.name, item.runtime, item.sync, _labelled(item)) for item in found.environments]
        yield table([("ENVIRONMENT", "RUNTIME", "SYNC", ""), *others])
    if verbose and (pinned := [_pinned_line(item) for item in found.servers if item.surface]):
        yield "\n".join(["PINNED", *pinned])
    if verbose and (drift := list(_drift_lines(found))):
        yield "\n".join(["DRIFT", *drift])
    if found.notes:
        yield "\n".join(f"! {note.address}  {note.what}" for note in found.notes)


def _generation(found: Status) -> str:
    if found.generation:
        return f"generation {found.generation}"
    from hatchlock.usecases.generations import none_yet

    return f"no generation: {none_yet(is_begun=found.is_begun)}"


def _drift_to_dict(item: Drift) -> dict[str, object]:
    return {**asdict(item), "address": str(item.address)}


def _drift_lines(found: Status) -> Iterator[str]:
    """Yield all that somebody else has changed, each once though several use it, with its fields."""
    owners: list[ServerStatus | EnvironmentStatus] = [*found.servers, *found.environments]
    drift = {item.address: item for owner in owners for item in owner.drift}
    for address in sorted(drift, key=lambda address: address.order):
        yield f"{drift[address]}"
        yield from (f"    {name}: {value}" for name, value in drift[address].details.items())


def _sandbox_lines(item: ServerStatus) -> list[str]:
    return [f"{item.name}  {item.sandbox}", *(f"    ! {note}" for note in item.relaxations)]


def _pinned_line(item: ServerStatus) -> str:
    found = item.surface
    if found is None:
        return ""
    parts = [f"{found.tools} tool{'' if found.tools == 1 else 's'} ({found.tools_sha256[:_SHOWN_DIGITS]})"]
    if found.prompts:
        parts.append(
            f"{found.prompts} prompt{'' if found.prompts == 1 else 's'} ({found.prompts_sha256[:_SHOWN_DIGITS]})"
        )
    if found.instructions_sha256:
        parts.append(f"instructions ({found.instructions_sha256[:_SHOWN_DIGITS]})")
    seen = f"; {found.state} since {found.seen}" if found.seen else f"; {found.state}"
    return f"{item.name}  {', '.join(parts)}{seen}"


def _labelled(item: ServerStatus | EnvironmentStatus) -> str:
    """The last cell of a row, which is one line, however many a reason has."""
    label = f"[{item.trust}]" if item.trust else ""
    restart, probed = getattr(item, "restart", ""), getattr(item, "probed", "")  # environments do not run
    when = f"probed {probed}" if probed else ""
    text = " ".join(word for word in (label, *map(str.strip, item.detail.splitlines())) if word)
    return "; ".join(part for part in (text, when, restart) if part)


def doctor(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what is missing on this machine. Missing things that only some servers need are no error."""
    from hatchlock.usecases.doctor import diagnose

    home = Home.locate(explicit=arguments.home, environ=os.environ)  # even one that other commands refuse
    checks = diagnose(home, os.environ, pythons=_locked_pythons(arguments))
    if ui.json:
        documents = [
            {"name": item.name, "state": item.state, "found": item.found, "mend": item.mend} for item in checks
        ]
        ui.document({"checks": documents})
    else:
        for item in checks:
            ui.result(
                f"{item.state:<8}{item.name}: {item.found}" + (f"\n        mend: {item.mend}" if item.mend else "")
            )
    return 1 if any(item.state == "bad" for item in checks) else 0


def _locked_pythons(arguments: argparse.Namespace) -> tuple[str, ...]:
    from hatchlock.usecases.locked import read_project_lock

    try:
        lock = read_project_lock(project_of(arguments))
    except HatchlockError:
        return ()  # outside a project there is nothing in particular to look for
    return tuple(sorted({item.python for item in lock.environments if item.python and item.runtime == "process"}))
