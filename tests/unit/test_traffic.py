"""What a session's streams tell of their ends."""

from __future__ import annotations

import os
from typing import cast

from hatchlock.serve.server import Server
from hatchlock.serve.traffic import Traffic, forward


class EndsAtOnce:
    """A server that ends in the instant in which its stdin does."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def send(self, data: bytes) -> None:
        self._told.append(data.decode())

    def end_input(self) -> None:
        self._told.append("the server has ended")


def test_the_end_of_stdin_is_told_before_the_server_ends_of_it() -> None:
    told: list[str] = []
    read, write = os.pipe()
    os.write(write, b"hello\n")
    os.close(write)
    forward(read, cast("Server", EndsAtOnce(told)), Traffic(), lambda: told.append("stdin has ended"))
    os.close(read)
    assert told == ["hello\n", "stdin has ended", "the server has ended"]
