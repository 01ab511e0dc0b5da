"""MCP bundles, made as `mcpb pack` makes them: a zip archive with a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.archives import Item, make_zip

__all__ = ["bundle_manifest", "make_bundle"]


def bundle_manifest(kind: str = "node", **other: Any) -> dict[str, Any]:
    """Return the manifest of a bundle; `server` and other keys replace what it says by itself."""
    main = {"node": "server/index.js", "python": "server/main.py", "binary": "server/thing"}.get(kind, "server/main.py")
    starts = {"node": "node", "python": "python"}.get(kind)
    config = {"command": starts or main, "args": [f"${{__dirname}}/{main}"] if starts else []}
    own = {"manifest_version": "0.3", "name": "thing", "version": "1.2.0", "description": "It does things."}
    return (
        own | {"author": {"name": "Acme"}, "server": {"type": kind, "entry_point": main, "mcp_config": config}} | other
    )


def make_bundle(
    path: Path, manifest: Mapping[str, Any] | None = None, *items: Item, main: bool = True, signed: bool = False
) -> Path:
    """Write a bundle with a main file (unless it is among the further members)."""
    said = bundle_manifest() if manifest is None else manifest
    entry_point = said.get("server", {}).get("entry_point", "server/index.js")
    members = [Item("manifest.json", json.dumps(dict(said)).encode())]
    members += [Item(entry_point, b"main", mode=0o755)] if main else []
    members += items
    make_zip(path, members)
    if signed:
        with path.open("ab") as stream:
            stream.write(b"MCPB_SIG_V1\x00\x00\x00\x04abcdMCPB_SIG_END")
    return path
