"""Where the uv is that comes with us."""

from __future__ import annotations

import threading

import uv

__all__ = ["uv_program"]

_FINDING = threading.Lock()
"""It asks `sysconfig`, which gives wrong answers to threads that ask at once for the first time."""


def uv_program() -> str:
    """Return the path of uv. For any number of threads."""
    with _FINDING:
        return uv.find_uv_bin()
