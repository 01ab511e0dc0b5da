"""The forms in which servers leave: what each takes of them, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hatchlock.clients.catalogue import CLIENTS, Client, Scope
from hatchlock.clients.owners import start_for
from hatchlock.clients.shape import Address, Start
from hatchlock.manifest.model import Manifest
from hatchlock.migrate.outgoing.clients import (
    client_file,
    entry_of,
    pinned_client_file,
    pinned_entries,
    vscode_inputs,
)
from hatchlock.migrate.outgoing.compose import compose_file
from hatchlock.migrate.outgoing.docker_mcp import docker_profile
from hatchlock.migrate.outgoing.leaving import Leaving
from hatchlock.migrate.outgoing.model import Addressed, Contained, Note, Rendered, Served, Started, Withheld
from hatchlock.migrate.outgoing.policies import claude_settings, devcontainer, vscode_policy, without_home
from hatchlock.migrate.outgoing.references import secret_names
from hatchlock.migrate.outgoing.toolhive import toolhive_files
from hatchlock.paths import Home
from hatchlock.resources.client_target import NoProjectFile, own_fields, written_entry
from hatchlock.resources.endpoints import choose_port

__all__ = ["CLIENT", "CONTAINER_FORMS", "FORMS", "FORMS_FOR_EACH", "SCOPED_FORMS", "Forms"]

CLIENT = "client:"
FORMS: Mapping[str, str] = {
    f"{CLIENT}NAME": "a file of an application, whole, for people who paste",
    "compose.yaml": "a compose file: services by digest, as closed as here",
    "toolhive": "a run configuration of ToolHive for each server",
    "docker-mcp": "a profile of Docker's MCP Toolkit",
    "managed-mcp.json": "Claude Code: the servers that everybody on a machine has",
    "managed-settings.json": "Claude Code: only these servers are started",
    "vscode-policy.json": "VS Code: only these servers are started",
    "devcontainer.json": "the part of a devcontainer.json that gives VS Code these servers",
}
"""What each form is."""
CONTAINER_FORMS = ("compose.yaml", "toolhive", "docker-mcp")
"""Those that start servers by themselves."""
FORMS_FOR_EACH = ("toolhive",)
"""Those that make a file for each server."""
SCOPED_FORMS = ("managed-settings.json", "vscode-policy.json")
"""Those that name what an application starts, besides the applications' own."""

_PROGRAM = "hatchlock"
_CLAUDE, _VSCODE = "claude-code", "vscode"


@dataclass(frozen=True, kw_only=True, slots=True)
class Forms:
    """One export.

    Attributes:
        form: One of `FORMS`, with an application's name in the place of NAME.
        leaving: Turns servers of the lock into what other tools are given.
        home: The store whose launcher entries of a user start.
        here: The manifest with this machine's overlay: what its applications' entries follow.
        scope: Of entries that start through hatchlock: as the user's file has them, or a project's; None for what the
            manifest says.
        without_hatchlock: Whether entries start what is locked by other means than hatchlock.
    """

    form: str
    leaving: Leaving
    home: Home
    here: Manifest
    scope: Scope | None = None
    without_hatchlock: bool = False

    def made(self, names: Sequence[str]) -> Rendered:
        """Return what the form makes of some servers; those that it cannot hold are withheld.

        Raises:
            NoProjectFile: The application reads no file of a project.
        """
        makers: Mapping[str, Callable[[Sequence[str]], Rendered]] = {
            "compose.yaml": self._compose,
            "docker-mcp": self._docker_mcp,
            "toolhive": self._toolhive,
            "managed-mcp.json": self._managed,
            "managed-settings.json": self._allowed,
            "vscode-policy.json": self._allowed,
            "devcontainer.json": self._devcontainer,
        }
        return makers.get(self.form, self._client)(names)

    def _compose(self, names: Sequence[str]) -> Rendered:
        return self._of_served(names, lambda servers: compose_file(servers, self.leaving.setting))

    def _docker_mcp(self, names: Sequence[str]) -> Rendered:
        return self._of_served(names, lambda servers: docker_profile(servers, self.leaving.setting))

    def _toolhive(self, names: Sequence[str]) -> Rendered:
        return self._of_served(
            names, lambda servers: toolhive_files(servers, self.leaving.setting, ports=self._ports(servers))
        )

    def _of_served(self, names: Sequence[str], render: Callable[[Sequence[Served]], Rendered]) -> Rendered:
        found = [self.leaving.served(name) for name in names]
        made = render([item for item in found if not isinstance(item, Withheld)])
        notes = [note for name in made.servers for note in self.leaving.notes(name, pinned=False)]
        withheld = (*(item for item in found if isinstance(item, Withheld)), *made.withheld)
        return replace(made, notes=(*made.notes, *notes), withheld=withheld)

    def _pinned(self, names: Sequence[str]) -> tuple[list[Started | Addressed], list[Withheld], list[Note]]:
        found = [self.leaving.pinned(name) for name in names]
        servers = [item for item in found if isinstance(item, Started | Addressed)]
        notes = [note for server in servers for note in self.leaving.notes(server.name, pinned=True)]
        return servers, [item for item in found if isinstance(item, Withheld)], notes

    def _client(self, names: Sequence[str]) -> Rendered:
        name = self.form.removeprefix(CLIENT)
        client = CLIENTS[name]
        scope = self.scope or self.here.client(name).scope
        if scope == "project" and not client.project_file:
            raise NoProjectFile(client=name, title=client.title, instead=client.no_project)
        file = Path(client.project_file if scope == "project" else client.user_files["linux"]).name
        if self.without_hatchlock:
            return self._with_others(
                names, lambda servers: pinned_client_file(client, servers, file=file, own=self._own(client))
            )
        entries = {server: self._entry(server, client, self._start(server, scope)) for server in names}
        needs = "hatchlock has to be on the PATH of whoever uses it, and the project applied"
        note = Note(server="", what=needs) if scope == "project" else self._of_one_user
        return replace(client_file(client, entries, file=file), notes=(note,))

    def _with_others(
        self, names: Sequence[str], render: Callable[[Sequence[Started | Addressed]], Rendered]
    ) -> Rendered:
        servers, withheld, notes = self._pinned(names)
        made = render(servers)
        kept = (note for note in notes if note.server in made.servers)
        return replace(made, notes=(*made.notes, *kept), withheld=(*withheld, *made.withheld))

    def _managed(self, names: Sequence[str]) -> Rendered:
        client, file = CLIENTS[_CLAUDE], self.form
        if self.without_hatchlock:
            return self._with_others(
                names, lambda servers: pinned_client_file(client, servers, file=file, own=self._own(client))
            )
        entries = {server: self._entry(server, client, self._anywhere(server)) for server in names}
        note = f"hatchlock has to be on the PATH of everybody, and each of them has to apply {self.leaving.manifest.project.name}"
        return replace(client_file(client, entries, file=file), notes=(Note(server="", what=note),))

    def _allowed(self, names: Sequence[str]) -> Rendered:
        is_claude = self.form == "managed-settings.json"
        withheld: list[Withheld] = []
        notes: list[Note] = []
        allowed: list[Start | Address]
        if self.without_hatchlock:
            servers, withheld, notes = self._pinned(names)
            variables, client = secret_names(servers), _CLAUDE if is_claude else _VSCODE
            allowed = [entry_of(server, variables, client) for server in servers]
            names = [server.name for server in servers]
        else:
            scope = self.scope or self.here.client(_CLAUDE if is_claude else _VSCODE).scope
            allowed = [self._start(name, scope) for name in names]
            if is_claude:
                allowed = [without_home(start, str(self.leaving.setting.user_home)) for start in allowed]
                allowed += map(self._anywhere, names)  # as managed-mcp.json has them
            elif scope == "user":
                notes = [self._of_one_user]
        index = next(iter(self.leaving.manifest.indexes.get("mcp", ())), None)
        text = claude_settings(allowed) if is_claude else vscode_policy(allowed, gallery=index.url if index else "")
        files = {self.form: text} if names else {}
        return Rendered(files=files, servers=tuple(names), notes=tuple(notes), withheld=tuple(withheld))

    def _devcontainer(self, names: Sequence[str]) -> Rendered:
        client = CLIENTS[_VSCODE]
        if self.without_hatchlock:
            servers, withheld, notes = self._pinned(names)
            variables = secret_names(servers)
            entries = pinned_entries(client, servers, self._own(client))
            text = devcontainer(entries.values, vscode_inputs(servers, variables), created="")
            files = {self.form: text} if entries.values else {}
            return Rendered(
                files=files,
                servers=tuple(entries.values),
                notes=(*entries.notes, *notes),
                withheld=(*withheld, *entries.withheld),
            )
        values = {server: self._entry(server, client, self._start(server, "project")) for server in names}
        note = Note(server="", what="hatchlock has to be installed in the container")
        text = devcontainer(values, (), created="hatchlock apply --yes")
        return Rendered(files={self.form: text} if values else {}, servers=tuple(values), notes=(note,))

    @property
    def _of_one_user(self) -> Note:
        return Note(server="", what=f"it is for one user of this machine: {self.home.bin} is in it")

    def _start(self, server: str, scope: Scope) -> Start:
        home = self.home
        return start_for(
            scope=scope,
            launcher=str(home.bin / _PROGRAM),
            home=home,
            project=self.leaving.manifest.project.name,
            server=server,
        )

    def _anywhere(self, server: str) -> Start:
        """What starts a server for any user, from any directory."""
        return Start(command=_PROGRAM, args=("run", "--project", self.leaving.manifest.project.name, server))

    def _entry(self, server: str, client: Client, start: Start) -> Mapping[str, Any]:
        return written_entry(self.here.servers[server], client, start)

    def _own(self, client: Client) -> Mapping[str, Mapping[str, Any]]:
        return {name: own_fields(server, client) for name, server in self.here.servers.items()}

    def _ports(self, servers: Sequence[Served]) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for server in servers:
            own = server.host_port if isinstance(server, Contained) else 0
            taken = set(found.values())
            found[server.name] = own or choose_port(self.leaving.setting.project, server.name, taken.__contains__)
        return found
