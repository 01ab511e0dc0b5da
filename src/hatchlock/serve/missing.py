"""What a server needs of this machine and is not there any more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord

__all__ = ["PathMissing", "check_certificates"]


@dataclass(kw_only=True, eq=False)
class PathMissing(HatchlockError):
    """Something that a server needs is not on this machine any more, or cannot be read by it."""

    code: ClassVar[str] = "path-missing"

    path: str
    purpose: str
    problem: str = "does not exist"

    def __str__(self) -> str:
        return f"{self.purpose} {self.path} {self.problem}"

    def _hint(self) -> str:
        mounted = ", or change the server's mounts" if "mount" in self.purpose else ""
        return f"run `hatchlock apply` to make what is missing{mounted}"


def check_certificates(record: LaunchRecord) -> None:
    """Refuse a server whose certificates are gone.

    Raises:
        PathMissing: The file that `record.ca` names is not there.
    """
    if record.ca and not Path(record.ca).is_file():
        raise PathMissing(path=record.ca, purpose="the file of certificates")
