"""Ports of this machine's loopback: which are free."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["LOOPBACK", "PortTaken", "is_free"]

LOOPBACK = "127.0.0.1"
"""Where servers of this machine are reached, and nowhere else."""


@dataclass(kw_only=True, eq=False)
class PortTaken(HatchlockError):
    """Somebody else listens at the port at which a server is to be reached.

    Attributes:
        port: The port.
        by: Who, as far as it is known.
    """

    code: ClassVar[str] = "port-taken"

    port: int
    by: str = "another program"

    def __str__(self) -> str:
        return f"{self.by} listens at {LOOPBACK}:{self.port}, where it is to be reached"

    def _hint(self) -> str:
        return f"end that program, or write host-port = N with another port than {self.port}, then run `hatchlock lock`"


def is_free(port: int) -> bool:
    """Whether nobody listens at a port of the loopback. Nobody is spoken to, and nothing stays."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just ended is no listener
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
