"""How a group answers `initialize`: what its servers answered, as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hatchlock.serve.group.shapes import Hello

__all__ = ["greeting"]

_LISTS = ("tools", "prompts", "resources")
_PLAIN = ("completions", "logging")


def greeting(group: str, version: str, hellos: Mapping[str, Hello], labels: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the result of `initialize`.

    It speaks the oldest version that one of the servers wants: newer ones know it too. What servers can that has to be kept
    apart for each of them, tasks for one, is not offered.

    Args:
        group: The group's name.
        version: Of what speaks for it.
        hellos: Server -> what it answered; at least one.
        labels: Server -> what its names begin with.
    """
    can: dict[str, Any] = {}
    for name in _LISTS:
        if any(name in hello.capabilities for hello in hellos.values()):
            can[name] = {"listChanged": True}  # also where a server ends
    if "resources" in can and any(hello.subscribes for hello in hellos.values()):
        can["resources"]["subscribe"] = True
    for name in _PLAIN:
        if any(name in hello.capabilities for hello in hellos.values()):
            can[name] = {}
    said = [
        f"# {server} (its tools and prompts begin with {labels[server]}__)\n\n{hello.instructions}"
        for server, hello in sorted(hellos.items())
        if hello.instructions
    ]
    result = {
        "protocolVersion": min(hello.protocol for hello in hellos.values()),
        "capabilities": can,
        "serverInfo": {"name": group, "version": version},
    }
    return {**result, "instructions": "\n\n".join(said)} if said else result
