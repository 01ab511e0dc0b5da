"""The AI applications that we know: data only, one record each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hatchlock.clients.catalogue.desktops import DESKTOPS
from hatchlock.clients.catalogue.others import OTHERS
from hatchlock.clients.catalogue.record import Checked, Client, Scope
from hatchlock.clients.catalogue.terminals import TERMINALS

__all__ = ["CLIENTS", "Checked", "Client", "Scope"]

CLIENTS: Mapping[str, Client] = MappingProxyType(
    {client.name: client for client in sorted((*TERMINALS, *DESKTOPS, *OTHERS), key=lambda client: client.name)}
)
"""Every known client, by its name, sorted."""
