"""`logs --audit`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hatchlock.cli.ui import Ui, printable
from hatchlock.paths import Home

__all__ = ["audit_arguments", "last_lines", "show_audit", "start_of"]

_OF_ALL = frozenset({"format_version", "time", "event", "project", "server", "who", "previous"})
_LONGEST = 160
_LINES = 50


def audit_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `logs` that are about the audit log."""
    command.add_argument(
        "--audit", action="store_true", help="who has done what with this store; of one project with --project"
    )
    command.add_argument("--verify", action="store_true", help="with --audit: whether it was edited; exit 2 if it was")
    command.add_argument(
        "--expect", metavar="HASH", help="with --verify: and still holds all that it held when that was its last hash"
    )
    command.add_argument("--since", metavar="TIME", help="from then on: 30m, 2h, 7d, or a date")


def last_lines(arguments: argparse.Namespace) -> int | None:
    """Return how many lines of a log are wanted; None for all, which `--since` alone means."""
    if arguments.lines is None:
        return None if arguments.since else _LINES
    return max(int(arguments.lines), 0)


def start_of(arguments: argparse.Namespace) -> str:
    """Return from when on lines of a log are wanted, as they have it; "" for all.

    Raises:
        UsageError: `--since` names no moment.
    """
    from hatchlock.usecases.audit_log import moment_of

    return moment_of(arguments.since, now=datetime.now(UTC)) if arguments.since else ""


def show_audit(arguments: argparse.Namespace, ui: Ui, home: Home) -> int:
    """Print the end of the audit log, or with `--since` alone all of it from then on; or with `--verify` whether it is whole."""
    if arguments.verify or arguments.expect:
        from hatchlock.cli.audit_verify import verify_audit

        return verify_audit(arguments, ui, home)
    from hatchlock.state.auditlog import audit_path
    from hatchlock.usecases.audit_log import audit_log
    from hatchlock.usecases.server_log import last

    trail = audit_log(
        home.root, project=arguments.project or "", server=arguments.name or "", since=start_of(arguments)
    )
    entries = last(trail.entries, last_lines(arguments))
    if ui.json:
        shown = [dict(entry) for entry in entries]
        ui.document({"path": str(audit_path(home.root)), "entries": shown, "damaged": trail.damaged})
        return 0
    ui.result("\n".join(map(_line, entries)))
    if trail.damaged:
        lines = "1 line" if trail.damaged == 1 else f"{trail.damaged} lines"
        ui.say(f"note: {lines} of it cannot be read: a disk was full, or somebody has edited it")
    if not entries:
        ui.say(f"nothing of that is in {audit_path(home.root)}")
    return 0


def _line(entry: Mapping[str, Any]) -> str:
    when = str(entry.get("time", ""))[:19].replace("T", " ")
    about = "/".join(str(entry[key]) for key in ("project", "server") if entry.get(key))
    facts = [f"{name}={_value(value)}" for name, value in entry.items() if name not in _OF_ALL]
    return printable(
        "  ".join(filter(None, (when, str(entry["event"]), about, _who(entry.get("who")), " ".join(facts))))
    )


def _who(who: object) -> str:
    if not isinstance(who, Mapping):
        return ""
    name = who.get("user") or f"uid {who.get('uid')}"
    through = f" through {who['application']}" if who.get("application") else ""
    return f"by {name} (process {who.get('pid')}{through})"


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
