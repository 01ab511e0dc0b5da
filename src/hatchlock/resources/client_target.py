"""What should stand in the files of applications, from manifest and machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hatchlock.clients.catalogue import CLIENTS, Scope
from hatchlock.clients.owners import start_for
from hatchlock.manifest.model import Manifest
from hatchlock.resources.client import ClientFile, EntrySpec
from hatchlock.resources.machine import Machine

__all__ = ["client_entries", "usual_files"]


def client_entries(manifest: Manifest, machine: Machine) -> Iterator[EntrySpec]:
    """Yield the entries that the manifest wants, by server: each starts this home's launcher."""
    for name, server in sorted(manifest.servers.items()):
        for client_name in server.clients:
            spec, client = manifest.client(client_name), CLIENTS[client_name]
            usual = _usual_file(client_name, spec.scope, machine)
            path = machine.path(spec.path) if spec.path else usual.path
            start = start_for(
                scope=spec.scope,
                launcher=str(machine.home.bin / "hatchlock"),
                home=machine.home,
                project=manifest.project.name,
                server=name,
            )
            yield EntrySpec(file=replace(usual, path=path), server=name, value=client.shape.written(start))


def usual_files(machine: Machine) -> Iterator[ClientFile]:
    """Yield the files that every known application reads when nobody has said otherwise, the user's and the project's."""
    for name in sorted(CLIENTS):
        yield _usual_file(name, "user", machine)
        yield _usual_file(name, "project", machine)


def _usual_file(name: str, scope: Scope, machine: Machine) -> ClientFile:
    client = CLIENTS[name]
    path = (
        client.user_path(machine.user_home, machine.environ, machine.system)
        if scope == "user"
        else client.project_path(machine.directory)
    )
    return ClientFile(client=name, scope=scope, path=str(path))
