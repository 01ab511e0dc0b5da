"""`probe`: start a server as an application would, speak MCP with it, and remember whether it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.state.project import ProjectState

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.serve.probe import ProbeResult

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
    from hatchlock.security.secrets import InsecureSecret, MissingSecret, SecretUnsupported, resolve
    from hatchlock.serve.probe import ProbeFailed, probe
    from hatchlock.usecases.run import find_record

    record = find_record(home, project, name)
    state = ProjectState(home.project(project))
    try:
        resolve(record.secrets, environ=environ, directory=record.directory)
    except MissingSecret as error:
        return Probed(server=name, error=error, skipped=True)
    except (InsecureSecret, SecretUnsupported) as error:
        error.address = f"server:{name}"
        return Probed(server=name, error=error)
    command = [str(home.bin / "hatchlock"), "run", "--home", str(home.root), "--project", project, name]
    try:
        # where an application would start it for this project
        here = record.directory if Path(record.directory).is_dir() else None
        result = probe(command, timeout=timeout or record.startup_timeout, environ=environ, directory=here)
    except ProbeFailed as error:
        error.address = f"server:{name}"
        _remember(state, record, health="failed", said=error.why)
        return Probed(server=name, error=error)
    who = f"{result.server} {result.version}".strip()  # a server may say no version
    said = f"{who}, {len(result.tools)} tool{'s' * (len(result.tools) != 1)}, {result.seconds:.2f} s"
    _remember(state, record, health="healthy", said=said)
    return Probed(server=name, result=result)


def _remember(state: ProjectState, record: LaunchRecord, *, health: str, said: str) -> None:
    state.remember_probe(record.server, {"launch": record.digest, "health": health, "said": said})
