"""What fits together in `[[moved]]`, `[[forget]]` and `[[adopt]]`, and with what the manifest declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hatchlock.manifest.later import matches
from hatchlock.manifest.problem import Finding, did_you_mean

__all__ = ["handover_findings"]

_SERVER = "server:"


def handover_findings(document: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in the three lists beyond their schema.

    Args:
        document: The manifest as TOML gave it, whatever else is wrong with it.
    """
    servers = document.get("servers")
    declared = servers if isinstance(servers, dict) else {}
    yield from _moved(document, declared)
    yield from _forgotten(document, declared)
    yield from _adopted(document, declared)


def _moved(document: dict[str, Any], servers: dict[str, Any]) -> Iterator[Finding]:
    steps: dict[str, str] = {}
    targets: set[str] = set()
    for path, item in matches(document, "moved.*"):
        old, new = _server_of(item, "from"), _server_of(item, "to")
        if not old or not new:
            continue
        if old in servers:
            what = f"server {old!r} is declared, so it has not moved"
            yield Finding(path=(*path, "from"), what=what, advice=f"rename [servers.{old}], or remove this block")
        if old in steps:
            yield Finding(path=(*path, "from"), what=f"server {old!r} moves twice", advice="keep one of both blocks")
            continue
        if new in targets:
            what = f"two servers move to {new!r}"
            yield Finding(path=(*path, "to"), what=what, advice="keep the block of the one whose data it goes on with")
        steps[old] = new
        targets.add(new)
    for path, item in matches(document, "moved.*"):
        new = _server_of(item, "to")
        if new and new not in servers and new not in steps:
            advice = did_you_mean(new, servers, f"declare it: [servers.{new}]")
            yield Finding(path=(*path, "to"), what=f"there is no server {new!r}", advice=advice)
        elif _goes_round(_server_of(item, "from"), steps):
            yield Finding(path=path, what="this move goes round in a circle", advice="remove one of its blocks")


def _goes_round(start: str, steps: dict[str, str]) -> bool:
    name = start
    for _ in steps:
        name = steps.get(name, "")
        if name == start:
            return bool(start)
    return False


def _forgotten(document: dict[str, Any], servers: dict[str, Any]) -> Iterator[Finding]:
    for path, address in _addresses(document, "forget"):
        if _is_declared(address, document, servers):
            yield Finding(
                path=path,
                what=f"{address} is declared, so it is not forgotten",
                advice="remove its declaration, or this block",
            )


def _adopted(document: dict[str, Any], servers: dict[str, Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for path, address in _addresses(document, "adopt"):
        item = document["adopt"][path[1]]
        if address in seen:
            yield Finding(path=path, what=f"{address} is adopted twice", advice="keep one of both blocks")
        seen.add(address)
        kind = address.partition(":")[0]
        if kind in {"client", "volume"} and not _is_declared(address, document, servers):
            yield Finding(
                path=path,
                what=f"{address} is not declared, so nothing can become it",
                advice="declare it: the server, with this application among its clients"
                if kind == "client"
                else "declare it: the server, with this path in its sandbox.writable",
            )
        if kind == "volume" and "name" not in item:
            yield Finding(
                path=path[:-1],
                what="it does not say what it becomes a copy of",
                advice='write name = "VOLUME" of the engine or, for a process, name = "./DIRECTORY"',
            )
        if kind == "client" and "name" in item:
            advice = "remove it: the entry has the server's name"
            yield Finding(path=(*path[:-1], "name"), what="a client entry is adopted by its address", advice=advice)


def _addresses(document: dict[str, Any], table: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each address with its place."""
    for path, address in matches(document, f"{table}.*.address"):
        if isinstance(address, str):
            yield path, address


def _is_declared(address: str, document: dict[str, Any], servers: dict[str, Any]) -> bool:
    kind, _, name = address.partition(":")
    if kind == "server":
        return name in servers
    client, _, of_client = name.partition("/")
    server, _, path = name.removesuffix("@process").partition("/")
    if kind == "client":
        return client in _items("clients", of_client, document, servers)
    return f"/{path}" in _items("sandbox.writable.*", server, document, servers)


def _items(pattern: str, server: str, document: dict[str, Any], servers: dict[str, Any]) -> list[Any]:
    """Return what a server's list says, its own or that of the defaults."""
    table = servers.get(server)
    if not isinstance(table, dict):
        return []
    pattern = pattern if pattern.endswith("*") else f"{pattern}.*"
    own = [value for _, value in matches(table, pattern)]
    return own or [value for _, value in matches(document.get("defaults"), pattern)]


def _server_of(item: Any, key: str) -> str:
    text = item.get(key) if isinstance(item, dict) else None
    return text.removeprefix(_SERVER) if isinstance(text, str) and text.startswith(_SERVER) else ""
