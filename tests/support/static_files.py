"""A directory's files on loopback, as any web server gives them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from support.loopback import Quiet, listening

__all__ = ["serving_files"]


class _Handler(Quiet, SimpleHTTPRequestHandler):
    pass


def serving_files(root: Path) -> AbstractContextManager[str]:
    """Serve what is below a directory inside the block, and yield the address of its top, without a slash at its end."""
    return listening(partial(_Handler, directory=str(root)))
