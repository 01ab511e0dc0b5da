"""One HTTP request at a time to one address, its answer as it comes: what a conversation over HTTP is made of.

Unlike `Http`, nothing is tried again and nothing is cached: who sends a message knows whether it may be sent twice.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urljoin, urlsplit

from hatchlock.errors import HatchlockError
from hatchlock.launch_parts import is_loopback
from hatchlock.net.credentials import without_userinfo
from hatchlock.net.failures import Unreachable, failure_of
from hatchlock.net.trust import proxy_for, tls_context
from hatchlock.surface import shown

if TYPE_CHECKING:
    import urllib3

__all__ = ["Answer", "Elsewhere", "Exchanges", "Unreachable", "address_from", "bare_address", "same_origin"]

_CONNECT_SECONDS = 15.0
_PIECE = 1 << 16
_REDIRECTS_AT_MOST = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPING_THE_METHOD = frozenset({307, 308})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CONNECTIONS = 512  # urllib3 warns of each one that it does not keep
_PASSED_OVER_SECONDS = 2.0


@dataclass(kw_only=True, eq=False)
class Elsewhere(HatchlockError):
    """An address sends its clients to another host, port or scheme, where nothing that was meant for it may go."""

    code: ClassVar[str] = "sent-elsewhere"

    url: str
    location: str

    def __str__(self) -> str:
        return (
            f"{self.url} sends its clients to {shown(self.location)}, and what is meant for one does not go to another"
        )

    def _hint(self) -> str:
        return f"if that is where the server really is, write url = {self.location!r}"


class Answer:
    """An answer whose body is still to come. To be read by one thread; `stop` may be called by another.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case.
    """

    def __init__(self, url: str, response: urllib3.BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._url = url
        self._response = response
        self._body: bytes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            Unreachable: It broke off.
        """
        from urllib3.exceptions import HTTPError  # noqa: PLC0415  loaded: it answered

        try:
            while piece := self._response.read1(_PIECE):
                yield piece
        except (HTTPError, OSError, ValueError) as error:  # a socket that `stop` shut down gives any of them
            raise _failure(self._url, error) from error

    def read(self, limit: int) -> bytes:
        """Return the whole body; each time the same.

        Raises:
            Unreachable: It broke off, or is longer than `limit`.
        """
        if self._body is not None:
            return self._body
        parts, size = [], 0
        for piece in self.pieces():
            size += len(piece)
            if size > limit:
                raise Unreachable(
                    url=bare_address(self._url), why=f"its answer is longer than {limit} bytes", answered=True
                )
            parts.append(piece)
        self._body = b"".join(parts)
        return self._body

    def stop(self) -> None:
        """Let whoever reads it come to its end."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # it has come to it already
            self._response.shutdown()

    def pass_over(self) -> None:
        """Read it to its end, if that comes soon, so that its connection can be used again."""
        if self.headers.get("content-length") == "0":
            self._response.drain_conn()
            return
        timer = threading.Timer(_PASSED_OVER_SECONDS, self.stop)
        timer.daemon = True
        timer.start()
        with contextlib.suppress(Unreachable):
            for _ in self.pieces():
                pass
        timer.cancel()

    def drop(self) -> None:
        """Be done with it, whatever is still to come."""
        with self:
            self.stop()


class Exchanges:
    """Asks one address; for any number of threads.

    HTTPS trusts what `net.trust` says, requests go through HTTPS_PROXY and the like save for hosts of NO_PROXY and this machine
    itself. Redirects
    within the address's own scheme, host and port are followed where the method stays the same; no header leaves them.

    Args:
        url: The address, http or https.
        environ: The variables of proxies and certificates.

    Raises:
        BadCertificates: A file of certificates cannot be used.
    """

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        from hatchlock.net.pools import new_manager  # noqa: PLC0415  slow to import, and few servers need it

        self.url = url
        parts = urlsplit(url)
        # another host's loopback is not ours
        proxy = "" if is_loopback(parts.hostname or "") else proxy_for(url, environ)
        tls = tls_context(environ) if parts.scheme == "https" else None
        self._manager = new_manager(proxy, connections=_CONNECTIONS, tls=tls)
        self._manager.connection_pool_kw["socket_options"] = _kept_alive()

    def ask(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        url: str = "",
        within: float | None = None,
    ) -> Answer:
        """Send one request, and return its answer as soon as its head is there.

        Args:
            method: GET, POST or DELETE.
            headers: All of them.
            body: What is sent.
            url: Another address of the same origin; "" for the one.
            within: Seconds that it may be silent; None for as long as it lives.

        Raises:
            Unreachable: No connection came about, or, if it has `answered`, it broke off and may have got the request.
            Elsewhere: It is sent to another origin, or asked to be asked in another way.
        """
        place = url or self.url
        for _ in range(_REDIRECTS_AT_MOST):
            answer = self._asked(method, place, headers, body, within)
            location = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not location:
                return answer
            answer.drop()
            to = address_from(place, location)
            if not _is_followed(method, answer.status, place, to):
                raise Elsewhere(url=bare_address(place), location=bare_address(to))
            place = to
        raise Unreachable(
            url=bare_address(place), why=f"it redirects more than {_REDIRECTS_AT_MOST} times", answered=True
        )

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._manager.clear()

    def _asked(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, within: float | None
    ) -> Answer:
        from urllib3 import Timeout  # noqa: PLC0415  see __init__
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            response = self._manager.request(
                method,
                url,
                headers=dict(headers),
                body=body,
                timeout=Timeout(connect=_CONNECT_SECONDS, read=within),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=True,
            )
        except (HTTPError, OSError) as error:
            raise _failure(url, error) from error
        return Answer(url, response)


def bare_address(url: str) -> str:
    """Return an address as it may be shown: without user name, password, query and fragment."""
    return without_userinfo(url).partition("#")[0].partition("?")[0]


def address_from(url: str, reference: str) -> str:
    """Return the address that somebody at another one names, absolute or not; what is no address stays as it is."""
    try:
        return urljoin(url, reference)
    except ValueError:
        return reference


def same_origin(url: str, other: str) -> bool:
    """Whether what is meant for one address may go to another: the same scheme, host and port, and no user name in it."""
    try:
        return _origin(url) == _origin(other) and "@" not in urlsplit(other).netloc
    except ValueError:
        return False  # a stranger's text that is no address


def _is_followed(method: str, status: int, place: str, to: str) -> bool:
    return same_origin(place, to) and (method == "GET" or status in _KEEPING_THE_METHOD)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())


def _failure(url: str, error: Exception) -> Unreachable:
    import urllib3.exceptions as kinds  # noqa: PLC0415  loaded: it was asked

    failure = failure_of(bare_address(url), error)
    unmade = isinstance(error, kinds.NewConnectionError | kinds.ConnectTimeoutError | kinds.ProxyError)
    failure.answered = not unmade and not isinstance(error, kinds.SSLError)
    failure.transient = unmade
    return failure


def _kept_alive() -> list[tuple[int, int, int]]:
    """Options of a socket by which the silence of a dead host is noticed within two minutes."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
