"""Pins of `fixtures/servers/rugpull.py`, and what a client asks of it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from hatchlock.surface import Pins, SurfaceRules, definition_hash, instructions_hash, parse_strictly
from support.runs import SERVERS


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rugpull", SERVERS / "rugpull.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rugpull = _load()
EVIL: str = rugpull.EVIL
TRICKS: tuple[str, ...] = rugpull.TRICKS


def hashed(definition: Mapping[str, Any]) -> str:
    return definition_hash(parse_strictly(json.dumps(definition)))


def hashes(definitions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {item["name"]: hashed(item) for item in definitions}


def honest_pins(**fields: Any) -> Pins:
    """Return what was pinned of the server before it turned."""
    surface = rugpull.SURFACE
    tools, prompts = hashes(surface["tools"]), hashes(surface["prompts"])
    return Pins(tools=tools, prompts=prompts, instructions=instructions_hash(surface["instructions"]), **fields)


def rules(**fields: Any) -> SurfaceRules:
    return SurfaceRules(**{"pins": honest_pins(), **fields})


def request(identity: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def hello(client: str = "tests") -> dict[str, Any]:
    info = {"name": client, "version": "1"}
    return request("hello", "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)


TOOLS = (request(2, "tools/list"), request(3, "tools/list", cursor="2"))
QUESTIONS = (hello(), *TOOLS, request(4, "prompts/list"), request(5, "tools/call", name="add", arguments={}))
"""Everything that a client asks of a server, in order."""
