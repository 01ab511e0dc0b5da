"""Every kind of file that is no application's and that `import` reads: one module each, one line each."""

from __future__ import annotations

from hatchlock.migrate.apm import APM
from hatchlock.migrate.claude_plugin import CLAUDE_PLUGIN
from hatchlock.migrate.compose import COMPOSE
from hatchlock.migrate.devcontainer import DEVCONTAINER
from hatchlock.migrate.docker_mcp import DOCKER_MCP
from hatchlock.migrate.finch import FINCH
from hatchlock.migrate.gridctl import GRIDCTL
from hatchlock.migrate.hatch import HATCH_ENVIRONMENTS, HATCH_PACKAGE
from hatchlock.migrate.mcp_compose import MCP_COMPOSE
from hatchlock.migrate.mcpb import MCPB
from hatchlock.migrate.mcpd import MCPD
from hatchlock.migrate.mcpm import MCPM
from hatchlock.migrate.model import Format
from hatchlock.migrate.toolhive import TOOLHIVE
from hatchlock.migrate.toolhive_registry import TOOLHIVE_REGISTRY

__all__ = ["FORMATS", "format_of"]

FORMATS: tuple[Format, ...] = (
    HATCH_ENVIRONMENTS,
    HATCH_PACKAGE,
    COMPOSE,
    FINCH,
    MCPB,
    DEVCONTAINER,
    CLAUDE_PLUGIN,
    TOOLHIVE,
    DOCKER_MCP,
    MCPM,
    MCPD,
    APM,
    TOOLHIVE_REGISTRY,
    GRIDCTL,
    MCP_COMPOSE,
)
"""In the order in which a file is asked: the narrowest first, since the first that matches reads it."""


def format_of(name: str) -> Format | None:
    """Return the format of a name, or None if there is none."""
    return next((item for item in FORMATS if item.name == name), None)
