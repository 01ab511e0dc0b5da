"""A file in which git left conflict markers, as the two whole files that it was merged from.

Understood are git's three styles (`merge`, `diff3`, `zdiff3`), with any labels and line ends:

    <<<<<<< ours
    …
    ||||||| what both began with (diff3, zdiff3), which can have conflicts of its own
    =======
    …
    >>>>>>> theirs
"""

from __future__ import annotations

import re

from hatchlock.lock.problems import BadLock
from hatchlock.paths import LOCK_NAME
from hatchlock.place import Place

__all__ = ["conflict_sides"]

# git puts seven of a kind, then the end of the line or a blank and a label; in nested conflicts it may put more
_MARKER = re.compile(rb"(<{7,}|\|{7,}|={7,}|>{7,})(?: .*)?\r?\n?")
_BEGIN, _BASE, _MIDDLE, _END = b"<|=>"
_SHORTEST = 7


def conflict_sides(data: bytes, *, file: str = LOCK_NAME) -> tuple[bytes, bytes] | None:
    """Return both sides of a file with conflict markers, each with all that is not in conflict; None if it has none.

    Args:
        data: The file's bytes. No line of it looks like a marker that is not one.
        file: Its name, for messages.

    Raises:
        BadLock: The markers do not fit together: somebody removed one of them. It names the line.
    """
    sides = _Sides(file)
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        sides.take(number, line)
    return sides.finish()


class _Sides:
    """Reads line by line; `part` is where the reader is: outside, or behind the marker of that sign."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._ours: list[bytes] = []
        self._theirs: list[bytes] = []
        self._part: int | None = None
        self._began = 0
        self._nested = 0
        self._found = False

    def take(self, number: int, line: bytes) -> None:
        """Read one line."""
        marker = _MARKER.fullmatch(line)
        if self._part == _BASE and not self._ends_base(marker):
            return
        if marker is None or len(marker[1]) > _SHORTEST:
            self._keep(line)
            return
        sign = marker[1][0]
        allowed = {None: (_BEGIN,), _BEGIN: (_BASE, _MIDDLE), _BASE: (_MIDDLE,), _MIDDLE: (_END,)}[self._part]
        if sign not in allowed:
            raise self._malformed(number, f"{marker[1].decode()!r} stands where {_described(allowed)} should")
        if sign == _BEGIN:
            self._began, self._found = number, True
        self._part = None if sign == _END else sign

    def finish(self) -> tuple[bytes, bytes] | None:
        """Return both sides, after the last line."""
        if self._part is not None:
            raise self._malformed(self._began, "the conflict that begins here has no end")
        return (b"".join(self._ours), b"".join(self._theirs)) if self._found else None

    def _keep(self, line: bytes) -> None:
        if self._part in {None, _BEGIN}:
            self._ours.append(line)
        if self._part in {None, _MIDDLE}:
            self._theirs.append(line)

    def _ends_base(self, marker: re.Match[bytes] | None) -> bool:
        """Whether the part that neither side has is over; conflicts inside it are passed over."""
        if marker is None or len(marker[1]) > _SHORTEST:
            return False
        sign = marker[1][0]
        if sign == _BEGIN:
            self._nested += 1
        elif sign == _END and self._nested:
            self._nested -= 1
        elif not self._nested:
            return True
        return False

    def _malformed(self, number: int, why: str) -> BadLock:
        return BadLock(
            place=Place(file=self._file, line=number),
            why=f"its conflict markers do not fit together: {why}",
            advice=f"take the merge back (`git checkout --merge {self._file}`), then run `hatchlock lock`",
        )


def _described(signs: tuple[int, ...]) -> str:
    return " or ".join(repr(chr(sign) * _SHORTEST) for sign in signs)
