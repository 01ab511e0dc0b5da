"""Whose is what: the names and addresses under which a group's servers offer things."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hatchlock.serve.group.names import offered, parted

__all__ = ["Owners"]

_VARIABLE = re.compile(r"\{[^{}]*\}")


class Owners:
    """Who offers what, as far as it was listed.

    Args:
        labels: Server -> what its names begin with.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._servers = {label: server for server, label in labels.items()}
        self._names: dict[tuple[str, str], tuple[str, str]] = {}
        self._addresses: dict[tuple[str, str], str] = {}

    def name(self, kind: str, server: str, name: str) -> str:
        """Return what a server's tool or prompt is called, and remember whose it is."""
        found = offered(self._labels[server], name)
        self._names[kind, found] = (server, name)
        return found

    def named(self, kind: str, name: str) -> tuple[str, str] | None:
        """Return whose a name is, and what it is called there; None where nobody has it, or it has to be listed first."""
        if found := self._names.get((kind, name)):
            return found
        label, plain = parted(name)
        server = self._servers.get(label)
        return (server, plain) if server and plain and offered(label, plain) == name else None

    def is_unlisted(self, kind: str, name: str) -> bool:
        """Whether a name is some server's, but what it is called there has to be listed first."""
        label, plain = parted(name)
        return label in self._servers and not plain and (kind, name) not in self._names

    def own(self, kind: str, server: str, address: str) -> bool:
        """Return whether an address, or a template of some, is a server's: it is of the first that has listed it."""
        return self._addresses.setdefault((kind, address), server) == server

    def of_address(self, address: str) -> str | None:
        """Return whose a resource is, by its address or the templates that fit it, or a template's own; None if unknown."""
        for kind in ("resources", "resourceTemplates"):
            if found := self._addresses.get((kind, address)):
                return found
        fitting = [
            (len(_VARIABLE.sub("", template)), server)
            for (kind, template), server in self._addresses.items()
            if kind == "resourceTemplates" and _fits(template, address)
        ]
        return max(fitting)[1] if fitting else None

    def forget(self, server: str, kind: str = "") -> None:
        """No name and no address is a server's any more, of a kind or of all: it may list others each time."""
        self._addresses = {
            key: owner for key, owner in self._addresses.items() if owner != server or (kind and key[0] != kind)
        }
        self._names = {
            key: found for key, found in self._names.items() if found[0] != server or (kind and key[0] != kind)
        }


def _fits(template: str, address: str) -> bool:
    """Whether an address may come of a template (RFC 6570), judged by what stands between its variables, without backtracking."""
    first, *rest = _VARIABLE.split(template)
    if not rest:
        return template == address
    *between, last = rest
    if not address.startswith(first) or not address[len(first) :].endswith(last):
        return False
    left = address[len(first) : len(address) - len(last)]
    for literal in between:
        _, found, left = left.partition(literal) if literal else ("", "-", left)
        if not found:
            return False
    return True
