"""What `exclude-newer` leaves out, by the moment at which something was uploaded."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["too_new"]


def too_new(uploaded: str, limit: datetime | None) -> bool:
    """Return whether something was uploaded at a moment or later, or may have been.

    Args:
        uploaded: RFC 3339, in UTC where it names no zone. What is no time is that of something too new.
        limit: The moment, aware; None leaves nothing out.
    """
    if limit is None:
        return False
    try:
        moment = datetime.fromisoformat(uploaded)
    except ValueError:
        return True
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) >= limit
