"""HTTP(S) as a package manager needs it: pooled, verified, retried, through the user's proxies and certificates."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urlsplit

from hatchlock.errors import HatchlockError
from hatchlock.net.credentials import Credentials, without_userinfo
from hatchlock.net.trust import proxy_for, tls_context

if TYPE_CHECKING:
    import urllib3

__all__ = ["Http", "Refused", "Response", "Unreachable"]

_RETRIED = frozenset({429, 500, 502, 503, 504})
_TRIES = 3
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_PIECE = 1 << 18
_PARTIAL = 206
_REFUSED = frozenset({401, 403, 407})
_FIRST_ERROR = 400


@dataclass(kw_only=True, eq=False)
class Unreachable(HatchlockError):
    """An address could not be asked, or did not answer as it should, also after retries."""

    code: ClassVar[str] = "unreachable"

    url: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.url} cannot be reached: {self.why}"

    def _hint(self) -> str:
        return self.advice or "check the network, and HTTPS_PROXY and NO_PROXY if you use a proxy; then run it again"


@dataclass(kw_only=True, eq=False)
class Refused(HatchlockError):
    """A server wants credentials that it did not get, or does not accept those that it got."""

    code: ClassVar[str] = "access-denied"

    url: str
    status: int

    def __str__(self) -> str:
        return f"{self.url} refuses access (HTTP {self.status})"

    def _hint(self) -> str:
        return "put the host's login and password into ~/.netrc"


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """An answer, read to its end.

    Attributes:
        url: The address that was asked, without userinfo.
        status: The HTTP status; redirects were followed.
        headers: Names in lower case.
        data: The body, decoded.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def partial(self) -> bool:
        """Whether the server honoured the byte range."""
        return self.status == _PARTIAL

    def checked(self) -> Response:
        """Return itself if it is a success.

        Raises:
            Refused: HTTP 401, 403 or 407.
            Unreachable: Another error status.
        """
        _check(self.url, self.status)
        return self


def _check(url: str, status: int) -> None:
    if status in _REFUSED:
        raise Refused(url=without_userinfo(url), status=status)
    if status >= _FIRST_ERROR:
        raise Unreachable(url=without_userinfo(url), why=f"it answers HTTP {status}")


class Http:
    """A client for any number of threads.

    HTTPS trusts the system's store and the files named by SSL_CERT_FILE, REQUESTS_CA_BUNDLE, PIP_CERT and
    CURL_CA_BUNDLE. Requests go through HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, save for hosts of NO_PROXY. Status 429, 500,
    502, 503, 504 and broken connections are tried three times, with back-off, `Retry-After` honoured. Credentials are
    those of `credentials`; they do not follow a redirect to another host.

    Args:
        environ: The variables to look at.
        offline: Ask nobody: every request raises `Unreachable`.
        threads: How many connections to keep per host.
    """

    def __init__(self, *, environ: Mapping[str, str], offline: bool = False, threads: int = 32) -> None:
        self.offline = offline
        self.threads = threads
        self.credentials = Credentials(environ)
        self._environ = environ
        self._lock = threading.RLock()
        self._managers: dict[str, urllib3.PoolManager] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def warm_up(self) -> None:
        """Begin, in the background, what the first request would wait for: loading the trusted certificates."""
        if not self.offline:
            threading.Thread(target=lambda: self._tls, daemon=True).start()

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, byte_range: tuple[int, int | None] | None = None
    ) -> Response:
        """Ask for `url` and return the answer, whatever its status below 500 is.

        Args:
            url: http or https.
            headers: Further headers.
            byte_range: First and last byte, both inclusive; `(first, None)` is to the end, `(-n, None)` the last n. A
                server may ignore it: look at `partial`.

        Raises:
            Unreachable: No answer, or a server error, also after retries; or `offline`.
        """
        wanted = dict(headers or {})
        if byte_range is not None:
            wanted |= {"Range": _range_header(*byte_range), "Accept-Encoding": "identity"}
        with self._open(url, wanted) as answer:
            data = answer.read(decode_content=True)
            return Response(
                url=without_userinfo(url),
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
                data=data,
            )

    def download(self, url: str, sink: Callable[[bytes], object], *, headers: Mapping[str, str] | None = None) -> int:
        """Fetch the bytes of `url` as they are stored, hand them to `sink` in pieces, and return their number.

        Raises:
            Refused: The server wants (other) credentials.
            Unreachable: No answer or an error status; `sink` may have had a part, so check the whole.
        """
        size = 0
        with self._open(url, {"Accept-Encoding": "identity", **(headers or {})}) as answer:
            _check(url, answer.status)
            for piece in answer.stream(_PIECE, decode_content=False):
                sink(piece)
                size += len(piece)
        return size

    @contextlib.contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        if self.offline:
            raise Unreachable(
                url=without_userinfo(url), why="--offline was asked for", advice="run it once without --offline"
            )
        import urllib3  # noqa: PLC0415  0.07 s that a command without requests does not pay

        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(url=without_userinfo(url), why="it is no http(s) address", advice="mend the address")
        authorization = self.credentials.authorization(url)
        try:
            answer = self._manager(url).request(
                "GET",
                without_userinfo(url),
                headers={**headers, **({"Authorization": authorization} if authorization else {})},
                preload_content=False,
                retries=urllib3.Retry(
                    total=_TRIES,
                    backoff_factor=0.25,
                    backoff_jitter=0.1,
                    status_forcelist=_RETRIED,
                    raise_on_status=False,
                ),
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            )
            try:
                if answer.status in _RETRIED:
                    _check(url, answer.status)
                yield answer
            except BaseException:
                # what is left unread would be taken for the next answer
                answer.close()
                raise
            answer.drain_conn()
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(url, error) from error

    def _manager(self, url: str) -> urllib3.PoolManager:
        from hatchlock.net.pools import new_manager  # noqa: PLC0415  see _open

        proxy = proxy_for(url, self._environ)
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = new_manager(proxy, connections=self.threads, tls=self._tls)
            return self._managers[proxy]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._environ)


def _range_header(first: int, last: int | None) -> str:
    if first < 0:
        return f"bytes={first}"
    return f"bytes={first}-{'' if last is None else last}"


def _unreachable(url: str, error: Exception) -> Unreachable:
    import urllib3.exceptions as kinds  # noqa: PLC0415  loaded: it raised this

    cause: BaseException = error
    while isinstance(cause, kinds.MaxRetryError | kinds.ProxyError) and isinstance(
        inner := getattr(cause, "reason", None) or getattr(cause, "original_error", None), BaseException
    ):
        cause = inner
    host = urlsplit(url).hostname or ""
    shown = without_userinfo(url)
    if isinstance(cause, kinds.NameResolutionError):
        return Unreachable(
            url=shown,
            why=f"the name {host} does not resolve",
            advice="check the address and the network; behind a proxy, set HTTPS_PROXY",
        )
    if isinstance(cause, kinds.SSLError):
        return Unreachable(
            url=shown,
            why=f"its certificate is not trusted or TLS fails ({cause})",
            advice="if your network uses its own certificate authority, set SSL_CERT_FILE to its file",
        )
    # NewConnectionError is a kind of time-out there, for old reasons
    if isinstance(cause, kinds.TimeoutError) and not isinstance(cause, kinds.NewConnectionError):
        return Unreachable(url=shown, why="it takes too long to answer")
    if isinstance(error, kinds.ProxyError) or isinstance(getattr(error, "reason", None), kinds.ProxyError):
        return Unreachable(url=shown, why="the proxy does not answer", advice="check HTTPS_PROXY and NO_PROXY")
    # urllib3 puts the object's address in front of the reason, the operating system its number
    why = re.sub(r"^\[Errno \d+\] ", "", str(cause).rpartition(": ")[2])
    return Unreachable(url=shown, why=why or type(cause).__name__)
