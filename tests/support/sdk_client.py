"""The Python SDK as a client over HTTP, with a model that says yes to everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import anyio

__all__ = ["Target", "protocol_of_sdk", "seen_by_sdk", "through_sdk"]

Target = Sequence[str] | tuple[str, str]
"""A command that speaks MCP over its pipes; or an address and a token."""


def seen_by_sdk(url: str, token: str, *calls: tuple[str, Mapping[str, Any]]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of the tools that a server lists, and the texts that calls of some of them gave."""
    return anyio.run(_seen, url, token, calls)


async def _seen(url: str, token: str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[list[str], list[str]]:
    import httpx2
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client
    from mcp.types import CreateMessageResult, TextContent

    async def yes(*_: Any) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text="yes"))

    model: Any = yes
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http,
        streamable_http_client(url, http_client=http) as (read, write, *_),
        ClientSession(read, write, sampling_callback=model) as session,
    ):
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        answers: list[Any] = [await session.call_tool(tool, dict(given)) for tool, given in calls]
        return tools, [str(answer.content[0].text) for answer in answers]


def protocol_of_sdk(url: str, token: str, tool: str, given: Mapping[str, Any]) -> tuple[str, str]:
    """Let the SDK choose how to speak, the newest way first; return the version it came to, and what a tool answered."""
    return anyio.run(_chosen, url, token, tool, given)


async def _chosen(url: str, token: str, tool: str, given: Mapping[str, Any]) -> tuple[str, str]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
        transport: Any = streamable_http_client(url, http_client=http)
        async with Client(transport, mode="auto") as client:
            answer: Any = await client.call_tool(tool, dict(given))
            return str(client.protocol_version), str(answer.content[0].text)


T = TypeVar("T")
_PATIENCE = 180.0
"""Seconds after which something hangs, on any machine."""


def through_sdk(
    target: Target, mode: str, talk: Callable[[Any], Awaitable[T]], *, env: Mapping[str, str], logs: list[str]
) -> T:
    """Let the SDK's newest client speak with a server; what it is asked for it gives, as Ada.

    Args:
        target: The server.
        mode: How the client begins: "auto", "legacy" or a version.
        talk: What is done with the client.
        env: The environment of a command.
        logs: Takes what the server logs.
    """
    return anyio.run(_in_time, target, mode, talk, env, logs)


async def _in_time(
    target: Target, mode: str, talk: Callable[[Any], Awaitable[T]], env: Mapping[str, str], logs: list[str]
) -> T:
    with anyio.fail_after(_PATIENCE):
        return await _through(target, mode, talk, env, logs)


async def _through(
    target: Target, mode: str, talk: Callable[[Any], Awaitable[T]], env: Mapping[str, str], logs: list[str]
) -> T:
    import httpx2
    from mcp import Client, StdioServerParameters
    from mcp.client.streamable_http import streamable_http_client
    from mcp.types import CreateMessageResult, ElicitResult, TextContent

    async def answer(*_: Any) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text="yes"))

    async def elicit(*_: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def log(params: Any) -> None:
        logs.append(str(params.data))

    given: Any = {
        "mode": mode,
        "sampling_callback": answer,
        "elicitation_callback": elicit,
        "logging_callback": log,
        **({} if mode == "legacy" else {"log_level": "info"}),
    }
    if len(target) != 2:
        command, *args = target
        async with Client(StdioServerParameters(command=command, args=args, env=dict(env)), **given) as client:
            return await talk(client)
    url, token = target
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
        transport: Any = streamable_http_client(url, http_client=http)
        async with Client(transport, **given) as client:
            return await talk(client)
