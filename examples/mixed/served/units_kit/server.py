"""An MCP server that names units."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

mcp = MCPServer("units_kit")


@mcp.tool()
def units() -> list[str]:
    """Name the units that are known."""
    return ["inch", "foot", "mile", "metre"]


if __name__ == "__main__":
    mcp.run()
