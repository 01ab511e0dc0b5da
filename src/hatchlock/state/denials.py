"""What the sandboxes of a project stopped: `projects/NAME/denials/SERVER.json`, the newest last.

`run` writes it, several of them at once perhaps: one after the other, and each replaces the file as a whole, so that none is
lost. It belongs to one launch record, and begins anew with another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from hatchlock.digest import canonical_json
from hatchlock.files import alone_in, atomic_write, private_directory, read_optional

__all__ = ["Refusal", "denials_path", "read_denials", "remember_denial"]

_FORMAT = 1
_MOST = 20
_LONGEST = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One thing that was stopped.

    Attributes:
        kind: Of what sort it is (`security.denials.DenialKind`).
        what: What it was. A stranger's text.
        at: Where in the server's code; "" if it did not say.
        when: The last time, in UTC: `2026-11-27T21:03:55Z`.
    """

    kind: str
    what: str
    at: str
    when: str


def denials_path(state: Path, server: str) -> Path:
    """Return the file of a server in a project's state."""
    return state / "denials" / f"{server}.json"


def read_denials(path: Path, launch: str) -> tuple[Refusal, ...]:
    """Return what was stopped of a launch record, the newest last; nothing where the file is not readable as one.

    Args:
        path: `denials_path`.
        launch: The launch record's digest.
    """
    try:
        document = json.loads(read_optional(path) or b"null")
        if document["format_version"] != _FORMAT or document["launch"] != launch:
            return ()
        return tuple(Refusal(**item) for item in document["denials"])
    except (ValueError, TypeError, KeyError):
        return ()


def remember_denial(path: Path, launch: str, refusal: Refusal) -> None:
    """Add one at the end, and forget the oldest of more than 20, and what was known of the same host without its port.

    Raises:
        OSError, PermissionProblem: It cannot be written.
    """
    cut = Refusal(kind=refusal.kind, what=refusal.what[:_LONGEST], at=refusal.at[:_LONGEST], when=refusal.when)
    same = {cut.what, cut.what.rpartition(":")[0]} if cut.kind == "network" else {cut.what}
    with alone_in(private_directory(path.parent)):
        others = [item for item in read_denials(path, launch) if item.kind != cut.kind or item.what not in same]
        atomic_write(path, canonical_json(_document(launch, [*others, cut][-_MOST:])), durable=False)


def _document(launch: str, refusals: Iterable[Refusal]) -> dict[str, object]:
    return {"format_version": _FORMAT, "launch": launch, "denials": [asdict(item) for item in refusals]}
