"""What of a manifest does not fit together across its tables: kinds and runtimes, several indexes of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hatchlock.address import Kind
from hatchlock.manifest.problem import Finding, KeyPath

__all__ = ["index_findings", "runtime_findings"]

_ONLY_PROCESSES = frozenset({Kind.NPM, Kind.GIT, Kind.PATH, Kind.URL})
"""The kinds that images are not yet made of."""
_WITH_SEVERAL = (Kind.PYPI, Kind.NPM)


def runtime_findings(document: dict[str, Any], overlay: dict[str, Any]) -> Iterator[Finding]:
    """Yield what servers of the container runtime, which is the default, want to have in their images and cannot.

    Args:
        document: The manifest.
        overlay: Its `runtime` keys count.
    """
    servers, environments = _table(document.get("servers")), _table(document.get("environments"))
    inherited = [_table(overlay.get("defaults")), _table(document.get("defaults"))]
    for name, value in servers.items():
        server = _table(value)
        said = [_table(_table(overlay.get("servers")).get(name)), server, *inherited]
        if next((table["runtime"] for table in said if "runtime" in table), "container") != "container":
            continue
        shared = str(server.get("environment") or "")
        lists: list[tuple[KeyPath, Any]] = [
            (("servers", name, "source"), server.get("source")),
            *_items(("servers", name, "with"), server.get("with")),
        ]
        if shared:
            content = _table(environments.get(shared)).get("dependencies")
            lists += _items(("environments", shared, "dependencies"), content)
        for path, text in lists:
            yield from _not_in_images(path, text, name)


def _not_in_images(path: KeyPath, text: Any, server: str) -> Iterator[Finding]:
    kind = Kind.URL if isinstance(text, dict) else str(text or "").partition(":")[0]
    if kind in _ONLY_PROCESSES:
        yield Finding(
            path=path,
            what=f"{kind}: is not yet put into images, and server {server!r} runs in a container",
            advice=f'write runtime = "process" into [servers.{server}]',
        )


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
