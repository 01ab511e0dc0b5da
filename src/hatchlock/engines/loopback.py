"""Ports of this machine's loopback: which are free."""

from __future__ import annotations

import socket

__all__ = ["LOOPBACK", "is_free"]

LOOPBACK = "127.0.0.1"
"""Where servers of this machine are reached, and nowhere else."""


def is_free(port: int) -> bool:
    """Whether nobody listens at a port of the loopback. Nobody is spoken to, and nothing stays."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just ended is no listener
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
