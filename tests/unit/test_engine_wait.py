"""An engine that ends while a container is waited for: it has begun its answer, and says no more."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine, EngineUnreachable

_HEAD = b"HTTP/1.0 200 OK\r\nApi-Version: 1.44\r\nContent-Type: application/json\r\n\r\n"


@contextlib.contextmanager
def engine(path: Path, content: bytes) -> Iterator[Engine]:
    """Yield an engine that begins every answer at once, and ends it with this content."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        asked = connection.recv(1 << 16)
                        connection.sendall(_HEAD + (b"OK" if b"/_ping" in asked else content))

        threading.Thread(target=serve, daemon=True).start()
        yield Engine(f"unix://{path}")


def test_the_status_is_returned(tmp_path: Path) -> None:
    with engine(tmp_path / "sock", b'{"StatusCode": 7}\n') as found:
        assert found.wait("web") == 7


@pytest.mark.parametrize("content", [b"", b"{}", b"[]"])
def test_an_answer_without_an_end_is_an_engine_that_is_gone(tmp_path: Path, content: bytes) -> None:
    with engine(tmp_path / "sock", content) as found, pytest.raises(EngineUnreachable) as caught:
        found.wait("web")

    assert "it ended while a container was waited for" in str(caught.value)
