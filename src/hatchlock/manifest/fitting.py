"""What of a manifest does not fit together across its tables: kinds and runtimes, several indexes of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hatchlock.address import Kind
from hatchlock.manifest.model import MANAGED
from hatchlock.manifest.problem import Finding, KeyPath

__all__ = ["ONLY_PROCESSES", "PRIVATE_KEYS", "index_findings", "runtime_findings"]

PRIVATE_KEYS = ("python", "node", "base", "with", "constraints", "overrides", "allow-build", "allow-scripts")
"""What a server says about its private environment."""

ONLY_PROCESSES = (Kind.NPM, Kind.GIT, Kind.PATH, Kind.URL)
"""The kinds that images are not yet made of."""
_WITH_SEVERAL = (Kind.PYPI, Kind.NPM)


def runtime_findings(document: dict[str, Any], overlay: dict[str, Any]) -> Iterator[Finding]:
    """Yield what servers of the container runtime, which is the default, want to have in their images and cannot.

    Environments with a base count too, if no server uses them.

    Args:
        document: The manifest.
        overlay: Its `runtime` keys count.
    """
    servers, environments = _table(document.get("servers")), _table(document.get("environments"))
    defaults = _table(document.get("defaults"))
    inherited = [_table(overlay.get("defaults")), defaults]
    used = set()
    for name, value in servers.items():
        server = _table(value)
        shared = _shared(server, defaults)
        used.add(shared)
        said = [_table(_table(overlay.get("servers")).get(name)), server, *inherited]
        if next((table["runtime"] for table in said if "runtime" in table), "container") != "container":
            continue
        who = f"server {name!r} runs in a container"
        advice = f'write runtime = "process" into [servers.{name}]'
        yield from _not_in_images(("servers", name, "source"), server.get("source"), who, advice)
        private = [(("servers", name), server), *([(("defaults",), defaults)] if _installs(server) else [])]
        places = [(("environments", shared), _table(environments.get(shared)))] if shared else private
        yield from _content(places, who, advice)
    for name, value in environments.items():
        table = _table(value)
        if "base" in table and name not in used:
            yield from _content([(("environments", name), table)], f"environment {name!r} has a base", "remove 'base'")


def _installs(server: dict[str, Any]) -> bool:
    source = server.get("source")
    return bool(source) and not str(source).startswith(f"{Kind.OCI}:")


def _shared(server: dict[str, Any], defaults: dict[str, Any]) -> str:
    own = str(server.get("environment") or "")
    if own or not _installs(server) or any(key in server for key in PRIVATE_KEYS):
        return own
    return str(defaults.get("environment") or "")


def _content(places: Sequence[tuple[KeyPath, dict[str, Any]]], who: str, advice: str) -> Iterator[Finding]:
    """What is said at the first of several places that say it."""
    for key in ("dependencies", "with"):
        path, table = next(((path, table) for path, table in places if key in table), ((), {}))
        for item_path, text in _items((*path, key), table.get(key)):
            yield from _not_in_images(item_path, text, who, advice)
    path, table = next(((path, table) for path, table in places if "python" in table), ((), {}))
    python = table.get("python")
    if isinstance(python, str) and python.startswith(MANAGED):
        yield Finding(
            path=(*path, "python"),
            what=f"{MANAGED} interpreters are for processes, and {who}: its base has the Python",
            advice=f"write python = {python.removeprefix(MANAGED)!r}, or {advice}",
        )


def _not_in_images(path: KeyPath, text: Any, who: str, advice: str) -> Iterator[Finding]:
    kind = Kind.URL if isinstance(text, dict) else str(text or "").partition(":")[0]
    if kind in ONLY_PROCESSES:
        yield Finding(path=path, what=f"{kind}: is not yet put into images, and {who}", advice=advice)


def index_findings(document: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with several indexes of one kind: each has its own name, and all but one say what they serve."""
    for kind in _WITH_SEVERAL:
        tables = _table(document.get("indexes")).get(kind)
        if not isinstance(tables, list):
            continue
        names = Counter(_table(table).get("name", str(kind)) for table in tables)
        general = [number for number, table in enumerate(tables) if "packages" not in _table(table)]
        for number, value in enumerate(tables):
            path: KeyPath = ("indexes", kind, number)
            name = _table(value).get("name", str(kind))
            if names[name] > 1:
                yield Finding(
                    path=path, what=f"several indexes are called {name!r}", advice='give each its own: name = "…"'
                )
            if number in general[1:]:
                yield Finding(
                    path=path,
                    what="a second index without 'packages' would serve the same names",
                    advice='say which names it alone serves: packages = ["acme-*"]',
                )
            if "url" not in _table(value) and "packages" in _table(value):
                yield Finding(path=path, what="an index of its own has no 'url'", advice='write url = "https://…"')


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(path: KeyPath, value: Any) -> list[tuple[KeyPath, Any]]:
    return [((*path, number), item) for number, item in enumerate(value)] if isinstance(value, list) else []
