"""A front that is served: its port, its process, its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.serve.front.front import Front, Limits
from hatchlock.serve.front.session import start_session
from hatchlock.serve.knocks import Knocks

__all__ = ["PortTaken", "Served", "serve_front"]

_ADDRESS = "127.0.0.1"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_BACKLOG = 128
_LAST_WORDS = 2
"""Seconds for answers that are on their way when the front ends."""


@dataclass(kw_only=True, eq=False)
class PortTaken(HatchlockError):
    """A front cannot have its port."""

    code: ClassVar[str] = "port-taken"

    port: int
    why: str

    def __str__(self) -> str:
        return f"it cannot be served at {_ADDRESS}:{self.port}: {self.why}"

    def _hint(self) -> str:
        return f"see who has it (`ss -ltnp 'sport = :{self.port}'`), or name another one with --port"


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What is served, and how.

    Attributes:
        command: What each session starts, in exec form: a `hatchlock run`.
        environ: Its environment.
        grace: Seconds that it may take to end when its input has ended.
        port: On loopback; 0 for any.
        path: Of the URL.
        token: What requests have to bring; "" for nothing.
        token_command: The command that prints it, for who brings none.
        limits: What it takes on.
        knocks: Counts the requests that bring another token; None for nobody.
    """

    command: Sequence[str]
    environ: Mapping[str, str]
    grace: float
    port: int
    path: str
    token: str = field(repr=False)
    token_command: str
    limits: Limits
    knocks: Knocks | None = None


def serve_front(served: Served, *, ready: Callable[[str], None]) -> int:
    """Serve a server over HTTP on loopback until SIGTERM, SIGINT or SIGHUP; nothing of any session is left afterwards.

    A session's `run` sees our death, by whatever, and ends its server.

    Args:
        served: What.
        ready: Told the URL, once it is answered.

    Returns:
        128+N after signal N.

    Raises:
        PortTaken: Its port is somebody else's.
    """
    with _bound(served.port) as listener:
        return asyncio.run(_serve(served, listener, ready))


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have just ended are no reason
    with listener:
        try:
            listener.bind((_ADDRESS, port))
            listener.listen(_BACKLOG)  # from now on connections wait for us
        except OSError as error:
            raise PortTaken(port=port, why=error.strerror or str(error)) from error
        yield listener


async def _serve(served: Served, listener: socket.socket, ready: Callable[[str], None]) -> int:
    from uvicorn import Config  # noqa: PLC0415  heavy, and only for this

    front = Front(
        partial(start_session, served.command, served.environ, grace=served.grace),
        path=served.path,
        token=served.token,
        token_command=served.token_command,
        limits=served.limits,
        **({"knocked": served.knocks.knock} if served.knocks else {}),
    )
    server = _server(
        Config(
            front,
            lifespan="off",
            ws="none",
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_LAST_WORDS,
        )
    )
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, _end, ended, number)
    tidying = asyncio.ensure_future(front.tidy())
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    ready(f"http://{_ADDRESS}:{listener.getsockname()[1]}{served.path}")
    await asyncio.wait({ended, serving}, return_when=asyncio.FIRST_COMPLETED)
    tidying.cancel()
    server.should_exit = True
    await front.close()
    if served.knocks:
        served.knocks.write()
    await serving
    return 128 + ended.result() if ended.done() else 1


def _end(ended: asyncio.Future[int], number: int) -> None:
    if not ended.done():
        ended.set_result(number)


def _server(config: Any) -> Any:
    from uvicorn import Server  # noqa: PLC0415

    class _Server(Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave signals to us: sessions have to end before connections do."""
            yield

    return _Server(config)
