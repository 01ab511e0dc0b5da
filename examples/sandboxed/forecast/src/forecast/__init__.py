"""An MCP server that asks a service with a key, and keeps the answers."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

from mcp.server import MCPServer

SERVICE = "http://localhost:8350"
KEPT = Path("/data/answers.txt")

app = MCPServer("forecast")


@app.tool()
def forecast(city: str) -> str:
    """Return tomorrow's weather."""
    key = Path(os.environ["FORECAST_KEY_FILE"]).read_text()
    request = urllib.request.Request(SERVICE, data=city.encode(), headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:  # noqa: S310  one service, by http
        text = f"{city}: {answer.read().decode()}"
    with KEPT.open("a") as kept:
        kept.write(f"{text}\n")
    return text


@app.tool()
def history() -> str:
    """Return what was answered before."""
    return KEPT.read_text() if KEPT.exists() else ""


@app.tool()
def visit(url: str) -> int:
    """Fetch any address, which is what the sandbox is for."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310  as the sandbox allows
        return int(answer.status)


def main() -> None:
    """Serve over stdio."""
    app.run()
