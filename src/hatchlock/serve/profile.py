"""The seccomp profile of a server's own, from the store: `run` needs nothing of the project."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.files import read_optional
from hatchlock.launch import LaunchRecord
from hatchlock.security.provided import Provided

__all__ = ["ProfileLost", "with_profile"]


@dataclass(kw_only=True, eq=False)
class ProfileLost(HatchlockError):
    """The store does not have a server's seccomp profile, or has something else in its place; nothing was started."""

    code: ClassVar[str] = "profile-lost"

    file: str

    def __str__(self) -> str:
        return f"the store has no undamaged copy of its seccomp profile {self.file}"

    def _hint(self) -> str:
        return "run `hatchlock cache verify`, then `hatchlock fetch` in the project's directory"


def with_profile(provided: Provided, record: LaunchRecord, store: Path) -> Provided:
    """Return what a session gives to its server, with the seccomp profile that the record names, if it names one.

    Args:
        provided: What it gives besides.
        record: What is to be started.
        store: The store's root.

    Raises:
        ProfileLost: The store does not have it.
    """
    digest = record.sandbox.seccomp_sha256
    if not digest:
        return provided
    from hatchlock.store.blobs import Blobs  # noqa: PLC0415  few servers have one

    path = Blobs(store / "blobs").path(digest)
    content = read_optional(path)
    if content is None or sha256_bytes(content) != digest:
        raise ProfileLost(file=record.sandbox.seccomp)
    return replace(provided, seccomp=content, seccomp_path=str(path))
