"""What is known of an application whose configuration lists MCP servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hatchlock.clients.dialect import Dialect
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.shape import Shape, UrlShape
from hatchlock.manifest.client_fields import CLIENT_FIELDS, ClientField

__all__ = ["MCP_SERVERS", "PLAIN", "TYPED", "XDG", "Checked", "Client", "Outcome", "Scope", "Tried", "code_files"]

Scope = Literal["user", "project"]
Outcome = Literal["connected", "listed"]

MCP_SERVERS = JsonObject(("mcpServers",))
"""How most applications write their files."""
TYPED = Shape(fixed={"type": "stdio"}, http=UrlShape(fixed={"type": "http"}), sse=UrlShape(fixed={"type": "sse"}))
"""An entry that says how it is spoken to."""
PLAIN = Shape(cwd="", http=UrlShape())
"""An entry without: a command, or an address."""
XDG: Mapping[str, str] = {"XDG_CONFIG_HOME": ".config"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What a record was compared with.

    Attributes:
        pages: Pages of the application's own documentation, or files of its source. Each was read as a copy.
        on: The day.
        unproved: What of the record none of them says; "" for nothing.
    """

    pages: tuple[str, ...] = ()
    on: str = "2026-11-28"
    unproved: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What the application itself did with entries that `apply` had written.

    Attributes:
        program: Which, as it is installed: a package of npm, or `pypi:` and one of Python's.
        version: Which of it.
        user: With one in the user's file: "connected" where it started the server and had its answer, "listed" where
            it showed it, and wants an account before it connects.
        project: Likewise in a project's file, once that was approved or its folder trusted; None where it reads none.
    """

    program: str
    version: str
    user: Outcome
    project: Outcome | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """An application whose configuration lists MCP servers.

    Attributes:
        name: What the manifest calls it.
        title: What people call it.
        dialect: How its files are written.
        user_files: `sys.platform` -> the user's file, relative to the home directory.
        variables: A variable that, when set, names a directory -> the leading directories of the user's file that this one
            stands for; "" for the home directory. The first that is set counts.
        project_file: The project's file, relative to the project; it is meant to be committed. "": it has none.
        no_project: What to do instead, where it has none.
        shape: How an entry is written.
        notes: What the user should know after entries of a scope changed.
        desktop: Whether it is usually started from a desktop, where it gets no variables of a shell.
        markers: Paths, relative to the home directory, of which one exists where it is installed; besides the user's file.
        quirks: What surprises, one sentence each.
        checked: What the record was compared with.
        tried: What the application itself has shown; None where it was not to be had.
    """

    name: str
    title: str
    dialect: Dialect
    user_files: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    project_file: str = ""
    no_project: str = ""
    shape: Shape
    notes: Mapping[Scope, str]
    desktop: bool = False
    markers: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    checked: Checked
    tried: Tried | None = None

    @property
    def fields(self) -> Mapping[str, ClientField]:
        """The fields of its own that an entry may have."""
        return CLIENT_FIELDS[self.name]

    @property
    def lacks(self) -> tuple[str, ...]:
        """What it cannot do, one phrase each."""
        shape = self.shape
        found = {
            "files of a project": not self.project_file,
            "remote servers": shape.http is None and shape.sse is None,
            "server-sent events": shape.http is not None and shape.sse is None,
            "a working directory": not shape.cwd,
        }
        return tuple(what for what, is_so in found.items() if is_so)

    def proof(self, scope: Scope) -> str:
        """Return what the record stands on for a scope, as a phrase; "" where it reads no such file."""
        if scope == "project" and not self.project_file:
            return ""
        seen = self.tried and (self.tried.user if scope == "user" else self.tried.project)
        return seen or ("its documentation" if self.checked.pages else "what other tools write")

    def user_path(self, home_dir: Path, environ: Mapping[str, str], platform: str) -> Path:
        """Return the user's own file.

        Args:
            home_dir: The user's home directory.
            environ: The variables; only those of `variables` are looked at.
            platform: As `sys.platform`; one that the record does not know is treated as Linux.
        """
        file = self.user_files.get(platform, self.user_files["linux"])
        for variable, stands_for in self.variables.items():
            start = f"{stands_for}/" if stands_for else ""
            if (directory := environ.get(variable)) and file.startswith(start):
                return Path(directory) / file.removeprefix(start)
        return home_dir / file

    def project_path(self, project_dir: Path) -> Path | None:
        """Return the file of the project in `project_dir`, or None if it reads none."""
        return project_dir / self.project_file if self.project_file else None

    def signs(self, home_dir: Path, environ: Mapping[str, str], platform: str) -> tuple[Path, ...]:
        """Return the paths of which one exists where it is installed, the user's file first."""
        return (self.user_path(home_dir, environ, platform), *(home_dir / marker for marker in self.markers))


def code_files(file: str, product: str = "Code") -> Mapping[str, str]:
    """Return where VS Code, or an editor that was made from it, keeps a file of its user's."""
    return {
        "linux": f".config/{product}/User/{file}",
        "darwin": f"Library/Application Support/{product}/User/{file}",
    }
