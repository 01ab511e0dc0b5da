"""How the servers that stay do, for `status`: from what their keepers write, and nobody is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.state.keepers import Health
    from hatchlock.state.project import ProjectState

__all__ = ["EndpointStatus", "endpoint_status"]

State = Literal["running", "starting", "waiting", "stopped", "gone"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointStatus:
    """A server that stays.

    Attributes:
        url: Where it is reached.
        state: "running"; "starting": it has not answered yet; "waiting": it has ended, and is started again later; "stopped"
            by hand; "gone": it should run, and nobody keeps it.
        since: When it was started last, or was stopped by hand, RFC 3339, UTC; "" where nobody knows.
        pid: Of its keeper; 0 for none.
        restarts: How many times the keeper has started it again.
        health: What it answered its keeper last.
        said: In words.
        checked: When that was; "" for never.
        seconds: How long it took to answer.
    """

    url: str
    state: State
    since: str = ""
    pid: int = 0
    restarts: int = 0
    health: Health = "unknown"
    said: str = ""
    checked: str = ""
    seconds: float = 0.0

    @property
    def condition(self) -> str:
        """Its health by what is known of it now; "" where that is not more than a probe would say."""
        if self.state in {"waiting", "gone"}:
            return "failed"
        return self.health if self.state == "running" else "unknown"

    @property
    def sentence(self) -> str:
        """Where it is and how it does, for people."""
        again = f", restarted {self.restarts} time{'s' * (self.restarts != 1)}" if self.restarts else ""
        match self.state:
            case "running":
                trouble = f", does not answer now: {self.said}" if self.health == "failed" else ""
                return f"at {self.url} since {self.since}{again}{trouble}"
            case "starting":
                return f"starting at {self.url} since {self.since}{again}"
            case "waiting":
                return f"not running: {self.said}; its keeper starts it again{again}"
            case "stopped":
                return f"stopped by hand since {self.since}"
            case "gone":
                return "not running: nobody keeps it; `hatchlock apply` or `hatchlock start` starts it"


def endpoint_status(state: ProjectState, record: LaunchRecord) -> EndpointStatus | None:
    """Return how a server that stays does; None for another one.

    Args:
        state: The project's state.
        record: The server's active launch record.
    """
    from hatchlock.state.keepers import keeper_of, stopped_by_hand

    if record.endpoint is None:
        return None
    url, kept = record.endpoint.url, keeper_of(state.root, record.server)
    if kept is None:
        since = stopped_by_hand(state.root).get(record.server, "")
        return EndpointStatus(url=url, state="stopped" if since else "gone", since=since)
    return EndpointStatus(
        url=kept.url,
        state=kept.phase,
        since=kept.began or kept.since,
        pid=kept.pid,
        restarts=kept.restarts,
        health=kept.health,
        said=kept.said,
        checked=kept.checked,
        seconds=kept.seconds,
    )
