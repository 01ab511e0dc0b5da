"""A store, and one file of an application that projects write into."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchlock.address import Address
from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.owners import start_for
from hatchlock.clients.writer import entry_digest
from hatchlock.events import Event
from hatchlock.manifest.handover import Handover
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.client import ClientFile, ClientResource, EntrySpec
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore
from hatchlock.state.imported import Imported
from hatchlock.state.project import ProjectState

__all__ = ["Desk", "plan"]


class Desk:
    """A store, and one file that the project `p`, or another one, writes into.

    Args:
        root: Where they are.
        content: Of the file; None for no file.
        client: Whose file it is.
    """

    def __init__(self, root: Path, content: str | bytes | None, client: str = "cursor") -> None:
        self.home = Home(root=root / "store", is_default=False)
        self.path = root / "user" / "mcp.json"
        self.client = CLIENTS[client]
        self.file = ClientFile(client=client, scope="user", path=str(self.path))
        self.told: list[str] = []
        if content is not None:
            self.path.parent.mkdir(parents=True)
            self.path.write_bytes(content.encode() if isinstance(content, str) else content)
            os.utime(self.path, (1, 1))  # nobody is just writing it

    @property
    def kept(self) -> str:
        """What is kept of what was put aside."""
        return "".join(path.read_text() for path in self.home.root.glob("originals/*"))

    def keep_secrets(self, values: Mapping[str, str]) -> None:
        """Put values into the store of secrets."""
        for name, value in values.items():
            SecretStore(self.home.root).set(name, value, Keyring({"PATH": ""}))

    def imported(self, entry: str, server: str, *secrets: str, is_kept: bool = True) -> Imported:
        """Return what `import` would remember of an entry."""
        value = self.client.dialect.read(self.path.read_bytes())[entry].value
        digest = entry_digest(value)
        return Imported(
            file=str(self.file), entry=entry, digest=digest, server=server, secrets=secrets, is_kept=is_kept
        )

    def resource(
        self,
        *servers: str,
        imported: tuple[Imported, ...] = (),
        more: Mapping[str, Any] | None = None,
        moved: Mapping[str, str] | None = None,
        adopted: tuple[str, ...] = (),
        project: str = "p",
    ) -> ClientResource:
        """Return the entries of a project that has these servers."""
        launcher = str(self.home.bin / "hatchlock")
        shape = self.client.shape

        def value(name: str) -> dict[str, Any]:
            start = start_for(scope="user", launcher=launcher, home=self.home, project=project, server=name)
            return {**shape.written(start), **(more or {})}

        def told(event: Event) -> None:
            self.told.append(event.message)

        return ClientResource(
            [EntrySpec(file=self.file, server=name, value=value(name)) for name in servers],
            state=ProjectState(self.home.project(project)),
            home=self.home,
            project=project,
            usual=[self.file],
            handover=Handover(moved=moved or {}, adopted={Address.parse(item): "" for item in adopted}),
            imported=imported,
            environ={"PATH": ""},
            emit=told,
        )

    def apply(self, *servers: str, **how: Any) -> Plan:
        """Do what there is to do for these servers, and see that then there is nothing more."""
        resource = self.resource(*servers, **how)
        made = plan(resource)
        for step in made.steps:
            resource.apply(step)
        assert plan(self.resource(*servers, **{**how, "moved": None})).steps == ()
        return made

    def names(self) -> list[str]:
        """Return the names of the entries in the file."""
        return list(self.client.dialect.read(self.path.read_bytes()))


def plan(resource: ClientResource) -> Plan:
    """Return what there is to do."""
    observed = list(resource.observe())
    return diff(resource.desired(), observed, resource.problems)
