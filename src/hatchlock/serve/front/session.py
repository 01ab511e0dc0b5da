"""One session of HTTP: a `hatchlock run` of its own, and the streams on which what it says goes back."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hatchlock.serve.envelope import Message, dumps, error_line, messages_of
from hatchlock.serve.front.streams import Stream
from hatchlock.serve.lines import LONGEST_MESSAGE, Lines

__all__ = ["Session", "start_session"]

_CHUNK = 1 << 16
_LIMIT = 1 << 18
_KEPT_STREAMS = 8
_GONE = -32000
_KILL_SECONDS = 10.0
_CHANGES = ("notifications/resources/updated", "notifications/elicitation/complete")


async def start_session(command: Sequence[str], environ: Mapping[str, str], *, grace: float) -> Session:
    """Start a session.

    Args:
        command: `hatchlock run …`, in exec form; its stderr is ours.
        environ: Its environment.
        grace: Seconds that it may take to end when its input has ended.

    Raises:
        OSError: It cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=dict(environ), limit=_LIMIT
    )
    return Session(process, grace=grace)


class Session:
    """A child of ours that speaks MCP over its stdin and stdout. Used in one event loop.

    Attributes:
        name: What a client calls it; nobody can guess it.
        protocol: The version that both have agreed on; "" before.
        standalone: What belongs to no request.
        used: When it was needed last, by `time.monotonic`.
    """

    def __init__(self, process: asyncio.subprocess.Process, *, grace: float) -> None:
        self.name = secrets.token_hex(16)
        self.protocol = ""
        self.standalone = Stream("0")
        self.used = time.monotonic()
        self._process = process
        self._grace = grace
        self._writing = asyncio.Lock()
        self._count = 0
        self._streams: OrderedDict[str, Stream] = OrderedDict({"0": self.standalone})
        self._tokens: dict[Any, Stream] = {}
        self._raw_ids: dict[Any, str] = {}
        self._said = asyncio.get_running_loop().create_task(self._pass_on())

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self._said.done()

    @property
    def is_listened_to(self) -> bool:
        """Whether somebody waits for an answer, or listens. What was asked by somebody who is gone is no reason to stay."""
        return any(stream.is_read for stream in self._streams.values())

    def waits_for(self, messages: Collection[Message]) -> bool:
        """Whether one of some requests has the id of one that is not answered yet."""
        asked = {message.id for message in messages if message.is_request}
        return any(not stream.waiting.isdisjoint(asked) for stream in self._streams.values())

    def open(self, messages: Collection[Message], *, whole: bool = True) -> Stream:
        """Return a stream for the answers to some requests, which are not sent yet.

        Args:
            messages: The requests, and what came with them.
            whole: Whether what else belongs to them goes there too.
        """
        requests = [message for message in messages if message.is_request]
        self._count += 1
        stream = Stream(str(self._count), (message.id for message in requests), whole=whole)
        self._streams[stream.name] = stream
        for message in requests:
            self._raw_ids[message.id] = message.raw_id
            if message.progress_token is not None and whole:
                self._tokens[message.progress_token] = stream
        return stream

    def stream(self, name: str) -> Stream | None:
        """Return the stream of a name, if it is kept."""
        return self._streams.get(name)

    async def send(self, line: bytes) -> None:
        """Write a line to it; wait while it does not read. When it never will, its end is told of elsewhere."""
        self.used = time.monotonic()
        stdin = self._process.stdin
        if stdin is None:
            raise RuntimeError("it was started with pipes")
        async with self._writing:
            with contextlib.suppress(OSError):
                stdin.write(line + b"\n")
                await stdin.drain()

    async def end(self, *, at_once: bool = False) -> None:
        """End it: by the end of its input, or `at_once` by a signal; then, what does not end, by harder ones."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        for number, seconds in ((None, 0.0 if at_once else self._grace), (signal.SIGTERM, self._grace + _KILL_SECONDS)):
            if number is not None:
                self._signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), seconds)
                break
        else:
            self._signal(signal.SIGKILL)  # its watchdog sees to the server
            await self._process.wait()
        self._said.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._said

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _pass_on(self) -> None:
        """Take what it says to the streams until it ends; then everybody who waits is told."""
        stdout = self._process.stdout
        if stdout is None:
            raise RuntimeError("it was started with pipes")
        lines = Lines(LONGEST_MESSAGE)
        try:
            while data := await stdout.read(_CHUNK):
                for line in lines.feed(data):
                    await self._take(line)
            if rest := lines.rest():
                await self._take(rest)
        finally:
            for stream in list(self._streams.values()):
                await self._abandon(stream)

    async def _take(self, line: bytes) -> None:
        data = line.strip().replace(b"\r", b" ")
        try:
            messages = messages_of(data)
        except ValueError:
            return  # `run` lets messages through only; one that is neither of ours nor readable is nobody's
        answered = {message.id for message in messages if message.is_answer}
        stream = next((item for item in self._streams.values() if item.waiting & answered), None)
        if stream is None:
            await self._carrier(messages[0]).put(data)
            return
        stream.waiting -= answered
        if stream.waiting:
            await stream.put(data)
            return
        self.used = time.monotonic()
        self._forget(stream, answered)
        await stream.put(data)
        stream.finish()

    def _carrier(self, message: Message) -> Stream:
        """Return where what is no answer goes: to the request that it most likely belongs to, if one is being answered."""
        if (owner := self._tokens.get(message.progress_token)) and not owner.is_finished:
            return owner
        about_state = message.method in _CHANGES or message.method.endswith("/list_changed")
        if about_state and self.standalone.is_read:
            return self.standalone
        answering = [stream for stream in self._streams.values() if stream.waiting and stream.whole]
        read = [stream for stream in answering if stream.is_read]
        if read or self.standalone.is_read:
            return read[-1] if read else self.standalone
        return answering[-1] if answering else self.standalone

    async def _abandon(self, stream: Stream) -> None:
        ids, stream.waiting = stream.waiting, set()
        for identity in ids:
            raw = self._raw_ids.get(identity, dumps(identity))
            stream.finish()  # nobody is waited for any more
            await stream.put(error_line(raw, _GONE, "the server has ended; its log says more"))
        stream.finish()

    def _forget(self, stream: Stream, answered: Collection[Any]) -> None:
        """Keep of what is answered only so much that a client whose connection broke can come back for it."""
        for identity in answered:
            self._raw_ids.pop(identity, None)
        self._tokens = {token: owner for token, owner in self._tokens.items() if owner is not stream}
        done = [name for name, item in self._streams.items() if item is not self.standalone and not item.waiting]
        for name in done[:-_KEPT_STREAMS]:
            del self._streams[name]
