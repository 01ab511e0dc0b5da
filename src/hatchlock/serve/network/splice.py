"""Bytes between two sockets, both ways at once, in one thread."""

from __future__ import annotations

import contextlib
import select
import socket

__all__ = ["splice"]

_CHUNK = 1 << 16


class _Flow:
    """One direction. It holds at most one piece: a side that does not read slows down the one that writes."""

    __slots__ = ("ended", "piece", "source", "target", "total")

    def __init__(self, source: socket.socket, target: socket.socket, piece: bytes = b"") -> None:
        self.source = source
        self.target = target
        self.piece = piece
        self.total = 0
        self.ended = False

    def read(self) -> None:
        self.piece = self.source.recv(_CHUNK)
        if not self.piece:
            self.end()

    def write(self) -> None:
        sent = self.target.send(self.piece)
        self.total += sent
        self.piece = self.piece[sent:]

    def end(self) -> None:
        self.ended = True
        with contextlib.suppress(OSError):  # it has gone altogether
            self.target.shutdown(socket.SHUT_WR)


def splice(near: socket.socket, far: socket.socket, early: bytes = b"") -> tuple[int, int]:
    """Carry bytes both ways until both have ended, each by itself, or one side broke off.

    Args:
        near: One side.
        far: The other; both become non-blocking, and stay open.
        early: What the far side has said already.

    Returns:
        The bytes that went to the far side, and those that went to the near one.
    """
    out, back = _Flow(near, far), _Flow(far, near, early)
    for side in (near, far):
        side.setblocking(False)
    with contextlib.suppress(OSError):  # reset by one side: the other learns it when both are closed
        while not (out.ended and back.ended):
            _step(out, back)
    return out.total, back.total


def _step(*flows: _Flow) -> None:
    wanted: dict[socket.socket, int] = {}
    for flow in flows:
        side, event = (flow.target, select.POLLOUT) if flow.piece else (flow.source, select.POLLIN)
        if not flow.ended:
            wanted[side] = wanted.get(side, 0) | event
    poll = select.poll()
    for side, events in wanted.items():
        poll.register(side, events)
    ready = dict(poll.poll())
    for flow in flows:
        if flow.ended:
            continue
        with contextlib.suppress(BlockingIOError):
            if flow.piece and ready.get(flow.target.fileno(), 0) & ~select.POLLIN:
                flow.write()
            elif not flow.piece and ready.get(flow.source.fileno(), 0) & ~select.POLLOUT:
                flow.read()
