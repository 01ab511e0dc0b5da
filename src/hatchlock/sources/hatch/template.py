"""A new Hatch package, as text: it validates, and it runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.sources.hatch.model import METADATA_NAME

__all__ = ["BadPackageName", "package_files"]

_NAME = re.compile(r"[a-z0-9_]+")
_SERVER = "server.py"
_WRAPPER = "entry.py"
# Metadata 1.2.2 has no way to say "below 3". The lock says which version it is.
_SDK = ">=2.0.0"
_PYTHON = ">=3.10"

_SERVER_TEXT = '''\
"""The MCP server of {name}."""

from mcp.server.mcpserver import MCPServer

mcp = MCPServer("{name}")


@mcp.tool()
def greet(name: str) -> str:
    """Say hello to somebody."""
    return f"Hello, {{name}}!"


if __name__ == "__main__":
    mcp.run()
'''

_WRAPPER_TEXT = '''\
"""The entry point that Hatch's own client looks for: the same server."""

from server import mcp

if __name__ == "__main__":
    mcp.run()
'''

_README_TEXT = """\
# {name}

An MCP server, as a Hatch package.

| file | what it is |
|---|---|
| `server.py` | the server and its tools |
| `entry.py` | hands the server on to Hatch's own client |
| `hatch_metadata.json` | what the package is, what it needs, which tools it has |

Fill in `description`, `author` and `license` in `hatch_metadata.json`. Whenever you add a tool, name it there, then run

    hatchlock validate .

In a `hatchlock.toml` beside this directory it is a server like this:

    [servers.{server}]
    source = "hatch:./{name}"
"""


@dataclass(kw_only=True, eq=False)
class BadPackageName(HatchlockError):
    """A text that no Hatch package can be called.

    Attributes:
        name: The text.
        closest: A name that would do, close to it; "" if there is none.
    """

    code: ClassVar[str] = "bad-package-name"

    name: str
    closest: str

    def __str__(self) -> str:
        return f"{self.name!r} is no name of a Hatch package: that has only a-z, 0-9 and _"

    def _hint(self) -> str:
        return f"did you mean --name {self.closest}?" if self.closest else "say one with --name"


def package_files(name: str) -> dict[str, str]:
    """Return the files of a new package, name -> text, sorted.

    Args:
        name: The package's.

    Raises:
        BadPackageName: No package can be called so.
    """
    if _NAME.fullmatch(name) is None:
        closest = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        raise BadPackageName(name=name, closest=closest)
    return {
        "README.md": _README_TEXT.format(name=name, server=name.strip("_").replace("_", "-") or "server"),
        _WRAPPER: _WRAPPER_TEXT,
        METADATA_NAME: json.dumps(_metadata(name), indent=2) + "\n",
        _SERVER: _SERVER_TEXT.format(name=name),
    }


def _metadata(name: str) -> dict[str, Any]:
    return {
        "package_schema_version": "1.2.2",
        "name": name,
        "version": "0.1.0",
        "description": f"The MCP server {name}",
        "tags": ["mcp"],
        "author": {"name": "Unknown"},
        "license": {"name": "NOASSERTION"},
        "entry_point": {"mcp_server": _SERVER, "hatch_mcp_server": _WRAPPER},
        "tools": [{"name": "greet", "description": "Say hello to somebody."}],
        "dependencies": {
            "hatch": [],
            "python": [{"name": "mcp", "version_constraint": _SDK, "package_manager": "pip"}],
            "system": [],
            "docker": [],
        },
        "compatibility": {"python": _PYTHON},
    }
