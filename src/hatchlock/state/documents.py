"""Documents of the state: JSON of one version each, written whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.address import Address
from hatchlock.digest import canonical_json
from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = [
    "ASIDE",
    "DOCUMENTS",
    "STATE_FORMAT",
    "BadState",
    "NewerState",
    "damage",
    "document_bytes",
    "put_aside",
    "read_document",
    "write_document",
]

STATE_FORMAT = 1
DOCUMENTS: Mapping[str, Mapping[str, type]] = {
    "applied.json": {"engine": str, "keys": dict, "images": dict},
    "binding.json": {"directory": str},
    "active.json": {"servers": dict},
    "entries.json": {"files": list},
    "volumes.json": {"engine": str, "begun": list},
    "held.json": {"generation": int, "newest": int},
    "imported.json": {"entries": list},
}
"""The documents of a project that say how things stand, with what each of them has to have. Whatever they say can be found out
again, or is lost without harm: so where one is damaged, an `apply` goes on without it."""
_ROWS: Mapping[str, Mapping[str, type]] = {
    "imported.json": {"file": str, "entry": str, "digest": str, "server": str, "secrets": list, "is_kept": bool}
}
"""What each element of a list has, where it is no text."""
_OPTIONAL: Mapping[str, Mapping[str, type]] = {"volumes.json": {"superseded": list, "id": str}}
"""What they may have besides."""
_ADVICE: Mapping[str, str] = {
    "forgotten.json": "move it away, and say again with [[forget]] what hatchlock has to leave alone",
    "generation.json": "move the directory that it is in away: then there is no such generation to go back to",
}
"""What to do about documents that nobody can find out again, and that no command puts aside."""
_ADDRESSES: Mapping[str, str] = {"applied.json": "keys"}
"""What of them is by address."""
ASIDE = ".damaged"
"""Behind the name of a document that was put aside."""
_APPLIED = "applied.json"


@dataclass(kw_only=True, eq=False)
class BadState(HatchlockError):
    """A state file is not what we wrote."""

    code: ClassVar[str] = "bad-state"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.why}"

    def _hint(self) -> str:
        usual = "run `hatchlock apply` in its project, which puts it aside and goes on from what it finds"
        return _ADVICE.get(Path(self.path).name, usual)


@dataclass(kw_only=True, eq=False)
class NewerState(HatchlockError):
    """A state file is of a format that this version does not know."""

    code: ClassVar[str] = "newer-state"

    path: str
    version: int

    def __str__(self) -> str:
        return f"{self.path} has format {self.version}, and this hatchlock reads up to {STATE_FORMAT}"

    def _hint(self) -> str:
        return "use the hatchlock that wrote it, or a newer one"


def read_document(path: Path) -> Mapping[str, Any] | None:
    """Return a document, or None when there is no such file.

    Raises:
        BadState: It is not what we wrote.
        NewerState: A newer version wrote it.
    """
    data = read_optional(path)
    if data is None:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadState(path=str(path), why=str(error)) from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > STATE_FORMAT:
        raise NewerState(path=str(path), version=version)
    if version != STATE_FORMAT:
        raise BadState(path=str(path), why="it is not of this version's format")
    more = {name: kind for name, kind in _OPTIONAL.get(path.name, {}).items() if name in document}
    for name, kind in {**DOCUMENTS.get(path.name, {}), **more}.items():
        row, value = _ROWS.get(path.name), document.get(name)
        is_sound = _are_rows(value, row) if row else _fits(value, kind)
        if not is_sound or (name == _ADDRESSES.get(path.name) and not _are_addresses(value)):
            raise BadState(path=str(path), why=f"its {name!r} is missing, or something else than it should be")
    found: Mapping[str, Any] = document
    return found


def _fits(value: object, kind: type) -> bool:
    if isinstance(value, (list, dict)):
        inner = value if isinstance(value, list) else [*value, *value.values()]
        return isinstance(value, kind) and all(isinstance(item, str) for item in inner)
    return isinstance(value, kind)


def _are_addresses(value: object) -> bool:
    try:
        return isinstance(value, dict) and all(Address.parse(text) for text in value)
    except ValueError:
        return False


def _are_rows(value: object, row: Mapping[str, type]) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and item.keys() == row.keys() and all(_fits(item[name], row[name]) for name in row)
        for item in value
    )


def damage(root: Path) -> tuple[BadState, ...]:
    """Return what is wrong with the `DOCUMENTS` of a project, by name.

    Args:
        root: The project's state.

    Raises:
        NewerState: A newer version wrote one of them: then nothing of it is damaged, and nothing is ours to judge.
    """
    found = []
    for name in sorted(DOCUMENTS):
        try:
            read_document(root / name)
        except BadState as error:
            found.append(error)
    return tuple(found)


def put_aside(root: Path) -> tuple[BadState, ...]:
    """Rename each damaged one of the `DOCUMENTS`, `NAME.damaged`, and return what was wrong with them.

    What the last applies have left is forgotten with them: what is missing now is not somebody else's doing, which a `drift`
    policy could leave as it is. The caller holds the project's lease.

    Raises:
        NewerState: As `damage`; nothing was renamed.
    """
    found = damage(root)
    for error in found:
        path = Path(error.path)
        path.rename(path.with_name(path.name + ASIDE))
    if found:
        (root / _APPLIED).unlink(missing_ok=True)
    return found


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document, with its `format_version`, in place of the one that is there."""
    private_directory(path.parent)
    atomic_write(path, document_bytes(document))


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a document, with its `format_version`."""
    return canonical_json({"format_version": STATE_FORMAT, **document})
