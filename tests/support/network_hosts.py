"""Hosts on loopback that a server may reach, or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = ["echoing", "everything", "trail"]


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@contextlib.contextmanager
def echoing(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Yield the port of a host that answers what it is told in capitals; with a context over TLS, what it is told first."""

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            if context is None:
                plain.sendall(everything(plain).upper())
                return
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.sendall(connection.recv(100).upper())

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def trail(home: Path, project: str, server: str) -> Path:
    """Return the file that has a server's connections."""
    return home / "projects" / project / "logs" / f"{server}.network.jsonl"
