"""An MCP server that converts lengths."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

mcp = MCPServer("toolbox")
METRES = {"inch": 0.0254, "foot": 0.3048, "mile": 1609.344, "metre": 1.0}


@mcp.tool()
async def convert(length: float, source: str, target: str) -> float:
    """Convert a length between inch, foot, mile and metre."""
    return length * METRES[source] / METRES[target]


if __name__ == "__main__":
    mcp.run()
