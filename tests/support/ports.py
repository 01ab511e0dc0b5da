"""Ports of loopback that are a test's own: two runs of tests stand beside each other, and each asks for many."""

from __future__ import annotations

import socket

__all__ = ["closed_address", "free_port"]


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens, and which nobody else gets by chance while this process lives.

    A socket of ours stays bound to it without listening: who connects is refused, the kernel gives the port to nobody who
    asks for any, and who names it may listen there all the same if he sets SO_REUSEADDR, as every server does that we start.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        holder.detach()
        return port


def closed_address(path: str = "") -> str:
    """Return an address at which nobody answers, with a path that begins with `/`."""
    return f"http://127.0.0.1:{free_port()}{path}"
