"""The AI applications that we know: data only, one record each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from hatchlock.clients.dialect import Dialect
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.shape import Shape, UrlShape

__all__ = ["CLIENTS", "Client", "Scope"]

Scope = Literal["user", "project"]
_MCP_SERVERS = JsonObject(("mcpServers",))
_TYPED = Shape(fixed={"type": "stdio"}, http=UrlShape(fixed={"type": "http"}), sse=UrlShape(fixed={"type": "sse"}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """An application whose configuration lists MCP servers.

    Attributes:
        name: What the manifest calls it.
        title: What people call it.
        dialect: How its files are written.
        user_files: `sys.platform` -> the user's file, relative to the home directory.
        directory_variable: A variable that, when set, names the directory which holds the user's file instead.
        project_file: The project's file, relative to the project; it is meant to be committed.
        shape: How an entry is written.
        notes: What the user should know after entries of a scope changed.
        desktop: Whether it is usually started from a desktop, where it gets no variables of a shell.
    """

    name: str
    title: str
    dialect: Dialect
    user_files: Mapping[str, str]
    directory_variable: str = ""
    project_file: str
    shape: Shape
    notes: Mapping[Scope, str]
    desktop: bool = False

    def user_path(self, home_dir: Path, environ: Mapping[str, str], platform: str) -> Path:
        """Return the user's own file.

        Args:
            home_dir: The user's home directory.
            environ: The variables; only `directory_variable` is looked at.
            platform: As `sys.platform`; one that the record does not know is treated as Linux.
        """
        file = self.user_files.get(platform, self.user_files["linux"])
        directory = environ.get(self.directory_variable) if self.directory_variable else None
        return Path(directory) / Path(file).name if directory else home_dir / file

    def project_path(self, project_dir: Path) -> Path:
        """Return the file of the project in `project_dir`."""
        return project_dir / self.project_file


_CLAUDE_CODE = Client(
    name="claude-code",
    title="Claude Code",
    dialect=_MCP_SERVERS,
    user_files={"linux": ".claude.json", "darwin": ".claude.json"},
    directory_variable="CLAUDE_CONFIG_DIR",
    project_file=".mcp.json",
    shape=_TYPED,
    notes={
        "user": "sessions that are already open see the change after a restart",
        "project": "it asks once to approve the servers of a project's .mcp.json",
    },
)

_CURSOR = Client(
    name="cursor",
    title="Cursor",
    dialect=_MCP_SERVERS,
    user_files={"linux": ".cursor/mcp.json", "darwin": ".cursor/mcp.json"},
    project_file=".cursor/mcp.json",
    shape=_TYPED,
    notes={
        "user": "new servers are switched on in its settings, under MCP",
        "project": "new servers are switched on in its settings, under MCP",
    },
    desktop=True,
)

CLIENTS: Mapping[str, Client] = MappingProxyType({client.name: client for client in (_CLAUDE_CODE, _CURSOR)})
"""Every known client, by its name."""
