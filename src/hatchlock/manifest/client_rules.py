"""What fits together in `client`: an application's own fields in its entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.manifest.client_fields import CLIENT_FIELDS, FOR_REMOTE, ClientField
from hatchlock.manifest.later import matches
from hatchlock.manifest.problem import Finding, KeyPath, did_you_mean

__all__ = ["client_cautions", "client_findings"]


def client_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the fields that a manifest gives its servers' entries; applications are known by name."""
    for path, fields in _tables(document):
        known = CLIENT_FIELDS[str(path[-1])]
        for name, value in fields.items():
            if name not in known:
                yield _unknown((*path, name), known)
            elif not known[name].fits(value):
                yield Finding(path=(*path, name), what=f"it has to be {known[name]}", advice=known[name].about)


def client_cautions(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield fields for applications that do not list the server, as far as the manifest says."""
    defaults = document.get("defaults")
    usual = defaults.get("clients") if isinstance(defaults, dict) else None
    for path, _ in _tables(document):
        if path[0] != "servers":
            continue
        clients = document["servers"][path[1]].get("clients", usual or [])
        if isinstance(clients, list) and path[-1] not in clients:
            yield Finding(
                path=path,
                what=f"{path[-1]!r} is not among the server's clients, so nothing gets these fields",
                advice=f"add {str(path[-1])!r} to 'clients', or remove them",
            )


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    for pattern in ("servers.*.client.*", "defaults.client.*"):
        for path, fields in matches(document, pattern):
            if path[-1] in CLIENT_FIELDS and isinstance(fields, dict):
                yield path, fields


def _unknown(path: KeyPath, known: Mapping[str, ClientField]) -> Finding:
    client, name = path[-2], str(path[-1])
    if name in FOR_REMOTE:
        return Finding(
            path=path,
            what=f"{name!r} is about servers that {client} connects to itself; it starts this one, as every server",
            advice="write the server's own url and headers",
        )
    otherwise = f"known are {', '.join(known)}" if known else f"no field of {client}'s entries is known"
    # of one thing in several units the usual one is listed first
    without_unit = next((field for field in known if field.startswith(f"{name}_")), "")
    advice = f"did you mean {without_unit!r}?" if without_unit else did_you_mean(name, known, otherwise)
    return Finding(path=path, what=f"{client} has no field {name!r}", advice=advice)
