"""Names for secrets in files that hold none of their values: each reference gets one, and no two get the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hatchlock.launch_parts import SecretReference
from hatchlock.migrate.outgoing.model import Outgoing

__all__ = ["filled", "secret_names"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def secret_names(servers: Iterable[Outgoing]) -> Mapping[str, str]:
    """Return reference -> the name of a variable by which other tools are given its value.

    `env:NAME` is NAME, and `keyring:NAME` the same in capitals; any other is called by the server and what it is for. Where
    a name would stand for two references, the later one has the server's before it.

    Args:
        servers: In the order in which they come.
    """
    found: dict[str, str] = {}
    for server in servers:
        for key, reference in server.secrets.items():
            if reference.secret in found:
                continue
            taken = set(found.values())
            own = _as_variable(f"{server.name}_{key}")
            usual = _usual_name(reference) or own
            found[reference.secret] = next(
                name
                for name in (usual, own, *(f"{own}_{number}" for number in range(2, len(found) + 3)))
                if name not in taken
            )
    return found


def filled(reference: SecretReference, place: str) -> str:
    """Return what a variable or header is set to, with a tool's own words for the value in the value's place."""
    return reference.format.replace("{}", place)


def _usual_name(reference: SecretReference) -> str:
    if reference.kind == "env" and _VARIABLE.fullmatch(reference.spec):
        return reference.spec
    return _as_variable(reference.spec) if reference.kind == "keyring" else ""


def _as_variable(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").upper()
    return name if _VARIABLE.fullmatch(name) else f"_{name}"
