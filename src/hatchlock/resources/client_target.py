"""What should stand in the files of applications, from manifest and machine."""

from __future__ import annotations

from collections.abc import Iterator

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
            path = machine.path(spec.path) if spec.path else _usual_path(client_name, spec.scope, machine)
            if path is None:
                continue
            file = ClientFile(client=client_name, scope=spec.scope, path=path)
            start = start_for(
                scope=spec.scope,
                launcher=str(machine.home.bin / "hatchlock"),
                home=machine.home,
                project=manifest.project.name,
                server=name,
            )
            yield EntrySpec(file=file, server=name, value=client.shape.written(start))


def usual_files(machine: Machine) -> Iterator[ClientFile]:
    """Yield the files that every known application reads when nobody has said otherwise, the user's and the project's."""
    scopes: tuple[Scope, ...] = ("user", "project")
    for name in sorted(CLIENTS):
        for scope in scopes:
            if path := _usual_path(name, scope, machine):
                yield ClientFile(client=name, scope=scope, path=path)


def _usual_path(name: str, scope: Scope, machine: Machine) -> str | None:
    client = CLIENTS[name]
    if scope == "user":
        return str(client.user_path(machine.user_home, machine.environ, machine.system))
    path = client.project_path(machine.directory)
    return str(path) if path else None
