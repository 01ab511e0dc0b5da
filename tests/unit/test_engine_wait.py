"""What an engine is waited for: the end of a container, which it may not live to tell, and that of a removal."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine, EngineUnreachable
from support.runs import PATIENCE

_HEAD = b"HTTP/1.0 200 OK\r\nApi-Version: 1.44\r\nContent-Type: application/json\r\n\r\n"


@contextlib.contextmanager
def answering(path: Path, answer: Callable[[bytes], bytes]) -> Iterator[Engine]:
    """Yield an engine that answers each request as it is told to."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        asked = connection.recv(1 << 16)
                        connection.sendall(_HEAD + b"OK" if b"/_ping" in asked else answer(asked))

        threading.Thread(target=serve, daemon=True).start()
        yield Engine(f"unix://{path}")


def engine(path: Path, content: bytes) -> contextlib.AbstractContextManager[Engine]:
    """Have an engine that begins every answer at once, and ends it with this content."""
    return answering(path, lambda _: _HEAD + content)


def test_the_status_is_returned(tmp_path: Path) -> None:
    with engine(tmp_path / "sock", b'{"StatusCode": 7}\n') as found:
        assert found.wait("web") == 7


@pytest.mark.parametrize("content", [b"", b"{}", b"[]"])
def test_an_answer_without_an_end_is_an_engine_that_is_gone(tmp_path: Path, content: bytes) -> None:
    with engine(tmp_path / "sock", content) as found, pytest.raises(EngineUnreachable) as caught:
        found.wait("web")

    assert "it ended while a container was waited for" in str(caught.value)


@pytest.mark.parametrize("end", [_HEAD + b'{"StatusCode": 137}\n', b"HTTP/1.0 404 Not Found\r\n\r\n{}"])
def test_a_removal_that_somebody_else_has_begun_is_waited_for(tmp_path: Path, end: bytes) -> None:
    """Until it is done the container is in the list, and an apply that has stopped it would find it there."""
    waited, gone = threading.Event(), threading.Event()
    found: list[bool] = []

    def answer(asked: bytes) -> bytes:
        if asked.startswith(b"DELETE"):
            return b"HTTP/1.0 409 Conflict\r\n\r\n{}"
        assert b"/containers/web/wait?condition=removed" in asked
        waited.set()
        gone.wait(PATIENCE)
        return end

    with answering(tmp_path / "sock", answer) as made:
        remover = threading.Thread(target=lambda: found.append(made.remove("web")))
        remover.start()
        assert waited.wait(PATIENCE)
        assert found == []
        gone.set()
        remover.join(PATIENCE)
    assert found == [True]
