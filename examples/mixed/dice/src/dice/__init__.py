"""An MCP server that rolls dice."""

from __future__ import annotations

import secrets

from mcp.server import MCPServer

app = MCPServer("dice")


@app.tool()
def roll(sides: int = 6) -> int:
    """Roll a die with so many sides."""
    return secrets.randbelow(sides) + 1


def main() -> None:
    """Serve over stdio."""
    app.run()
