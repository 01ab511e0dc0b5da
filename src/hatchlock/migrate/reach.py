"""What of this machine and of the network an entry names, and so its server needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hatchlock.launch_parts import is_loopback, target_problem

__all__ = ["hosts_in", "paths_in", "paths_to_be"]

_PORTS = {
    "https": 443,
    "http": 80,
    "wss": 443,
    "ws": 80,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "mongodb": 27017,
    "redis": 6379,
    "rediss": 6379,
    "amqp": 5672,
    "amqps": 5671,
    "bolt": 7687,
    "neo4j": 7687,
    "mqtt": 1883,
    "clickhouse": 9000,
    "elasticsearch": 9200,
}
"""Schemes of addresses, and the port that is meant where none is said."""
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9]*)(?:\+[a-z0-9]+)*://\S+")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]*[A-Za-z][A-Za-z0-9_-]*")
_LONGEST = 4096
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/nix", "/proc", "/run", "/sbin", "/sys", "/usr")
"""What every sandbox has of its own, or must not have of this machine's."""


def hosts_in(texts: Iterable[str]) -> list[str]:
    """Return HOST:PORT of every address that a text is, in their order, without those that are numbers."""
    return list(dict.fromkeys(found for text in texts for found in _host(text)))


def _host(text: str) -> Iterator[str]:
    value = text.partition("=")[2] if text.startswith("--") and "=" in text else text
    match = _ADDRESS.fullmatch(value)
    if match is None:
        return
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port or _PORTS.get(match["scheme"], 0)
    except ValueError:
        return
    host = "localhost" if is_loopback(host) else host
    if _HOST.fullmatch(host) and host != "host.docker.internal" and 0 < port < 1 << 16:
        yield f"{host}:{port}"


def paths_in(texts: Iterable[str]) -> list[str]:
    """Return the absolute paths that texts name and that are there, in their order.

    What is within another one of them is left out, and what a sandbox has by itself.
    """
    found = [path for path in _named(texts) if _is_there(path)]
    return [path for path in found if not any(_is_within(path, other) for other in found if other != path)]


def paths_to_be(texts: Iterable[str], places: Iterable[str]) -> list[str]:
    """Return the absolute paths that texts name, that are not there while their directory is, and that are in none of `places`."""
    known = tuple(places)
    return [
        path
        for path in _named(texts)
        if (parent := str(Path(path).parent)) != "/"
        and _is_there(parent)
        and not os.path.lexists(path)
        and not any(_is_within(path, place) for place in known)
    ]


def _named(texts: Iterable[str]) -> list[str]:
    named = [text.partition("=")[2] if text.startswith("-") else text for text in texts]
    return [path for path in dict.fromkeys(named) if path.startswith("/")]


def _is_there(path: str) -> bool:
    if "\0" in path or len(path) > _LONGEST or any(path == top or path.startswith(f"{top}/") for top in _SYSTEM):
        return False
    try:
        return Path(path).exists() and not target_problem(path)
    except OSError:
        return False


def _is_within(path: str, other: str) -> bool:
    return path.startswith(f"{other.rstrip('/')}/")
