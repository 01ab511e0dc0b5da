"""What administrators deploy: the servers that everybody has (Claude Code), and those that may be started (Claude Code, VS Code)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hatchlock.clients.shape import Address, Start

__all__ = ["claude_settings", "devcontainer", "vscode_policy", "without_home"]

_HOME = "${HOME}"


def claude_settings(allowed: Iterable[Start | Address]) -> str:
    """Return Claude Code's `managed-settings.json` under which only these servers are started, however they are configured."""
    return _text({"allowManagedMcpServersOnly": True, "allowedMcpServers": list(map(_matcher, allowed))})


def vscode_policy(allowed: Iterable[Start | Address], *, gallery: str = "") -> str:
    """Return VS Code's `policy.json` under which only these servers are started.

    Args:
        allowed: The servers, by the command line or address that starts them.
        gallery: The address of a registry in which its users look for servers; "" for its own.
    """
    return _text(
        {
            "ChatMCP": "all",
            # a list is given as text there
            "ChatAllowedMcpServers": json.dumps(list(map(_matcher, allowed))),
            **({"McpGalleryServiceUrl": gallery} if gallery else {}),
        }
    )


def devcontainer(servers: Mapping[str, Mapping[str, Any]], inputs: Sequence[Any], *, created: str) -> str:
    """Return the part of a `devcontainer.json` that gives VS Code servers inside of the container.

    Args:
        servers: Server -> its entry.
        inputs: What VS Code asks for.
        created: What is run when the container was made; "" for nothing.
    """
    listed = {**({"inputs": list(inputs)} if inputs else {}), "servers": dict(servers)}
    after = {"postCreateCommand": {"hatchlock": created}} if created else {}
    return _text({"customizations": {"vscode": {"mcp": listed}}, **after})


def without_home(start: Start | Address, user_home: str) -> Start | Address:
    """Return a command line with the user's home directory as Claude Code's policies name it for everybody."""
    if isinstance(start, Address):
        return start
    inside = start.command.startswith(f"{user_home}/")
    command = f"{_HOME}{start.command.removeprefix(user_home)}" if inside else start.command
    return Start(command=command, args=start.args)


def _matcher(server: Start | Address) -> dict[str, Any]:
    """By what it does, not by its name: anybody can give that name to something else."""
    if isinstance(server, Address):
        return {"serverUrl": server.url}
    return {"serverCommand": [server.command, *server.args]}


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
