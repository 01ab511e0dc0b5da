"""An MCP server of the SDK's over HTTP: `remote_program.py WAY PORT`.

WAY is `http` (with sessions and a stream for what it says by itself), `stateless`, `json` (no streams), `sse` or `newest`, which
refuses who does not speak 2026-07-28. It prints the port that it listens at.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer("far", instructions="Be kind.")
SLOW: list[float] = []


class Answer(BaseModel):
    word: str


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def big(size: int) -> str:
    """Say much."""
    return "x" * size


@server.tool()
async def slow(seconds: float) -> str:
    """Take a while."""
    SLOW.append(seconds)
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def underway() -> str:
    """Say how many have begun to take a while."""
    return str(len(SLOW))


@server.tool()
async def think(context: Context) -> str:
    """Ask the application's model."""
    asked = [SamplingMessage(role="user", content=TextContent(type="text", text="how?"))]
    result = await context.session.create_message(messages=asked, max_tokens=10)
    return f"it said {result.content.text}"


@server.tool()
async def ask(context: Context) -> str:
    """Ask the user."""
    result = await context.elicit(message="a word?", schema=Answer)
    return f"{result.action} {result.data.word if result.action == 'accept' else ''}"


@server.tool()
async def grow(context: Context) -> str:
    """Get another tool."""
    server.add_tool(lambda: "new", name="grown", description="It was not there before.")
    await context.session.send_tool_list_changed()
    return "grown"


@server.tool()
async def shrink(context: Context) -> str:
    """Tell those who listen that there are other tools."""
    await context.notify_tools_changed()
    return "shrunk"


class Newest:
    """Lets through what names the newest version, as a server does that knows no other."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http" or (b"mcp-protocol-version", b"2026-07-28") in scope["headers"]:
            await self._app(scope, receive, send)
            return
        error = {"code": -32020, "message": "MCP-Protocol-Version is missing"}
        body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _serve(way: str, port: int) -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio looks at the last
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    size = 64 << 20
    app: Any
    if way == "sse":
        app = server.sse_app(max_request_body_size=size)
    else:
        app = server.streamable_http_app(
            stateless_http=way == "stateless", json_response=way == "json", max_request_body_size=size
        )
    app = Newest(app) if way == "newest" else app
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
