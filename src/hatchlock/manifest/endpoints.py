"""What fits together of how a server is reached: over its own HTTP, served over HTTP, or not at all over a port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.manifest.problem import Finding, KeyPath

__all__ = ["endpoint_findings"]

_PORTS = ("port", "path", "host-port", "serve")


def endpoint_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with `transport`, `port`, `path`, `host-port` and `serve` of a manifest's servers."""
    servers, defaults = (_table(document, name) for name in ("servers", "defaults"))
    taken: dict[int, str] = {}
    for name in servers:
        own = _table(servers, name)
        merged = {**defaults, **own}
        path: KeyPath = ("servers", name)
        yield from _remote(path, own) if "url" in own else _local(path, own, merged)
        port = merged.get("host-port")
        if isinstance(port, int) and "url" not in own:
            if port in taken:
                what = f"the host-port {port} is that of server {taken[port]!r} too"
                yield Finding(path=_place(path, own, "host-port"), what=what, advice="give each its own, or none")
            taken.setdefault(port, name)


def _remote(path: KeyPath, own: Mapping[str, Any]) -> Iterator[Finding]:
    for key in _PORTS:
        if key in own:
            yield Finding(
                path=(*path, key),
                what=f"{key!r} is about a server of this machine, and this one is remote",
                advice="remove it; the url says where it is",
            )


def _local(path: KeyPath, own: Mapping[str, Any], merged: Mapping[str, Any]) -> Iterator[Finding]:
    transport, serve = merged.get("transport", "stdio"), merged.get("serve")
    if transport == "sse":
        yield Finding(
            path=_place(path, own, "transport"),
            what="a server of this machine is not spoken to over sse",
            advice='write transport = "http", or "stdio"',
        )
    elif transport == "http":
        yield from _http(path, own, merged)
    elif transport == "stdio":
        if "port" in merged:
            yield Finding(
                path=_place(path, own, "port"),
                what="a server that speaks stdio has no port",
                advice='write transport = "http", or remove it',
            )
        for key in ("path", "host-port"):
            if key in merged and not serve:
                yield Finding(
                    path=_place(path, own, key),
                    what=f"{key!r} is for a server that is reached over HTTP",
                    advice='write transport = "http", or serve = "http", or remove it',
                )


def _http(path: KeyPath, own: Mapping[str, Any], merged: Mapping[str, Any]) -> Iterator[Finding]:
    is_image = "build" in own or str(own.get("source", "")).startswith("oci:")
    if "port" not in merged and not is_image:
        yield Finding(
            path=_place(path, own, "transport"),
            what="it does not say the port that it listens on",
            advice="write port = 8080, as the server is told by its args or env",
        )
    if merged.get("serve"):
        yield Finding(
            path=_place(path, own, "serve"),
            what="'serve' is for a server that speaks stdio, and this one speaks HTTP by itself",
            advice="remove 'serve'",
        )


def _place(path: KeyPath, own: Mapping[str, Any], key: str) -> KeyPath:
    return (*path, key) if key in own else path


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
