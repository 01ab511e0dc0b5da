"""What applies have left, `projects/NAME/applied.json`: by it a plan tells drift from what was declared anew.

It is written when an apply has ended. What one did that was killed before stands in its journal, so our own work is never
taken for somebody else's. It decides on words and on `drift` policies, never on what is right: where it is lost, or cannot
be read (`documents.damage` says so), nothing is called drift, and the next apply writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hatchlock.address import Address, ResourceKind
from hatchlock.files import read_optional
from hatchlock.state.documents import BadState, NewerState, read_document, write_document

__all__ = ["OF_SESSIONS", "AppliedKeys", "read_applied", "write_applied"]

_IN_ENGINES = frozenset({ResourceKind.IMAGE, ResourceKind.VOLUME})
OF_SESSIONS = frozenset({ResourceKind.CONTAINER, ResourceKind.NETWORK})
"""What comes and goes with sessions, and shows by itself whether somebody else has changed it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedKeys:
    """What the last applies left.

    Attributes:
        keys: Address -> the key of what is there.
        images: Tag -> the engine's id of the image that it names.
        engine: The engine's address; "" for none.
    """

    keys: Mapping[Address, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    engine: str = ""

    def in_engine(self, engine: str) -> AppliedKeys:
        """Return what of it can be compared with what an engine has: in another one, nobody has changed anything."""
        if engine == self.engine:
            return self
        kept = {address: key for address, key in self.keys.items() if address.kind not in _IN_ENGINES}
        return AppliedKeys(keys=kept, engine=engine)


def read_applied(root: Path) -> AppliedKeys:
    """Return what the applies of a project have left, the one that was killed last among them.

    Args:
        root: The project's state.
    """
    kept = _read(root / "applied.json")
    keys = dict(kept.keys)
    for address, key in _effects(root / "journal.ndjson"):
        keys.pop(address, None)
        if key and address.kind not in OF_SESSIONS:
            keys[address] = key
    return AppliedKeys(keys=keys, images=kept.images, engine=kept.engine)


def write_applied(root: Path, applied: AppliedKeys) -> None:
    """Write what applies have left, unless it stands there already.

    Raises:
        PermissionProblem: It cannot be written.
    """
    if applied == _read(root / "applied.json"):
        return
    document = {
        "engine": applied.engine,
        "keys": {str(address): key for address, key in applied.keys.items()},
        "images": dict(applied.images),
    }
    write_document(root / "applied.json", document)


def _read(path: Path) -> AppliedKeys:
    try:
        document = read_document(path)
    except (BadState, NewerState):
        return AppliedKeys()
    if document is None:
        return AppliedKeys()
    keys = {Address.parse(text): key for text, key in document["keys"].items()}
    return AppliedKeys(keys=keys, images=document["images"], engine=document["engine"])


def _effects(path: Path) -> Iterator[tuple[Address, str]]:
    """Yield what the steps of an apply that did not end have left, by its journal; "" for nothing, or nobody knows."""
    for line in (read_optional(path) or b"").splitlines():
        try:
            event = json.loads(line)
            after = event.get("after") if event["event"] == "done" else ""
            yield Address.parse(event["step"]), str(after or "")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue  # it is no step; or the line that was being written when the process was killed
