"""What a client of 2026-07-28 listens for: `subscriptions/listen`, and the notifications that go to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatchlock.serve.envelope import Message, dumps
from hatchlock.serve.group.eras import SUBSCRIPTION, answer_text, notification, with_meta

__all__ = ["CHANGES", "UPDATED", "Subscriptions"]

CHANGES: Mapping[str, tuple[str, str]] = {
    "notifications/prompts/list_changed": ("prompts", "promptsListChanged"),
    "notifications/resources/list_changed": ("resources", "resourcesListChanged"),
    "notifications/tools/list_changed": ("tools", "toolsListChanged"),
}
"""Notification -> the capability that it is about, and what a client calls it that wants it."""
UPDATED = "notifications/resources/updated"
_RESOURCES = "resourceSubscriptions"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listening:
    flags: frozenset[str]
    addresses: tuple[str, ...]


class Subscriptions:
    """The streams that a client has open, each by the id of its request, as JSON."""

    def __init__(self) -> None:
        self._open: dict[str, _Listening] = {}

    @property
    def addresses(self) -> frozenset[str]:
        """Of which resources somebody wants to know."""
        return frozenset(address for item in self._open.values() for address in item.addresses)

    def listen(self, request: Message, can: Mapping[str, Any]) -> str:
        """Open a stream; return the notification that says what it will bring.

        Args:
            request: The client's.
            can: What the group can, as `initialize` said.
        """
        place = request.params.get("notifications")
        wanted = place.value if place and isinstance(place.value, Mapping) else {}
        flags = {flag: True for kind, flag in CHANGES.values() if kind in can and wanted.get(flag) is True}
        asked = wanted.get(_RESOURCES)
        subscribes = isinstance(can.get("resources"), Mapping) and can["resources"].get("subscribe") is True
        known = [item for item in asked if isinstance(item, str)] if isinstance(asked, list) and subscribes else []
        self._open[request.raw_id] = _Listening(flags=frozenset(flags), addresses=tuple(known))
        granted = {**flags, **({_RESOURCES: known} if known else {})}
        params = [("_meta", _meta(request.raw_id)), ("notifications", dumps(granted))]
        return notification("notifications/subscriptions/acknowledged", params)

    def close(self, raw: str) -> Collection[str]:
        """Close a stream; return of which resources nobody wants to know any more."""
        closed = self._open.pop(raw, None)
        return frozenset(closed.addresses) - self.addresses if closed else ()

    def told(self, message: Message) -> Sequence[str]:
        """Return what of a server's notification of changes goes to whom."""
        if message.method == UPDATED:
            uri = message.param("uri")
            streams = [raw for raw, item in self._open.items() if uri in item.addresses]
        else:
            _, flag = CHANGES[message.method]
            streams = [raw for raw, item in self._open.items() if flag in item.flags]
        return [with_meta(message, {SUBSCRIPTION: raw}) for raw in streams]

    def ended(self) -> Sequence[str]:
        """Return the answers that end all streams."""
        return [answer_text(raw, f'{{"resultType":"complete","_meta":{_meta(raw)}}}') for raw in self._open]


def _meta(raw: str) -> str:
    return f"{{{dumps(SUBSCRIPTION)}:{raw}}}"
