"""Which entries of applications `import` has read, so that the next apply may put ours into their place.

projects/NAME/imported.json holds, for each, its file, its name, and the digest of what it was: an entry that is another one
by now is nobody's to replace. No value of an entry is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from hatchlock.state.documents import BadState, read_document, write_document

__all__ = ["Imported", "known_imported", "read_imported", "write_imported"]

_NAME = "imported.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """One entry that was read.

    Attributes:
        file: The application's file, as `str(ClientFile)`: `CLIENT/SCOPE/PATH`.
        entry: Its name there.
        digest: Of its value (`clients.writer.entry_digest`).
        server: The name that the server has in the manifest; our entry gets it.
        secrets: Names under which the store of secrets keeps what was a secret in it, sorted.
        is_kept: Whether every secret in it is kept: only then can its text be put back.
    """

    file: str
    entry: str
    digest: str
    server: str
    secrets: tuple[str, ...] = ()
    is_kept: bool = True

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `asdict` gave.

        Raises:
            KeyError, TypeError: It is something else.
        """
        return cls(**{**data, "secrets": tuple(data["secrets"])})


def read_imported(project: Path) -> tuple[Imported, ...]:
    """Return what was read for a project; nothing where nothing was.

    Args:
        project: `projects/NAME`.

    Raises:
        BadState: The file is damaged.
    """
    document = read_document(project / _NAME)
    return tuple(map(Imported.from_dict, document["entries"])) if document else ()


def known_imported(project: Path) -> tuple[Imported, ...]:
    """Return what was read for a project; nothing where the file is damaged: that is told with the other damaged files."""
    try:
        return read_imported(project)
    except BadState:
        return ()


def write_imported(project: Path, entries: Iterable[Imported]) -> None:
    """Remember what was read; what was remembered before goes."""
    ordered = sorted(entries, key=lambda item: (item.file, item.entry))
    write_document(project / _NAME, {"entries": [asdict(item) for item in ordered]})
