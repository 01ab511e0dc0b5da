"""Ports of loopback that are a test's own: two runs of tests stand beside each other, and each asks for many."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque

__all__ = ["closed_address", "free_port", "leave_port"]

_LONG = 64
_LEFT: deque[int] = deque()


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens, and which nobody else gets by chance while this process lives.

    A socket of ours stays bound to it without listening: who connects is refused, the kernel gives the port to nobody who
    asks for any, and who names it may listen there all the same if he sets SO_REUSEADDR, as every server does that we start.
    """
    with _holding(0) as holder:
        port = int(holder.getsockname()[1])
        holder.detach()
        return port


def leave_port(port: int) -> None:
    """Keep everybody else from a port at which a server of ours has listened, until many others were left: who asks is refused."""
    with contextlib.suppress(OSError), _holding(port) as holder:  # somebody may have it by now
        _LEFT.append(holder.detach())
    if len(_LEFT) > _LONG:
        os.close(_LEFT.popleft())


def _holding(port: int) -> socket.socket:
    holder = socket.socket()
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        raise
    return holder


def closed_address(path: str = "") -> str:
    """Return an address at which nobody answers, with a path that begins with `/`."""
    return f"http://127.0.0.1:{free_port()}{path}"
