"""The client's side of MCP over pipes: a child process, JSON-RPC lines to it and from it, and its end.

No SDK: what a server says is read as it was sent, so that it can be hashed.

    we ── stdin ──▶ child
    we ◀─ stdout ── child      one thread and one `poll`, so that every wait ends in time
    we ◀─ stderr ── child      of which the end is kept
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Self

from hatchlock.serve.lines import LONGEST_MESSAGE, Lines
from hatchlock.surface import is_repeated, parse_marked, shown

__all__ = ["METHOD_NOT_FOUND", "ErrorAnswer", "Wire", "WireFailed"]

METHOD_NOT_FOUND = -32601

_CHUNK = 1 << 16
_KEPT = 1 << 16
"""Bytes of stderr that are kept."""
_LONGEST_SHOWN = 300
_END_SECONDS = 2.0
"""For a child that has lost its stdin; `run` needs as long as its server."""
_STOP_SECONDS = 10.0
"""After SIGTERM: `run` kills its server after its grace time."""
_MOST_SAID = LONGEST_MESSAGE
_POLL_SECONDS = 0.05


class WireFailed(Exception):
    """The other side is gone, or does not speak JSON-RPC; the text says what it did."""


@dataclass(eq=False)
class ErrorAnswer(Exception):
    """A request was answered with an error.

    Attributes:
        method: The request.
        code: The error's code; 0 where it is no number.
        message: As the server says; untrusted text.
        data: What came with it.
    """

    method: str
    code: int
    message: str
    data: Any = None

    def __str__(self) -> str:
        return f"{self.method} was answered with error {self.code}: {cut(self.message)}"


def cut(text: str) -> str:
    """Return a stranger's text as one harmless line that is not too long."""
    line = shown(text)
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"


class Wire:
    """A child process that is spoken to; use it as a context, at whose end the child is gone.

    All waiting ends at the deadline, with `TimeoutError`.
    """

    def __init__(
        self, command: Sequence[str], *, environ: Mapping[str, str], directory: str | None, deadline: float
    ) -> None:
        """Start a command.

        Args:
            command: In exec form.
            environ: Its environment.
            directory: Where it is started; None for here.
            deadline: When waiting for it ends, of the monotonic clock.

        Raises:
            OSError: It cannot be started.
        """
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(environ),
            cwd=directory,
            start_new_session=True,  # so that all of it can be ended at once
        )
        self._deadline = deadline
        self._in, self._out, self._err = (
            _descriptor(stream) for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        self._open = {self._out, self._err}
        self._lines = Lines(LONGEST_MESSAGE)
        self._said = 0
        self._talk = bytearray()
        self._answers: dict[int, Mapping[str, Any]] = {}
        self._last = 0
        self._unsent = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.end(patience=0.0 if kind is TimeoutError else _END_SECONDS)

    def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request, wait for its answer, and return its result.

        Meanwhile notifications are passed over, a `ping` is answered, and every other request is refused: we have no files,
        no model and nobody to ask.

        Raises:
            ErrorAnswer: It was answered with an error.
            WireFailed: The child is gone, or what it says is not the protocol.
            TimeoutError: There was no answer in time.
        """
        self._last += 1
        number = self._last
        self._send({"id": number, "method": method, "params": params})
        while number not in self._answers:
            self._wait(lambda: number in self._answers)
        return _result(method, self._answers.pop(number))

    def notify(self, method: str) -> None:
        """Send a notification.

        Raises:
            WireFailed, TimeoutError: As `request`.
        """
        self._send({"method": method})

    def linger(self, seconds: float) -> None:
        """Go on listening for so long, or until it has ended."""
        until = time.monotonic() + seconds
        with contextlib.suppress(WireFailed):
            while (left := until - time.monotonic()) > 0 and self._open:
                self._turn(left)

    def last_words(self, lines: int) -> tuple[str, ...]:
        """Return the last lines of its stderr."""
        text = self._talk.decode(errors="replace")
        return tuple(line.rstrip() for line in text.splitlines()[-lines:])

    def end(self, *, patience: float = _END_SECONDS) -> None:
        """End the child with all of its kind: its stdin ends, then SIGTERM, then it is killed.

        Args:
            patience: Seconds that the end of its stdin has to be enough in.
        """
        self._unsent.clear()
        if self._process.stdin is not None:
            self._process.stdin.close()
        for number, seconds in ((0, patience), (signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
            if number:
                self._signal(number)
            if self._has_ended_within(seconds):
                break
        self._signal(signal.SIGKILL)  # what has left nothing but descendants
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _has_ended_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._process.poll() is None:
            if (left := until - time.monotonic()) <= 0:
                return False
            self._drain(min(left, _POLL_SECONDS))
        self._drain(0)
        return True

    def _drain(self, seconds: float) -> None:
        """Take what is said, so that nobody is stuck in a full pipe; what is no protocol does not matter any more."""
        if not self._open:
            time.sleep(seconds)
            return
        try:
            self._turn(seconds)
        except WireFailed:
            self._open.discard(self._out)

    def _signal(self, number: int) -> None:
        # its leader may have been reaped: as long as others are in its group, nobody else gets that number
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode() + b"\n"
        self._unsent += data
        self._wait(lambda: not self._unsent)

    def _wait(self, done: Callable[[], bool]) -> None:
        while not done():
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if self._out not in self._open:
                raise WireFailed(self._gone())
            self._turn(left)

    def _gone(self) -> str:
        """Say how it went away."""
        rest = self._lines.rest()
        if rest.strip():
            return f"it ended in the middle of a message: {cut(rest.decode(errors='replace'))}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        while self._err in self._open and self._ready(_POLL_SECONDS):
            self._hear()
        status = self._process.returncode
        if status is None:
            return "it closed its stdout"
        return f"it ended with status {status if status >= 0 else 128 - status}"

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._err], [], [], seconds)[0])

    def _turn(self, seconds: float) -> None:
        """Wait until something can be read or written, and do so."""
        poll = select.poll()
        for descriptor in self._open:
            poll.register(descriptor, select.POLLIN)
        if self._unsent:
            poll.register(self._in, select.POLLOUT)
        for descriptor, _ in poll.poll(max(seconds, 0) * 1000):
            if descriptor == self._in:
                self._write()
            elif descriptor == self._err:
                self._hear()
            else:
                self._read()

    def _write(self) -> None:
        try:
            sent = os.write(self._in, self._unsent[:_CHUNK])
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()  # it does not read any more: its stdout tells the rest
            return
        del self._unsent[:sent]

    def _hear(self) -> None:
        data = _read(self._err)
        if data is None:
            return
        if not data:
            self._open.discard(self._err)
        self._talk += data
        del self._talk[:-_KEPT]

    def _read(self) -> None:
        data = _read(self._out)
        if data is None:
            return
        if not data:
            self._open.discard(self._out)
        self._said += len(data)
        if self._said > _MOST_SAID:
            raise WireFailed(f"it said more than {_MOST_SAID >> 20} MiB")
        for line in self._lines.feed(data):
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            value = parse_marked(line)
        except ValueError:
            raise WireFailed(f"it wrote on stdout what is no JSON: {cut(line.decode(errors='replace'))}") from None
        for message in value if isinstance(value, list) else [value]:
            if not isinstance(message, Mapping) or message.get("jsonrpc") != "2.0":
                text = cut(line.decode(errors="replace"))
                raise WireFailed(f"it wrote on stdout what is no JSON-RPC message: {text}")
            if "method" in message:
                self._refuse(message)
            else:
                self._answered(message)

    def _refuse(self, message: Mapping[str, Any]) -> None:
        if "id" not in message:
            return  # a notification
        if message["method"] == "ping":
            answer: dict[str, Any] = {"result": {}}
        else:
            answer = {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}
        answer = {"jsonrpc": "2.0", "id": message["id"], **answer}
        self._unsent += json.dumps(answer, separators=(",", ":")).encode() + b"\n"

    def _answered(self, message: Mapping[str, Any]) -> None:
        number = message.get("id")
        if number is None and "error" in message:
            raise _error("a message without an id", message["error"])
        if isinstance(number, bool) or not isinstance(number, int) or number != self._last:
            raise WireFailed(f"it answered a request that nobody has made, with the id {cut(json.dumps(number))}")
        self._answers[number] = message


def _result(method: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error" in answer:
        raise _error(method, answer["error"])
    result = answer.get("result")
    if not isinstance(result, Mapping):
        raise WireFailed(f"its answer to {method} has no result")
    if is_repeated(answer) or is_repeated(result):
        raise WireFailed(f"its answer to {method} has a member twice, and nobody knows which counts")
    return result


def _error(method: str, error: Any) -> ErrorAnswer:
    known = error if isinstance(error, Mapping) else {}
    code, message = known.get("code"), known.get("message")
    return ErrorAnswer(
        method=method,
        code=code if isinstance(code, int) else 0,
        message=message if isinstance(message, str) else "it says no more",
        data=known.get("data"),
    )


def _read(descriptor: int) -> bytes | None:
    """Return what is there; b"" at the end, None if there is nothing after all."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def _descriptor(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise RuntimeError("the process was started with pipes")
    return stream.fileno()
