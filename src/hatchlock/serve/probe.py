"""Asking a server what it is, with the MCP SDK as an independent client, through `hatchlock run` as an application would."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryFile
from typing import Any, ClassVar, TextIO

from hatchlock.errors import HatchlockError

__all__ = ["Call", "ProbeFailed", "ProbeResult", "ProbedTool", "probe"]

_TAIL = 12


@dataclass(kw_only=True, eq=False)
class ProbeFailed(HatchlockError):
    """A server did not answer as an MCP server.

    Attributes:
        why: What went wrong.
        said: The last lines that it, or `run`, wrote to stderr.
        stopped: What its sandbox stopped meanwhile, in words.
        permit: The lines of the manifest that would permit that; "" for none.
    """

    code: ClassVar[str] = "probe-failed"

    why: str
    said: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    permit: str = ""

    def __str__(self) -> str:
        said = "".join(f"\n  {line}" for line in self.said)
        parts = [f"it does not answer as an MCP server: {self.why}", *self._because()]
        return "; ".join(parts) + (f"; on stderr:{said}" if said else "")

    def _because(self) -> tuple[str, ...]:
        return (f"its sandbox stopped it: {'; '.join(self.stopped)}",) if self.stopped else ()

    def _hint(self) -> str:
        if self.permit:
            lines = "".join(f"\n    {line}" for line in self.permit.splitlines())
            return f"if it may do that, write into hatchlock.toml, then `hatchlock lock` and `hatchlock apply`:{lines}"
        name = self.address.removeprefix("server:") or "NAME"
        return f"start it by hand with `hatchlock run {name}`, and see `hatchlock logs {name}`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A tool to run.

    Attributes:
        tool: Its name.
        arguments: What it gets.
    """

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbedTool:
    """A tool that a server offers.

    Attributes:
        name: As the server says.
        description: As the server says; untrusted text.
        definition: The whole definition, as it came over the wire.
    """

    name: str
    description: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """What a server said about itself.

    Attributes:
        server: Its name.
        version: Its version.
        protocol: The protocol's version that both agreed on.
        tools: What it offers, in its order; empty when it has no tools capability.
        seconds: From the start of `run` to the answer to `initialize`.
        called: What the tool that was run answered, as text; "" if none was run.
        failed: Whether that was an error.
    """

    server: str
    version: str
    protocol: str
    tools: tuple[ProbedTool, ...]
    seconds: float
    called: str = ""
    failed: bool = False


def probe(
    command: Sequence[str],
    *,
    timeout: float,
    environ: Mapping[str, str],
    directory: str | None = None,
    call: Call | None = None,
    linger: float = 0.0,
) -> ProbeResult:
    """Start `command`, speak MCP with it, ask for its tools, end it.

    Args:
        command: `hatchlock run …`, in exec form.
        timeout: Seconds for all of it.
        environ: The environment of the command.
        directory: Where it is started; None for here.
        call: A tool to run as well.
        linger: Seconds to wait before it is ended.

    Raises:
        ProbeFailed: It does not start, does not answer in time, or not as the protocol says.
    """
    import anyio  # noqa: PLC0415  heavy, and only for this

    with TemporaryFile("w+", encoding="utf-8", errors="replace") as talk:
        try:
            return anyio.run(partial(_ask, command, timeout, environ, directory, talk, call=call, linger=linger))
        except TimeoutError:
            raise ProbeFailed(why=f"no answer within {timeout:g} s", said=_tail(talk)) from None
        except BaseExceptionGroup as group:
            raise ProbeFailed(why=_innermost(group), said=_tail(talk)) from group
        except (OSError, ValueError, KeyError, _protocol_error()) as error:
            raise ProbeFailed(why=str(error) or type(error).__name__, said=_tail(talk)) from error


async def _ask(
    command: Sequence[str],
    timeout: float,  # noqa: ASYNC109
    environ: Mapping[str, str],
    directory: str | None,
    talk: TextIO,
    *,
    call: Call | None,
    linger: float,
) -> ProbeResult:
    import anyio  # noqa: PLC0415
    from mcp import ClientSession, StdioServerParameters, stdio_client  # noqa: PLC0415

    parameters = StdioServerParameters(command=command[0], args=list(command[1:]), env=dict(environ), cwd=directory)
    began = time.monotonic()
    with anyio.fail_after(timeout):
        async with stdio_client(parameters, errlog=talk) as (read, write), ClientSession(read, write) as session:
            hello = _plain(await session.initialize())
            seconds = time.monotonic() - began
            tools = await _tools(session) if "tools" in hello["capabilities"] else ()
            called, failed = await _called(session, call) if call else ("", False)
            await anyio.sleep(linger)
    return ProbeResult(
        server=hello["serverInfo"]["name"],
        version=hello["serverInfo"]["version"],
        protocol=str(hello["protocolVersion"]),
        tools=tools,
        seconds=seconds,
        called=called,
        failed=failed,
    )


async def _called(session: Any, call: Call) -> tuple[str, bool]:
    answer = _plain(await session.call_tool(call.tool, dict(call.arguments)))
    text = "\n".join(item["text"] for item in answer["content"] if item["type"] == "text")
    return text, bool(answer.get("isError"))


async def _tools(session: Any) -> tuple[ProbedTool, ...]:
    found: list[ProbedTool] = []
    cursor: str | None = None
    while True:
        page = _plain(await session.list_tools(**_page(cursor)))
        found += [
            ProbedTool(name=tool["name"], description=tool.get("description") or "", definition=tool)
            for tool in page["tools"]
        ]
        cursor = page.get("nextCursor")
        if not cursor:
            return tuple(found)


def _page(cursor: str | None) -> dict[str, Any]:
    from mcp.types import PaginatedRequestParams  # noqa: PLC0415

    return {"params": PaginatedRequestParams(cursor=cursor)} if cursor else {}


def _plain(model: Any) -> dict[str, Any]:
    """As on the wire: attribute names differ between versions of the SDK, the protocol's own do not."""
    document: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document


def _protocol_error() -> type[Exception]:
    import mcp  # noqa: PLC0415

    # Renamed between the SDK's versions 1 and 2.
    error: type[Exception] = mcp.MCPError if hasattr(mcp, "MCPError") else vars(mcp)["McpError"]
    return error


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _tail(talk: TextIO) -> tuple[str, ...]:
    talk.seek(0)
    return tuple(line.rstrip() for line in talk.read().splitlines()[-_TAIL:])
