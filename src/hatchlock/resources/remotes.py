"""Servers that somebody else runs: nothing is installed for them, and `run` speaks to them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from hatchlock.launch import LaunchRecord, Remote
from hatchlock.lock.model import Lock, Server
from hatchlock.manifest.model import Manifest
from hatchlock.resources.machine import Machine
from hatchlock.resources.secret_notes import secret_notes
from hatchlock.resources.server import ServerSpec
from hatchlock.resources.surface_target import surface_rules

__all__ = ["remote_spec"]


def remote_spec(manifest: Manifest, lock: Lock, launch: Server, machine: Machine) -> ServerSpec:
    """Return a remote server as it should be here: a launch record that says where it is.

    Args:
        manifest: Says which applications list it, and which of its tools pass.
        lock: What was pinned of it.
        launch: It, as locked.
        machine: This machine, for the directory in which its secrets' files are.
    """
    record = LaunchRecord(
        project=manifest.project.name,
        server=launch.name,
        runtime="process",
        argv=(),
        key="",
        directory=str(machine.directory),
        startup_timeout=launch.startup_timeout,
        trust=launch.trust,
        surface=surface_rules(manifest.servers[launch.name].tools, lock, launch.name, machine.platform),
        remote=Remote(
            url=launch.url,
            transport="sse" if launch.transport == "sse" else "http",
            headers=launch.headers,
            secrets=launch.header_secrets,
        ),
    )
    return ServerSpec(
        record=record, notes=(*_notes(record), *secret_notes(record, manifest.servers[launch.name].clients))
    )


def _notes(record: LaunchRecord) -> Iterator[str]:
    host = urlsplit(record.remote.url).hostname if record.remote else ""
    yield f"somebody else runs it, at {host}: no sandbox holds what it does there"
    if record.surface is None or record.surface.pins is None:
        yield f"not pinned: it may offer something else at any time, until `hatchlock pin {record.server}` holds it to what it offers"
