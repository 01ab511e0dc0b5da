"""Arguments of tools that are sent as headers, too: `x-mcp-header` of protocol 2026-07-28.

What stands before a server can decide by them. Over stdio there are no headers, so whoever leads from there to HTTP adds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.serve.remote.messages import header_value, result_of

__all__ = ["Mirrored"]

_WORD = b'"x-mcp-header"'
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DEEPEST = 16


class Mirrored:
    """Which arguments of which tools are headers, as the server's own listings say. For any number of threads."""

    def __init__(self) -> None:
        self._tools: dict[str, Mapping[tuple[str, ...], str]] = {}

    def learn(self, line: bytes) -> None:
        """Take what a line of the server says of it, if it lists tools."""
        if _WORD not in line:
            return
        listed = result_of(line).get("tools")
        for tool in listed if isinstance(listed, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._tools[tool["name"]] = dict(_annotated(tool.get("inputSchema"), ()))

    def headers(self, line: bytes) -> dict[str, str]:
        """Return the headers of a call."""
        if not self._tools:
            return {}
        params = json.loads(line).get("params")
        params = params if isinstance(params, dict) else {}
        places = self._tools.get(str(params.get("name")), {})
        found = {token: _value(params.get("arguments"), path) for path, token in places.items()}
        return {f"Mcp-Param-{token}": header_value(value) for token, value in found.items() if value is not None}


def _annotated(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(schema, dict) or len(path) > _DEEPEST:
        return
    token = schema.get("x-mcp-header")
    if path and isinstance(token, str) and _TOKEN.fullmatch(token):
        yield path, token
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        yield from _annotated(inner, (*path, name))


def _value(arguments: Any, path: tuple[str, ...]) -> str | None:
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    if isinstance(arguments, bool):
        return "true" if arguments else "false"
    return str(arguments) if isinstance(arguments, (str, int, float)) else None
