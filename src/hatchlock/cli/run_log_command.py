"""`logs --apply`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hatchlock.cli.ui import Ui, printable

if TYPE_CHECKING:
    from hatchlock.paths import Home

__all__ = ["show_run"]

_HIDDEN = {"fetch.start", "fetch.done"}
"""What people need not read: what was fetched is told by the steps that use it."""
_NOTICED = 0.1


def show_run(home: Home, project: str, number: int, ui: Ui) -> int:
    """Print what a run did; the last one for the number 0."""
    from hatchlock.usecases.run_log import run_log

    chosen, events = run_log(home, project, number)
    if ui.json:
        ui.document({"number": chosen, "events": [dict(event) for event in events]})
        return 0
    ui.result("\n".join(_lines(chosen, events)))
    return 0


def _lines(number: int, events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    first = events[0] if events else {}
    when = str(first.get("time", ""))[:19].replace("T", " ")
    yield printable(f"{first.get('command', 'unknown')} at {when or 'an unknown time'}, UTC (log {number})")
    for event in events:
        if event.get("event") not in _HIDDEN:
            yield printable(f"  {str(event.get('time', ''))[11:23]}  {_sentence(event)}")
    if not any(event.get("event") in {"plan.end", "plan.failed"} for event in events):
        yield "it has no end: it still runs, or was killed"


def _sentence(event: Mapping[str, Any]) -> str:
    name, address, message = (str(event.get(key, "")) for key in ("event", "address", "message"))
    where = f"{address}: " if address else ""
    words = {
        "interrupt": f"interrupted: {message}",
        "plan.end": f"end: {message}{', interrupted' if event.get('interrupted') else ''}{_took(event)}",
        "plan.failed": f"failed before its end{_took(event)}: {where}{message}",
        "plan.start": message,
        "step.done": f"{address}  {message}d{' already' if event.get('already') else _took(event)}",
        "step.failed": f"{address}  {event.get('action', 'step')} failed{_took(event)}: {message}",
        "step.start": f"{address}  {message} begun",
    }
    return words.get(name, " ".join(filter(None, (name, address, message))))


def _took(event: Mapping[str, Any]) -> str:
    seconds = event.get("seconds")
    return f" ({seconds:.1f} s)" if isinstance(seconds, (int, float)) and seconds >= _NOTICED else ""
