"""What cannot be done with a server of which nothing runs on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord

__all__ = ["RunsElsewhere", "check_runs_here"]


@dataclass(kw_only=True, eq=False)
class RunsElsewhere(HatchlockError):
    """Something was asked of a server that only one which runs here can do."""

    code: ClassVar[str] = "runs-elsewhere"

    server: str
    url: str

    def __str__(self) -> str:
        return f"{self.server} is a remote server, at {self.url}: nothing of it runs on this machine"

    def _hint(self) -> str:
        return f"`hatchlock probe {self.server}` shows what it offers"


def check_runs_here(record: LaunchRecord) -> None:
    """Refuse a remote server.

    Raises:
        RunsElsewhere: It is one.
    """
    if record.remote:
        raise RunsElsewhere(address=f"server:{record.server}", server=record.server, url=record.remote.url)
