"""What a dialect is: how one form of configuration file lists servers, read and edited without touching anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hatchlock.errors import HatchlockError

__all__ = ["Dialect", "Entry"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One server in a client's file.

    Attributes:
        value: What stands there, as plain values (mapping, list, text, number, boolean, None); a mapping, unless somebody
            made a mistake. In a list of servers it lacks its name.
        span: The offsets, in bytes, of the value's first byte and behind its last one.
        refusal: What every edit of it would raise; None where nothing is known that speaks against one.
    """

    value: Any
    span: tuple[int, int]
    refusal: HatchlockError | None = field(default=None, compare=False)


class Dialect(Protocol):
    """Pure functions from bytes to bytes.

    Every byte that is not part of the named entry, or of what joins it to its neighbours (a comma, a line), stays as it is:
    comments, order, indentation, line ends, byte order mark, unknown and duplicate names. Each of them raises `Unparsable`
    when the file is not of this form, and then it must not be written.
    """

    def read(self, data: bytes, *, path: str = "") -> Mapping[str, Entry]:
        """Return the entries by name, in the file's order; of duplicates the one that counts. An empty file has none."""

    def set(self, data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """Return the file with an entry added at the end, or with the value of the existing one replaced.

        An empty file becomes a minimal document. A value that is already there leaves the bytes as they are.
        """

    def rename(self, data: bytes, old: str, new: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """Return the file with an entry under another name, where it stands, and with another value.

        There is such an entry, and none of the new name. Duplicates of the old name go.
        """

    def remove(self, data: bytes, name: str, *, path: str = "") -> bytes:
        """Return the file without an entry (and without its duplicates); the same bytes if there is none.

        What `set` added to a file that has other entries, or had the place for them, goes away without a trace.
        """
