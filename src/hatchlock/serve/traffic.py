"""What goes through a session: messages to the server and back, byte for byte, and nothing that is none."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hatchlock.serve.lines import LONGEST_MESSAGE, Lines, begins_as_message, failure_in, is_message, streamed
from hatchlock.serve.server import Server
from hatchlock.serve.talk import Talk, write_all
from hatchlock.serve.tally import NOT_COUNTED

__all__ = ["Traffic", "forward", "in_thread", "readers", "written_to"]

_CHUNK = 1 << 16

Begun = Callable[[Sequence[bytes], Callable[[bytes], None]], Callable[[bytes], None] | None]
"""As `passages.Passing.begun`."""


@dataclass(slots=True)
class Traffic:
    """What has gone through.

    Attributes:
        received: Bytes from the application.
        messages: Of the server's.
        noise: Lines of the server's stdout that are no messages.
        first_noise: Called at the first of them.
    """

    received: int = 0
    messages: int = 0
    noise: int = 0
    first_noise: Callable[[], None] = NOT_COUNTED.first_noise


def in_thread(work: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def written_to(stdout: int, refused: Callable[[], None]) -> Callable[[bytes], None]:
    """Return what writes messages to the application, and reports when nobody takes them any more."""

    def put(data: bytes) -> None:
        try:
            write_all(stdout, data)
        except OSError:
            refused()

    return put


def forward(
    stdin: int, server: Server, traffic: Traffic, ended: Callable[[], None], take: Callable[[bytes], None] | None = None
) -> None:
    """Pass bytes on to the server as they come, until they end.

    Args:
        stdin: Where they come from.
        server: Where they go.
        traffic: Counts them.
        ended: Called at their end, before the server is told; not when it does not read any more, whose end is reported by itself.
        take: Gets them line by line and passes them on itself (`passages.Passing`); None for nobody.
    """
    lines = Lines(LONGEST_MESSAGE)
    with contextlib.suppress(OSError):
        while data := _read(stdin):
            traffic.received += len(data)
            if take is None:
                server.send(data)
                continue
            for line in lines.feed(data):
                take(line)
        if take is not None and (rest := lines.rest()):
            take(rest)
        ended()  # first, or it would seem to have ended by itself
        server.end_input()


def _read(stdin: int) -> bytes:
    """Return what has come; nothing at the end, which a socket whose other side is gone reports as an error."""
    try:
        return os.read(stdin, _CHUNK)
    except OSError:
        return b""


def readers(
    server: Server, traffic: Traffic, talk: Talk, take: Callable[[bytes], None], begun: Begun | None = None
) -> list[threading.Thread]:
    """Start threads that pass on what the server says.

    Args:
        server: Who says it.
        traffic: Counts it.
        talk: Gets its stderr, and what of its stdout is no message.
        take: Gets its messages, one at a time.
        begun: Decides which long ones need not be whole (`passages.Passing`); None where nobody has to see them, so that `take`
            gets them in pieces.
    """

    def noise(line: bytes) -> None:
        traffic.noise += 1
        talk.noise(line)
        if traffic.noise == 1:
            traffic.first_noise()

    def pass_on(line: bytes) -> None:
        if not is_message(line):
            noise(line)
            return
        traffic.messages += 1
        take(line)
        # a tool says there what its sandbox has stopped, and often nowhere else
        talk.overhear(failure_in(line))

    def at_once(pieces: Sequence[bytes], _: Callable[[bytes], None]) -> Callable[[bytes], None] | None:
        beginning = b"".join(pieces)
        if not begins_as_message(beginning):
            return None
        take(beginning)
        return take

    def begin(pieces: Sequence[bytes]) -> Callable[[bytes], None] | None:
        rest = (begun or at_once)(pieces, noise)
        traffic.messages += rest is not None
        return rest

    out, end = streamed(Lines(LONGEST_MESSAGE), pass_on, begin)

    out_reader, *others = server.readers(out, talk.heard)

    def until_end() -> None:
        out_reader()
        end()

    return [in_thread(until_end), *(in_thread(other) for other in others)]
