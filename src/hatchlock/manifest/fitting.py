"""What of a manifest does not fit together across its tables: kinds and runtimes, several indexes of one kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hatchlock.address import Kind
from hatchlock.manifest.model import MANAGED
from hatchlock.manifest.problem import Finding, KeyPath

__all__ = ["PRIVATE_KEYS", "index_findings", "kind_findings", "runtime_findings"]

PRIVATE_KEYS = ("python", "node", "base", "with", "constraints", "overrides", "allow-build", "allow-scripts")
"""What a server says about its private environment."""

_PARTS = (Kind.DEB, Kind.CONDA)
"""Parts of an environment, which are no servers."""
_ENTRIES = (Kind.MCP,)
"""What describes a server, and is no part of an environment."""
_WITH_SEVERAL = (Kind.PYPI, Kind.NPM, Kind.HATCH, Kind.CONDA)
_BOUNDS = re.compile(r"[<>=!]|~=")


def kind_findings(document: dict[str, Any]) -> Iterator[Finding]:
    """Yield sources of a kind that has no business where it stands."""
    listed = f"a server comes from {', '.join(f'{kind}:' for kind in Kind if kind not in _PARTS)}"
    for name, value in _table(document.get("servers")).items():
        kind = _kind(_table(value).get("source"))
        if kind in _PARTS:
            what = f"{kind}: is a part of an environment, not a server"
            yield Finding(
                path=("servers", name, "source"), what=what, advice=f'{listed}; list it as with = ["{kind}:…"]'
            )
        elif kind == Kind.OCI and _BOUNDS.search(str(_table(value).get("source"))):
            what = "a server is one image, and this leaves a choice of versions"
            yield Finding(path=("servers", name, "source"), what=what, advice="name a tag or a digest")
    places: list[tuple[KeyPath, Any]] = [(("defaults", "with"), _table(document.get("defaults")).get("with"))]
    for table, key in (("servers", "with"), ("environments", "dependencies")):
        found = _table(document.get(table)).items()
        places += [((table, name, key), _table(value).get(key)) for name, value in found]
    for path, texts in places:
        for item_path, text in _items(path, texts):
            if _kind(text) in _ENTRIES:
                what = f"{_kind(text)}: describes a server, and is no part of an environment"
                yield Finding(path=item_path, what=what, advice='write it as the source of a server: source = "mcp:…"')


def runtime_findings(document: dict[str, Any], overlay: dict[str, Any]) -> Iterator[Finding]:
    """Yield what servers of the container runtime, which is the default, say and cannot have.

    Environments with a base count too, if no server uses them.

    Args:
        document: The manifest.
        overlay: Its `runtime` keys count.
    """
    for places, who, advice in _containers(document, overlay):
        path, table = next(((path, table) for path, table in places if "python" in table), ((), {}))
        python = table.get("python")
        if isinstance(python, str) and python.startswith(MANAGED):
            yield Finding(
                path=(*path, "python"),
                what=f"{MANAGED} interpreters are for processes, and {who}: its base has the Python",
                advice=f"write python = {python.removeprefix(MANAGED)!r}, or {advice}",
            )


_Places = list[tuple[KeyPath, dict[str, Any]]]


def _containers(document: dict[str, Any], overlay: dict[str, Any]) -> Iterator[tuple[_Places, str, str]]:
    """Yield, for what runs in a container, the tables that say what is in it, who it is, and the way out."""
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
        own: _Places = [(("servers", name), server)]
        private = [*own, *([(("defaults",), defaults)] if _installs(server) else [])]
        places = [*own, (("environments", shared), _table(environments.get(shared)))] if shared else private
        advice = f'write runtime = "process" into [servers.{name}]'
        yield places, f"server {name!r} runs in a container", advice
    for name, value in environments.items():
        table = _table(value)
        if "base" in table and name not in used:
            yield [(("environments", name), table)], f"environment {name!r} has a base", "remove 'base'"


def _installs(server: dict[str, Any]) -> bool:
    source = server.get("source")
    return bool(source) and not str(source).startswith(f"{Kind.OCI}:")


def _shared(server: dict[str, Any], defaults: dict[str, Any]) -> str:
    own = str(server.get("environment") or "")
    if own or not _installs(server) or any(key in server for key in PRIVATE_KEYS):
        return own
    return str(defaults.get("environment") or "")


def _kind(text: Any) -> str:
    return Kind.URL if isinstance(text, dict) else str(text or "").partition(":")[0]


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
            # of conda's channels the first that has a name serves it
            if number in general[1:] and kind is not Kind.CONDA:
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
