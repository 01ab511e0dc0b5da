"""The last look at a proposed server: what its sandbox lacks, and whether a manifest can have it."""

from __future__ import annotations

from dataclasses import replace

from hatchlock.manifest.checks import relaxations
from hatchlock.migrate.fitting import fitted_server
from hatchlock.migrate.model import Left, Proposed

__all__ = ["NO_NETWORK", "finished"]

NO_NETWORK = "it has no network: if it calls one, name the hosts in sandbox.network; `hatchlock logs NAME` shows what it asked for"
_REASON = "taken over from what started it before"


def finished(proposed: Proposed) -> Proposed | Left:
    """Return a proposed server as a manifest can have it, or why none can; see `fitted_server`.

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
    return fitted_server(replace(proposed, fields=fields, notes=notes), {})
