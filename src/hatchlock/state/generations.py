"""What each finished apply left, so that there is a way back to it.

projects/NAME/
  generations/N/          generation.json, hatch.lock, hatchlock.toml, hatchlock.local.toml, target.json; never changed
  held.json               the generation that a rollback went to, and the newest one of that time
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hatchlock.files import atomic_write, fsync_directory, private_directory, read_optional
from hatchlock.paths import LOCK_NAME, MANIFEST_NAME, OVERLAY_NAME
from hatchlock.state.documents import BadState, document_bytes, read_document, write_document

__all__ = ["Generation", "Generations", "Unreadable"]

_FACTS = "generation.json"
_TARGET = "target.json"
_USES = ("trees", "images")
_NUMBER = re.compile(r"[1-9]\d*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """What a finished apply left.

    Attributes:
        number: Its number.
        when: RFC 3339, UTC; "" where an older version left it.
        hatchlock: The version of hatchlock that left it; "" likewise.
        servers: Server -> digest of its launch record.
        steps: Addresses of the steps that led to it.
        counts: What those did -> how many of them.
        lock: SHA-256 of its lock; "" as above.
        uses: What of the store and of the engine it needs (`usecases.uses`).
    """

    number: int
    when: str = ""
    hatchlock: str = ""
    servers: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    lock: str = ""
    uses: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A generation whose facts cannot be read. Its other files may be whole.

    Attributes:
        number: Its number.
        error: Why.
    """

    number: int
    error: BadState


class Generations:
    """The generations of one project. Reading never creates anything; who writes holds the project's lease.

    Args:
        root: The project's state.
        forgiving: As for `ProjectState`.
    """

    def __init__(self, root: Path, *, forgiving: bool = False) -> None:
        self._root = root
        self._forgiving = forgiving
        self._directory = root / "generations"

    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of the generations that are there, the oldest first."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except (FileNotFoundError, NotADirectoryError):  # nothing was applied, or the project is just being destroyed
            return ()
        return tuple(sorted(int(name) for name in names if _NUMBER.fullmatch(name)))

    def newest(self) -> int:
        """Return the number of the newest one; 0 before the first."""
        return max(self.numbers(), default=0)

    def held(self) -> int:
        """Return the one that a rollback went to, as long as no apply has left a newer one; 0 when there was none.

        Raises:
            BadState: What says so is not what we wrote.
        """
        try:
            document = read_document(self._held_path)
        except BadState:
            if not self._forgiving:
                raise
            return 0
        if document is None:
            return 0
        numbers = self.numbers()
        number = int(document["generation"])
        # a newer one says that an apply went on from there
        is_current = document["newest"] == max(numbers, default=0) and number in numbers
        return number if is_current and number != document["newest"] else 0

    def current(self) -> int:
        """Return the one that the project is at: where a rollback went, else the newest; 0 before the first."""
        return self.held() or self.newest()

    def hold(self, number: int) -> None:
        """Note that the project is at a generation until the next apply leaves one; one atomic change."""
        write_document(self._held_path, {"generation": number, "newest": self.newest()})

    def read(self, number: int) -> Generation | None:
        """Return what is known of a generation, or None when there is no such generation.

        Raises:
            BadState: It is not what we wrote.
        """
        path = self._place(number) / _FACTS
        document = read_document(path)
        if document is None:
            return None
        try:
            return _generation(number, document)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadState(path=str(path), why=f"{type(error).__name__} {error}") from error

    def readable(self) -> tuple[tuple[Generation, ...], tuple[Unreadable, ...]]:
        """Return what is known of the generations, the oldest first, and those of which nothing can be read.

        Raises:
            NewerState: A newer version wrote one of them.
        """
        found, damaged = [], []
        for number in self.numbers():
            try:
                generation = self.read(number)
            except BadState as error:
                damaged.append(Unreadable(number=number, error=error))
            else:
                found += [generation] if generation else []
        return tuple(found), tuple(damaged)

    def lock(self, number: int) -> bytes | None:
        """Return the lock that a generation was applied from; None when there is no such generation."""
        return read_optional(self._place(number) / LOCK_NAME)

    def manifest(self, number: int) -> bytes | None:
        """Return the manifest of a generation; None when there is no such generation."""
        return read_optional(self._place(number) / MANIFEST_NAME)

    def overlay(self, number: int) -> bytes:
        """Return the overlay of a generation; empty where it had none, or an older version left it."""
        return read_optional(self._place(number) / OVERLAY_NAME) or b""

    def target(self, number: int) -> Mapping[str, Any] | None:
        """Return what should have been on this machine then, as JSON values; None where nobody has kept it readable."""
        data = read_optional(self._place(number) / _TARGET)
        try:
            document = json.loads(data or b"null")
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def record(
        self, *, lock: bytes, manifest: bytes, overlay: bytes, target: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> int:
        """Write what a finished apply left, as a new generation, and return its number.

        It is there as a whole or not at all, and from then on nothing holds the project at an older one.

        Args:
            lock: The bytes of the lock that was applied.
            manifest: The bytes of the manifest.
            overlay: The bytes of the overlay.
            target: What should be on this machine, JSON values.
            facts: The fields of `Generation`, but for its number; no secrets.
        """
        import shutil  # noqa: PLC0415  readers do without

        number = self.newest() + 1
        part = self._directory / f".{number}.part"
        shutil.rmtree(part, ignore_errors=True)  # one that was killed has left it
        directory = private_directory(part)
        for name, data in ((LOCK_NAME, lock), (MANIFEST_NAME, manifest), (OVERLAY_NAME, overlay)):
            atomic_write(directory / name, data)
        atomic_write(directory / _TARGET, document_bytes(target))
        atomic_write(directory / _FACTS, document_bytes({"number": number, **facts}))
        directory.rename(self._place(number))
        fsync_directory(self._directory)
        return number

    def forget(self, number: int) -> None:
        """Delete a generation, in one atomic change; what a kill leaves of it is one of the `unfinished`."""
        import shutil  # noqa: PLC0415  only `gc` and `destroy` get here

        directory = self._place(number)
        part = directory.with_name(f".{number}.part")
        shutil.rmtree(part, ignore_errors=True)
        directory.rename(part)
        shutil.rmtree(part)

    def unfinished(self) -> tuple[Path, ...]:
        """Return generations that were being written or deleted when the process was killed, sorted."""
        return tuple(sorted(self._directory.glob(".*.part")))

    @property
    def _held_path(self) -> Path:
        return self._root / "held.json"

    def _place(self, number: int) -> Path:
        return self._directory / str(number)


def _generation(number: int, document: Mapping[str, Any]) -> Generation:
    uses = dict(document.get("uses") or {})
    return Generation(
        number=number,
        when=str(document.get("when", "")),
        hatchlock=str(document.get("hatchlock", "")),
        servers={name: _word(digest) for name, digest in sorted(document["servers"].items())},
        steps=tuple(document.get("steps", ())),
        counts=dict(document.get("counts", {})),
        lock=str(document.get("lock", "")),
        uses=uses | {name: _words(uses[name]) for name in _USES if name in uses},
    )


def _words(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(value)
    return [_word(item) for item in value]


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
