"""Links by which an application is asked to install a server: the entry that is in them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

__all__ = ["entry_in_link", "is_link"]

_OWN_SCHEMES = re.compile(
    r"(?:cursor://|vscode(?:-insiders)?:mcp/install\?|lmstudio://add_mcp|goose://extension)", re.IGNORECASE
)
_PAGES = re.compile(
    r"https://(?:(?:www\.)?cursor\.com/(?:[a-z-]+/)?install-mcp|(?:insiders\.)?vscode\.dev/redirect|lmstudio\.ai/install-mcp"
    r"|block\.github\.io/goose/extension)\b",
    re.IGNORECASE,
)
"""Pages that only lead on to such a link."""


def is_link(text: str) -> bool:
    """Return whether a text is a link that installs a server."""
    return bool(_OWN_SCHEMES.match(text) or _PAGES.match(text))


def entry_in_link(text: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return the server's name ("" if it has none) and its entry; None if the link holds none that can be read."""
    parts = urlsplit(text.strip())
    if parts.scheme.lower().startswith("vscode") and parts.path == "mcp/install":
        entry = _json(unquote(parts.query))
        return _named("", entry)
    query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if "url" in query and parts.netloc.endswith("vscode.dev"):
        return entry_in_link(query["url"]) if is_link(query["url"]) else None
    if "extension" in (parts.netloc, parts.path.rsplit("/", 1)[-1]):
        return _goose(parts)
    return _named(query.get("name", ""), _json(query.get("config", "")) or _json(_decoded(query.get("config", ""))))


def _named(name: str, entry: Any) -> tuple[str, Mapping[str, Any]] | None:
    if not isinstance(entry, Mapping) or not entry:
        return None
    for wrapper in ("mcpServers", "servers"):
        if isinstance(entry.get(wrapper), Mapping):
            entry = entry[wrapper]
    if len(entry) == 1 and isinstance(inner := next(iter(entry.values())), Mapping):
        return name or next(iter(entry)), inner
    own = entry.get("name")
    rest = {key: value for key, value in entry.items() if key not in {"name", "inputs", "gallery"}}
    return name or (own if isinstance(own, str) else ""), rest


def _goose(parts: SplitResult) -> tuple[str, Mapping[str, Any]] | None:
    query = parse_qs(parts.query, keep_blank_values=True)
    name = query.get("id", query.get("name", [""]))[0]
    if "url" in query:
        return name, {"url": query["url"][0]}
    if "cmd" not in query:
        return None
    variables = {item.partition("=")[0]: "" for item in query.get("env", ())}
    entry: dict[str, Any] = {"command": query["cmd"][0], "args": query.get("arg", [])}
    return name, entry | ({"env": {key: f"<{key}>" for key in variables}} if variables else {})


def _decoded(text: str) -> str:
    padded = re.sub(r"\s", "+", text).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
