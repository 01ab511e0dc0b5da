"""The last look at a proposed server: what its sandbox lacks, and whether a manifest can have it."""

from __future__ import annotations

import json
from dataclasses import replace

from hatchlock.manifest.checks import relaxations
from hatchlock.manifest.suspicion import known_tokens
from hatchlock.migrate.fitting import fitted_server
from hatchlock.migrate.model import Left, Proposed

__all__ = ["NO_NETWORK", "finished", "without_tokens"]

NO_NETWORK = "it has no network: if it calls one, name the hosts in sandbox.network; `hatchlock logs NAME` shows what it asked for"
_MISPLACED = "a token stands where only a name can: nothing of it is taken over; write the server by hand, without it"
_REASON = "taken over from what started it before"


def finished(proposed: Proposed) -> Proposed | Left:
    """Return a proposed server as a manifest can have it, or why none can.

    Its sandbox gets the reason that it needs, and a note says so where it has no network.
    """
    sandbox = dict(proposed.fields.get("sandbox", {}))
    if relaxations(sandbox) and "reason" not in sandbox:
        sandbox["reason"] = _REASON
    fields = {key: value for key, value in proposed.fields.items() if key != "sandbox"}
    if sandbox:
        fields["sandbox"] = sandbox
    notes = proposed.notes
    if "url" not in fields and "network" not in sandbox and NO_NETWORK not in notes:
        notes = (*notes, NO_NETWORK)
    left = tuple(replace(item, what=without_tokens(item.what)) for item in proposed.left)
    shown = tuple(map(without_tokens, notes))
    found = fitted_server(replace(proposed, fields=fields, left=left, notes=shown), {})
    if isinstance(found, Left):
        return replace(found, what=without_tokens(found.what))
    if known_tokens().search(json.dumps([found.name, dict(found.fields)], ensure_ascii=False)):
        return Left(line=found.line, what=f"`{without_tokens(found.found_as or 'it')}`: {_MISPLACED}")
    return found


def without_tokens(text: str) -> str:
    """Return a sentence for people without anything that has a token's form."""
    return known_tokens().sub("…", text)
