"""What stands behind `mcp:`: the name of a registry's entry, and its version."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hatchlock.address import BadSource

__all__ = ["LATEST", "McpReference", "declared_mcp"]

LATEST = "latest"
"""What a registry calls the newest version of an entry."""

_NAME = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_~:-]*")
_SHORTEST_NAME, _LONGEST_NAME, _LONGEST_VERSION = 3, 200, 255
_FORM = "write mcp:io.github.OWNER/NAME, or mcp:io.github.OWNER/NAME@1.0.2"


@dataclass(frozen=True, kw_only=True, slots=True)
class McpReference:
    """An entry of the registry.

    Attributes:
        name: As there, case and all: `io.github.owner/name`.
        version: Exact; "" for the newest one.
    """

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name


def declared_mcp(spec: str) -> McpReference:
    """Read the text behind `mcp:`.

    Args:
        spec: `io.github.owner/name`, with or without `@VERSION`; `@latest` is the same as no version.

    Raises:
        BadSource: It is something else, or leaves a choice of versions.
    """
    name, at, version = spec.strip().partition("@")
    text = f"mcp:{spec.strip()}"
    if _NAME.fullmatch(name) is None or not _SHORTEST_NAME <= len(name) <= _LONGEST_NAME:
        words = name.rpartition("/")[2] or name
        advice = f"{_FORM}; `hatchlock search {words}` looks for it" if re.fullmatch(r"[\w.-]+", words) else _FORM
        raise BadSource(text=text, why="that is no name of the MCP registry", advice=advice)
    if version == LATEST:
        return McpReference(name=name)
    if at and (_VERSION.fullmatch(version) is None or len(version) > _LONGEST_VERSION):
        why = f"{version!r} is no exact version, and the registry knows no ranges"
        raise BadSource(text=text, why=why, advice=f"write mcp:{name}@1.0.2, or mcp:{name} for the newest")
    return McpReference(name=name, version=version)
