"""`probe`: start a server as an application would, speak MCP with it, and remember whether it answered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.state.project import ProjectState

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.serve.probe import ProbedDefinition, ProbeFailed, ProbeResult

__all__ = ["Probed", "probe_server"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What a probe gave.

    Attributes:
        server: The server's name.
        result: What it said; None when it was not started, or did not answer.
        error: Why it did not answer, or could not be started; None when it answered.
        skipped: A secret is missing: the server was not started, and that is no failure of it.
    """

    server: str
    result: ProbeResult | None = None
    error: HatchlockError | None = None
    skipped: bool = False


def probe_server(
    home: Home, project: str, name: str, *, environ: Mapping[str, str], timeout: float | None = None
) -> Probed:
    """Probe an applied server under its own sandbox.

    Args:
        home: The store.
        project: The project's name.
        name: The server's name.
        environ: What its secrets are taken from.
        timeout: Seconds for all of it; None for the server's `startup-timeout`.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: It was not applied.
    """
    from hatchlock.security.secrets.redact import forms, redact
    from hatchlock.security.secrets.resolve import MissingSecret, Places, resolve
    from hatchlock.serve.probe import ProbeFailed, probe
    from hatchlock.usecases.run import find_record

    record = find_record(home, project, name)
    state = ProjectState(home.project(project))
    try:
        places = Places(environ=environ, directory=record.directory, project=project, store=home.root)
        hidden = forms(resolve(record.secrets, places).bare.values())
    except MissingSecret as error:
        return Probed(server=name, error=error, skipped=True)
    except HatchlockError as error:
        error.address = f"server:{name}"
        return Probed(server=name, error=error)
    command = [str(home.bin / "hatchlock"), "run", "--home", str(home.root), "--project", project, name]
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        # where an application would start it for this project
        here = record.directory if Path(record.directory).is_dir() else None
        found = probe(command, timeout=timeout or record.startup_timeout, environ=environ, directory=here)
    except ProbeFailed as error:
        error.address = f"server:{name}"
        error.why, error.said = redact(error.why, hidden), tuple(redact(line, hidden) for line in error.said)
        _explain(error, state, record, since=began)
        _remember(state, record, health="failed", said=error.why)
        return Probed(server=name, error=error)
    result = _redacted(found, hidden)
    who = f"{result.server} {result.version}".strip()  # a server may say no version
    said = f"{who}, {len(result.tools)} tool{'s' * (len(result.tools) != 1)}, {result.seconds:.2f} s"
    _remember(state, record, health="healthy", said=said)
    return Probed(server=name, result=result)


def _explain(error: ProbeFailed, state: ProjectState, record: LaunchRecord, *, since: str) -> None:
    """Let an error say what the sandbox stopped, once: `run` has said it on stderr as well."""
    from hatchlock.usecases.denials import permitting, stopped

    items = stopped(state.root, record, since=since)
    if not items:
        return
    told = {line.strip() for item in items for line in item.explanation.splitlines()}
    error.stopped = tuple(item.sentence for item in items)
    error.permit = permitting(items, record)
    error.said = tuple(line for line in error.said if line.removeprefix("hatchlock: ").strip() not in told)


def _redacted(result: ProbeResult, hidden: tuple[str, ...]) -> ProbeResult:
    """A server may well say of itself what it was told."""
    if not hidden:
        return result
    from dataclasses import replace

    from hatchlock.security.secrets.redact import redact, redact_document

    def harmless(definitions: Iterable[ProbedDefinition]) -> tuple[ProbedDefinition, ...]:
        return tuple(
            replace(
                item,
                name=redact(item.name, hidden),
                description=redact(item.description, hidden),
                definition=redact_document(item.definition, hidden),
            )
            for item in definitions
        )

    return replace(
        result,
        server=redact(result.server, hidden),
        version=redact(result.version, hidden),
        instructions=None if result.instructions is None else redact(result.instructions, hidden),
        tools=harmless(result.tools),
        prompts=harmless(result.prompts),
        resources=harmless(result.resources),
        templates=harmless(result.templates),
        called=redact(result.called, hidden),
    )


def _remember(state: ProjectState, record: LaunchRecord, *, health: str, said: str) -> None:
    from datetime import UTC, datetime

    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state.remember_probe(record.server, {"launch": record.digest, "health": health, "said": said, "at": at})
