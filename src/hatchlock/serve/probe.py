"""Asking a server what it is, through `hatchlock run` as an application would.

Both eras of the protocol are spoken: a session that `initialize` begins (up to 2025-11-25), and requests that each stand for
themselves (`server/discover`, 2026-07-28). `initialize` is tried first: docs/decisions/0054-probing-and-quarantine.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hatchlock import __version__
from hatchlock.errors import HatchlockError
from hatchlock.serve.wire import METHOD_NOT_FOUND, ErrorAnswer, Wire, WireFailed, cut
from hatchlock.surface import Unhashable, definition_hash

__all__ = ["Call", "ProbeFailed", "ProbeResult", "ProbedDefinition", "probe"]

_TAIL = 12
_SESSION_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The newest is offered, any of them is spoken."""
_STATELESS_VERSION = "2026-07-28"
_META = "io.modelcontextprotocol/"
_US = {"name": "hatchlock", "version": __version__}
_ABLE: Mapping[str, Any] = {
    "roots": {"listChanged": True},
    "sampling": {"context": {}, "tools": {}},
    "elicitation": {"form": {}, "url": {}},
}
"""All that an application can be able to do for a server, by name, in either era."""
_MOST_PAGES = 1000
_MOST_DEFINITIONS = 100_000


@dataclass(kw_only=True, eq=False)
class ProbeFailed(HatchlockError):
    """A server did not answer as an MCP server.

    Attributes:
        why: What went wrong.
        said: The last lines that it, or `run`, wrote to stderr.
        stopped: What its sandbox stopped meanwhile, in words.
        remedy: What would permit that, and what helps besides; "" where nothing does.
        tried: Whether it is a server of `try`, which no other command knows.
    """

    code: ClassVar[str] = "probe-failed"

    why: str
    said: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    remedy: str = ""
    tried: bool = False

    def __str__(self) -> str:
        said = "".join(f"\n  {line}" for line in self.said)
        parts = [f"it does not answer as an MCP server: {self.why}", *self._because()]
        return "; ".join(parts) + (f"; on stderr:{said}" if said else "")

    def _because(self) -> tuple[str, ...]:
        return (f"its sandbox stopped it: {'; '.join(self.stopped)}",) if self.stopped else ()

    def _hint(self) -> str:
        if self.tried:
            return "what it lacks may be a variable (--env), a path (--mount) or the network (--network); without --probe you speak with it"
        name = self.address.removeprefix("server:") or "NAME"
        if self.remedy:
            then = "\nthen `hatchlock up`" if "\n" in self.remedy else f"; see `hatchlock logs {name}`"
            return f"{self.remedy}{then}"
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
class ProbedDefinition:
    """A tool, prompt, resource or template of resources that a server offers.

    Attributes:
        name: As the server says; "" if it says none. Untrusted, like everything but the hash.
        description: As the server says; "" if it says none.
        definition: The whole definition, as it came over the wire; of a repeated member the last one.
        sha256: Its definition hash, version 1 (`surface.definition_hash`); "" when it has none.
        problem: Why it has none, as a clause; "" when it has one.
    """

    name: str
    description: str
    definition: Mapping[str, Any]
    sha256: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """What a server said about itself.

    Attributes:
        server: Its name.
        version: Its version.
        protocol: The protocol's version that both agreed on.
        instructions: What it tells the model about itself; None when it says nothing.
        tools: What it offers, in its order; empty when it says that it has none.
        prompts: Likewise.
        resources: Likewise.
        templates: Its templates of resources, likewise.
        seconds: From the start of `run` to the answer to the first request.
        called: What the tool that was run answered, as text; "" if none was run.
        failed: Whether that was an error.
    """

    server: str
    version: str
    protocol: str
    instructions: str | None
    tools: tuple[ProbedDefinition, ...]
    prompts: tuple[ProbedDefinition, ...]
    resources: tuple[ProbedDefinition, ...]
    templates: tuple[ProbedDefinition, ...]
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
    capable: bool = False,
) -> ProbeResult:
    """Start `command`, speak MCP with it, ask for everything that it offers, end it.

    Args:
        command: `hatchlock run …`, in exec form.
        timeout: Seconds for all of it.
        environ: The environment of the command.
        directory: Where it is started; None for here.
        call: A tool to run as well.
        linger: Seconds to wait before it is ended.
        capable: Whether we say that we can do what some applications can. What a server then asks of us is refused all the same.

    Raises:
        ProbeFailed: It does not start, does not answer in time, or not as the protocol says.
    """
    began = time.monotonic()
    try:
        wire = Wire(command, environ=environ, directory=directory, deadline=began + timeout)
    except OSError as error:
        raise ProbeFailed(why=str(error)) from error
    try:
        with wire:
            return _ask(wire, began, _ABLE if capable else {}, call=call, linger=linger)
    except TimeoutError:
        raise ProbeFailed(why=f"no answer within {timeout:g} s", said=wire.last_words(_TAIL)) from None
    except (WireFailed, ErrorAnswer) as error:
        raise ProbeFailed(why=str(error), said=wire.last_words(_TAIL)) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hello:
    """How a server is spoken to, and what it said first.

    Attributes:
        server: Its name and version.
        protocol: The version that is spoken.
        capabilities: What it says it can do.
        instructions: What it tells the model.
        meta: What every request has besides its own parameters.
    """

    server: Mapping[str, Any]
    protocol: str
    capabilities: Mapping[str, Any]
    instructions: str | None
    meta: Mapping[str, Any]


def _ask(wire: Wire, began: float, able: Mapping[str, Any], *, call: Call | None, linger: float) -> ProbeResult:
    hello = _hello(wire, able)
    seconds = time.monotonic() - began
    tools = _listed(wire, hello, "tools", "tools/list", "tools")
    prompts = _listed(wire, hello, "prompts", "prompts/list", "prompts")
    resources = _listed(wire, hello, "resources", "resources/list", "resources")
    templates = _listed(wire, hello, "resources", "resources/templates/list", "resourceTemplates", optional=True)
    called, failed = _called(wire, hello, call) if call else ("", False)
    wire.linger(linger)
    return ProbeResult(
        server=_text(hello.server.get("name")),
        version=_text(hello.server.get("version")),
        protocol=hello.protocol,
        instructions=hello.instructions,
        tools=tools,
        prompts=prompts,
        resources=resources,
        templates=templates,
        seconds=seconds,
        called=called,
        failed=failed,
    )


def _hello(wire: Wire, able: Mapping[str, Any]) -> _Hello:
    """Begin a session; where the server knows none, ask it what it is without one."""
    offer = {"protocolVersion": _SESSION_VERSIONS[0], "capabilities": able, "clientInfo": _US}
    try:
        answer = wire.request("initialize", offer)
    except ErrorAnswer as refused:
        return _discovered(wire, refused, able)
    protocol = answer.get("protocolVersion")
    if protocol not in _SESSION_VERSIONS:
        raise WireFailed(f"it speaks version {cut(str(protocol))} of the protocol; known are {_known()}")
    wire.notify("notifications/initialized")
    return _Hello(
        server=_members(answer.get("serverInfo")),
        protocol=str(protocol),
        capabilities=_members(answer.get("capabilities")),
        instructions=_text_or_none(answer.get("instructions")),
        meta={},
    )


def _discovered(wire: Wire, refused: ErrorAnswer, able: Mapping[str, Any]) -> _Hello:
    meta = {
        "_meta": {
            f"{_META}protocolVersion": _STATELESS_VERSION,
            f"{_META}clientCapabilities": able,
            f"{_META}clientInfo": _US,
        }
    }
    try:
        answer = wire.request("server/discover", meta)
    except ErrorAnswer as error:
        raise WireFailed(f"{refused}; {error}") from error
    versions = answer.get("supportedVersions")
    if not isinstance(versions, list) or _STATELESS_VERSION not in versions:
        said = ", ".join(map(str, versions)) if isinstance(versions, list) else str(versions)
        raise WireFailed(f"it speaks version {cut(said)} of the protocol; known are {_known()}")
    return _Hello(
        server=_members(_members(answer.get("_meta")).get(f"{_META}serverInfo") or answer.get("serverInfo")),
        protocol=_STATELESS_VERSION,
        capabilities=_members(answer.get("capabilities")),
        instructions=_text_or_none(answer.get("instructions")),
        meta=meta,
    )


def _known() -> str:
    return ", ".join((_STATELESS_VERSION, *_SESSION_VERSIONS))


def _listed(
    wire: Wire, hello: _Hello, capability: str, method: str, member: str, *, optional: bool = False
) -> tuple[ProbedDefinition, ...]:
    if capability not in hello.capabilities:
        return ()
    try:
        return tuple(_definitions(wire, hello, method, member))
    except ErrorAnswer as error:
        if optional and error.code == METHOD_NOT_FOUND:
            return ()
        raise


def _definitions(wire: Wire, hello: _Hello, method: str, member: str) -> Iterator[ProbedDefinition]:
    """Yield what all pages of a listing have; a listing without end is an error."""
    seen: set[str] = set()
    cursor, count = "", 0
    while True:
        page = wire.request(method, {**hello.meta, **({"cursor": cursor} if cursor else {})})
        items = page.get(member)
        if not isinstance(items, list):
            raise WireFailed(f"its answer to {method} has no list of {member}")
        yield from map(_definition, items)
        count += len(items)
        cursor = _text(page.get("nextCursor"))
        if not cursor:
            return
        if cursor in seen or len(seen) >= _MOST_PAGES or count > _MOST_DEFINITIONS:
            raise WireFailed(
                f"its {member} have no end: after {len(seen) + 1} pages and {count} of them there are more"
            )
        seen.add(cursor)


def _definition(item: Any) -> ProbedDefinition:
    members = _members(item)
    digest, problem = "", ""
    try:
        digest = definition_hash(item)
    except Unhashable as error:
        problem = str(error)
    return ProbedDefinition(
        name=_text(members.get("name")),
        description=_text(members.get("description")),
        definition=members,
        sha256=digest,
        problem=problem,
    )


def _called(wire: Wire, hello: _Hello, call: Call) -> tuple[str, bool]:
    """Run a tool, and return what it answered and whether that is an error, one of the protocol's own included."""
    try:
        answer = wire.request("tools/call", {**hello.meta, "name": call.tool, "arguments": dict(call.arguments)})
    except ErrorAnswer as error:
        return f"error {error.code}: {error.message}", True
    if answer.get("resultType") == "input_required":
        return "it asks for something that only an application can give", True
    content = answer.get("content")
    items = [item for item in content if isinstance(item, Mapping)] if isinstance(content, list) else []
    return "\n".join(_content(item) for item in items), bool(answer.get("isError"))


def _content(item: Mapping[str, Any]) -> str:
    text = item.get("text")
    return text if isinstance(text, str) else f"({_text(item.get('type')) or 'something'})"


def _members(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
